package scheduler

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// drawCluster draws a cluster with holds, cordons, maintenance and instances on it.
func drawCluster(t *rapid.T) *Scheduler {
	s := newTestScheduler(t, Config{Seed: rapid.Uint64().Draw(t, "seed"), Now: newClock().Now})
	for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
		n := zoned(fmt.Sprint("n", i), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"))
		n.Capacity.CPU = rapid.Int64Range(1, 4).Draw(t, "cores") * placement.Core
		n.Devices.Count = rapid.IntRange(0, 2).Draw(t, "devices")
		n.Labels["load"] = rapid.SampledFrom([]string{"0", "499", "1000", "high"}).Draw(t, "load")
		n.MaxInstances = rapid.SampledFrom([]int64{0, 0, 1, 2}).Draw(t, "cap")
		if rapid.IntRange(0, 3).Draw(t, "tainted") == 0 {
			effect := rapid.SampledFrom([]placement.Effect{placement.PreferNoSchedule, placement.NoSchedule}).Draw(t, "effect")
			n.Taints = []placement.Taint{{Key: "t", Effect: effect}}
		}
		addNodes(t, s, n)
		if rapid.IntRange(0, 3).Draw(t, "cordoned") == 0 {
			require.NoError(t, s.Cordon(t.Context(), n.ID))
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "reservations") {
		_, _ = s.Reserve(t.Context(), reservation.Spec{
			ID: fmt.Sprint("r", i), Namespace: "ns", Count: rapid.IntRange(1, 2).Draw(t, "slots"),
			Shape: placement.Resources{CPU: rapid.Int64Range(1, 3).Draw(t, "slot") * placement.Core},
			Start: s.now.Add(time.Hour), Duration: time.Hour,
		})
	}
	for range rapid.IntRange(0, 8).Draw(t, "instances") {
		_, _ = s.Place(t.Context(), drawRequest(t))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "maintenance") {
		_, _ = s.Reserve(t.Context(), reservation.Spec{
			ID: fmt.Sprint("repair", i), Node: fmt.Sprint("n", rapid.IntRange(0, 2).Draw(t, "closes")), Maintenance: true,
			Start: s.now.Add(rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "in")), Duration: time.Hour,
		})
	}
	return s
}

// TestExplanationIsTheDecision holds the candidates to what is decided: the
// first is the choice, and the terms of each make its score.
func TestExplanationIsTheDecision(t *testing.T) { rapid.Check(t, propertyExplanation) }

func FuzzExplanation(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyExplanation)) }

func propertyExplanation(t *rapid.T) {
	s := drawCluster(t)
	req := drawRequest(t)
	req.ID = "new"
	req.Preferences = req.Preferences.
		Prefer(placement.Equal("zone", "a"), rapid.SampledFrom([]int{-100, -3, 7, 100}).Draw(t, "weight")).
		PreferScaled("load", rapid.SampledFrom([]int{-100, -3, 7, 100}).Draw(t, "scaled")).
		Near(placement.Attract(placement.Equal("app", "x")).Within("zone").Weighing(9)).
		Across(
			placement.EvenlyOver("zone", 1).Counting(placement.Equal("app", "x")).Weighing(5),
			placement.ShareOver("zone", map[string]int{"a": 70}, 4).Counting(placement.Exists("app")),
		)
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, e.Candidates, min(e.Fit, explainedCandidates))
	d, err := s.Schedule(t.Context(), req)
	require.Equal(t, e.Fit == 0, err != nil, "%v", err)
	for i, c := range e.Candidates {
		require.True(t, c.Fits)
		if i == 0 {
			require.Equal(t, d.NodeID, c.NodeID, "%s", req.Preferences.Strategy)
			require.Equal(t, d.Score, c.Score)
		}
		requireTermsAddUp(t, c)
		if req.Duration == 0 && !req.Yield { // else it may stand on what is held for later
			requireStrategyTerm(t, s, &req, c)
		}
		if previous := e.Candidates[max(0, i-1)]; req.Preferences.Strategy == placement.BinPack {
			require.GreaterOrEqual(t, placement.Score(previous.Terms), placement.Score(c.Terms))
		}
		alone, err := s.ExplainNode(t.Context(), req, c.NodeID)
		require.NoError(t, err)
		require.Equal(t, c, alone)
	}
	if e.Fit == 0 {
		return
	}
	place(t, s, req)
	other := req
	other.ID = "other"
	elsewhere, refused := s.Schedule(t.Context(), other)
	again, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	if s.state.leavesRoom(s.state.allocations.At("new")) && req.Preferences.Strategy != placement.Random {
		again.Version = e.Version
		require.Equal(t, e, again, "as before it was placed")
	}
	same, sameRefused := s.Schedule(t.Context(), other)
	require.Equal(t, elsewhere, same, "asking changes nothing")
	require.Equal(t, refused, sameRefused)
}

