// Package linearize checks the whole stack from outside: clients place, release and
// look at instances through three replicas that keep a scheduler in their replicated
// log, while replicas are killed and cut off, and porcupine looks for an order of what
// they were told that one scheduler alone could have given. It has no code to import,
// and is a module of its own for the sake of what it needs.
//
//	go test ./...                              some seeds
//	CONSTELLATION_LONG=1000 go test ./...      so many
//
// All of it runs in a bubble of testing/synctest, so that a minute of trouble takes part
// of a second. An order of events, and not the time, says what came before what.
//
// # What it does not do
//
// Disks are in memory and lose nothing; package raft has tests of disks.
package linearize
