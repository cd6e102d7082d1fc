package raft

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A call-out that comes back just as Run gives it up ends the loop without a
// result: Run returns the error all the same.
func TestStallIsFirstToBeSeen(t *testing.T) {
	for range 100 {
		l := &loop{stalled: make(chan error, 1)}
		work := begin(func() error { runtime.Goexit(); return nil })
		<-work.ended
		l.stalled <- ErrSaveStalled
		require.ErrorIs(t, l.await(work), ErrSaveStalled)
	}
}
