package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestExplainReadsLikeASentence(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for i := range 12 {
		n := testNode(fmt.Sprint("n", i+1), 4)
		n.Labels = map[string]string{"region": "us-east-1"}
		switch {
		case i < 7:
			n.Capacity.CPU = 3*placement.Core + int64(i%3)*250
		case i < 10:
			n.Taints = []placement.Taint{{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule}}
		default:
			n.Labels["region"] = "eu-west-1"
		}
		addNodes(t, s, n)
	}
	req := testRequest("a", 4)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.In("region", "us-east-1", "us-east-2"))
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, "0 of 12 nodes fit: 7 lack cpu (nearest n3 lacks 500m), "+
		"3 have taint dedicated=gpu:NoSchedule, 2 are not in region us-east-1|us-east-2 (n11 has eu-west-1); "+
		"would help: tolerating dedicated=gpu:NoSchedule of n8, a node like n1 with cpu=4", e.String())
	_, err = s.Place(t.Context(), req)
	require.Equal(t, []string{
		"3 have taint dedicated=gpu:NoSchedule", "2 are not in region us-east-1|us-east-2", "7 lack cpu",
	}, refusals(t, err), "the data stand in filter order")
	require.EqualError(t, err, "scheduler: 0 of 12 nodes fit a: 7 lack cpu, "+
		"3 have taint dedicated=gpu:NoSchedule, 2 are not in region us-east-1|us-east-2")
}

func TestExplainHelp(t *testing.T) {
	full := func(t *testing.T, priority int32) *Scheduler {
		t.Helper()
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 2), testNode("n2", 4))
		req := testRequest("a", 4)
		req.Priority = priority
		place(t, s, req)
		return s
	}
	req := testRequest("b", 4)
	t.Run("waiting", func(t *testing.T) {
		e, err := full(t, 0).Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{Waiting: "n2", MoreNodes: "n2"}, named(e.Help))
	})
	t.Run("preemption", func(t *testing.T) {
		s := full(t, -1)
		before := snapshot(t, s)
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{Waiting: "n2", Preemption: "n2", MoreNodes: "n2"}, named(e.Help))
		require.Equal(t, before, snapshot(t, s))
		info, err := s.Node(t.Context(), "n2")
		require.NoError(t, err)
		require.Zero(t, info.Available.CPU, "asking takes nothing away")
	})
	t.Run("nothing", func(t *testing.T) {
		e, err := full(t, 0).Explain(t.Context(), testRequest("b", 5))
		require.NoError(t, err)
		require.Equal(t, Help{}, named(e.Help))
	})
	t.Run("uncordoning is no waiting", func(t *testing.T) {
		s := full(t, 0)
		require.NoError(t, s.Cordon(t.Context(), "n2"))
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{MoreNodes: "n2"}, named(e.Help), "the instance there is in the way too")
	})
}

func TestExplainNodeListsAllFailures(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 2)
	n.Taints = []placement.Taint{{Key: "k", Effect: placement.NoSchedule}}
	addNodes(t, s, n)
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	req := testRequest("a", 4)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Exists("zone"), placement.Equal("disk", "ssd"))
	v, err := s.ExplainNode(t.Context(), req, "n1")
	require.NoError(t, err)
	require.False(t, v.Fits)
	var kinds []placement.ReasonKind
	for _, f := range v.Failures {
		kinds = append(kinds, f.Reason.Kind)
	}
	require.Equal(t, []placement.ReasonKind{
		placement.ReasonState, placement.ReasonTaint, placement.ReasonConstraint, placement.ReasonConstraint,
		placement.ReasonResource,
	}, kinds)
	require.Equal(t, int64(2*placement.Core), v.Failures[4].Shortfall)
	_, err = s.ExplainNode(t.Context(), req, "n2")
	require.ErrorIs(t, err, ErrNotFound)

	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, v, *e.NearestMiss)
	require.Len(t, e.First, 1)
	require.Len(t, e.Failed, 5)
}

