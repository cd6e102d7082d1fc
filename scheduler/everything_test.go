package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// caller makes random calls of every kind on a few nodes, instances and
// namespaces, so that they meet. Most fail, which is what they may.
type caller struct {
	s   *scheduler.Scheduler
	r   *rand.Rand
	log func(...any) // of every answer
}

func (c *caller) id() string   { return fmt.Sprint("i", c.r.IntN(40)) }
func (c *caller) node() string { return fmt.Sprint("n", c.r.IntN(8)) }
func (c *caller) ns() string   { return fmt.Sprint("ns", c.r.IntN(3)) }

func (c *caller) newNode() placement.Node {
	return placement.Node{
		ID: c.node(), Devices: placement.Devices{Count: 2, Model: "m"},
		Capacity: placement.Resources{CPU: int64(1+c.r.IntN(2)) * 8 * placement.Core, Custom: map[string]int64{"x": 9, "y": 3}},
		Labels:   map[string]string{"zone": fmt.Sprint(c.r.IntN(2)), "disk": "ssd"},
	}
}

func (c *caller) request() placement.Request {
	strategies := []placement.Strategy{
		placement.BinPack, placement.Spread, placement.Random, placement.Affinity, placement.LeastFragmentation,
	}
	return placement.Request{
		ID: c.id(), Namespace: c.ns(), Group: "g", Labels: map[string]string{"app": "web", "tier": "front"},
		Resources: placement.Resources{
			CPU: int64(1+c.r.IntN(3)) * 500, GPU: int64(c.r.IntN(2)) * 300, Custom: map[string]int64{"x": 1},
		},
		Duration:    time.Duration(c.r.IntN(2)) * time.Minute,
		Preferences: placement.Use(strategies[c.r.IntN(len(strategies))]),
	}
}

func (c *caller) spec() quota.Spec {
	return quota.Spec{Namespace: c.ns(), Limits: map[placement.ResourceName]quota.Limit{
		"cpu": {Soft: int64(5+c.r.IntN(5)) * 1000, BurstPercent: 150, BurstFor: time.Minute}, "x": {Soft: 9},
	}}
}

func (c *caller) slots() reservation.Spec {
	return reservation.Spec{
		ID: "r" + c.id(), Namespace: c.ns(), Shape: placement.Resources{CPU: 500}, Count: 2,
		Duration: time.Duration(1+c.r.IntN(5)) * time.Minute,
	}
}

// nodeCalls, instanceCalls and bookCalls are what a caller may do.
func nodeCalls() []func(context.Context, *caller) {
	return []func(context.Context, *caller){
		func(ctx context.Context, c *caller) { c.log(c.s.AddNode(ctx, c.newNode())) },
		func(ctx context.Context, c *caller) { over, err := c.s.UpdateNode(ctx, c.newNode()); c.log(over, err) },
		func(ctx context.Context, c *caller) {
			if c.r.IntN(4) == 0 {
				gone, err := c.s.RemoveNode(ctx, c.node())
				c.log(gone, err)
			}
		},
		func(ctx context.Context, c *caller) { c.log(c.s.Cordon(ctx, c.node())) },
		func(ctx context.Context, c *caller) { c.log(c.s.Uncordon(ctx, c.node())) },
		func(ctx context.Context, c *caller) { c.log(c.s.MarkLost(ctx, c.node())) },
		func(ctx context.Context, c *caller) { c.log(c.s.MarkReady(ctx, c.node())) },
		func(ctx context.Context, c *caller) { c.log(c.s.SetLabel(ctx, c.node(), "k", c.id())) },
		func(ctx context.Context, c *caller) { c.log(c.s.RemoveLabel(ctx, c.node(), "k")) },
		func(ctx context.Context, c *caller) {
			c.log(c.s.AddTaint(ctx, c.node(), placement.Taint{Key: "t", Effect: placement.NoExecute}))
		},
		func(ctx context.Context, c *caller) { c.log(c.s.RemoveTaint(ctx, c.node(), "t", placement.NoExecute)) },
		func(ctx context.Context, c *caller) {
			a, err := c.s.AdoptNode(ctx, c.newNode(), []scheduler.Report{{Request: c.request(), Devices: []int{}}})
			c.log(a, err)
		},
		func(ctx context.Context, c *caller) { n, err := c.s.Node(ctx, c.node()); c.log(n, err) },
		func(ctx context.Context, c *caller) { all, err := c.s.Nodes(ctx); c.log(all, err) },
	}
}

