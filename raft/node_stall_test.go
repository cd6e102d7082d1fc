package raft_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

// hook is a Store, a Transport, a Healthy and a log handler that all call meet.
type hook struct {
	raft.MemoryStore
	meet   func(call string)
	closed atomic.Int32
}

func (h *hook) Open() (raft.StoredState, error) { h.meet("Store.Open"); return h.MemoryStore.Open() }

func (h *hook) Save(s raft.HardState) error { h.meet("Store.Save"); return h.MemoryStore.Save(s) }

func (h *hook) Close() error {
	h.meet("Store.Close")
	h.closed.Add(1)
	return h.MemoryStore.Close()
}

func (h *hook) Send(string, []byte) error { h.meet("Transport.Send"); return nil }

func (h *hook) Serve(ctx context.Context, _ func(string, []byte)) error {
	<-ctx.Done()
	h.meet("Transport.Serve")
	return nil
}

func (h *hook) healthy() error { h.meet("Healthy"); return nil }

func (*hook) Enabled(context.Context, slog.Level) bool { return true }

func (h *hook) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h *hook) WithGroup(string) slog.Handler { return h }

func (h *hook) Handle(context.Context, slog.Record) error { h.meet("Logger"); return nil }

// hooked returns a node that leads alone, has a member to send to, and whose
// call-outs meet.
func hooked(t *testing.T, meet func(call string)) (*raft.Node, *hook) {
	t.Helper()
	h := &hook{meet: meet}
	cfg := lone(h)
	cfg.Start = raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}, raft.Member{ID: "b"})
	cfg.Transport, cfg.Healthy, cfg.Logger = h, h.healthy, slog.New(h)
	begun := time.Now()
	node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(begun) })
	require.NoError(t, err)
	return node, h
}

// Whichever call-out hangs: the reign ends in time, calls return, and Run returns
// an error that names the call within the bound it states. When the call comes
// back after all, no goroutine is left and the store is closed, once.
func TestHangingCallOutEndsTheNode(t *testing.T) {
	const lifecycle = 10 * time.Second
	bounds := map[string]time.Duration{
		"Store.Open": lifecycle, "Store.Close": lifecycle, "Transport.Serve": lifecycle,
		"Store.Save": etMax, "Transport.Send": etMax, "Healthy": etMax, "Logger": etMax,
	}
	for call, bound := range bounds {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hangs, over atomic.Bool
				var afterwards atomic.Int32
				back := make(chan struct{})
				node, h := hooked(t, func(met string) {
					if over.Load() && met != "Store.Close" {
						afterwards.Add(1)
					}
					if met == call && hangs.Load() {
						<-back
					}
				})
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error, 1)
				hangs.Store(call == "Store.Open")
				begun := time.Now()
				go func() { result <- node.Run(ctx) }()
				var l *raft.Leadership
				if call != "Store.Open" {
					l = lead(t, node)
					begun = time.Now()
					hangs.Store(true)
				}
				switch call {
				case "Store.Save":
					go func() { _ = node.AddMember(t.Context(), raft.Member{ID: "x"}) }()
				case "Logger":
					go func() { _ = node.Resign(t.Context()) }() // Warns that nobody releases.
				case "Store.Close", "Transport.Serve":
					l.Release()
					cancel()
				}
				called := make(chan error, 1)
				go func() { called <- node.Campaign(context.Background()) }()
				err := <-result
				require.LessOrEqual(t, time.Since(begun), bound+2*etMax)
				var stalled *raft.StalledError
				if call == "Store.Save" {
					require.ErrorIs(t, err, raft.ErrSaveStalled)
				} else {
					require.ErrorIs(t, err, raft.ErrStalled)
					require.ErrorAs(t, err, &stalled)
					require.Equal(t, &raft.StalledError{Call: call, Patience: bound}, stalled)
				}
				require.Error(t, <-called)
				require.True(t, node.Status().Stopped)
				if l != nil {
					require.Error(t, l.Context().Err())
					require.False(t, l.Valid())
				}
				if call == "Store.Open" || call == "Store.Save" || call == "Store.Close" {
					require.Zero(t, h.closed.Load(), "the store is still in use")
				} else {
					require.EqualValues(t, 1, h.closed.Load())
				}
				over.Store(true)
				close(back)
				time.Sleep(time.Minute)
				require.EqualValues(t, 1, h.closed.Load())
				require.Zero(t, afterwards.Load(), "nothing goes on")
				cancel()
			})
		})
	}
}

// While a call-out hangs, the reign ends by its own timer: no later than its lease.
func TestHangingCallOutEndsTheReignInTime(t *testing.T) {
	for _, call := range []string{"Healthy", "Transport.Send"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hangs atomic.Bool
				node, _ := hooked(t, func(met string) {
					if met == call && hangs.Load() {
						time.Sleep(time.Minute)
					}
				})
				result := make(chan error, 1)
				go func() { result <- node.Run(context.Background()) }()
				l := lead(t, node)
				hangs.Store(true)
				begun := time.Now()
				<-l.Context().Done()
				require.Less(t, time.Since(begun), etMin+50*time.Millisecond)
				require.ErrorIs(t, <-result, raft.ErrStalled)
				time.Sleep(time.Minute) // The call comes back, and its goroutine ends.
			})
		})
	}
}

// When ctx ends while the loop waits for a call-out, the contexts of the
// leaderships end at once, and the lead is handed over when the call is back.
func TestStopDuringACallOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		node, _ := hooked(t, func(met string) {
			if met == "Healthy" && slow.CompareAndSwap(true, false) {
				time.Sleep(etMin / 3)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- node.Run(ctx) }()
		l := lead(t, node)
		slow.Store(true)
		for slow.Load() {
			time.Sleep(time.Millisecond)
		}
		begun := time.Now()
		cancel()
		<-l.Context().Done()
		require.Zero(t, time.Since(begun))
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrStopped)
		require.True(t, l.Valid(), "the lease is kept until the work is wound up")
		l.Release()
		require.NoError(t, <-result)
	})
}

// Whichever call-out panics, the caller of Run sees it, and the store is closed.
func TestPanicInACallOutIsRunsPanic(t *testing.T) {
	fault := errors.New("no memory")
	for _, call := range []string{
		"Store.Open", "Store.Save", "Store.Close", "Transport.Send", "Transport.Serve", "Healthy", "Logger",
	} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node, h := hooked(t, func(met string) {
					if met == call {
						panic(fault)
					}
				})
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				seen := make(chan any, 1)
				go func() {
					defer func() { seen <- recover() }()
					_ = node.Run(ctx)
				}()
				var panicked *raft.PanicError
				err, _ := (<-seen).(error)
				require.ErrorAs(t, err, &panicked)
				require.ErrorIs(t, err, fault)
				require.Contains(t, panicked.Error(), "node_stall_test.go")
				require.True(t, node.Status().Stopped)
				if call != "Store.Open" && call != "Store.Close" {
					require.EqualValues(t, 1, h.closed.Load())
				}
			})
		})
	}
}
