package scheduler

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestNothingGrowsForEver places and releases under names that never come
// again: of IDs, groups, labels, namespaces, dimensions, rules, nodes, quotas
// and reservations. What lives at the end takes no more memory than after the
// first hundredth, or once the history is full. CONSTELLATION_LONG=1 makes it ten
// million rounds, another number as many.
func TestNothingGrowsForEver(t *testing.T) {
	rounds := 20_000
	switch asked, err := strconv.Atoi(os.Getenv("CONSTELLATION_LONG")); {
	case err != nil:
	case asked == 1:
		rounds = 10_000_000
	default:
		rounds = asked
	}
	tests := []struct {
		name string
		cfg  Config
	}{
		{"nobody listens", Config{RememberReleased: 1000}},
		{"with a history", Config{Hooks: Hooks{Event: func(Event) {}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGrower(t, test.cfg)
			warm := max(rounds/100, 10_000)
			for range warm {
				g.round(t)
			}
			for test.cfg.Hooks.Event != nil && g.s.history.lost == 0 { // until the history is full
				g.round(t)
			}
			before := g.liveHeap()
			start := time.Now()
			for range rounds - warm {
				g.round(t)
			}
			t.Logf("%.0f rounds per second", float64(rounds-warm)/time.Since(start).Seconds())
			after := g.liveHeap()
			t.Logf("%d KiB after %d rounds, %d KiB after %d", before>>10, warm, after>>10, rounds)
			require.LessOrEqual(t, after, before+before/10)
			runtime.KeepAlive(g)
		})
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers have let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stepEvery is after how many rounds something else is done.
const stepEvery = 25

// grower makes rounds on a small cluster.
type grower struct {
	s     *Scheduler
	ctx   context.Context
	clock *clock
	i     int
	steps []func(t testHelper, name string)
}

func newGrower(t *testing.T, cfg Config) *grower {
	t.Helper()
	g := &grower{ctx: context.Background(), clock: newClock()}
	cfg.Now = g.clock.Now
	g.s = newTestScheduler(t, cfg)
	for i := range 20 {
		n := zoned("n"+strconv.Itoa(i), "z"+strconv.Itoa(i%3))
		n.Devices.Count = 4
		addNodes(t, g.s, n)
	}
	g.steps = []func(testHelper, string){
		g.rules, g.dimension, g.affinity, g.spread, g.fragmentation, g.reservation, g.quota, g.node, g.lost, g.duration,
		g.nodeNames, g.largeRules,
	}
	return g
}

// liveHeap is what lives but for the requests that were refused last: there are at most
// maxRefusals of them, but it takes long until there are as many.
func (g *grower) liveHeap() uint64 {
	g.s.refused = refusedLately{}
	return liveHeap()
}

// round places and releases a request under new names, and now and then does
// something else under such.
func (g *grower) round(t testHelper) {
	g.i++
	name := strconv.Itoa(g.i)
	g.once(t, g.request(name))
	if g.i%stepEvery == 0 {
		g.steps[g.i/stepEvery%len(g.steps)](t, name)
	}
}

func (g *grower) request(name string) placement.Request {
	return placement.Request{
		ID: name, Namespace: "ns" + name, Group: "g" + name, Labels: map[string]string{"app" + name: name},
		Resources: placement.Resources{CPU: 100},
	}
}

func (g *grower) once(t testHelper, req placement.Request) {
	if _, err := g.s.Place(g.ctx, req); err == nil {
		require.NoError(t, g.s.Release(g.ctx, req.ID))
	} else if !errors.Is(err, ErrUnschedulable) && !errors.Is(err, ErrInvalid) {
		require.NoError(t, err)
	}
}

func (g *grower) rules(t testHelper, name string) {
	req := g.request("rules " + name)
	req.Preferences = placement.Use(placement.Spread).Require(placement.NotEqual("k"+name, name)).
		Prefer(placement.In("zone", name, "z1"), 10).TolerateExists("t" + name)
	g.once(t, req)
	req.ID, req.Preferences = "refused "+name, req.Preferences.Require(placement.Equal("zone", name))
	g.once(t, req)
}

func (g *grower) dimension(t testHelper, name string) {
	req := g.request("dimension " + name)
	req.Resources.Custom = map[string]int64{"fpga-" + name: 1}
	g.once(t, req)
	_, err := g.s.CheckQuota(g.ctx, "ns"+name, req.Resources)
	require.NoError(t, err)
}

func (g *grower) affinity(t testHelper, name string) {
	req := g.request("affinity " + name)
	req.Preferences = placement.Use(placement.BinPack).
		Near(placement.Repel(placement.Equal("app"+name, name)).Within("zone")).
		Near(placement.Attract(placement.Exists("x" + name)).Weighing(50))
	g.once(t, req)
}

func (g *grower) spread(t testHelper, name string) {
	req := g.request("spread " + name)
	req.Preferences = placement.Use(placement.BinPack).
		Across(placement.ShareOver("zone", map[string]int{"z" + name: 50}, 50), placement.EvenlyOver("host", 1))
	g.once(t, req)
}

func (g *grower) fragmentation(t testHelper, name string) {
	req := g.request("fragmentation " + name)
	req.Preferences = placement.Use(placement.LeastFragmentation)
	req.Resources = placement.Resources{GPU: 500, Memory: int64(g.i)}
	g.once(t, req)
}

func (g *grower) reservation(t testHelper, name string) {
	spec := holding("r"+name, 1, 2)
	spec.Namespace = "ns" + name
	_, err := g.s.Reserve(g.ctx, spec)
	require.NoError(t, err)
	claimed := placement.Request{ID: "claimed " + name, Namespace: spec.Namespace, Resources: spec.Shape}
	_, err = g.s.PlaceFromReservation(g.ctx, spec.ID, claimed)
	require.NoError(t, err)
	require.NoError(t, g.s.Release(g.ctx, claimed.ID))
	require.NoError(t, g.s.ReleaseReservation(g.ctx, spec.ID, false))
	_, err = g.s.Reservation(g.ctx, spec.ID)
	require.ErrorIs(t, err, reservation.ErrNotFound)
}

func (g *grower) quota(t testHelper, name string) {
	spec := quota.Spec{Namespace: "ns" + name, Limits: map[placement.ResourceName]quota.Limit{
		placement.ResourceName("licence-" + name): {Soft: 1}, placement.NameCPU: {Soft: 10, BurstPercent: 2000, BurstFor: time.Second},
	}}
	_, err := g.s.CreateQuota(g.ctx, spec)
	require.NoError(t, err)
	req := g.request("quota " + name)
	req.Namespace = spec.Namespace
	g.once(t, req)
	require.NoError(t, g.s.DeleteQuota(g.ctx, spec.Namespace))
}

func (g *grower) node(t testHelper, name string) {
	n := zoned("new "+name, "zone "+name)
	n.Capacity.Custom = map[string]int64{"tpu-" + name: 1}
	if err := g.s.AddNode(g.ctx, n); err != nil {
		require.ErrorIs(t, err, ErrInvalid) // too many dimensions
		n.Capacity.Custom = nil
		require.NoError(t, g.s.AddNode(g.ctx, n))
	}
	_, err := g.s.RemoveNode(g.ctx, n.ID)
	require.NoError(t, err)
}

func (g *grower) lost(t testHelper, name string) {
	req := g.request("lost " + name)
	allocate(t, g.s, "n1", req)
	require.NoError(t, g.s.MarkLost(g.ctx, "n1"))
	_, err := g.s.Place(g.ctx, req)
	require.NoError(t, err)
	require.NoError(t, g.s.MarkReady(g.ctx, "n1"))
	require.NoError(t, g.s.ReleaseGeneration(g.ctx, req.ID, 1))
	require.NoError(t, g.s.Release(g.ctx, req.ID))
}

func (g *grower) duration(t testHelper, name string) {
	req := g.request("brief " + name)
	req.Duration = time.Minute
	_, err := g.s.Place(g.ctx, req)
	require.NoError(t, err)
	g.clock.advance(2 * time.Minute)
	_, err = g.s.Sweep(g.ctx)
	require.NoError(t, err)
	require.NoError(t, g.s.Release(g.ctx, req.ID))
}

func (g *grower) nodeNames(t testHelper, name string) {
	require.NoError(t, g.s.SetLabel(g.ctx, "n2", "zone", "zone "+name))
	require.NoError(t, g.s.SetLabel(g.ctx, "n2", "k"+name, name))
	require.NoError(t, g.s.RemoveLabel(g.ctx, "n2", "k"+name))
	taint := placement.Taint{Key: "t" + name, Effect: placement.NoSchedule}
	require.NoError(t, g.s.AddTaint(g.ctx, "n2", taint))
	require.NoError(t, g.s.RemoveTaint(g.ctx, "n2", taint.Key, taint.Effect))
}

// largeRules has as many rules as are likely to be allowed.
func (g *grower) largeRules(t testHelper, name string) {
	req := g.request("large " + name)
	long := strings.Repeat("x", 100)
	for i := range 50 {
		req.Preferences = req.Preferences.Require(placement.NotIn(long+strconv.Itoa(i), name, long))
		req.Preferences = req.Preferences.Tolerate(placement.TolerateExists(long + strconv.Itoa(i) + name))
	}
	g.once(t, req)
}
