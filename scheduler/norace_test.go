//go:build !race

package scheduler

// raceEnabled says that the race detector looks on.
const raceEnabled = false
