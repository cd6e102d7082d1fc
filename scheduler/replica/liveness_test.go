package replica_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// watched has a scheduler with nodes n0 to n9 whose heartbeats are watched, and what
// was logged.
func watched(t *testing.T, cfg replica.LivenessConfig) (*scheduler.Scheduler, *replica.Liveness, *strings.Builder) {
	t.Helper()
	logged := new(strings.Builder)
	cfg.Logger = slog.New(slog.NewTextHandler(logged, nil))
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	for i := range 10 {
		addNode(t, s, fmt.Sprint("n", i))
	}
	l, err := replica.NewLiveness(cfg)
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	go func() { _ = l.Run(ctx, s) }()
	return s, l, logged
}

// beats sends the heartbeats of nodes, by number, for so long.
func beats(t *testing.T, s *scheduler.Scheduler, l *replica.Liveness, d time.Duration, from int) {
	t.Helper()
	for range d / (5 * time.Second) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i := from; i < 10; i++ {
			_, err := l.Beat(t.Context(), s, fmt.Sprint("n", i))
			require.NoError(t, err)
		}
	}
}

func stateOf(t *testing.T, s *scheduler.Scheduler, id string) scheduler.NodeState {
	t.Helper()
	n, err := s.Node(t.Context(), id)
	require.NoError(t, err)
	return n.State
}

func TestANodeThatComesBackGetsWhatIsToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, logged := watched(t, replica.LivenessConfig{})
		_, err := s.Allocate(t.Context(), "n0", request("x"))
		require.NoError(t, err)
		_, err = s.Allocate(t.Context(), "n0", request("y"))
		require.NoError(t, err)
		beats(t, s, l, time.Minute, 1)
		require.Equal(t, scheduler.NodeLost, stateOf(t, s, "n0"))
		require.Empty(t, logged.String(), "that is the scheduler's to log")
		again := place(t, s, "x")
		require.NotEqual(t, "n0", again.NodeID)
		for range 2 { // until it is done
			stop, err := l.Beat(t.Context(), s, "n0")
			require.NoError(t, err)
			require.Len(t, stop, 1)
			require.Equal(t, "x", stop[0].Request.ID)
			require.Equal(t, uint64(1), stop[0].Generation)
		}
		require.Equal(t, scheduler.NodeReady, stateOf(t, s, "n0"))
		require.NoError(t, s.ReleaseGeneration(t.Context(), "x", 1))
		stop, err := l.Beat(t.Context(), s, "n0")
		require.NoError(t, err)
		require.Empty(t, stop)
		y, err := s.Allocation(t.Context(), "y")
		require.NoError(t, err)
		require.Equal(t, scheduler.Running, y.State)
		stats := l.Stats()
		require.Equal(t, replica.LivenessStats{Watching: true, Nodes: 10, Lost: 1, Returned: 1}, stats)
	})
}

// TestANodeGetsWhatAMoveHasLeftBehind: until it is released, and nothing that is merely
// leaving, which has no other generation.
func TestANodeGetsWhatAMoveHasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _ := watched(t, replica.LivenessConfig{})
		for _, id := range []string{"x", "y", "z"} {
			_, err := s.Allocate(t.Context(), "n0", request(id))
			require.NoError(t, err)
		}
		require.NoError(t, s.Leave(t.Context(), "y"))
		_, err := s.Move(t.Context(), "x", "n1")
		require.NoError(t, err)
		for range 2 { // until it is done
			stop, err := l.Beat(t.Context(), s, "n0")
			require.NoError(t, err)
			require.Len(t, stop, 1)
			require.Equal(t, "x", stop[0].Request.ID)
			require.Equal(t, uint64(1), stop[0].Generation)
			require.Equal(t, scheduler.Leaving, stop[0].State)
		}
		stop, err := l.Beat(t.Context(), s, "n1")
		require.NoError(t, err)
		require.Empty(t, stop, "the present generation goes on")
		require.NoError(t, s.ReleaseGeneration(t.Context(), "x", 1))
		stop, err = l.Beat(t.Context(), s, "n0")
		require.NoError(t, err)
		require.Empty(t, stop)
	})
}

func TestNodesThatWereNeverHeardAndNodesThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, _ := watched(t, replica.LivenessConfig{})
		beats(t, s, l, time.Minute, 0)
		addNode(t, s, "mute")
		_, err := s.RemoveNode(t.Context(), "n0")
		require.NoError(t, err)
		beats(t, s, l, time.Minute, 1)
		require.Equal(t, scheduler.NodeLost, stateOf(t, s, "mute"))
		require.Equal(t, 1, l.Stats().Lost)
		_, err = l.Beat(t.Context(), s, "n0")
		require.ErrorIs(t, err, scheduler.ErrNotFound)
	})
}

// Half of the workers are cut off: rather than they the way to them is broken.
func TestTooManySilentNodesCallForAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, logged := watched(t, replica.LivenessConfig{MaxLostPercent: 20})
		beats(t, s, l, 10*time.Minute, 5)
		require.Zero(t, l.Stats().Lost)
		halt := l.Stats().Halt
		require.Equal(t, []string{"n0", "n1", "n2", "n3", "n4"}, halt.Silent)
		require.Equal(t, 2, halt.Limit)
		halt.Silent[0] = "mine" // what Stats has returned is the caller's
		require.Equal(t, "n0", l.Stats().Halt.Silent[0])
		require.Equal(t, 1, strings.Count(logged.String(), "level=ERROR"), "loudly, and once")
		require.Len(t, l.GiveUp(), 5)
		beats(t, s, l, 5*time.Second, 5)
		require.Equal(t, 5, l.Stats().Lost)
		require.Nil(t, l.Stats().Halt)
		require.Contains(t, logged.String(), "marked as lost again")
		beats(t, s, l, 5*time.Second, 0)
		require.Equal(t, 5, l.Stats().Returned)
	})
}

// The process is paused while all workers send heartbeats that nobody hears.
func TestAPausedWatcherMarksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var jump atomic.Int64
		s, l, logged := watched(t, replica.LivenessConfig{MaxLostPercent: 100, Now: func() time.Time {
			return time.Now().Add(time.Duration(jump.Load()))
		}})
		beats(t, s, l, time.Minute, 0)
		jump.Store(int64(5 * time.Minute))
		beats(t, s, l, time.Minute, 0)
		require.Zero(t, l.Stats().Lost)
		require.Equal(t, 1, l.Stats().Pauses)
		require.Contains(t, logged.String(), "was paused")
	})
}

func TestMistakesInLiveness(t *testing.T) {
	_, err := replica.NewLiveness(replica.LivenessConfig{TTL: -1, Grace: 1 << 62, MaxLost: -1, MaxLostPercent: 101})
	require.ErrorIs(t, err, placement.ErrInvalid)
	for _, field := range []string{"ttl", "grace", "maxLost", "maxLostPercent"} {
		require.ErrorContains(t, err, "invalid "+field)
	}
}
