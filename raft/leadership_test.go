package raft_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

func TestLeadWaitsAndShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, stop := background(t, lone(new(raft.MemoryStore)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := node.Lead(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		first, second := lead(t, node), lead(t, node)
		require.Equal(t, first.Term(), second.Term())
		require.True(t, first.Valid())
		first.Release()
		first.Release()
		require.Error(t, first.Context().Err())
		require.NoError(t, second.Context().Err())
		require.True(t, node.IsLeader())

		require.NoError(t, stop())
		require.ErrorIs(t, context.Cause(second.Context()), raft.ErrStopped)
		require.False(t, second.Valid())
		_, err = node.Lead(t.Context())
		require.ErrorIs(t, err, raft.ErrStopped)
	})
}

// Lead with a ctx that has ended holds nothing: the next hand-over waits for nobody.
func TestLeadWithEndedContextHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		lead(t, node).Release()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := node.Lead(ended)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, node.IsLeader())
		begun := time.Now()
		require.NoError(t, node.Resign(t.Context()))
		require.Zero(t, time.Since(begun))
		require.Zero(t, node.Status().Unreleased)
	})
}

// Rule 22: the ctx given to Lead is the parent of the leadership's.
func TestLeadContextHasParent(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		l, err := node.Lead(ctx)
		require.NoError(t, err)
		require.Equal(t, "value", l.Context().Value(key{}))
		cancel()
		require.ErrorIs(t, l.Context().Err(), context.Canceled)
		require.True(t, l.Valid())
		require.True(t, node.IsLeader(), "only the caller has gone")
	})
}

// Rule 7: the context ends by its own timer with the lease, while the loop of the
// node is stuck.
func TestContextEndsWithoutLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var block atomic.Bool
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.Healthy = func() error {
				if block.Load() {
					<-stuck // What Healthy must not do.
				}
				return nil
			}
		}})
		leader := c.WaitLeader()
		node := c.Node(leader)
		l := lead(t, node)
		status := node.Status()
		block.Store(true)
		begun := time.Now()
		<-l.Context().Done()
		require.False(t, l.Valid())
		require.False(t, node.IsLeader())
		// No answer has been handled since the status was read but of heartbeats
		// under way at that time.
		require.InDelta(t, status.Lease, time.Since(begun), float64(50*time.Millisecond))
		require.False(t, node.Status().Leading)
		block.Store(false)
		close(stuck)
		require.Greater(t, c.Node(c.WaitLeader()).Term(), l.Term())
	})
}

// The leader stops, and another leads in milliseconds.
func TestGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 5})
		leader := c.WaitLeader()
		term := c.Node(leader).Term()
		begun := time.Now()
		require.NoError(t, c.Stop(leader))
		next := c.WaitLeader()
		require.Less(t, time.Since(begun), 5*time.Millisecond)
		require.Equal(t, term+1, c.Node(next).Term())
	})
}

// The end of Run with two nodes and with one. Rule 23: two cannot replace a lost
// one, so that the successor leads only until it misses the other.
func TestSmallClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 2})
		leader := c.WaitLeader()
		other := others(c, leader)[0]
		led := lead1(t, c.Node(other))
		require.NoError(t, c.Stop(leader))
		l := <-led
		require.True(t, l.Valid())
		<-l.Context().Done()
		time.Sleep(10 * etMax)
		require.False(t, c.Node(other).IsLeader())
		require.NoError(t, c.Stop(other))
	})
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 1})
		c.WaitLeader()
		begun := time.Now()
		require.NoError(t, c.Stop("a"))
		require.Zero(t, time.Since(begun))
	})
}

// lead1 waits for a leadership beside the test.
func lead1(t *testing.T, node *raft.Node) <-chan *raft.Leadership {
	t.Helper()
	led := make(chan *raft.Leadership, 1)
	go func() {
		if l, err := node.Lead(t.Context()); err == nil {
			led <- l
		}
	}()
	return led
}

// Only a leader can resign or transfer.
func TestResignOnFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		time.Sleep(etMax)
		follower := c.Node(others(c, leader)[0])
		before := follower.Status()
		for _, err := range []error{follower.Resign(t.Context()), follower.Transfer(t.Context(), leader)} {
			var notLeader *raft.NotLeaderError
			require.ErrorAs(t, err, &notLeader)
			require.Equal(t, leader, notLeader.Leader)
			require.Equal(t, before.Term, notLeader.Term)
		}
		require.Equal(t, before.Term, follower.Term())
		require.True(t, c.Node(leader).IsLeader())
	})
}

