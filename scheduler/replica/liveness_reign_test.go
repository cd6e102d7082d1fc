package replica

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

func TestAWatcherIsLateByEitherClock(t *testing.T) {
	cfg := LivenessConfig{TTL: 10 * time.Second}
	in, late := 2*time.Second, 2*time.Second+1
	require.False(t, cfg.late(in, in))
	require.True(t, cfg.late(late, in), "the clock was set back meanwhile")
	require.True(t, cfg.late(in, late), "the monotonic clock stood still while the machine was suspended")
	require.True(t, cfg.late(-1, in))
}

func TestANewReignKnowsNothingOfTheOneBefore(t *testing.T) {
	t.Run("who was heard then", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, time.Minute, 0)
		now = now.Add(time.Hour) // another replica leads
		w.begin(now, nodes(10))
		lost, said := lookFor(w, &now, 19*time.Second, 10)
		require.Empty(t, lost)
		require.False(t, said.halted)
	})
	t.Run("who was lost then", func(t *testing.T) {
		w, now := watching(t)
		lost, _ := lookFor(w, &now, 25*time.Second, 2)
		require.Len(t, lost, 2)
		w.begin(now, nodes(10)[2:])
		lost, _ = lookFor(w, &now, 20*time.Second, 4)
		require.Len(t, lost, 2, "each leader has its limit")
	})
	t.Run("that it had stopped", func(t *testing.T) {
		w, now := watching(t)
		_, said := lookFor(w, &now, 25*time.Second, 5)
		require.True(t, said.halted)
		w.begin(now, nodes(10))
		require.Nil(t, w.halt)
	})
	t.Run("whom a person gave up", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, 25*time.Second, 5)
		require.Len(t, w.giveUp(now), 5)
		w.begin(now, nodes(10))
		lost, said := lookFor(w, &now, 30*time.Second, 5)
		require.Empty(t, lost)
		require.True(t, said.halted)
	})
}

func TestAHeartbeatDoesNotShortenTheGrace(t *testing.T) {
	w, now := watching(t)
	lookFor(w, &now, time.Second, 0)
	lost, _ := lookFor(w, &now, 18*time.Second, 2)
	require.Empty(t, lost)
}

func TestWhoIsGivenUpIsSoOnlyUntilItIsHeard(t *testing.T) {
	t.Run("or goes", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, 25*time.Second, 5)
		w.giveUp(now)
		w.expect(now, nodes(10)[5:])
		w.expect(now, nodes(10)) // as new ones
		lost, said := lookFor(w, &now, 30*time.Second, 5)
		require.Empty(t, lost)
		require.True(t, said.halted || w.halt != nil)
	})
	t.Run("again", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, 25*time.Second, 5)
		w.giveUp(now)
		w.beat(now, "n0")
		lost, _ := lookFor(w, &now, time.Second, 10)
		require.Len(t, lost, 4)
		lost, said := lookFor(w, &now, 15*time.Second, 10)
		require.Empty(t, lost, "also n0, that nobody has given up since")
		require.True(t, said.halted)
	})
}

// A node may be heard, or removed, between the look and the mark.
func TestMarkLostLooksAgain(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: "n0"}))
	l, err := NewLiveness(LivenessConfig{})
	require.NoError(t, err)
	l.beat("n0")
	require.NoError(t, l.markLost(t.Context(), s, "n0"))
	n, err := s.Node(t.Context(), "n0")
	require.NoError(t, err)
	require.Equal(t, scheduler.NodeReady, n.State)
	require.NoError(t, l.markLost(t.Context(), s, "removed"))
	require.Zero(t, l.Stats().Lost)
}

func TestAWatchEndsWithItsReignOrItsScheduler(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	l, err := NewLiveness(LivenessConfig{})
	require.NoError(t, err)
	ended, end := context.WithCancel(t.Context())
	end()
	require.NoError(t, l.Run(ended, s))
	require.NoError(t, s.Close())
	require.ErrorIs(t, l.Run(t.Context(), s), scheduler.ErrClosed)
}
