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

// Work that outlives its reign shows in Status and keeps its node, and no other,
// from leading until it has ended.
func TestWorkThatOutlivesItsReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		l := lead(t, node)
		require.Zero(t, node.Status().Unreleased)
		c.Isolate(leader)
		<-l.Context().Done()
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrLeaseExpired)
		next := c.WaitLeader(others(c, leader)...)
		c.Heal()
		time.Sleep(time.Second)
		status := node.Status()
		require.Equal(t, raft.AbstainsUnreleased, status.Abstains)
		require.Equal(t, 1, status.Unreleased.Count)
		require.Equal(t, l.Term(), status.Unreleased.Term)
		require.Greater(t, status.Unreleased.For, time.Second)
		require.ErrorIs(t, c.Node(next).Transfer(t.Context(), leader), raft.ErrUnfit)
		for range 20 { // Nobody hands over to it.
			require.NoError(t, c.Node(c.WaitLeader()).Resign(t.Context()))
			require.NotEqual(t, leader, c.WaitLeader())
			time.Sleep(etMax)
		}
		l.Release()
		require.Zero(t, node.Status().Unreleased)
		time.Sleep(etMax)
		require.Zero(t, node.Status().Abstains)
		require.NoError(t, c.Node(c.WaitLeader()).Transfer(t.Context(), leader))
	})
}

// A cluster of one has no leader while work of an earlier reign goes on.
func TestWorkThatOutlivesItsReignAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		l := lead(t, node)
		require.NoError(t, node.Resign(t.Context()))
		time.Sleep(time.Minute)
		require.False(t, node.IsLeader())
		require.ErrorIs(t, node.Campaign(t.Context()), raft.ErrUnfit)
		l.Release()
		require.Greater(t, lead(t, node).Term(), l.Term())
	})
}

// While every node is unhealthy nobody stands, so that no term begins and nothing
// is saved; once one recovers, it leads.
func TestNobodyStandsWhileAllAreUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sick atomic.Bool
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.Healthy = func() error {
				if sick.Load() {
					return errors.New("the database is gone")
				}
				return nil
			}
		}})
		leader, _ := boundCluster(c)
		sick.Store(true)
		time.Sleep(time.Minute)
		before := c.Node(leader).Status()
		require.Equal(t, raft.AbstainsUnhealthy, before.Abstains)
		time.Sleep(time.Hour)
		after := c.Node(leader).Status()
		require.Equal(t, before.Term, after.Term)
		require.Equal(t, before.Traffic.Saves, after.Traffic.Saves)
		sick.Store(false)
		begun := time.Now()
		c.WaitLeader()
		require.Less(t, time.Since(begun), 3*etMax)
	})
}

// Work that fails everywhere backs off: terms per minute stay few. Where it works
// again, the next reign lasts.
func TestFailingWorkBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		c := rafttest.Start(t, rafttest.Config{Service: func(ctx context.Context, node *raft.Node) error {
			for ctx.Err() == nil {
				_ = node.WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
					if broken.Load() {
						return errors.New("the database is gone")
					}
					<-ctx.Done()
					return context.Cause(ctx)
				})
			}
			return nil
		}})
		time.Sleep(time.Minute)
		term := c.Node("a").Term()
		require.Less(t, term, uint64(60), "in the first minute")
		time.Sleep(time.Minute)
		require.Less(t, c.Node("a").Term(), term+20, "in the second")
		broken.Store(false)
		for _, id := range c.IDs() {
			_ = c.Node(id).Campaign(t.Context()) // ends its pause
		}
		begun := time.Now()
		c.WaitLeader()
		require.Less(t, time.Since(begun), 3*etMax)
	})
}

// Leads is the look to take before an effect: right at once after a suspend.
func TestLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.False(t, raft.Leads(t.Context()))
		node, _ := background(t, lone(new(raft.MemoryStore)))
		l := lead(t, node)
		ctx, cancel := context.WithCancel(l.Context())
		require.True(t, raft.Leads(ctx))
		cancel()
		require.False(t, raft.Leads(ctx))
		require.True(t, raft.Leads(l.Context()))
		l.Release()
		require.False(t, raft.Leads(l.Context()))
	})
}
