package transporttest

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/stretchr/testify/require"
)

type handler = func(from string, frame []byte)

// A flawed transport is a good one with a flaw in Send or in Serve.
type flawed struct {
	transport.Transport

	send  func(good transport.Transport, to string, frame []byte) error
	serve func(good transport.Transport, ctx context.Context, handle handler) error
}

func (f *flawed) Send(to string, frame []byte) error {
	if f.send == nil {
		return f.Transport.Send(to, frame)
	}
	return f.send(f.Transport, to, frame)
}

func (f *flawed) Serve(ctx context.Context, handle func(string, []byte)) error {
	if f.serve == nil {
		return f.Transport.Serve(ctx, handle)
	}
	return f.serve(f.Transport, ctx, handle)
}

// network returns a network of good transports, each changed by flaw.
func network(tb testing.TB, flaw func() flawed) func(string) transport.Transport {
	tb.Helper()
	m, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(tb, err)
	return func(name string) transport.Transport {
		e, err := m.Join(name)
		require.NoError(tb, err)
		f := flaw()
		f.Transport = e
		return &f
	}
}

// changeFrames returns a Serve that lets change act on what arrives.
func changeFrames(change func(from string, frame []byte) (string, []byte)) func() flawed {
	return func() flawed {
		return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
			return good.Serve(ctx, func(from string, frame []byte) { handle(change(from, frame)) })
		}}
	}
}

