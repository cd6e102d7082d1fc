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

// Each release of work that has outlived its reign is told to watchers, and the
// last one ends the abstention at once.
func TestReleaseOfOutlivedWorkIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		first, second := lead(t, node), lead(t, node)
		require.NoError(t, node.Resign(t.Context()))
		time.Sleep(2 * etMax)
		require.Equal(t, raft.AbstainsUnreleased, node.Status().Abstains)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		counts := make(chan int, 9)
		go func() {
			for s := range node.Watch(ctx) {
				counts <- s.Unreleased.Count
			}
		}()
		require.Equal(t, 2, <-counts)
		first.Release()
		synctest.Wait()
		require.Len(t, counts, 1)
		require.Equal(t, 1, <-counts)
		second.Release()
		synctest.Wait()
		require.Zero(t, node.Status().Abstains)
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
		time.Sleep(2 * time.Minute)
		after := c.Node(leader).Status()
		require.Equal(t, before.Term, after.Term)
		require.Equal(t, before.Traffic.Saves, after.Traffic.Saves)
		sick.Store(false)
		begun := time.Now()
		c.WaitLeader()
		require.Less(t, time.Since(begun), 3*etMax)
	})
}

// sickly starts a cluster whose members are unhealthy while they are told so.
func sickly(t *testing.T) (*rafttest.Cluster, map[string]*atomic.Bool) {
	t.Helper()
	sick := map[string]*atomic.Bool{"a": {}, "b": {}, "c": {}}
	return rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
		id := cfg.ID
		cfg.Healthy = func() error {
			if sick[id].Load() {
				return errors.New("the database is gone")
			}
			return nil
		}
	}}), sick
}

// A node that has recovered while another leads is found so within a heartbeat
// interval, and can take over again.
func TestRecoveredNodeTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sick := sickly(t)
		first, _ := boundCluster(c)
		sick[first].Store(true)
		second := c.WaitLeader(others(c, first)...)
		time.Sleep(10 * etMax)
		require.Equal(t, raft.AbstainsUnhealthy, c.Node(first).Status().Abstains)
		require.ErrorIs(t, c.Node(second).Transfer(t.Context(), first), raft.ErrUnfit)
		sick[first].Store(false)
		time.Sleep(etMin)
		require.Zero(t, c.Node(first).Status().Abstains)
		require.NoError(t, c.Node(second).Transfer(t.Context(), first))
		require.True(t, c.Node(first).IsLeader())
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

// Rule 22: a pause after failed work ends as soon as Healthy, after an error,
// returns nil again, or at once by Campaign.
func TestRecoveryEndsThePause(t *testing.T) {
	for _, by := range []string{"Healthy", "Campaign"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken, sick atomic.Bool
				broken.Store(true)
				failures := make(chan struct{})
				cfg := lone(new(raft.MemoryStore))
				cfg.Healthy = func() error {
					if sick.Load() {
						return errors.New("the database is gone")
					}
					return nil
				}
				node, stop := background(t, cfg)
				go func() {
					for !node.Status().Stopped {
						_ = node.WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
							if broken.Load() {
								failures <- struct{}{}
								return errors.New("the database is gone")
							}
							<-ctx.Done()
							return nil
						})
					}
				}()
				for range 8 {
					<-failures
				}
				time.Sleep(2 * etMax) // A pause of 64 times etMax has begun.
				require.Equal(t, raft.AbstainsFailing, node.Status().Abstains)
				broken.Store(false)
				if by == "Campaign" {
					require.NoError(t, node.Campaign(t.Context()))
				} else {
					sick.Store(true)
					time.Sleep(2 * etMax)
					require.Equal(t, raft.AbstainsUnhealthy, node.Status().Abstains)
					sick.Store(false)
				}
				time.Sleep(3 * etMax)
				require.True(t, node.IsLeader())
				require.Zero(t, node.Status().Abstains)
				require.NoError(t, stop())
			})
		})
	}
}

// Rule 22: work that panics has failed.
func TestPanickingWorkBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		for _, pause := range []time.Duration{etMax, 2 * etMax} {
			require.Panics(t, func() {
				_ = node.WhileLeader(t.Context(), func(context.Context, uint64) error { panic("no memory") })
			})
			time.Sleep(pause - time.Millisecond)
			require.Equal(t, raft.AbstainsFailing, node.Status().Abstains)
		}
	})
}

// What the work returns after its reign has ended is an echo of that, and no
// failure.
func TestWorkThatEndsWithItsReignHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- node.WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
		for range 3 {
			time.Sleep(2 * etMax)
			require.True(t, node.IsLeader())
			require.NoError(t, node.Resign(t.Context()))
			time.Sleep(time.Millisecond)
			require.Zero(t, node.Status().Abstains)
		}
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
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

// TestTransferToTheUnhealthyFails: whoever is asked to take over asks the application
// first, whatever that said last, and does not even stand.
func TestTransferToTheUnhealthyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sick := sickly(t)
		leader, target := boundCluster(c)
		begun := make(chan uint64, 1)
		go func() {
			_ = c.Node(target).WhileLeader(t.Context(), func(_ context.Context, token uint64) error {
				begun <- token
				return nil
			})
		}()
		before := c.Node(target).Status().Counters.Campaigns
		sick[target].Store(true)
		require.ErrorIs(t, c.Node(leader).Transfer(t.Context(), target), raft.ErrTransferFailed)
		after := c.Node(target).Status()
		require.Equal(t, raft.AbstainsUnhealthy, after.Abstains)
		require.Equal(t, before, after.Counters.Campaigns, "it costs no term")
		require.Empty(t, begun)
	})
}
