//go:build race

package raft

// RaceEnabled says that the race detector looks on.
const RaceEnabled = true
