package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// named returns which nodes help, without what has to go there.
func named(h Help) Help {
	return Help{Uncordon: h.Uncordon, Tolerate: h.Tolerate, Waiting: h.Waiting, Preemption: h.Preemption, MoreNodes: h.MoreNodes}
}

// TestHelpKnowsWhatItCures has one node and an instance on it, so that each
// remedy either works there or nowhere.
func TestHelpKnowsWhatItCures(t *testing.T) {
	web := map[string]string{"app": "web"}
	repelling := placement.Repel(placement.Equal("app", "web"))
	attracting := placement.Attract(placement.Equal("app", "db"))
	tests := []struct {
		name  string
		rules placement.Preferences
		text  string
		want  Help
	}{
		{"one per node", placement.Preferences{}.Across(placement.AtMostPer("", 1)), "1 breaks spread over nodes", Help{Waiting: "n1", MoreNodes: "n1"}},
		{"one per zone", placement.Preferences{}.Across(placement.AtMostPer("zone", 1)), "1 breaks spread over zone", Help{Waiting: "n1"}},
		{"no rack to count in", placement.Preferences{}.Across(placement.AtMostPer("rack", 1)), "1 breaks spread over rack", Help{}},
		{"apart by node", placement.Preferences{}.Near(repelling), "1 breaks anti-affinity over nodes", Help{Waiting: "n1", MoreNodes: "n1"}},
		{"apart by zone", placement.Preferences{}.Near(repelling.Within("zone")), "1 breaks anti-affinity over zone", Help{Waiting: "n1"}},
		{"nothing to be near to", placement.Preferences{}.Near(attracting), "1 has no match for affinity over nodes", Help{}},
		{"taint", placement.Preferences{}.Require(placement.Exists("rack")), "1 fails rack exists", Help{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			addNodes(t, s, zoned("n1", "a"))
			first, req := labelled("first", web), labelled("second", web)
			first.Group, req.Group = "g", "g"
			place(t, s, first)
			req.Preferences = tt.rules
			e, err := s.Explain(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, tt.want, named(e.Help))
			require.Contains(t, e.String(), tt.text)
		})
	}
}

// TestPreemptionIsSoughtAmongFewInstances fills a node with as many instances as
// may be looked at, and with one more.
func TestPreemptionIsSoughtAmongFewInstances(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	for i := range preemptionLooks {
		place(t, s, placement.Request{ID: fmt.Sprint("low-", i), Namespace: "ns", Resources: placement.Resources{CPU: 1}})
	}
	urgent := testRequest("urgent", 8)
	urgent.Priority = 5
	e, err := s.Explain(t.Context(), urgent)
	require.NoError(t, err)
	require.Equal(t, "n1", e.Help.Preemption)
	place(t, s, placement.Request{ID: "one more", Namespace: "ns", Resources: placement.Resources{CPU: 1}})
	e, err = s.Explain(t.Context(), urgent)
	require.NoError(t, err)
	require.Equal(t, Help{Waiting: "n1", MoreNodes: "n1"}, named(e.Help))
}

