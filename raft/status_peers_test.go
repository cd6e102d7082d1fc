package raft_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// TestLeaderKnowsWhoLags: a leader says of each other member how old its latest answer
// is, and of itself for how long it has led.
func TestLeaderKnowsWhoLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Seed: 1})
		leader := c.WaitLeader()
		time.Sleep(time.Second)
		before := c.Node(leader).Status()
		require.True(t, before.Leading)
		require.Len(t, before.Peers, len(c.IDs())-1)
		for i, p := range before.Peers {
			require.NotEqual(t, leader, p.ID)
			require.True(t, i == 0 || before.Peers[i-1].ID < p.ID, "by ID")
			require.True(t, p.Heard)
			require.Less(t, p.Lag, 100*time.Millisecond)
		}
		silent := before.Peers[0].ID
		c.Cut(leader, silent)
		time.Sleep(10 * time.Second)
		after := c.Node(leader).Status()
		require.True(t, after.Leading)
		require.Equal(t, 10*time.Second, after.Reign-before.Reign)
		require.GreaterOrEqual(t, after.Peers[0].Lag, 9*time.Second)
		require.Less(t, after.Peers[1].Lag, 100*time.Millisecond)
		for _, id := range c.IDs() {
			if id != leader {
				require.Empty(t, c.Node(id).Status().Peers, "a follower hears nobody but the leader")
			}
		}
		require.Equal(t, raft.Leader, after.Role)
	})
}
