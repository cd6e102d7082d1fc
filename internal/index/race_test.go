//go:build race

package index

// raceEnabled says that the race detector looks on.
const raceEnabled = true