// Rule 22: a hand-over waits until the application has wound up, and
// the lease is held until then.
func TestHandOverWaitsForRelease(t *testing.T) {
	handOvers := map[string]func(*rafttest.Cluster, *raft.Leadership, string) error{
		"Resign": func(c *rafttest.Cluster, _ *raft.Leadership, leader string) error {
			return c.Node(leader).Resign(context.Background())
		},
		"Transfer": func(c *rafttest.Cluster, _ *raft.Leadership, leader string) error {
			return c.Node(leader).Transfer(context.Background(), others(c, leader)[0])
		},
		"Stop": func(c *rafttest.Cluster, _ *raft.Leadership, leader string) error {
			return c.Stop(leader)
		},
	}
	// Longer than a lease, shorter than ReleaseTimeout, and no moment of a heartbeat.
	const windUp = 220 * time.Millisecond
	for name, handOver := range handOvers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := rafttest.Start(t, rafttest.Config{})
				leader := c.WaitLeader()
				node := c.Node(leader)
				l := lead(t, node)
				begun := time.Now()
				outcome := make(chan error)
				go func() { outcome <- handOver(c, l, leader) }()
				<-l.Context().Done()
				require.Zero(t, time.Since(begun), "the application is told at once")
				require.False(t, node.IsLeader())
				for time.Since(begun) < windUp {
					time.Sleep(10 * time.Millisecond)
					require.True(t, l.Valid())
					require.Empty(t, leading(c))
					_, known := node.Leader()
					require.False(t, known)
				}
				l.Release()
				require.NoError(t, <-outcome)
				require.False(t, l.Valid())
				require.Less(t, time.Since(begun), windUp+15*time.Millisecond)
				next := c.WaitLeader()
				require.Less(t, time.Since(begun), windUp+20*time.Millisecond)
				require.NotEqual(t, leader, next)
			})
		})
	}
}

func leading(c *rafttest.Cluster) []string {
	var leaders []string
	for _, id := range c.IDs() {
		if n := c.Node(id); n != nil && n.IsLeader() {
			leaders = append(leaders, id)
		}
	}
	return leaders
}

// A transfer takes two round trips and no election timeout.
func TestTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 5})
		leader := c.WaitLeader()
		for _, target := range others(c, leader) {
			node := c.Node(c.WaitLeader())
			time.Sleep(etMax)
			begun := time.Now()
			require.NoError(t, node.Transfer(t.Context(), target))
			require.Less(t, time.Since(begun), 5*time.Millisecond)
			require.Equal(t, target, c.WaitLeader())
		}
	})
}

// A transfer that cannot be is refused, and nothing has changed.
func TestTransferRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		require.NoError(t, node.AddMember(t.Context(), raft.Member{ID: "learner"}))
		l := lead(t, node)
		require.ErrorIs(t, node.Transfer(t.Context(), leader), raft.ErrSelf)
		require.ErrorIs(t, node.Transfer(t.Context(), "learner"), raft.ErrNotVoter)
		err := node.Transfer(t.Context(), "nobody")
		require.ErrorIs(t, err, raft.ErrUnknownMember)
		var about *raft.MemberError
		require.ErrorAs(t, err, &about)
		require.Equal(t, "nobody", about.ID)
		require.NoError(t, l.Context().Err())
		require.True(t, node.IsLeader())
	})
}

// The target is dead. The call returns an error, and a later
// reign accepts work and transfers.
func TestTransferToDeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: patient})
		leader := c.WaitLeader()
		target := others(c, leader)[0]
		time.Sleep(etMax) // It has answered, and dies just now.
		c.Isolate(target)
		begun := time.Now()
		second := make(chan error, 1)
		node := c.Node(leader)
		go func() {
			time.Sleep(time.Millisecond)
			second <- node.Transfer(t.Context(), target)
		}()
		require.ErrorIs(t, node.Transfer(t.Context(), target), raft.ErrTransferFailed)
		require.ErrorIs(t, <-second, raft.ErrTransferring)
		require.Equal(t, etMax, time.Since(begun))
		c.Heal()
		again := c.WaitLeader()
		time.Sleep(etMax) // All have heard of it.
		to := others(c, again)[0]
		require.NoError(t, c.Node(again).Transfer(t.Context(), to))
		require.Equal(t, to, c.WaitLeader(to))
	})
}

