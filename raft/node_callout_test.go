package raft_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

// No lock is held while the application's clock is read: it may look at the
// node.
func TestClockMayLookAtTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var node *raft.Node
		var looking atomic.Bool
		begun := time.Now()
		node, err := raft.NewWithClock(lone(new(raft.MemoryStore)), func() time.Duration {
			if looking.CompareAndSwap(false, true) {
				node.Status()
				looking.Store(false)
			}
			return time.Since(begun)
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()
		l := lead(t, node)
		for range node.Watch(t.Context()) {
			break
		}
		require.True(t, l.Valid())
		l.Release()
		require.NoError(t, node.Resign(t.Context()))
		cancel()
		require.NoError(t, <-ended)
	})
}

// A call-out that panics, or ends the goroutine of Run, ends the node like any
// failure: whoever waits is told, and no goroutine stays.
func TestPanickingCallOutEndsTheNode(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("healthy") }, "goexit": runtime.Goexit}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sick atomic.Bool
				cfg := lone(new(raft.MemoryStore))
				cfg.Healthy = func() error {
					if sick.Load() {
						end()
					}
					return nil
				}
				begun := time.Now()
				node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(begun) })
				require.NoError(t, err)
				go func() {
					defer func() { _ = recover() }()
					_ = node.Run(context.Background())
					t.Error("Run returned")
				}()
				l := lead(t, node)
				sick.Store(true)
				<-l.Context().Done()
				_, err = node.Lead(t.Context())
				require.ErrorIs(t, err, raft.ErrStopped)
				require.ErrorIs(t, node.Campaign(t.Context()), raft.ErrStopped)
				require.True(t, node.Status().Stopped)
				require.False(t, node.IsLeader())
				record, err := cfg.Store.Open()
				require.NoError(t, err, "the store is not locked")
				require.Equal(t, l.Term(), record.State.Term)
			})
		})
	}
}