// Each check must fail for a transport that breaks its rule: a check that
// cannot fail checks nothing.
func TestEachCheckCatchesItsFlaw(t *testing.T) {
	tests := []struct {
		check string
		name  string
		flaw  func() flawed
	}{
		{"Intact", "flips a bit", changeFrames(func(from string, frame []byte) (string, []byte) {
			if len(frame) > 0 {
				frame[0] ^= 1
			}
			return from, frame
		})},
		{"Intact", "cuts long frames", changeFrames(func(from string, frame []byte) (string, []byte) {
			return from, frame[:min(len(frame), 1000)]
		})},
		{"SenderAndReceiver", "confuses names", changeFrames(func(from string, frame []byte) (string, []byte) {
			if from == "c" {
				from = "b"
			}
			return from, frame
		})},
		{"SenderAndReceiver", "misroutes", func() flawed {
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				_ = good.Send("a", frame)
				return good.Send(to, frame)
			}}
		}},
		{"SendCopies", "keeps the slice", keepsTheSlice},
		{"SendNeverBlocks", "waits for the handler", waitsForTheHandler},
		{"SlowPeerDelaysNobody", "one worker for all", oneWorker},
		{"BoundedAndNewestFirst", "forgets nothing", unbounded},
		{"BoundedAndNewestFirst", "drops the newest", dropsTheNewest},
		{"HandlerMaySend", "one lock for both", func() flawed {
			var mu sync.Mutex
			return flawed{
				send: func(good transport.Transport, to string, frame []byte) error {
					if !mu.TryLock() {
						return errors.New("locked")
					}
					defer mu.Unlock()
					return good.Send(to, frame)
				},
				serve: func(good transport.Transport, ctx context.Context, handle handler) error {
					return good.Serve(ctx, func(from string, frame []byte) {
						mu.Lock()
						defer mu.Unlock()
						handle(from, frame)
					})
				},
			}
		}},
		{"ConcurrentUse", "one caller at a time", func() flawed {
			var mu sync.Mutex
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				if !mu.TryLock() {
					return errors.New("in use")
				}
				defer mu.Unlock()
				runtime.Gosched()
				return good.Send(to, frame)
			}}
		}},
		{"UnknownPeer", "swallows", func() flawed {
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				if err := good.Send(to, frame); !errors.Is(err, transport.ErrUnknownPeer) {
					return err
				}
				return nil
			}}
		}},
		{"TooLarge", "cuts", func() flawed {
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				return good.Send(to, frame[:min(len(frame), transport.DefaultMaxFrame)])
			}}
		}},
		{"TooLarge", "a smaller limit", func() flawed {
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				if len(frame) >= transport.DefaultMaxFrame {
					return transport.ErrTooLarge
				}
				return good.Send(to, frame)
			}}
		}},
		{"SendBeforeServe", "only while serving", func() flawed {
			var serving sync.Mutex // Held while not serving.
			serving.Lock()
			return flawed{
				send: func(good transport.Transport, to string, frame []byte) error {
					if !serving.TryLock() {
						return errors.New("not serving")
					}
					defer serving.Unlock()
					return good.Send(to, frame)
				},
				serve: func(good transport.Transport, ctx context.Context, handle handler) error {
					serving.Unlock()
					return good.Serve(ctx, handle)
				},
			}
		}},
		{"ServeWaitsForHandlers", "abandons them", func() flawed {
			return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
				go func() { _ = good.Serve(ctx, handle) }()
				<-ctx.Done()
				return nil
			}}
		}},
		{"ServeWaitsForHandlers", "answers an error", func() flawed {
			return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
				return errors.Join(good.Serve(ctx, handle), ctx.Err())
			}}
		}},
		{"NoHandlerAfterTheEnd", "goes on", func() flawed {
			return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
				go func() { _ = good.Serve(context.WithoutCancel(ctx), handle) }()
				<-ctx.Done()
				return nil
			}}
		}},
		{"ClosedAfterServe", "swallows", func() flawed {
			return flawed{send: func(good transport.Transport, to string, frame []byte) error {
				if err := good.Send(to, frame); !errors.Is(err, transport.ErrClosed) {
					return err
				}
				return nil
			}}
		}},
		{"ServedOnce", "waits for the first", func() flawed {
			var serving sync.Mutex
			return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
				serving.Lock()
				defer serving.Unlock()
				return good.Serve(ctx, handle)
			}}
		}},
		{"ServedOnce", "serves the last", servesTheLast},
		{"EndsDespiteSlowPeer", "waits for the last frame", waitsForTheLast},
		{"MemberRestarts", "serves once in a life", serveLimited(3)},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.check+"/"+tt.name, func(t *testing.T) {
			at := slices.IndexFunc(checks(), func(c check) bool { return c.name == tt.check })
			require.GreaterOrEqual(t, at, 0)
			c := checks()[at]
			good := Config{
				MaxFrame: transport.DefaultMaxFrame,
				Network: func(tb testing.TB, _ []string) func(string) transport.Transport {
					tb.Helper()
					return network(tb, func() flawed { return flawed{} })
				},
			}
			require.NoError(t, c.against(t, good, patience))
			bad := good
			bad.Network = func(tb testing.TB, _ []string) func(string) transport.Transport {
				tb.Helper()
				return network(tb, tt.flaw)
			}
			// A slow machine may need more than one try to be caught at it.
			var err error
			for try := 0; err == nil && try < 20; try++ {
				err = c.against(t, bad, 500*time.Millisecond)
			}
			require.Error(t, err)
		})
		covered[tt.check] = true
	}
	for _, c := range checks() {
		require.True(t, covered[c.name], "no flaw for %s", c.name)
	}
}

// Goroutines that stay are found, and so nothing else may run meanwhile.
func TestLeftGoroutinesAreFound(t *testing.T) {
	stay := make(chan struct{})
	defer close(stay)
	err := leavesNoGoroutine(t, Config{
		MaxFrame: transport.DefaultMaxFrame,
		Network: func(tb testing.TB, _ []string) func(string) transport.Transport {
			tb.Helper()
			return network(tb, func() flawed {
				return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
					go func() { <-stay }()
					return good.Serve(ctx, handle)
				}}
			})
		},
	}, time.Second)
	require.ErrorContains(t, err, "goroutines were running before")
}

// servesTheLast lets another Serve take over from the first.
func servesTheLast() flawed {
	var mu sync.Mutex
	var current handler
	return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
		mu.Lock()
		current = handle
		mu.Unlock()
		return good.Serve(ctx, func(from string, frame []byte) {
			mu.Lock()
			handle := current
			mu.Unlock()
			handle(from, frame)
		})
	}}
}

