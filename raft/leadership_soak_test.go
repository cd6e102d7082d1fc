package raft_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// O6 and O7 of real nodes: over crashes, restarts, cuts, hand-overs, slow disks
// and drifting clocks, no two hold a lease at once, the work of two leaders never
// overlaps, and tokens grow. Once all is well there is a leader.
func TestReignsNeverOverlap(t *testing.T) {
	var reigns int32
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			w := &workplace{t: t}
			stores := make(map[string]*sickStore)
			c := rafttest.Start(t, rafttest.Config{
				Nodes: 5, Seed: seed, Latency: time.Millisecond, Service: w.work,
				Clock: func(id string, clock func() time.Duration) func() time.Duration {
					drift := time.Duration(id[0]-'c') * 2 // a to e: −4 to +4 thousandths
					return func() time.Duration { now := clock(); return now + now*drift/1000 }
				},
				Edit: func(cfg *raft.Config) {
					if stores[cfg.ID] == nil {
						stores[cfg.ID] = new(sickStore)
					}
					cfg.Store = stores[cfg.ID]
				},
			})
			var watching sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			watching.Go(func() { countLeaders(ctx, t, c) })
			random := rand.New(rand.NewPCG(seed, 0))
			for range 80 {
				disturb(ctx, c, stores, random)
				time.Sleep(time.Duration(random.Int64N(int64(2 * etMax))))
			}
			c.Heal()
			for _, id := range c.IDs() {
				stores[id].takes.Store(0)
				if c.Node(id) == nil {
					c.Start(id)
				}
			}
			time.Sleep(10 * etMax)
			c.WaitLeader()
			cancel()
			watching.Wait()
			reigns += w.reigns.Load()
		})
	}
	require.GreaterOrEqual(t, reigns, int32(80), "much must happen for this to show anything")
}

// countLeaders looks at all nodes every millisecond.
func countLeaders(ctx context.Context, t *testing.T, c *rafttest.Cluster) {
	t.Helper()
	for ctx.Err() == nil {
		if now := leading(c); len(now) > 1 {
			t.Errorf("%v lead at once", now)
		}
		time.Sleep(time.Millisecond)
	}
}

// disturb does something to one of the nodes. At most two are down.
func disturb(ctx context.Context, c *rafttest.Cluster, stores map[string]*sickStore, random *rand.Rand) {
	ids := c.IDs()
	id := ids[random.IntN(len(ids))]
	node := c.Node(id)
	down := 0
	for _, other := range ids {
		if c.Node(other) == nil {
			down++
		}
	}
	ctx, cancel := context.WithTimeout(ctx, etMax)
	defer cancel()
	switch random.IntN(8) {
	case 0, 1:
		if node == nil {
			c.Start(id)
		} else if down < 2 {
			c.Crash(id)
		}
	case 2:
		if node != nil && down < 2 {
			_ = c.Stop(id)
		}
	case 3:
		c.Isolate(id)
	case 4:
		c.Cut(id, ids[random.IntN(len(ids))])
	case 5:
		c.Heal()
	case 6:
		for _, other := range ids {
			if n := c.Node(other); n != nil && n.IsLeader() {
				_ = n.Transfer(ctx, id)
			}
		}
	case 7:
		stores[id].takes.Store(random.Int64N(int64(etMin)))
	}
}

// workplace is where only one leader at a time may work.
type workplace struct {
	t      *testing.T
	inside atomic.Int32
	token  atomic.Uint64
	reigns atomic.Int32
}

func (w *workplace) work(ctx context.Context, node *raft.Node) error {
	for {
		l, err := node.Lead(ctx)
		if err != nil {
			return err
		}
		w.workAs(l)
		l.Release()
	}
}

func (w *workplace) workAs(l *raft.Leadership) {
	if w.inside.Add(1) > 1 {
		w.t.Errorf("two leaders at once, one in term %d", l.Term())
	}
	if before := w.token.Swap(l.Term()); before >= l.Term() {
		w.t.Errorf("token %d after %d", l.Term(), before)
	}
	w.reigns.Add(1)
	<-l.Context().Done()
	w.inside.Add(-1)
}