// TestRefusalsNameWhatCannotBeRead tells a version that is too old from a label
// that is none.
func TestRefusalsNameWhatCannotBeRead(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for id, driver := range map[string]string{"n1": "470.223.02", "n2": "N/A", "n3": "N/A"} {
		n := testNode(id, 1)
		n.Labels = map[string]string{"driver": driver}
		addNodes(t, s, n)
	}
	req := testRequest("a", 1)
	req.Preferences = placement.Preferences{}.Require(placement.Version("driver", ">= 525"))
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{`1 fails driver version ">= 525"`, `2 fail driver version ">= 525" (cannot read "N/A")`}, refusals(t, err))
	v, err := s.ExplainNode(t.Context(), req, "n2")
	require.NoError(t, err)
	require.Equal(t, "N/A", v.Failures[0].Reason.Value)
	require.Equal(t, `fails driver version ">= 525" (cannot read "N/A")`, v.Failures[0].String())
}

// TestEveryFilterFailsInItsOrder asks for what one node cannot give in any
// way, and then takes the first reason away, again and again.
func TestEveryFilterFailsInItsOrder(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	n := placement.Node{
		ID: "n1", MaxInstances: 2, Labels: map[string]string{"zone": "a"},
		Capacity: placement.Resources{CPU: 1, Memory: 1, Disk: 2, Network: 1, Custom: map[string]int64{"b": 1}},
		Taints:   []placement.Taint{{Key: "t", Effect: placement.NoExecute}},
	}
	addNodes(t, s, n)
	tolerant := placement.Use(placement.BinPack).TolerateExists("t")
	holder := placement.Request{
		ID: "holder", Namespace: "ns", Group: "g", Labels: map[string]string{"app": "x"}, Ports: tcp(80, 443),
		Preferences: tolerant.Near(placement.Repel(placement.Equal("app", "y")).Within("zone")),
	}
	place(t, s, holder)
	reserve(t, s, reservation.Spec{
		ID: "r", Namespace: "ns", Shape: placement.Resources{Disk: 2}, Count: 1, Duration: time.Hour, Preferences: tolerant,
	})
	require.NoError(t, s.Cordon(ctx, "n1"))
	req := placement.Request{
		ID: "new", Namespace: "ns", Group: "g", Labels: map[string]string{"app": "y"}, Ports: tcp(443, 80),
		Resources: placement.Resources{
			CPU: 2, Memory: 3, Disk: 1, Network: 4, GPU: placement.Device, Custom: map[string]int64{"b": 2, "a": 7},
		},
		Preferences: placement.Use(placement.BinPack).
			Require(placement.Exists("z"), placement.Exists("a")).
			Near(placement.Repel(placement.Equal("app", "x")), placement.Attract(placement.Equal("app", "z")).Within("zone")).
			Across(placement.AtMostPer("zone", 1), placement.EvenlyOver("rack", 1)),
	}
	want := []string{
		"is cordoned", "has taint t:NoExecute", "fails z exists", "fails a exists", "is full of instances",
		"has port 443 taken", "has port 80 taken", "lacks cpu 1", "lacks memory 2", "lacks network 3", "lacks gpu 1000",
		"lacks a 7", "lacks b 1", "has no match for affinity over zone", "is kept free by anti-affinity of others over zone", "breaks anti-affinity over nodes",
		"breaks spread over zone", "breaks spread over rack", "has disk held by reservations 1",
	}
	cures := []func(){
		func() { require.NoError(t, s.Uncordon(ctx, "n1")) },
		func() { req.Preferences.Tolerations = tolerant.Tolerations },
		func() { req.Preferences.Required = req.Preferences.Required[1:] },
		func() { req.Preferences.Required = nil },
		func() { n.MaxInstances = 0; _, err := s.UpdateNode(ctx, n); require.NoError(t, err) },
		func() { req.Ports = tcp(80) },
		func() { req.Ports = nil },
		func() { req.Resources.CPU = 1 },
		func() { req.Resources.Memory = 1 },
		func() { req.Resources.Network = 1 },
		func() { req.Resources.GPU = 0 },
		func() { req.Resources.Custom = map[string]int64{"b": 2} },
		func() { req.Resources.Custom = nil },
		func() { req.Preferences.Affinity = req.Preferences.Affinity[:1] },
		func() { req.Labels = nil },
		func() { req.Preferences.Affinity = nil },
		func() { req.Group = "other" },
		func() { req.Preferences.Spread = nil },
		func() { req.Resources.Disk = 0 },
	}
	kinds := make(map[placement.ReasonKind]bool)
	for i, cure := range cures {
		v, err := s.ExplainNode(ctx, req, "n1")
		require.NoError(t, err)
		var got []string
		for _, f := range v.Failures {
			kinds[f.Reason.Kind] = true
			text := predicate(f.Reason, false)
			if f.Reason.Name != "" {
				text += fmt.Sprint(" ", f.Shortfall)
			}
			got = append(got, text)
		}
		require.Equal(t, want[i:], got)
		_, err = s.Place(ctx, req)
		require.Equal(t, []ReasonCount{{v.Failures[0].Reason, 1}}, refusedFor(t, err))
		cure()
	}
	place(t, s, req)
	for kind := placement.ReasonState; kind.String() != "none"; kind++ {
		require.True(t, kinds[kind], "no filter of kind %s was failed: see placement.ReasonKind for what a new kind needs", kind)
	}
}