// waitsForTheLast ends only after what it has sent to b was taken.
func waitsForTheLast() flawed {
	return flawed{serve: func(good transport.Transport, ctx context.Context, handle handler) error {
		err := good.Serve(ctx, handle)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); runtime.Gosched() {
			peers := good.(*transport.Endpoint).Stats().Peers
			if i := slices.IndexFunc(peers, func(p transport.PeerStats) bool { return p.Peer == "b" }); i < 0 || peers[i].Queued == 0 {
				break
			}
		}
		return err
	}}
}

// A delayed frame is one that a flawed transport holds for a while.
type delayed struct {
	to    string
	frame []byte
}

// keepsTheSlice sends each frame when the next one comes.
func keepsTheSlice() flawed {
	last := map[string][]byte{}
	return flawed{send: func(good transport.Transport, to string, frame []byte) error {
		held := last[to]
		last[to] = frame
		return good.Send(to, held)
	}}
}

// waitsForTheHandler queues without a bound to drop at: a full channel blocks.
func waitsForTheHandler() flawed {
	frames := make(chan delayed)
	return flawed{
		send: func(_ transport.Transport, to string, frame []byte) error {
			frames <- delayed{to, bytes.Clone(frame)}
			return nil
		},
		serve: func(good transport.Transport, ctx context.Context, handle handler) error {
			go func() {
				for d := range frames {
					_ = good.Send(d.to, d.frame)
					if d.to == "b" {
						<-ctx.Done()
					}
				}
			}()
			return good.Serve(ctx, handle)
		},
	}
}

// oneWorker never blocks Send, but one goroutine serves all peers in turn.
func oneWorker() flawed {
	frames := make(chan delayed, 1<<20)
	return flawed{
		send: func(_ transport.Transport, to string, frame []byte) error {
			frames <- delayed{to, bytes.Clone(frame)}
			return nil
		},
		serve: func(good transport.Transport, ctx context.Context, handle handler) error {
			go func() {
				for {
					select {
					case <-ctx.Done():
						return
					case d := <-frames:
						_ = good.Send(d.to, d.frame)
						if d.to == "b" {
							<-ctx.Done()
						}
					}
				}
			}()
			return good.Serve(ctx, handle)
		},
	}
}

// unbounded hands everything that ever came to the handler, one by one.
func unbounded() flawed {
	type in struct {
		from  string
		frame []byte
	}
	return flawed{
		send: func(good transport.Transport, to string, frame []byte) error {
			// Waits for the memory network, which would drop.
			for good.(*transport.Endpoint).Stats().Peers[0].Queued > 10 {
				runtime.Gosched()
			}
			return good.Send(to, frame)
		},
		serve: func(good transport.Transport, ctx context.Context, handle handler) error {
			all := make(chan in, 1<<20)
			var wg sync.WaitGroup
			wg.Go(func() {
				for f := range all {
					handle(f.from, f.frame)
				}
			})
			err := good.Serve(ctx, func(from string, frame []byte) { all <- in{from, bytes.Clone(frame)} })
			close(all)
			wg.Wait()
			return err
		},
	}
}

// dropsTheNewest lets the first frames through and loses all that follow.
func dropsTheNewest() flawed {
	var mu sync.Mutex
	sent := map[string]int{}
	return flawed{send: func(good transport.Transport, to string, frame []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if sent[to]++; sent[to] > transport.QueueFrames {
			return nil
		}
		return good.Send(to, frame)
	}}
}

// serveLimited returns transports of which only the first n deliver anything.
func serveLimited(n int) func() flawed {
	var made int
	return func() flawed {
		if made++; made <= n {
			return flawed{}
		}
		return flawed{serve: func(good transport.Transport, ctx context.Context, _ handler) error {
			return good.Serve(ctx, func(string, []byte) {})
		}}
	}
}
