// Package testcert makes certificates in memory for the tests of the
// transports. Only tests import it.
//
// # Concurrency
//
// An [Authority] is safe for concurrent use once made.
package testcert