// patient gives applications all the time that they may want.
func patient(cfg *raft.Config) { cfg.ReleaseTimeout = time.Hour }

// The leader is deposed while the application winds up.
func TestDeposedDuringTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: patient})
		leader := c.WaitLeader()
		node := c.Node(leader)
		l := lead(t, node)
		outcome := make(chan error)
		go func() { outcome <- node.Transfer(t.Context(), others(c, leader)[0]) }()
		synctest.Wait()
		c.Isolate(leader)
		require.ErrorIs(t, <-outcome, raft.ErrNotLeader)
		l.Release()
		c.Heal()
		c.WaitLeader()
		c.Wait("the node to lead again", func() bool {
			if l := c.WaitLeader(); l != leader {
				_ = c.Node(l).Transfer(t.Context(), leader)
			}
			return node.IsLeader()
		})
		require.NoError(t, lead(t, node).Context().Err())
	})
}

// Who only resigns has what he wants when the lead is lost otherwise.
func TestResignWhileDeposed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: patient})
		leader := c.WaitLeader()
		node := c.Node(leader)
		l := lead(t, node) // never released
		outcome := make(chan error)
		go func() { outcome <- node.Resign(t.Context()) }()
		synctest.Wait()
		c.Isolate(leader)
		require.NoError(t, <-outcome)
		require.False(t, l.Valid())
	})
}

// The lead goes to another than the one that was asked.
func TestTransferEndsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 5, Edit: func(cfg *raft.Config) {
			if cfg.ID == "a" {
				cfg.ElectionTimeoutMax = 20 * etMax // It waits long for the target.
			}
		}})
		c.Wait("a to lead", func() bool {
			leader := c.WaitLeader()
			if leader != "a" {
				_ = c.Node(leader).Transfer(t.Context(), "a")
			}
			return leader == "a"
		})
		time.Sleep(etMax)
		c.Isolate("b")
		outcome := make(chan error)
		node := c.Node("a")
		go func() { outcome <- node.Transfer(t.Context(), "b") }()
		synctest.Wait()
		c.Isolate("a")
		next := c.WaitLeader()
		c.Heal()
		err := <-outcome
		require.ErrorIs(t, err, raft.ErrTransferFailed)
		require.ErrorContains(t, err, next)
	})
}

// A caller who does not wait for the outcome leaves the transfer going.
func TestTransferOutlivesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		target := others(c, leader)[0]
		l := lead(t, c.Node(leader))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Node(leader).Transfer(ctx, target), context.DeadlineExceeded)
		require.ErrorIs(t, c.Node(leader).Resign(t.Context()), raft.ErrTransferring)
		l.Release()
		require.Equal(t, target, c.WaitLeader())
	})
}

func TestLeadershipResign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		l := lead(t, c.Node(leader))
		require.NoError(t, l.Resign(t.Context()))
		require.False(t, l.Valid())
		next := c.WaitLeader()
		require.NotEqual(t, leader, next)
		require.NoError(t, c.Node(next).Transfer(t.Context(), leader))
		require.NoError(t, l.Resign(t.Context()), "the reign is long over")
		require.True(t, c.Node(leader).IsLeader())
	})
}

// Giving up what is over is no failure, also while nobody has taken it over.
func TestLeadershipResignAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		l := lead(t, c.Node(leader))
		c.Isolate(leader)
		<-l.Context().Done()
		require.NoError(t, l.Resign(t.Context()))
	})
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		l := lead(t, c.Node(leader))
		l.Release()
		require.NoError(t, c.Node(leader).Resign(t.Context()))
		require.False(t, l.Valid())
		require.NoError(t, l.Resign(t.Context()), "the successor is still campaigning")
	})
}

