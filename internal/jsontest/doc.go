// Package jsontest checks that what a service answers with reads back from its JSON. It
// is for tests of the packages whose types those are.
package jsontest
