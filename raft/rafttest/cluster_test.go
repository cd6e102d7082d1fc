package rafttest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

func TestClusterFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		require.Equal(t, []string{"a", "b", "c"}, c.IDs())
		old := c.WaitLeader()
		term := c.Node(old).Term()

		c.Crash(old)
		require.Nil(t, c.Node(old))
		next := c.WaitLeader()
		require.NotEqual(t, old, next)
		require.Greater(t, c.Node(next).Term(), term)

		c.Start(old)
		c.Wait("the old leader to follow", func() bool {
			leader, _ := c.Node(old).Leader()
			return leader.ID == next
		})
	})
}

func TestClusterStopHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 5})
		old := c.WaitLeader()
		begun := time.Now()
		require.NoError(t, c.Stop(old))
		c.WaitLeader()
		require.Less(t, time.Since(begun), 10*time.Millisecond)
	})
}

func TestClusterNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Nodes: 5})
		old := c.WaitLeader()
		rest := without(c.IDs(), old)
		c.Partition([]string{old, rest[0]})
		next := c.WaitLeader(rest[1:]...)
		require.False(t, c.Node(old).IsLeader())

		c.Heal()
		c.Wait("all to follow the newer leader", func() bool {
			for _, id := range c.IDs() {
				if leader, _ := c.Node(id).Leader(); leader.ID != next {
					return false
				}
			}
			return true
		})
		// One way is enough for a leader to lose its followers.
		for _, id := range without(c.IDs(), next) {
			c.Cut(id, next)
		}
		c.Wait("a deaf leader to give up", func() bool { return !c.Node(next).IsLeader() })
	})
}

func TestClusterRunsService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := make(chan uint64, 10)
		ended := make(chan error, 10)
		c := rafttest.Start(t, rafttest.Config{
			Service: func(ctx context.Context, node *raft.Node) error {
				err := node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
					tokens <- token
					<-ctx.Done()
					return ctx.Err()
				})
				ended <- err
				return err
			},
		})
		first := <-tokens
		leader := c.WaitLeader()
		c.Crash(leader)
		require.Error(t, <-ended, "the service ends with its node")
		require.Greater(t, <-tokens, first)
	})
}

func TestClusterWipeAndRejoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		lost := without(c.IDs(), leader)[0]
		c.Wait("the leader to bind all stores", func() bool {
			for _, m := range c.Node(leader).Status().Configuration.Members {
				if m.StoreID == (raft.StoreID{}) {
					return false
				}
			}
			return true
		})
		c.Crash(lost)
		c.Wipe(lost)
		c.Start(lost)
		c.Wait("the wiped node to be refused", func() bool {
			return c.Node(lost).Status().Refused == raft.RefusedWiped
		})
		require.NoError(t, c.Node(leader).RemoveMember(t.Context(), lost))
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: lost}))
		c.Wait("the new member to be promoted", func() bool {
			err := c.Node(leader).Promote(t.Context(), lost)
			require.True(t, err == nil || errors.Is(err, raft.ErrMemberSilent), "%v", err)
			return err == nil
		})
		c.Wait("nobody to refuse it any more", func() bool { return c.Node(lost).Status().Refused == 0 })
	})
}

func TestClusterAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader := c.WaitLeader()
		c.Add("x")
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: "x", Data: "http://x"}))
		c.Wait("the new node to follow", func() bool {
			m, _ := c.Node("x").Leader()
			return m.ID == leader
		})
		m, found := c.Node("x").Status().Configuration.Member("x")
		require.True(t, found)
		require.Equal(t, "http://x", m.Data)
	})
}

func without(ids []string, id string) []string {
	var rest []string
	for _, other := range ids {
		if other != id {
			rest = append(rest, other)
		}
	}
	return rest
}

// What goes wrong in a service is not lost.
func TestClusterReturnsWhatServiceReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		c := rafttest.Start(t, rafttest.Config{
			Nodes: 1,
			Service: func(ctx context.Context, node *raft.Node) error {
				return node.WhileLeader(ctx, func(context.Context, uint64) error { return broken })
			},
		})
		c.WaitLeader()
		time.Sleep(time.Second)
		require.ErrorIs(t, c.Stop("a"), broken)
	})
}
