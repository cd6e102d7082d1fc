package scheduler

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestHugeAmounts: amounts at the end of an int64 are refused or counted, in
// any history, and never wrapped round.
func TestHugeAmounts(t *testing.T) { rapid.Check(t, hugeActions) }

func FuzzHugeAmounts(f *testing.F) { f.Fuzz(rapid.MakeFuzz(hugeActions)) }

func hugeActions(t *rapid.T) {
	h := &huge{now: time.Unix(0, 0), journal: new(MemoryJournal)}
	var err error
	h.s, err = Open(t.Context(), h.config())
	require.NoError(t, err)
	t.Repeat(map[string]func(*rapid.T){
		"add":    func(t *rapid.T) { _ = h.s.AddNode(t.Context(), h.node(t)) },
		"update": func(t *rapid.T) { _, _ = h.s.UpdateNode(t.Context(), h.node(t)) },
		"lose":   func(t *rapid.T) { _ = h.s.MarkLost(t.Context(), name(t, "n")) },
		"return": func(t *rapid.T) { _ = h.s.MarkReady(t.Context(), name(t, "n")) },
		"remove": func(t *rapid.T) { _, _ = h.s.RemoveNode(t.Context(), name(t, "n")) },
		"adopt":  h.adopt,
		"place":  func(t *rapid.T) { _, _ = h.s.Place(t.Context(), h.request(t)) },
		"resize": func(t *rapid.T) { _, _ = h.s.Resize(t.Context(), name(t, "i"), amounts(t)) },
		"free":   func(t *rapid.T) { _ = h.s.Release(t.Context(), name(t, "i")) },
		"hold":   h.hold,
		"claim":  func(t *rapid.T) { _, _ = h.s.PlaceFromReservation(t.Context(), name(t, "r"), h.request(t)) },
		"limit":  h.limit,
		"wait": func(*rapid.T) {
			h.now = h.now.Add(40 * time.Minute)
			_, _ = h.s.Sweep(t.Context())
		},
		"": h.check,
	})
	again, err := Open(t.Context(), h.config())
	require.NoError(t, err)
	require.Equal(t, snapshot(t, h.s), snapshot(t, again))
}

// huge is a scheduler of few nodes and instances, whose amounts are huge.
type huge struct {
	s       *Scheduler
	now     time.Time
	journal *MemoryJournal
}

func (h *huge) config() Config {
	return Config{Now: func() time.Time { return h.now }, Journal: h.journal, RememberReleased: 2}
}

// name draws one of three IDs, so that they meet.
func name(t *rapid.T, kind string) string {
	return fmt.Sprint(kind, rapid.IntRange(1, 3).Draw(t, kind))
}

func amount(t *rapid.T) int64 {
	return rapid.SampledFrom([]int64{
		0, 1, 1000, math.MaxInt64 / 3, math.MaxInt64 / 2, math.MaxInt64/2 + 1, math.MaxInt64 - 1, math.MaxInt64,
	}).Draw(t, "amount")
}

func amounts(t *rapid.T) placement.Resources {
	r := placement.Resources{Memory: amount(t), GPU: rapid.SampledFrom([]int64{0, 0, 0, 500, 1000, 2000}).Draw(t, "gpu")}
	if rapid.IntRange(0, 2).Draw(t, "licensed") == 0 {
		r = r.With("licence", amount(t))
	}
	return r
}

func (h *huge) node(t *rapid.T) placement.Node {
	n := placement.Node{ID: name(t, "n"), MaxInstances: rapid.SampledFrom([]int64{0, 1, math.MaxInt64}).Draw(t, "max")}
	n.Capacity = placement.Resources{Memory: amount(t)}.With("licence", amount(t))
	n.Devices.Count = rapid.IntRange(0, 2).Draw(t, "devices")
	ratio := placement.Ratio{Numerator: rapid.Int64Range(1, 3).Draw(t, "numerator"), Denominator: 2}
	n.Overcommit = map[placement.ResourceName]placement.Ratio{placement.NameMemory: ratio}
	return n
}

func (h *huge) request(t *rapid.T) placement.Request {
	return placement.Request{
		ID: name(t, "i"), Namespace: name(t, "ns"), Resources: amounts(t), Priority: math.MinInt32,
		Duration: rapid.SampledFrom([]time.Duration{0, 1, time.Hour, math.MaxInt64}).Draw(t, "duration"),
		Yield:    rapid.Bool().Draw(t, "yield"),
	}
}

func (h *huge) adopt(t *rapid.T) {
	r := Report{Request: h.request(t)}
	for device := range (r.Request.Resources.GPU + placement.Device - 1) / placement.Device {
		r.Devices = append(r.Devices, int(device))
	}
	_, _ = h.s.AdoptNode(t.Context(), h.node(t), []Report{r})
}

func (h *huge) hold(t *rapid.T) {
	_, _ = h.s.Reserve(t.Context(), reservation.Spec{
		ID: name(t, "r"), Namespace: name(t, "ns"), Shape: amounts(t), Count: rapid.IntRange(1, 2).Draw(t, "count"),
		Start: h.now.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "later")) * time.Hour), Duration: time.Hour,
		Priority: rapid.Int32Range(0, 2).Draw(t, "priority"), Owners: []string{"ns1", "ns2", "ns3"},
		AtEnd: reservation.AtEnd(rapid.IntRange(0, 2).Draw(t, "at end")),
	})
}

func (h *huge) limit(t *rapid.T) {
	spec := quota.Spec{Namespace: name(t, "ns"), Limits: map[placement.ResourceName]quota.Limit{
		placement.NameMemory: {Soft: amount(t), BurstPercent: rapid.SampledFrom([]int{0, 150, 10_000}).Draw(t, "burst")},
	}}
	if spec.Namespace != "ns1" && rapid.Bool().Draw(t, "below") {
		spec.Parent = "ns1"
	}
	if _, err := h.s.CreateQuota(t.Context(), spec); err != nil {
		_, _ = h.s.UpdateQuota(t.Context(), spec)
	}
}

// check compares what the books say with what runs.
func (h *huge) check(t *rapid.T) {
	require.NoError(t, h.s.VerifyQuota(t.Context()))
	used := make(map[string]placement.Resources)
	for _, a := range listed(t, h.s.Allocations) {
		sum, err := used[a.NodeID].Add(a.Request.Resources)
		require.NoError(t, err)
		used[a.NodeID] = sum
	}
	for _, n := range listed(t, h.s.Nodes) {
		require.Equal(t, used[n.ID].String(), n.Allocated.String())
		require.NoError(t, n.Held.Validate())
		require.NoError(t, n.Available.Validate())
		require.True(t, n.Available.FitsIn(n.Total))
	}
}
