package raft_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// sickStore is a memory store whose saves take time or fail.
type sickStore struct {
	raft.MemoryStore
	takes atomic.Int64 // of each save, as a time.Duration
	fails atomic.Bool
	saves atomic.Int64
	open  atomic.Bool
}

var errSick = errors.New("the disk is sick")

func (s *sickStore) Open() (raft.StoredState, error) {
	s.open.Store(true)
	return s.MemoryStore.Open()
}

func (s *sickStore) Save(state raft.HardState) error {
	s.saves.Add(1)
	time.Sleep(time.Duration(s.takes.Load()))
	if s.fails.Load() {
		return errSick
	}
	return s.MemoryStore.Save(state)
}

func (s *sickStore) Close() error {
	s.open.Store(false)
	return s.MemoryStore.Close()
}

// sickCluster starts a cluster on sick stores that are healthy for now.
func sickCluster(t *testing.T) (*rafttest.Cluster, map[string]*sickStore) {
	t.Helper()
	stores := make(map[string]*sickStore)
	return rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
		if stores[cfg.ID] == nil {
			stores[cfg.ID] = new(sickStore)
		}
		cfg.Store = stores[cfg.ID]
	}}), stores
}

// After a save that failed nothing leaves the node any more. A
// leader's reign ends, Run ends with the error, and the save is not tried again.
func TestFailedSave(t *testing.T) {
	t.Run("leader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, stores := sickCluster(t)
			leader, _ := boundCluster(c)
			node, store := c.Node(leader), stores[leader]
			l := lead(t, node)
			store.fails.Store(true)
			saves := store.saves.Load()
			// A change of the membership must be saved first.
			require.ErrorIs(t, node.AddMember(t.Context(), raft.Member{ID: "x"}), raft.ErrStopped)
			require.ErrorIs(t, context.Cause(l.Context()), raft.ErrSaveFailed)
			require.False(t, l.Valid())
			require.ErrorIs(t, c.Stop(leader), raft.ErrSaveFailed)
			require.Equal(t, saves+1, store.saves.Load())
			require.False(t, store.open.Load())

			next := c.WaitLeader()
			_, found := c.Node(next).Status().Configuration.Member("x")
			require.False(t, found, "the change never left the leader")
		})
	})
	t.Run("voter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, stores := sickCluster(t)
			leader, voter := boundCluster(c)
			stores[voter].fails.Store(true)
			other := others(c, leader)[1]
			c.Crash(leader)
			// The other needs this vote, which is never given.
			time.Sleep(10 * etMax)
			require.False(t, c.Node(other).IsLeader())
			err := c.Stop(voter)
			require.ErrorIs(t, err, raft.ErrSaveFailed)
			require.ErrorIs(t, err, errSick)
		})
	})
	t.Run("first save", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := new(sickStore)
			store.fails.Store(true)
			_, stop := background(t, lone(store))
			require.ErrorIs(t, stop(), raft.ErrSaveFailed)
			require.False(t, store.open.Load())
		})
	})
}

// A follower whose disk takes twice the election timeout disturbs
// nobody else.
func TestSlowDiskOfFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := sickCluster(t)
		leader, slow := boundCluster(c)
		term := c.Node(leader).Term()
		stores[slow].takes.Store(int64(etMax - time.Millisecond))
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "x"}))
		for range 100 {
			time.Sleep(etMin / 3)
			require.True(t, c.Node(leader).IsLeader())
		}
		require.Equal(t, term, c.Node(leader).Term())
		traffic := c.Node(slow).Status().Traffic
		require.NotZero(t, traffic.SlowSaves)
		require.GreaterOrEqual(t, traffic.LongestSave, etMax-time.Millisecond)

		stores[slow].takes.Store(0)
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "w"}))
		time.Sleep(etMax)
		later := c.Node(slow).Status().Traffic
		require.Greater(t, later.Saves, traffic.Saves)
		require.Equal(t, traffic.LongestSave, later.LongestSave, "a fast one does not hide it")

		stores[slow].takes.Store(int64(2 * etMax))
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "y"}))
		time.Sleep(10 * etMax)
		require.True(t, c.Node(leader).IsLeader())
		require.Equal(t, term, c.Node(leader).Term())
		require.ErrorIs(t, c.Stop(slow), raft.ErrSaveStalled)
	})
}

// Rule 13: a save that outlasts the watchdog ends the reign, though the lease
// would have lasted longer.
func TestSlowSaveEndsReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := sickCluster(t)
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		l := lead(t, node)
		stores[leader].takes.Store(int64(etMin/2 + time.Millisecond))
		begun := time.Now()
		change := make(chan error)
		go func() { change <- node.AddMember(t.Context(), raft.Member{ID: "x"}) }()
		<-l.Context().Done()
		require.Equal(t, etMin/2, time.Since(begun))
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrSaveStalled)
		require.False(t, node.IsLeader())
		require.ErrorIs(t, <-change, raft.ErrNotLeader)
		stores[leader].takes.Store(0)
		require.Greater(t, c.Node(c.WaitLeader()).Term(), l.Term())
	})
}

// Rule 13: with a save that does not come back, Run returns once
// the maximal election timeout has passed. The store stays locked until then.
func TestStopDuringBlockedSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := sickCluster(t)
		leader, _ := boundCluster(c)
		node, store := c.Node(leader), stores[leader]
		l := lead(t, node)
		store.takes.Store(int64(10 * time.Second))
		begun := time.Now()
		go func() { _ = node.AddMember(t.Context(), raft.Member{ID: "x"}) }()
		synctest.Wait()
		require.ErrorIs(t, c.Stop(leader), raft.ErrSaveStalled)
		require.Equal(t, etMax, time.Since(begun))
		require.EqualValues(t, 1, node.Status().Traffic.SlowSaves)
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrStopped)
		require.False(t, l.Valid())

		require.True(t, store.open.Load())
		time.Sleep(20 * time.Second)
		require.False(t, store.open.Load(), "the last goroutine has closed the store")
	})
}

// Rule 23: the win of a lone node waits for its own save.
func TestLoneNodeSavesBeforeItLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(sickStore)
		node, stop := background(t, lone(store))
		synctest.Wait()
		store.takes.Store(int64(50 * time.Millisecond))
		for store.saves.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(48 * time.Millisecond)
		require.False(t, node.IsLeader())
		time.Sleep(2 * time.Millisecond)
		require.True(t, node.IsLeader())

		store.takes.Store(0)
		time.Sleep(etMax)
		begun := time.Now()
		require.NoError(t, stop())
		require.Zero(t, time.Since(begun), "there is nobody to hand over to")
	})
}