func instanceCalls() []func(context.Context, *caller) {
	return []func(context.Context, *caller){
		func(ctx context.Context, c *caller) { d, err := c.s.Place(ctx, c.request()); c.log(d, err) },
		func(ctx context.Context, c *caller) {
			d, err := c.s.Allocate(ctx, c.node(), c.request())
			c.log(d, err)
		},
		func(ctx context.Context, c *caller) { c.log(c.s.Release(ctx, c.id())) },
		func(ctx context.Context, c *caller) { c.log(c.s.ReleaseGeneration(ctx, c.id(), 1)) },
		func(ctx context.Context, c *caller) { c.log(c.s.Leave(ctx, c.id())) },
		func(ctx context.Context, c *caller) { d, err := c.s.Move(ctx, c.id(), c.node()); c.log(d, err) },
		func(ctx context.Context, c *caller) { d, err := c.s.KeepGeneration(ctx, c.id(), 1); c.log(d, err) },
		func(ctx context.Context, c *caller) { c.log(c.s.Stay(ctx, c.id())) },
		func(ctx context.Context, c *caller) { all, err := c.s.Violations(ctx); c.log(all, err) },
		func(ctx context.Context, c *caller) {
			req := c.request()
			req.Priority = int32(c.r.IntN(3))
			d, err := c.s.Amend(ctx, req.ID, req)
			c.log(d, err)
		},
		func(ctx context.Context, c *caller) {
			d, err := c.s.Resize(ctx, c.id(), placement.Resources{CPU: 700, Custom: map[string]int64{"x": 2}})
			c.log(d, err)
		},
		func(ctx context.Context, c *caller) { d, err := c.s.Schedule(ctx, c.request()); c.log(d, err) },
		func(ctx context.Context, c *caller) {
			e, err := c.s.Explain(ctx, c.request())
			c.log(e, e.String(), err)
		},
		func(ctx context.Context, c *caller) { a, err := c.s.Allocation(ctx, c.id()); c.log(a, err) },
		func(ctx context.Context, c *caller) {
			all, err := c.s.Allocations(ctx)
			c.log(len(all), err)
			for _, a := range all {
				again, err := c.s.Allocation(ctx, a.Request.ID)
				c.log(a, again, err)
				if c.r.IntN(4) == 0 {
					break
				}
			}
		},
	}
}

func bookCalls() []func(context.Context, *caller) {
	return []func(context.Context, *caller){
		func(ctx context.Context, c *caller) { u, err := c.s.CreateQuota(ctx, c.spec()); c.log(u, err) },
		func(ctx context.Context, c *caller) { u, err := c.s.UpdateQuota(ctx, c.spec()); c.log(u, err) },
		func(ctx context.Context, c *caller) { c.log(c.s.DeleteQuota(ctx, c.ns())) },
		func(ctx context.Context, c *caller) { u, err := c.s.QuotaUsage(ctx, c.ns()); c.log(u, err) },
		func(ctx context.Context, c *caller) {
			all, err := c.s.Quotas(ctx)
			c.log(all, err, c.s.VerifyQuota(ctx))
		},
		func(ctx context.Context, c *caller) { r, err := c.s.Reserve(ctx, c.slots()); c.log(r, err) },
		func(ctx context.Context, c *caller) { c.log(c.s.ReleaseReservation(ctx, "r"+c.id(), true)) },
		func(ctx context.Context, c *caller) {
			req := c.request()
			req.Resources = placement.Resources{CPU: 300}
			d, err := c.s.PlaceFromReservation(ctx, "r"+c.id(), req)
			c.log(d, err)
		},
		func(ctx context.Context, c *caller) { c.log(c.s.Unclaim(ctx, c.id())) },
		func(ctx context.Context, c *caller) { all, err := c.s.Reservations(ctx); c.log(all, err) },
		func(ctx context.Context, c *caller) {
			due, err := c.s.Sweep(ctx)
			next, ok := c.s.NextDeadline()
			c.log(len(due), err, next, ok)
		},
		func(ctx context.Context, c *caller) {
			var b strings.Builder
			err := c.s.WriteSnapshot(ctx, &b)
			c.log(b.String(), err)
		},
		func(ctx context.Context, c *caller) {
			stats := c.s.Stats()
			stats.Decisions.Time, stats.Journal.Time = scheduler.Histogram{}, scheduler.Histogram{}
			c.log(c.s.Version(), stats, c.s.Scale(), c.s.Token())
			c.log(c.s.Inventory(ctx))
		},
	}
}

// call makes one call.
func (c *caller) call(ctx context.Context) {
	of := [][]func(context.Context, *caller){nodeCalls(), instanceCalls(), instanceCalls()[:3], bookCalls()}
	calls := of[c.r.IntN(len(of))]
	calls[c.r.IntN(len(calls))](ctx, c)
}

// wait makes a call that waits, for a moment.
func (c *caller) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	switch c.r.IntN(3) {
	case 0:
		_ = c.s.Wait(ctx, c.s.Version())
	case 1:
		_ = c.s.Checkpoint(ctx)
	default:
		left := c.r.IntN(200)
		for range c.s.Watch(ctx, 0) {
			if left--; left < 0 {
				break
			}
		}
	}
}

