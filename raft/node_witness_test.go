package raft_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// Two nodes that work and a witness go on without any one of the three, and the
// witness is never given the work.
func TestWitnessNeverWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var works atomic.Int64
		c := rafttest.Start(t, rafttest.Config{
			Edit: func(cfg *raft.Config) {
				cfg.Start = raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}, raft.Member{ID: "b", Voter: true},
					raft.Member{ID: "c", Voter: true, Witness: true})
			},
			Service: func(ctx context.Context, node *raft.Node) error {
				return node.WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
					works.Add(1)
					defer works.Add(-1)
					if node.Status().ID == "c" {
						t.Error("the witness works")
					}
					<-ctx.Done()
					return ctx.Err()
				})
			},
		})
		for range 3 {
			for _, lost := range c.IDs() {
				leader, _ := boundCluster(c)
				require.ErrorIs(t, c.Node(leader).Transfer(t.Context(), "c"), raft.ErrWitness)
				require.ErrorIs(t, c.Node("c").Campaign(t.Context()), raft.ErrWitness)
				require.Zero(t, c.Node("c").Status().Abstains)
				c.Crash(lost)
				next := c.WaitLeader()
				require.NotEqual(t, "c", next)
				time.Sleep(time.Second)
				require.True(t, c.Node(next).IsLeader())
				require.EqualValues(t, 1, works.Load())
				c.Start(lost)
				time.Sleep(time.Second)
			}
		}
	})
}
