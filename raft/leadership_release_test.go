package raft_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// Rule 22: an application that does not release delays the hand-over by
// ReleaseTimeout at most.
func TestReleaseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.ReleaseTimeout = 2 * time.Second
		}})
		leader := c.WaitLeader()
		l := lead(t, c.Node(leader))
		begun := time.Now()
		require.NoError(t, c.Node(leader).Resign(t.Context()))
		require.Equal(t, 2*time.Second, time.Since(begun))
		require.False(t, l.Valid())
		c.WaitLeader(others(c, leader)...)
	})
}

// The greatest release timeout is forever, not none.
func TestEndlessReleaseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.ReleaseTimeout = math.MaxInt64
		}})
		leader := c.WaitLeader()
		l := lead(t, c.Node(leader))
		outcome := make(chan error)
		go func() { outcome <- c.Node(leader).Resign(context.Background()) }()
		time.Sleep(10 * etMax)
		require.True(t, l.Valid())
		l.Release()
		require.NoError(t, <-outcome)
		c.WaitLeader(others(c, leader)...)
	})
}
