package scheduler

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// inventoryOf sums up what the lists of a scheduler say.
func inventoryOf(t testHelper, s *Scheduler) Inventory {
	t.Helper()
	sum := Inventory{Nodes: make(map[NodeState]int), Reservations: make(map[reservation.State]int)}
	supplies := make(map[placement.ResourceName]*Supply)
	for _, n := range listed(t, s.Nodes) {
		sum.Nodes[n.State]++
		for name := range placement.Resources.All(addAll(n.Total, n.Allocated, n.Held)) {
			if supplies[name] == nil {
				supplies[name] = &Supply{Resource: name}
			}
			addNode(supplies[name], n)
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(supplies), placement.CompareNames) {
		if *supplies[name] != (Supply{Resource: name}) {
			sum.Supplies = append(sum.Supplies, *supplies[name])
		}
	}
	for _, q := range listed(t, s.Quotas) {
		for _, u := range q.Usage {
			switch {
			case u.Over():
				sum.Limits.Over++
			case u.Bursting():
				sum.Limits.Bursting++
			case u.Limited():
				sum.Limits.Within++
			}
		}
	}
	for _, r := range listed(t, s.Reservations) {
		sum.Reservations[r.State()]++
	}
	return sum
}

// addAll returns amounts of each dimension that any of them has.
func addAll(all ...placement.Resources) (sum placement.Resources) {
	for _, r := range all {
		for name, amount := range r.All() {
			if amount > 0 {
				sum = sum.With(name, 1)
			}
		}
	}
	return sum
}

func addNode(s *Supply, n NodeInfo) {
	name := s.Resource
	s.Capacity += n.Total.Amount(name)
	s.Used += n.Allocated.Amount(name)
	s.Held += n.Held.Amount(name)
	if n.State != NodeReady {
		return
	}
	free := n.Available.Amount(name)
	s.Free += free
	left := 1.0
	for _, needed := range []placement.ResourceName{placement.NameCPU, placement.NameMemory} {
		if total := n.Total.Amount(needed); total > 0 {
			left = min(left, float64(n.Available.Amount(needed))/float64(total))
		}
	}
	s.Stranded += max(0, free-int64(math.Floor(left*float64(n.Total.Amount(name))+1e-9)))
}

// checkInventory compares the inventory with the sum of the lists, where nodes are neither
// full of instances nor over.
func (m *machine) checkInventory(t *rapid.T) {
	got, err := m.s.Inventory(t.Context())
	require.NoError(t, err)
	want := inventoryOf(t, m.s)
	require.Equal(t, want.Nodes, got.Nodes)
	require.Equal(t, want.Limits, got.Limits)
	require.Equal(t, want.Reservations, got.Reservations)
	exact := true
	for _, n := range listed(t, m.s.Nodes) {
		exact = exact && len(n.Over()) == 0 && n.MaxInstances == 0
	}
	require.Len(t, got.Supplies, len(want.Supplies))
	for i, supply := range got.Supplies {
		require.LessOrEqual(t, supply.Largest, supply.Free)
		require.LessOrEqual(t, supply.Stranded, supply.Free)
		supply.Largest = 0
		if !exact {
			supply.Stranded, want.Supplies[i].Stranded = 0, 0
		}
		require.Equal(t, want.Supplies[i], supply)
	}
	leaving := 0
	for _, a := range listed(t, m.s.Allocations) {
		if a.State == Leaving {
			leaving++
		}
	}
	require.Equal(t, leaving, m.s.Stats().Leaving)
}

func TestInventorySumsUp(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	sized := func(id string, cores, memory int64) placement.Node {
		n := testNode(id, cores)
		n.Capacity.Memory, n.Capacity.Disk = memory*placement.GiB, 0
		return n
	}
	gpus := sized("gpus", 8, 64)
	gpus.Devices = placement.Devices{Count: 2, Model: "m"}
	gpus.Capacity.GPU = 2 * placement.Device
	addNodes(t, s, sized("full", 8, 64), sized("half", 8, 64), gpus, sized("off", 8, 64), sized("most", 8, 64))
	require.NoError(t, s.Cordon(ctx, "off"))
	_, err := s.CreateQuota(ctx, quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 10_000, BurstPercent: 300}, placement.NameMemory: {Soft: math.MaxInt64 - 1}, placement.NameGPU: {Soft: 1},
	}})
	require.NoError(t, err)
	asked := func(id string, cpu, memory, gpu int64) placement.Request {
		req := testRequest(id, 0)
		req.Resources = placement.Resources{CPU: cpu * 1000, Memory: memory * placement.GiB, GPU: gpu}
		return req
	}
	allocate(t, s, "full", asked("a", 8, 16, 0)) // 48 GiB stranded
	allocate(t, s, "half", asked("b", 4, 32, 0)) // none
	other := asked("c", 2, 48, 1500/2)           // a quarter of all but CPU, 4 cores and a GPU and a half
	other.Namespace = "others"
	allocate(t, s, "gpus", other)
	spec := holding("r", 1, 1)
	spec.Namespace = "others"
	reserve(t, s, spec)

	got, err := s.Inventory(ctx)
	require.NoError(t, err)
	require.Equal(t, map[NodeState]int{NodeReady: 4, NodeCordoned: 1}, got.Nodes)
	require.Equal(t, LimitCounts{Within: 2, Bursting: 1}, got.Limits)
	require.Equal(t, 1, got.Reservations[reservation.Active])
	gib := int64(placement.GiB)
	held := got.Supplies[0].Held
	require.Equal(t, []Supply{
		{placement.NameCPU, 40_000, 14_000, held, 18_000 - held, 8_000, 4_000},
		{placement.NameMemory, 320 * gib, 96 * gib, 0, 160 * gib, 64 * gib, 56 * gib}, // 48 on full, 8 on half beside the core that is held
		{placement.NameGPU, 2000, 750, 0, 1250, 1000, 750},
	}, got.Supplies)
}

func TestInventoryOfAFullNodeStrandsAll(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.MaxInstances = 1
	addNodes(t, s, n)
	place(t, s, testRequest("a", 1))
	got, err := s.Inventory(t.Context())
	require.NoError(t, err)
	cpu := got.Supplies[0]
	require.Equal(t, []int64{7000, 7000, 0}, []int64{cpu.Free, cpu.Stranded, cpu.Largest})
}

// TestInventoryLetsDecisionsGoFirst: it holds the lock for a few nodes at a time.
func TestInventoryLetsDecisionsGoFirst(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for i := range 3 * captureTurn {
		addNodes(t, s, benchmarkNode(i))
	}
	taker := newInventoryTaker(s.state)
	defer taker.end()
	turns := 0
	for taker.turn(time.Time{}) {
		turns++
		require.LessOrEqual(t, int(taker.next), turns*captureTurn)
	}
	require.Equal(t, 3*captureTurn, taker.result().Nodes[NodeReady])
}

func TestInventoryOfAClosedScheduler(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := s.Inventory(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
	_, err = s.Inventory(t.Context())
	require.ErrorIs(t, err, ErrClosed)
}