// An unhealthy leader hands over instead of sending heartbeats.
func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sick atomic.Pointer[string]
		fault := errors.New("the database is gone")
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.Healthy = func() error {
				if id := sick.Load(); id != nil && *id == cfg.ID {
					return fault
				}
				return nil
			}
		}})
		leader, _ := boundCluster(c)
		time.Sleep(etMax)
		l := lead(t, c.Node(leader))
		begun := time.Now()
		sick.Store(&leader)
		next := c.WaitLeader(others(c, leader)...)
		require.Less(t, time.Since(begun), 60*time.Millisecond)
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrUnhealthy)
		require.ErrorIs(t, context.Cause(l.Context()), fault)
		// It never gets the lead back while it is sick.
		c.Crash(next)
		time.Sleep(10 * etMax)
		require.False(t, c.Node(leader).IsLeader())
	})
}

// An unhealthy node that has nobody to hand over to leads no more either.
func TestHealthyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sick atomic.Bool
		cfg := lone(new(raft.MemoryStore))
		cfg.Healthy = func() error {
			if sick.Load() {
				return errors.New("the database is gone")
			}
			return nil
		}
		node, _ := background(t, cfg)
		l := lead(t, node)
		sick.Store(true)
		<-l.Context().Done()
		l.Release()
		for range 100 {
			time.Sleep(etMin / 10)
			require.False(t, node.IsLeader())
		}
		sick.Store(false)
		require.Greater(t, lead(t, node).Term(), l.Term())
	})
}

// Tokens grow over the cluster, and no two run at once.
func TestWhileLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		var last atomic.Uint64
		var reigns atomic.Int32
		c := rafttest.Start(t, rafttest.Config{
			Service: func(ctx context.Context, node *raft.Node) error {
				return node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
					if running.Add(1) > 1 {
						t.Errorf("two at once in term %d", token)
					}
					if before := last.Swap(token); before >= token {
						t.Errorf("token %d after %d", token, before)
					}
					reigns.Add(1)
					<-ctx.Done()
					running.Add(-1)
					return ctx.Err()
				})
			},
		})
		for range 5 {
			leader := c.WaitLeader()
			require.NoError(t, c.Node(leader).Resign(t.Context()))
			leader = c.WaitLeader()
			c.Isolate(leader)
			c.WaitLeader(others(c, leader)...)
			c.Heal()
		}
		synctest.Wait()
		require.GreaterOrEqual(t, reigns.Load(), int32(10))
	})
}

// WhileLeader returns when the work is over, and then gives up the lead.
func TestWhileLeaderReturns(t *testing.T) {
	fault := errors.New("no database")
	tests := []struct {
		name string
		fn   func(ctx context.Context, token uint64) error
		want error
	}{
		{"done", func(context.Context, uint64) error { return nil }, nil},
		{"failed", func(context.Context, uint64) error { return fault }, fault},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := rafttest.Start(t, rafttest.Config{})
				leader := c.WaitLeader()
				require.Equal(t, tt.want, c.Node(leader).WhileLeader(t.Context(), tt.fn))
				require.NotEqual(t, leader, c.WaitLeader())
			})
		})
	}
	t.Run("panics", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			time.Sleep(etMax)
			begun := time.Now()
			require.PanicsWithValue(t, "no memory", func() {
				_ = c.Node(leader).WhileLeader(t.Context(), func(context.Context, uint64) error { panic("no memory") })
			})
			require.False(t, c.Node(leader).IsLeader())
			require.NotEqual(t, leader, c.WaitLeader())
			require.Less(t, time.Since(begun), 10*time.Millisecond)
		})
	})
	t.Run("ends its goroutine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			go func() {
				_ = c.Node(leader).WhileLeader(t.Context(), func(context.Context, uint64) error {
					runtime.Goexit()
					return nil
				})
			}()
			c.WaitLeader(others(c, leader)...)
		})
	})
	t.Run("caller gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			ctx, cancel := context.WithCancel(t.Context())
			err := c.Node(leader).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
				cancel()
				<-ctx.Done()
				return errors.New("echo of the end")
			})
			require.ErrorIs(t, err, context.Canceled)
			require.NotEqual(t, leader, c.WaitLeader())
		})
	})
	t.Run("node stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node, stop := background(t, lone(new(raft.MemoryStore)))
			var wg sync.WaitGroup
			wg.Go(func() {
				err := node.WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
					<-ctx.Done()
					return context.Cause(ctx)
				})
				require.ErrorIs(t, err, raft.ErrStopped)
			})
			lead(t, node).Release()
			require.NoError(t, stop())
			wg.Wait()
		})
	})
}