// TestHelpByPreemptionIsTrue releases what would be preempted and places.
func TestHelpByPreemptionIsTrue(t *testing.T) {
	urgent := testRequest("urgent", 4)
	urgent.Priority = 5
	low := testRequest("low", 4)
	tests := []struct {
		name  string
		build func(t *testing.T, s *Scheduler)
		want  string
	}{
		{"beside reservations", func(t *testing.T, s *Scheduler) {
			t.Helper()
			place(t, s, low)
		}, "n1"},
		{"with an end", func(t *testing.T, s *Scheduler) {
			t.Helper()
			short := low
			short.Duration = time.Hour
			place(t, s, short)
		}, "n1"},
		{"in a slot, which stays held", func(t *testing.T, s *Scheduler) {
			t.Helper()
			reserve(t, s, reservation.Spec{ID: "r", Namespace: "ns", Shape: low.Resources, Count: 1, Duration: time.Hour})
			_, err := s.PlaceFromReservation(t.Context(), "r", low)
			require.NoError(t, err)
		}, ""},
		{"before a slot that begins later", func(t *testing.T, s *Scheduler) {
			t.Helper()
			reserve(t, s, reservation.Spec{
				ID: "r", Namespace: "ns", Shape: low.Resources, Count: 1,
				Start: s.now.Add(2 * time.Hour), Duration: time.Hour,
			})
			short := low
			short.Duration = time.Hour
			place(t, s, short)
		}, ""},
		{"of the same priority", func(t *testing.T, s *Scheduler) {
			t.Helper()
			same := low
			same.Priority = urgent.Priority
			place(t, s, same)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{Now: newClock().Now})
			addNodes(t, s, testNode("n1", 4))
			tt.build(t, s)
			before := snapshot(t, s)
			e, err := s.Explain(t.Context(), urgent)
			require.NoError(t, err)
			require.Equal(t, before, snapshot(t, s), "asking changes nothing")
			require.Equal(t, tt.want, e.Help.Preemption)

			require.NoError(t, s.Release(t.Context(), "low"))
			_, err = s.Place(t.Context(), urgent)
			if tt.want == "" && tt.name != "of the same priority" {
				require.ErrorIs(t, err, ErrUnschedulable)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// TestHelpByMoreNodesIsTrue adds the twin that is asked for.
func TestHelpByMoreNodesIsTrue(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("small", 2), testNode("large", 8))
	place(t, s, testRequest("a", 8))
	req := testRequest("b", 4)
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, Help{Waiting: "large", MoreNodes: "large"}, named(e.Help))
	twin, err := s.Node(t.Context(), e.Help.MoreNodes)
	require.NoError(t, err)
	twin.ID = "twin"
	addNodes(t, s, twin.Node)
	require.Equal(t, "twin", place(t, s, req).NodeID)
}

// TestHelpKnowsOtherNodes: a new node has no match for an attraction over nodes,
// an empty node is nothing to wait on, and a zone that does not exist for a rule
// is one that a new node brings.
func TestHelpKnowsOtherNodes(t *testing.T) {
	db := map[string]string{"app": "db"}
	near := placement.Preferences{}.Near(placement.Attract(placement.Equal("app", "db")))
	apart := placement.Preferences{}.Near(placement.Repel(placement.Equal("app", "db")).Within("zone"))
	t.Run("attraction over nodes", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, testNode("n1", 2), testNode("n2", 2))
		first := testRequest("db", 2)
		first.Labels = db
		place(t, s, first)
		req := testRequest("sidecar", 1)
		req.Preferences = near
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{}, named(e.Help), "if the database goes there is nothing to be near to")
	})
	t.Run("another node of the zone", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, zoned("n0", "a"), zoned("n1", "a"), zoned("n2", "a"))
		for _, id := range []string{"n1", "n2"} {
			_, err := s.Allocate(t.Context(), id, labelled("of "+id, db))
			require.NoError(t, err)
		}
		req := labelled("new", nil)
		req.Preferences = apart
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{}, named(e.Help), "no single node is in the way")
		require.NoError(t, s.Release(t.Context(), "of n1"))
		e, err = s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{Waiting: "n2"}, named(e.Help), "n2 is, n1 is empty")
	})
	t.Run("too few zones", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"), zoned("n3", "c"))
		require.NoError(t, s.Cordon(t.Context(), "n3"))
		req := spreading(placement.EvenlyOver("zone", 1).Needing(4))
		for i := range 2 {
			req.ID = fmt.Sprint(i)
			place(t, s, req)
		}
		req.ID = "new"
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{Uncordon: "n3", Waiting: "n1", MoreNodes: "n3"}, named(e.Help))
	})
	t.Run("no zone is open", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, zoned("n1", "a"))
		req := spreading(placement.EvenlyOver("zone", 1))
		place(t, s, req)
		require.NoError(t, s.Cordon(t.Context(), "n1"))
		req.ID = "new"
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, Help{Uncordon: "n1", MoreNodes: "n1"}, named(e.Help))
	})
	t.Run("tolerance opens an emptier zone", func(t *testing.T) {
		s := newTestScheduler(t, Config{})
		small := zoned("n2", "b")
		small.Capacity.CPU = 1
		addNodes(t, s, zoned("n1", "a"), small)
		req := spreading(placement.EvenlyOver("zone", 1))
		_, err := s.Allocate(t.Context(), "n1", req)
		require.NoError(t, err)
		for _, id := range []string{"n1", "n2"} {
			require.NoError(t, s.AddTaint(t.Context(), id, placement.Taint{Key: "t", Effect: placement.NoSchedule}))
		}
		req.ID, req.Resources.CPU = "new", 2
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Empty(t, e.Help.Tolerate)
		_, err = s.RemoveNode(t.Context(), "n2")
		require.NoError(t, err)
		e, err = s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, "n1", e.Help.Tolerate)
	})
}

// TestHelpIsTrueAndWhole carries out every remedy on every node, each on a cluster
// of its own, and then allocates there: the first node on which one works is
// named, and none if there is none. What is to be preempted, tolerated or larger is
// enough.
func TestHelpIsTrueAndWhole(t *testing.T) { rapid.Check(t, propertyHelp) }

