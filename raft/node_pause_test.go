package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Rule 22: the pause after failed work doubles while the work fails within the
// pause before, up to a bound, and begins anew after work that ran for longer.
// Several functions that fail in one reign count once.
func TestPauseDoublesUpToItsBound(t *testing.T) {
	const etMax = 300 * time.Millisecond
	now := time.Hour
	n := &Node{
		cfg: Config{ElectionTimeoutMax: etMax}, nudge: make(chan struct{}, 1),
		now: func() time.Duration { return now },
	}
	term := uint64(0)
	fail := func(after time.Duration) time.Duration {
		term++
		r := &reign{term: term, begun: now}
		now += after
		n.workFailed(r)
		require.Equal(t, now+n.pause.length, n.pause.until)
		now = n.pause.until
		once := n.pause
		n.workFailed(r)
		require.Equal(t, once, n.pause)
		return n.pause.length / etMax
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 64, 64} {
		require.Equal(t, want, fail(n.pause.length))
	}
	require.EqualValues(t, 1, fail(n.pause.length+1))
	require.EqualValues(t, 2, fail(0))
	n.endPause()
	require.EqualValues(t, 1, fail(0))
	require.Len(t, n.nudge, 1, "the loop looks again")
}