// requireStrategyTerm computes R from what the nodes show of themselves.
func requireStrategyTerm(t testHelper, s *Scheduler, req *placement.Request, v NodeVerdict) {
	t.Helper()
	var scale placement.Scale
	for _, n := range listed(t, s.Nodes) {
		scale = scale.With(n.Total)
	}
	n, err := s.Node(t.Context(), v.NodeID)
	require.NoError(t, err)
	r, bound := scale.BinPack(n.Available, n.Total)
	if req.Preferences.Strategy == placement.Spread {
		r, bound = scale.Spread(n.Available, n.Total, req.Resources)
	}
	require.Equal(t, r, v.Terms.Strategy)
	require.Equal(t, bound, v.Terms.Bound)
}

func requireTermsAddUp(t require.TestingT, v NodeVerdict) {
	sum := int64(0)
	for _, term := range v.Soft {
		sum += term.Weight * term.Value
	}
	require.Equal(t, v.Terms.Soft, sum)
	require.Equal(t, v.Terms.Normalized(), v.Score)
	require.LessOrEqual(t, v.Terms.SoftLow, sum)
	require.LessOrEqual(t, sum, v.Terms.SoftHigh)
}

func TestSoftRulesHaveNames(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := zoned("n1", "a")
	n.Taints = []placement.Taint{{Key: "k", Effect: placement.PreferNoSchedule}}
	n.Labels["load"], n.Labels["heat"] = "250", "12.5"
	addNodes(t, s, n)
	req := testRequest("a", 1)
	req.Preferences = placement.Use(placement.BinPack).
		Prefer(placement.Exists("rack"), -4).
		PreferScaled("load", -50).PreferScaled("heat", 8).PreferScaled("price", 9).
		Near(placement.Repel(placement.Constraint{}).Weighing(2), placement.Attract(placement.Equal("app", "x")).Within("zone").Weighing(3)).
		Across(placement.ShareOver("zone", map[string]int{"a": 50}, 6), placement.EvenlyOver("", 1).Weighing(7))
	v, err := s.ExplainNode(t.Context(), req, "n1")
	require.NoError(t, err)
	require.Equal(t, []SoftTerm{
		{Rule: "rack exists", Weight: -4},
		{Rule: "scaled load", Weight: -50, Value: placement.Unit / 4},
		{Rule: "scaled heat", Weight: 8, Unread: "12.5"},
		{Rule: "scaled price", Weight: 9},
		{Rule: "PreferNoSchedule taint", Weight: -100, Value: placement.Unit},
		{Rule: "near app = x over zone", Weight: 3},
		{Rule: "apart from any over nodes", Weight: -2},
		{Rule: "shares over zone", Weight: 6, Value: placement.Unit},
		{Rule: "spread over nodes", Weight: 7, Value: placement.Unit},
	}, v.Soft)
	requireTermsAddUp(t, v)
}

// TestExplainPlacedRequest asks why an instance runs where it does.
func TestExplainPlacedRequest(t *testing.T) {
	full := testRequest("a", 4)
	alone := labelled("a", map[string]string{"app": "x"})
	alone.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "x")).Within("zone"))
	capped := spreading(placement.AtMostPer("zone", 1))
	capped.ID = "a"
	scattered := testRequest("a", 1)
	scattered.Preferences = placement.Use(placement.Spread)
	short := testRequest("a", 4)
	short.Duration = time.Hour
	ported := testRequest("a", 1)
	ported.Ports = tcp(80)
	tests := []struct {
		name string
		req  placement.Request
	}{
		{"a full node", full},
		{"apart from its like", alone},
		{"one per zone", capped},
		{"spread", scattered},
		{"with an end", short},
		{"with a port", ported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			n := zoned("n1", "a")
			n.Capacity = testNode("n1", 4).Capacity
			addNodes(t, s, n)
			createQuota(t, s, cpuQuota("ns", 4))
			before, err := s.Explain(t.Context(), tt.req)
			require.NoError(t, err)
			d := place(t, s, tt.req)
			books := snapshot(t, s)
			after, err := s.Explain(t.Context(), tt.req)
			require.NoError(t, err)
			require.Equal(t, books, snapshot(t, s), "asking changes nothing")
			before.Version = after.Version
			require.Equal(t, before, after)
			require.Equal(t, d.NodeID, after.Candidates[0].NodeID)
			require.Equal(t, d.Score, after.Candidates[0].Score)
			v, err := s.ExplainNode(t.Context(), tt.req, d.NodeID)
			require.NoError(t, err)
			require.Equal(t, after.Candidates[0], v)

			other := tt.req
			other.ID = "b"
			place2, err := s.Explain(t.Context(), other)
			require.NoError(t, err)
			if tt.name != "spread" {
				require.Zero(t, place2.Fit, "the instance is in the way of others again")
			}
		})
	}
	t.Run("another request under the ID", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 4))
		place(t, s, full)
		e, err := s.Explain(t.Context(), testRequest("a", 3))
		require.NoError(t, err)
		require.Zero(t, e.Fit)
	})
	t.Run("in a slot of a reservation", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 4))
		reserve(t, s, reservation.Spec{ID: "r", Namespace: "ns", Shape: full.Resources, Count: 1, Duration: time.Hour})
		_, err := s.PlaceFromReservation(t.Context(), "r", full)
		require.NoError(t, err)
		e, err := s.Explain(t.Context(), full)
		require.NoError(t, err)
		require.Zero(t, e.Fit, "its room is the reservation's")
		require.Empty(t, e.Exceeded)
	})
}