func FuzzHelp(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyHelp)) }

func propertyHelp(t *rapid.T) {
	s := drawCluster(t)
	req := drawRequest(t)
	req.ID, req.Priority = "new", rapid.Int32Range(0, 1).Draw(t, "priority")
	e, err := s.Explain(t.Context(), req)
	require.NoError(t, err)
	if e.Fit > 0 {
		require.Equal(t, Help{}, named(e.Help))
		return
	}
	var want Help
	nodes := listed(t, s.Nodes)
	slices.SortFunc(nodes, func(a, b NodeInfo) int { return cmp.Compare(a.Join, b.Join) })
	books := snapshot(t, s)
	for _, n := range nodes {
		try := func(remedy *string, cure func(*Scheduler) string) {
			if *remedy != "" {
				return
			}
			again := restored(t, s, books)
			on := cure(again)
			if _, err := again.Allocate(t.Context(), on, req); err == nil {
				*remedy = n.ID
			}
		}
		try(&want.Waiting, func(s *Scheduler) string {
			emptyNode(t, s, n.ID, func(Allocation) bool { return true })
			for _, r := range listed(t, s.Reservations) {
				if !r.Spec.Maintenance { // which holds nothing
					require.NoError(t, s.ReleaseReservation(t.Context(), r.Spec.ID, true))
				}
			}
			return n.ID
		})
		try(&want.Uncordon, func(s *Scheduler) string {
			if n.State == NodeCordoned {
				require.NoError(t, s.Uncordon(t.Context(), n.ID))
			}
			return n.ID
		})
		try(&want.MoreNodes, func(s *Scheduler) string {
			twin := n.Node
			twin.ID = "twin"
			addNodes(t, s, twin)
			return "twin"
		})
	}
	require.Equal(t, want.MoreNodes, e.Help.MoreNodes)
	require.Equal(t, want.Waiting, e.Help.Waiting)
	require.Equal(t, want.Uncordon, e.Help.Uncordon)
	checkHelp(t, s, books, req, &e.Help)
}

// checkHelp follows the advice that names more than a node.
func checkHelp(t *rapid.T, s *Scheduler, books string, req placement.Request, h *Help) {
	t.Helper()
	if h.Preemption != "" {
		again := restored(t, s, books)
		require.NotEmpty(t, h.Victims)
		for _, id := range h.Victims {
			victim, err := again.Allocation(t.Context(), id)
			require.NoError(t, err)
			require.Less(t, victim.Request.Priority, req.Priority)
			require.Equal(t, h.Preemption, victim.NodeID)
			require.NoError(t, again.Release(t.Context(), id))
		}
		_, err := again.Allocate(t.Context(), h.Preemption, req)
		require.NoError(t, err)
	}
	if h.Tolerate != "" {
		tolerant := req
		for _, taint := range h.Taints {
			tolerant.Preferences = tolerant.Preferences.TolerateEqual(taint.Key, taint.Value)
		}
		_, err := restored(t, s, books).Allocate(t.Context(), h.Tolerate, tolerant)
		require.NoError(t, err)
	}
	if h.Larger != "" {
		again := restored(t, s, books)
		info, err := again.Node(t.Context(), h.Larger)
		require.NoError(t, err)
		larger := info.Node
		larger.ID, larger.MaxInstances = "larger", 0
		larger.Reserved, larger.Overcommit = placement.Resources{}, nil
		for name, amount := range h.Shape.All() {
			if name == placement.NameGPU && amount > 0 {
				count := (amount + placement.Device - 1) / placement.Device
				larger.Devices = placement.Devices{Count: int(count), Model: larger.Devices.Model}
				larger.Capacity.GPU = count * placement.Device
			} else if amount > 0 {
				larger.Capacity = larger.Capacity.With(name, amount)
			}
		}
		addNodes(t, again, larger)
		_, err = again.Allocate(t.Context(), "larger", req)
		require.NoError(t, err)
	}
}

// emptyNode releases those instances of a node.
func emptyNode(t testHelper, s *Scheduler, nodeID string, gone func(Allocation) bool) {
	t.Helper()
	for _, a := range listed(t, s.Allocations) {
		if a.NodeID == nodeID && gone(a) {
			require.NoError(t, s.Release(t.Context(), a.Request.ID))
		}
	}
}

// restored returns a scheduler of the same configuration that begins with the
// books of another.
func restored(t testHelper, s *Scheduler, books string) *Scheduler {
	t.Helper()
	next, err := Restore(t.Context(), s.cfg, strings.NewReader(books))
	require.NoError(t, err)
	return next
}
