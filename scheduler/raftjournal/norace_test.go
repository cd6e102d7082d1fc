//go:build !race

package raftjournal_test

// raceEnabled says that the race detector looks on.
const raceEnabled = false
