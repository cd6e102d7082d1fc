package raft_test

import (
	"context"
	"math/rand/v2"
	"slices"
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

// A rolling restart costs no election timeout, in whatever order and however
// fast it goes, and whether or not the members are configured alike.
func TestHandOverInRollingRestarts(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			latency := time.Duration(1+random.IntN(32)) * time.Millisecond / 4
			apart := time.Duration(random.IntN(2)) * 2 * etMin // between the timeouts of neighbours
			c := rafttest.Start(t, rafttest.Config{
				Nodes: 3 + 2*random.IntN(2), Seed: seed, Latency: latency,
				Edit: func(cfg *raft.Config) {
					cfg.ElectionTimeoutMin = etMin + time.Duration(cfg.ID[0]-'a')*apart
				},
			})
			for range 20 {
				stops := c.WaitLeader()
				time.Sleep(time.Duration(random.Int64N(int64(etMax))))
				if random.IntN(2) == 0 {
					stops = c.IDs()[random.IntN(len(c.IDs()))]
				}
				begun := time.Now()
				require.NoError(t, c.Stop(stops))
				c.WaitLeader()
				require.Less(t, time.Since(begun), 10*time.Millisecond+5*latency, "seed %d", seed)
				time.Sleep(time.Duration(random.Int64N(int64(etMax))))
				c.Start(stops)
				c.Wait("a restarted node to know the leader", func() bool {
					_, known := c.Node(stops).Leader()
					return known
				})
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

// A transfer to a dead voter costs nothing. One to a voter that dies while the
// application takes its time to release goes to another, because the contexts
// have ended by then.
func TestTransferToASilentVoter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, target := boundCluster(c)
		node := c.Node(leader)
		held := lead(t, node)
		outcome := make(chan error, 1)
		go func() { outcome <- node.Transfer(t.Context(), target) }()
		synctest.Wait()
		require.Error(t, held.Context().Err())
		c.Crash(target)
		time.Sleep(etMin + 10*time.Millisecond)
		held.Release()
		require.ErrorIs(t, <-outcome, raft.ErrTransferFailed)
		next := c.WaitLeader()
		require.NotEqual(t, leader, next)

		time.Sleep(etMax)
		err := c.Node(next).Transfer(t.Context(), target)
		require.ErrorIs(t, err, raft.ErrMemberSilent)
		var refused *raft.MemberError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, target, refused.ID)
		require.True(t, c.Node(next).IsLeader())
	})
}

// The voter that is to take over falls silent while the work is wound up, and the
// only other one abstains: the transfer has failed, and the error says why.
func TestTransferToASilentVoterInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sick := sickly(t)
		unfit, _ := boundCluster(c)
		sick[unfit].Store(true)
		leader := c.WaitLeader(others(c, unfit)...)
		time.Sleep(10 * etMax)
		target := slices.DeleteFunc(others(c, unfit), func(id string) bool { return id == leader })[0]
		held := lead(t, c.Node(leader))
		outcome := make(chan error, 1)
		go func() { outcome <- c.Node(leader).Transfer(t.Context(), target) }()
		synctest.Wait()
		c.Crash(target)
		time.Sleep(etMin + 10*time.Millisecond)
		held.Release()
		err := <-outcome
		require.ErrorIs(t, err, raft.ErrTransferFailed)
		require.ErrorIs(t, err, raft.ErrMemberSilent)
		c.Start(target)
		c.WaitLeader()
	})
}

// Whoever asks for a resignation may leave before it is done: the node goes on.
func TestResignOutlivesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		held := lead(t, node)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- node.Resign(ctx) }()
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-left, context.Canceled)
		held.Release()
		next := c.WaitLeader(others(c, leader)...)
		time.Sleep(etMax)
		require.NoError(t, c.Node(next).Transfer(t.Context(), leader))
		require.True(t, node.IsLeader())
	})
}

// TestResignOfALostLeadIsNoFailure: the lease ends while the application takes its
// time to release, and nothing is left to give up.
func TestResignOfALostLeadIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		held := lead(t, node)
		outcome := make(chan error, 1)
		go func() { outcome <- node.Resign(t.Context()) }()
		synctest.Wait()
		c.Isolate(leader)
		time.Sleep(2 * etMax)
		require.False(t, held.Valid())
		held.Release()
		require.NoError(t, <-outcome)
	})
}