// callAtOnce lets callers make calls under contexts that end at any time.
func callAtOnce(s *scheduler.Scheduler, callers, calls int, seed uint64) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	for i := range callers {
		all.Go(func() {
			c := &caller{s, rand.New(rand.NewPCG(seed, uint64(i))), func(...any) {}}
			for range calls {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.r.IntN(400))*time.Microsecond)
				if c.r.IntN(2) == 0 {
					ctx = context.Background()
				}
				if c.r.IntN(20) == 0 {
					c.wait(ctx)
				} else {
					c.call(ctx)
				}
				cancel()
			}
		})
	}
	return all
}

// TestEverythingAtOnce has many callers make every call at once, hooks that
// call the scheduler among them, over a journal that is slow at times. The
// race detector is the judge; besides, events come in order, the books balance
// and the journal replays to the same bytes.
func TestEverythingAtOnce(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprint("durable=", durable), func(t *testing.T) {
			var s *scheduler.Scheduler
			var err error
			var last uint64
			inner := &caller{r: rand.New(rand.NewPCG(1, 1)), log: func(...any) {}}
			within := false
			cfg := scheduler.Config{RememberReleased: 5, Hooks: scheduler.Hooks{Event: func(e scheduler.Event) {
				if e.Seq < last {
					t.Errorf("event %d after %d", e.Seq, last)
				}
				last = e.Seq
				if !within && e.Seq%8 == 0 { // hooks run one at a time
					within, inner.s = true, s
					inner.call(context.Background())
					within = false
				}
			}}}
			if durable {
				journal := new(stored)
				var appends atomic.Int64
				journal.before = func(context.Context) error {
					if appends.Add(1)%3 == 0 {
						for range 100 { // so that others queue behind it
							runtime.Gosched()
						}
					}
					return nil
				}
				cfg.Journal = journal
				s, err = scheduler.Open(t.Context(), cfg)
			} else {
				s, err = scheduler.New(cfg)
			}
			require.NoError(t, err)
			callAtOnce(s, 12, 250, 1).Wait()
			require.NoError(t, s.VerifyQuota(t.Context()))
			if !durable {
				return
			}
			before := snapshot(t, s)
			require.NoError(t, s.Close())
			cfg.Hooks, cfg.Now = scheduler.Hooks{}, func() time.Time { return time.Time{} }
			next, err := scheduler.Open(t.Context(), cfg)
			require.NoError(t, err)
			require.Equal(t, before, snapshot(t, next))
		})
	}
}

// TestCloseAmongCallers closes a scheduler among callers, watchers and
// waiters: all of them return, also if the journal fails first.
func TestCloseAmongCallers(t *testing.T) {
	for round := range 20 {
		journal := new(stored)
		var appends atomic.Int64
		s, err := scheduler.Open(t.Context(), scheduler.Config{
			Journal: journal, Hooks: scheduler.Hooks{Event: func(scheduler.Event) {}},
		})
		require.NoError(t, err)
		journal.before = func(context.Context) error {
			if appends.Add(1) == 20 && round%2 == 0 {
				return errors.New("disk full")
			}
			return nil
		}
		var all sync.WaitGroup
		callers := callAtOnce(s, 6, 60, uint64(round))
		called, end := context.WithCancel(t.Context())
		all.Go(func() { callers.Wait(); end() })
		all.Go(func() {
			for range s.Watch(context.Background(), 0) {
				continue
			}
		})
		all.Go(func() {
			for s.Wait(context.Background(), s.Version()) == nil {
				continue
			}
		})
		for version := uint64(0); version < uint64(round) && s.Wait(called, version) == nil; {
			version++
		}
		require.NoError(t, s.Close())
		all.Wait()
	}
}

// TestSameCallsSameBytes repeats a history of every kind of call: answers,
// refusals and explanations with their texts, journal and state are the same
// byte for byte.
func TestSameCallsSameBytes(t *testing.T) {
	for seed := range uint64(3) {
		run := func() string {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			journal, told := new(scheduler.MemoryJournal), new(strings.Builder)
			s, err := scheduler.Open(t.Context(), scheduler.Config{
				Seed: seed, Journal: journal, Now: func() time.Time { return now }, RememberReleased: 5,
			})
			require.NoError(t, err)
			c := &caller{s, rand.New(rand.NewPCG(seed, 0)), func(answers ...any) {
				for _, answer := range answers {
					data, err := json.Marshal(answer)
					fmt.Fprintf(told, "%v %s %v\n", answer, data, err)
				}
			}}
			for range 400 {
				now = now.Add(time.Duration(c.r.IntN(3)) * time.Second)
				c.call(t.Context())
			}
			for _, r := range recordsOf(t, journal) {
				fmt.Fprintf(told, "%s\n", r.Data)
			}
			return told.String()
		}
		first := strings.Split(run(), "\n")
		for range 3 {
			for i, line := range strings.Split(run(), "\n") {
				require.Equal(t, first[i], line)
			}
		}
	}
}