func refusedFor(t testHelper, err error) []ReasonCount {
	t.Helper()
	var refused *UnschedulableError
	require.ErrorAs(t, err, &refused)
	return refused.Reasons
}

func TestExplainShowsEveryTermOfTheScore(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"))
	req := testRequest("a", 1)
	req.Preferences = placement.Use(placement.BinPack).
		Prefer(placement.Equal("zone", "b"), 10).
		Near(placement.Attract(placement.Equal("app", "x")).Within("zone").Weighing(5)).
		Across(placement.EvenlyOver("zone", 1).Weighing(3))
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, 2, e.Fit)
	require.Equal(t, "n2", e.Candidates[0].NodeID)
	require.Equal(t, []SoftTerm{
		{Rule: "zone = b", Weight: 10, Value: placement.Unit},
		{Rule: "near app = x over zone", Weight: 5},
		{Rule: "spread over zone", Weight: 3, Value: placement.Unit},
	}, e.Candidates[0].Soft)
	for _, c := range e.Candidates {
		var soft int64
		for _, term := range c.Soft {
			soft += term.Weight * term.Value
		}
		require.Equal(t, c.Terms.Soft, soft)
		require.Equal(t, c.Terms.Normalized(), c.Score)
	}
	d, err := s.Schedule(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, e.Candidates[0].Score, d.Score)
	require.Contains(t, e.String(), "2 of 2 nodes fit; best n2 with")
}

func TestExplainTellsOfTheQuota(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("ns", 2))
	e, err := s.Explain(t.Context(), testRequest("a", 4))
	require.NoError(t, err)
	require.Equal(t, 1, e.Fit)
	require.Len(t, e.Exceeded, 1)
	require.Contains(t, e.String(), "against quota: cpu: 4 requested")
}

// TestExplanationsAddUp holds the counts of refusals and explanations to the
// sum of the verdicts on single nodes.
func TestExplanationsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawCluster(t)
		req := drawRequest(t)
		req.ID = "new"
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		first, failed, fit := make(map[placement.Reason]int), make(map[placement.Reason]int), 0
		for _, n := range listed(t, s.Nodes) {
			v, err := s.ExplainNode(t.Context(), req, n.ID)
			require.NoError(t, err)
			if v.Fits {
				fit++
				continue
			}
			first[v.Failures[0].Reason]++
			for _, f := range v.Failures {
				failed[f.Reason]++
			}
		}
		require.Equal(t, fit, e.Fit)
		require.Equal(t, sortedCounts(first), e.First)
		require.Equal(t, sortedCounts(failed), e.Failed)
		if _, err := s.Place(t.Context(), req); fit == 0 {
			var refused *UnschedulableError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, e.First, refused.Reasons)
		}
	})
}

func sortedCounts(counts map[placement.Reason]int) []ReasonCount {
	var list []ReasonCount
	for reason, nodes := range counts {
		list = append(list, ReasonCount{reason, nodes})
	}
	slices.SortFunc(list, func(a, b ReasonCount) int { return placement.CompareReasons(a.Reason, b.Reason) })
	return list
}
