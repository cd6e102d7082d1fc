package raft_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// A cluster of three grows to five and shrinks again. Each call waits until the
// one before is acknowledged, and until its own is.
func TestMembershipChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		for _, id := range []string{"x", "y"} {
			c.Add(id)
			require.NoError(t, node.AddMember(t.Context(), raft.Member{ID: id}))
			time.Sleep(etMin)
			require.NoError(t, node.Promote(t.Context(), id))
		}
		require.Equal(t, 5, node.Status().Configuration.Voters())
		require.NoError(t, node.Demote(t.Context(), "x"))
		require.NoError(t, node.RemoveMember(t.Context(), "x"))
		require.NoError(t, node.RemoveMember(t.Context(), "y"))
		require.Equal(t, 3, node.Status().Configuration.Voters())
		time.Sleep(etMin)
		require.Equal(t, node.Status().Configuration, c.Node(others(c, leader)[0]).Status().Configuration)
		require.True(t, node.IsLeader())
	})
}

func TestMembershipRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, follower := boundCluster(c)
		node := c.Node(leader)
		require.NoError(t, node.AddMember(t.Context(), raft.Member{ID: "silent"}))
		tests := []struct {
			name string
			err  error
			want error
		}{
			{"known", node.AddMember(t.Context(), raft.Member{ID: follower}), raft.ErrMemberExists},
			{"voter at once", node.AddMember(t.Context(), raft.Member{ID: "z", Voter: true}), raft.ErrConfig},
			{"unknown", node.RemoveMember(t.Context(), "nobody"), raft.ErrUnknownMember},
			// The leader must transfer first.
			{"itself", node.RemoveMember(t.Context(), leader), raft.ErrSelf},
			{"demote itself", node.Demote(t.Context(), leader), raft.ErrSelf},
			{"silent", node.Promote(t.Context(), "silent"), raft.ErrMemberSilent},
			{"on a follower", c.Node(follower).AddMember(t.Context(), raft.Member{ID: "z"}), raft.ErrNotLeader},
		}
		for _, tt := range tests {
			require.ErrorIs(t, tt.err, tt.want, tt.name)
		}
		require.Len(t, node.Status().Configuration.Members, 4)
	})
}

// A leader that is to go transfers first; its successor removes it.
func TestRemoveLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, next := boundCluster(c)
		require.NoError(t, c.Node(leader).Transfer(t.Context(), next))
		require.NoError(t, c.Node(c.WaitLeader()).RemoveMember(t.Context(), leader))
		time.Sleep(10 * etMax)
		require.Equal(t, next, c.WaitLeader())
		require.Equal(t, 2, c.Node(next).Status().Configuration.Voters())
	})
}

// A change waits for its quorum: without one, until the lead is lost or the
// caller gives up.
func TestMembershipChangeWithoutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		c.Isolate(leader)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Node(leader).AddMember(ctx, raft.Member{ID: "x"}), context.DeadlineExceeded)
		// The second waits behind the first.
		require.ErrorIs(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "y"}), raft.ErrNotLeader)
	})
}

// A change whose caller has gone before it was made is not made.
func TestMembershipChangeOfGoneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		c.Isolate(leader)
		first := make(chan error)
		go func() { first <- node.AddMember(t.Context(), raft.Member{ID: "x"}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, node.AddMember(ctx, raft.Member{ID: "y"}), context.DeadlineExceeded)
		c.Heal()
		require.NoError(t, <-first)
		time.Sleep(etMax)
		configuration := node.Status().Configuration
		_, found := configuration.Member("x")
		require.True(t, found)
		_, found = configuration.Member("y")
		require.False(t, found)
	})
}

// No membership change begins while the lead is given up.
func TestMembershipChangeDuringHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, target := boundCluster(c)
		l := lead(t, c.Node(leader))
		outcome := make(chan error)
		node := c.Node(leader)
		go func() { outcome <- node.Transfer(t.Context(), target) }()
		<-l.Context().Done()
		require.ErrorIs(t, node.AddMember(t.Context(), raft.Member{ID: "x"}), raft.ErrTransferring)
		l.Release()
		require.NoError(t, <-outcome)
	})
}

// Whoever removes a living voter while another is dead would be left with a
// cluster that never elects anybody again: what remains must answer.
func TestMembershipKeepsAQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		dead, alive := others(c, leader)[0], others(c, leader)[1]
		c.Crash(dead)
		time.Sleep(etMax)
		for _, err := range []error{node.RemoveMember(t.Context(), alive), node.Demote(t.Context(), alive)} {
			var silent *raft.MemberError
			require.ErrorAs(t, err, &silent)
			require.Equal(t, raft.MemberError{ID: dead, Reason: raft.ErrMemberSilent}, *silent)
		}
		require.True(t, node.IsLeader())
		require.NoError(t, node.RemoveMember(t.Context(), dead))
		require.NoError(t, node.RemoveMember(t.Context(), alive))
		time.Sleep(10 * etMax)
		require.True(t, node.IsLeader(), "it leads alone")
	})
}

// A member that was removed can tell that from being cut off.
func TestRemovedMemberSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, removed := boundCluster(c)
		require.NoError(t, c.Node(leader).RemoveMember(t.Context(), removed))
		for s := range c.Node(removed).Watch(t.Context()) {
			if s.Refused != 0 {
				require.Equal(t, raft.RefusedRemoved, s.Refused)
				require.Empty(t, s.Leader)
				break
			}
		}
		require.Zero(t, c.Node(leader).Status().Refused)
	})
}
