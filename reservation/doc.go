// Package reservation promises capacity for now or for later and keeps the
// promise: a Plan is the pure book of what is held on which node and when, and
// a Book is the same, safe for concurrent use and with a clock.
package reservation