func TestExplainNamesTheNearestForEveryDimension(t *testing.T) {
	s := newTestScheduler(t, Config{})
	tainted := testNode("n3", 3)
	tainted.Taints = []placement.Taint{{Key: "k", Effect: placement.NoSchedule}}
	addNodes(t, s, testNode("n1", 1), testNode("n2", 2), tainted)
	req := testRequest("a", 4)
	req.Resources.Memory = 20 * placement.GiB
	req.Resources.Custom = map[string]int64{"licence": 2}
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	resource := func(name placement.ResourceName) placement.Reason {
		return placement.Reason{Kind: placement.ReasonResource, Name: name}
	}
	require.Equal(t, []Miss{
		{Reason: resource(placement.NameCPU), NodeID: "n2", Shortfall: 2 * placement.Core}, // n3 fails its taint first
		{Reason: resource(placement.NameMemory), NodeID: "n3", Shortfall: 8 * placement.GiB},
		{Reason: resource("licence"), NodeID: "n1", Shortfall: 2},
	}, e.Nearest)
	require.Equal(t, "0 of 3 nodes fit: 2 lack cpu (never fits: the largest, n3, gives 3), 1 has taint k:NoSchedule; "+
		"nearest miss n1: lacks cpu (short of 3), lacks memory (short of 16GiB), lacks licence (short of 2); "+
		"would help: a node like n1 with cpu=4 memory=20GiB licence=2", e.String())
}

// TestNearestMissIsExact tells apart shortfalls whose difference is small
// beside the largest node, or that are above it.
func TestNearestMissIsExact(t *testing.T) {
	tests := []struct {
		name          string
		memory, extra int64
	}{
		{"a byte", 1 << 40, 0},
		{"above the largest node", 1 << 40, 1 << 42},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			for i, memory := range []int64{tt.memory - 2, tt.memory - 1, tt.memory - 1} {
				addNodes(t, s, placement.Node{ID: fmt.Sprint("n", i), Capacity: placement.Resources{CPU: 1, Memory: memory}})
			}
			e, err := s.Explain(t.Context(), placement.Request{ID: "a", Resources: placement.Resources{Memory: tt.memory + tt.extra}})
			require.NoError(t, err)
			require.Equal(t, "n1", e.NearestMiss.NodeID)
		})
	}
}

// TestExplainedJSON sends what is told of decisions through JSON and back.
func TestExplainedJSON(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"))
	createQuota(t, s, cpuQuota("ns", 2))
	req := testRequest("a", 1)
	req.Preferences = placement.Use(placement.BinPack).Prefer(placement.Equal("zone", "b"), 10)
	fits, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	requireJSON(t, fits)
	requireJSON(t, place(t, s, req))
	large := testRequest("b", 65)
	large.Ports = tcp(80)
	refused, err := s.Explain(t.Context(), large)
	require.NoError(t, err)
	require.NotEmpty(t, refused.Exceeded)
	requireJSON(t, refused)
	_, err = s.Place(t.Context(), large)
	var unschedulable *UnschedulableError
	require.ErrorAs(t, err, &unschedulable)
	requireJSON(t, *unschedulable)
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.ErrorIs(t, err, ErrUnschedulable)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	requireJSON(t, a)
	n, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	requireJSON(t, n)

	data, err := json.Marshal(fits.Candidates[0])
	require.NoError(t, err)
	require.JSONEq(t, `{
		"nodeID": "n2", "fits": true, "score": 90,
		"terms": {"strategy": 0, "bound": 2097152, "soft": 10485760, "softLow": 0, "softHigh": 10485760},
		"soft": [{"rule": "zone = b", "weight": 10, "value": 1048576}]
	}`, string(data))
}

func requireJSON[T any](t *testing.T, value T) {
	t.Helper()
	data, err := json.Marshal(value)
	require.NoError(t, err)
	var same T
	require.NoError(t, json.Unmarshal(data, &same))
	require.Equal(t, value, same, "%s", data)
	require.NotRegexp(t, `"[A-Z][A-Za-z]*":`, string(data), "every name begins small")
}
