package raft_test

import (
	"context"
	"iter"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// The events of a node are in order and end in the true state.
func TestWatchTellsEveryStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(sickStore) // Its saves take time, so that the reader keeps up.
		store.takes.Store(int64(time.Millisecond))
		node, stop := background(t, lone(store))
		var roles []raft.Role
		var last raft.Status
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for s := range node.Watch(context.Background()) {
				require.GreaterOrEqual(t, s.Term, last.Term)
				last = s
				roles = append(roles, s.Role)
			}
		}()
		lead(t, node).Release()
		synctest.Wait()
		require.Equal(t, raft.Leader, last.Role)
		require.True(t, last.Leading)
		require.Equal(t, "a", last.Leader)
		require.Equal(t, raft.Follower, roles[0])
		require.Equal(t, node.Status(), last)

		require.NoError(t, stop())
		<-watched
		require.True(t, last.Stopped)
		require.False(t, last.Leading)
	})
}

// A higher term takes the lead away, and watchers hear of it.
func TestWatchTellsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		next, stop := iter.Pull(c.Node(leader).Watch(t.Context()))
		defer stop()
		s, _ := next()
		require.True(t, s.Leading)
		c.Isolate(leader)
		for s.Leading {
			s, _ = next()
		}
		require.Empty(t, s.Leader)
		other := c.WaitLeader(others(c, leader)...)
		c.Heal()
		for s.Leader != other {
			s, _ = next()
		}
		require.Equal(t, raft.Follower, s.Role)
	})
}

// A late subscriber gets the current state at once, and two do not
// take from each other.
func TestSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		node := c.Node(leader)
		first, stopFirst := iter.Pull(node.Watch(t.Context()))
		defer stopFirst()
		second, stopSecond := iter.Pull(node.Watch(t.Context()))
		defer stopSecond()
		for _, next := range []func() (raft.Status, bool){first, second} {
			s, ok := next()
			require.True(t, ok)
			require.True(t, s.Leading)
		}
		go func() { _ = node.Resign(t.Context()) }()
		for _, next := range []func() (raft.Status, bool){first, second} {
			s, ok := next()
			require.True(t, ok)
			require.False(t, s.Leading)
		}
	})
}

// Heartbeats are no events.
func TestNoEventPerHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		boundCluster(c)
		time.Sleep(etMax)
		for _, id := range c.IDs() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*etMax)
			defer cancel()
			events := 0
			for range c.Node(id).Watch(ctx) {
				events++
			}
			require.Equal(t, 1, events)
		}
	})
}

// A slow reader skips what was overtaken but sees the newest.
func TestWatchCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		watched := c.Node(others(c, leader)[0])
		time.Sleep(etMax)
		next, stop := iter.Pull(watched.Watch(t.Context()))
		defer stop()
		before, _ := next()
		require.Equal(t, leader, before.Leader)
		for range 3 {
			require.NoError(t, c.Node(c.WaitLeader()).Resign(t.Context()))
			c.WaitLeader()
			time.Sleep(etMax)
		}
		s, _ := next()
		require.Equal(t, before.Term+3, s.Term)
		require.NotEmpty(t, s.Leader)
	})
}

// The first status comes at once, also before Run.
func TestWatchBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, err := raft.New(lone(new(raft.MemoryStore)))
		require.NoError(t, err)
		for s := range node.Watch(t.Context()) {
			require.Equal(t, raft.Follower, s.Role)
			break
		}
	})
}

// No status is told twice in a row.
func TestWatchTellsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		told := make(chan raft.Status)
		node := c.Node("a")
		go func() {
			defer close(told)
			for s := range node.Watch(t.Context()) {
				told <- s
			}
		}()
		go func() {
			for range 6 {
				leader := c.WaitLeader()
				_ = c.Node(leader).Transfer(t.Context(), others(c, leader)[0])
			}
			c.Isolate("a")
			time.Sleep(etMax)
			_ = c.Stop("a")
		}()
		type visible struct {
			role    raft.Role
			term    uint64
			leader  string
			leading bool
			id      raft.ConfigurationID
			refused raft.RefusalReason
			stopped bool
		}
		last := visible{term: math.MaxUint64}
		for s := range told {
			now := visible{s.Role, s.Term, s.Leader, s.Leading, s.Configuration.ConfigurationID, s.Refused, s.Stopped}
			require.NotEqual(t, last, now)
			last = now
		}
		require.True(t, last.stopped)
	})
}

// A member that does not vote is told by Watch when nobody leads any more, as
// voters are.
func TestWatchOfANonVoterSeesTheLeaderGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		c.Add("x")
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "x"}))
		c.Wait("x to follow", func() bool { return c.Node("x").Status().Leader == leader })
		for _, id := range []string{"a", "b", "c"} {
			c.Crash(id)
		}
		crashed := time.Now()
		for s := range c.Node("x").Watch(t.Context()) {
			if s.Leader == "" {
				break
			}
		}
		require.LessOrEqual(t, time.Since(crashed), etMax)
		_, known := c.Node("x").Leader()
		require.False(t, known)
	})
}
