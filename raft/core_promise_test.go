package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Rule 4: the longest promise on record falls to the longest of what this
// process has promised within as much time, once, and not before.
func TestLongestPromiseFallsWhenItIsOutlived(t *testing.T) {
	s := newSolo(t, 3)
	long := s.from("B", Heartbeat, 1)
	long.Promise = 10 * time.Second
	require.True(t, s.asked(long))
	require.Equal(t, 10*time.Second, s.last.State.LongestPromise)
	s = s.reborn()
	begun := s.now

	saves := 0
	beat := func(promise time.Duration) {
		h := s.from("B", Heartbeat, 2)
		h.Promise = promise
		require.True(t, s.asked(h))
		if s.last.Save {
			saves++
		}
	}
	beat(400 * ms) // It brings the term, and so is saved.
	for saves = 0; s.now-begun < 10*time.Second-50*ms; {
		s.now += 50 * ms
		beat(400 * ms)
		require.Equal(t, 10*time.Second, s.State().LongestPromise)
		remains := s.promise.until - s.now
		require.LessOrEqual(t, remains, s.State().LongestPromise)
	}
	require.Zero(t, saves)
	for range 100 {
		s.now += 50 * ms
		beat(200 * ms)
	}
	require.Equal(t, 200*ms, s.State().LongestPromise)
	require.Equal(t, 2, saves, "to 400 ms at first, which were promised last")

	// Without promises it falls to the own minimum; a longer one raises it again.
	s.now += time.Minute
	s.wait(0)
	s.wait(time.Minute)
	require.Equal(t, 150*ms, s.State().LongestPromise)
	beat(time.Second)
	require.Equal(t, time.Second, s.last.State.LongestPromise)
	s = s.reborn()
	require.Equal(t, time.Second, s.promise.until)
}
