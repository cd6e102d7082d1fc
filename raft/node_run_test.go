package raft_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

// ailing is a store whose Close fails and whose record has had a damaged copy.
type ailing struct {
	raft.MemoryStore
	damage, close error
}

func (s *ailing) Open() (raft.StoredState, error) {
	record, err := s.MemoryStore.Open()
	record.Damage = s.damage
	return record, err
}

func (s *ailing) Close() error { return errors.Join(s.MemoryStore.Close(), s.close) }

// That the store cannot be closed is told by Run, also if nothing else was wrong.
func TestStoreThatCannotBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := errors.New("input/output error")
		node, stop := background(t, lone(&ailing{close: fault}))
		lead(t, node).Release()
		err := stop()
		require.ErrorIs(t, err, fault)
		require.ErrorContains(t, err, "raft: close store: input/output error")
	})
}

// A damaged copy of the state is logged before it is repaired, and once only.
func TestLogOfADamagedCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, damage := range []error{nil, errors.New("slot 1: checksum is wrong")} {
			var text bytes.Buffer
			cfg := lone(&ailing{damage: damage})
			cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
			node, stop := background(t, cfg)
			lead(t, node).Release()
			require.NoError(t, stop())
			want := 0
			if damage != nil {
				want = 1
				require.Contains(t, text.String(), damage.Error())
			}
			require.Equal(t, want, bytes.Count(text.Bytes(), []byte("repairing a damaged copy")))
		}
	})
}

// A transport whose Serve returns without an error has ended all the same.
func TestTransportReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := lone(new(raft.MemoryStore))
		fault := make(chan error)
		cfg.Transport = failing{fault}
		node, stop := background(t, cfg)
		lead(t, node).Release()
		fault <- nil
		synctest.Wait()
		err := stop()
		require.ErrorIs(t, err, raft.ErrTransport)
		require.EqualError(t, err, "raft: transport failed: Serve has returned")
	})
}

// Open that comes back too late and empty-handed leaves nothing to close: by then
// the store may be somebody else's.
func TestLateOpenThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		once := sync.OnceFunc(func() { <-release })
		h := &hook{meet: func(call string) {
			if call == "Store.Open" {
				once()
			}
		}}
		_, stop := background(t, lone(h))
		time.Sleep(time.Minute)
		require.ErrorIs(t, stop(), raft.ErrStalled)
		_, err := h.MemoryStore.Open() // Another has it.
		require.NoError(t, err)
		close(release)
		synctest.Wait()
		require.Zero(t, h.closed.Load())
	})
}

// Watchers are told of the end of a reign in time, also while the loop waits for a
// call-out that does not return.
func TestWatchTellsTheEndDuringACallOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		release := make(chan struct{})
		defer close(release)
		node, _ := hooked(t, func(call string) {
			if call == "Healthy" && hangs.Load() {
				<-release
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = node.Run(ctx) }()
		lead(t, node).Release()
		told := make(chan bool, 9)
		go func() {
			for s := range node.Watch(ctx) {
				told <- s.Leading
			}
		}()
		require.True(t, <-told)
		hangs.Store(true)
		time.Sleep(etMin + 50*time.Millisecond) // After the lease, before the node gives up.
		synctest.Wait()
		require.Len(t, told, 1)
		require.False(t, <-told)
	})
}

// Work that is done, with no error, has not failed: the node pauses no election.
func TestWorkThatIsDoneHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		for range 10 {
			begun := time.Now()
			require.NoError(t, node.WhileLeader(t.Context(), func(context.Context, uint64) error { return nil }))
			require.Less(t, time.Since(begun), etMax+etMin/10)
		}
	})
}
