package raft_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// A hand-over costs milliseconds at whatever moment of the reign it begins, also
// while a new configuration is on its way to the other voters, who cannot win
// with the old one (rule 17).
func TestHandOverAtAnyInstant(t *testing.T) {
	for offset := time.Duration(0); offset < etMin; offset += 500 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{Latency: 2 * time.Millisecond})
			leader := c.WaitLeader()
			time.Sleep(offset)
			begun := time.Now()
			require.NoError(t, c.Stop(leader))
			c.WaitLeader()
			require.Less(t, time.Since(begun), 20*time.Millisecond, "%v into the reign", offset)
		})
	}
}

// A rolling restart that is in a hurry: each leader stops as soon as it leads,
// and the one that has just stopped is nobody to hand over to.
func TestHandOverPassesOn(t *testing.T) {
	for offset := time.Duration(0); offset < etMin; offset += 5 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			time.Sleep(etMax)
			for range 6 {
				begun := time.Now()
				require.NoError(t, c.Stop(leader))
				next := c.WaitLeader()
				require.Less(t, time.Since(begun), 10*time.Millisecond, "%v into the reign", offset)
				c.Start(leader)
				leader = next
				time.Sleep(offset)
			}
		})
	}
}

// The lead does not go round between two members while a third has not had it.
func TestHandOverGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		time.Sleep(etMax)
		before := ""
		for range 6 {
			time.Sleep(etMin) // All have answered the same heartbeat.
			require.NoError(t, c.Node(leader).Resign(t.Context()))
			next := c.WaitLeader(others(c, leader)...)
			require.NotEqual(t, before, next)
			before, leader = leader, next
		}
	})
}

// A transfer waits for a target that answers but has yet to hear of the newest
// configuration, because nobody would vote for it.
func TestTransferWaitsForTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		time.Sleep(etMax)
		node, target := c.Node(leader), others(c, leader)[0]
		// Nobody waits for this change.
		go func() { _ = node.AddMember(t.Context(), raft.Member{ID: "z"}) }()
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, node.Transfer(t.Context(), target))
		require.Less(t, time.Since(begun), 10*time.Millisecond)
		require.True(t, c.Node(target).IsLeader())
	})
}

// Rule 10: of voters that have answered the same heartbeat, the one of highest
// priority takes over.
func TestHandOverHeedsPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.Start = raft.Bootstrap(0, raft.Member{ID: "a", Voter: true, Priority: -2},
				raft.Member{ID: "b", Voter: true, Priority: -1}, raft.Member{ID: "c", Voter: true})
		}})
		require.Equal(t, "c", c.WaitLeader())
		time.Sleep(etMax)
		require.NoError(t, c.Stop("c"))
		require.Equal(t, "b", c.WaitLeader())
	})
}
