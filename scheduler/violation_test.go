package scheduler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestViolationsOfEachRule: what has made it so, and what it takes away again.
func TestViolationsOfEachRule(t *testing.T) {
	const other = "other"
	amending := func(id string, change func(*placement.Request)) func(testHelper, *Scheduler) {
		return func(t testHelper, s *Scheduler) { t.Helper(); amended(t, s, id, change) }
	}
	relabelled := amending(other, func(req *placement.Request) { req.Labels = map[string]string{"app": "x"} })
	tests := []struct {
		name   string
		rules  func(placement.Preferences) placement.Preferences
		change func(testHelper, *Scheduler)
		want   []string
	}{
		{"a label that is gone", func(p placement.Preferences) placement.Preferences {
			return p.Require(placement.Equal("zone", "a"))
		}, func(t testHelper, s *Scheduler) {
			require.NoError(t, s.RemoveLabel(t.Context(), "n1", "zone"))
		}, []string{"fails zone = a"}},
		{"a taint that is new", nil, func(t testHelper, s *Scheduler) {
			require.NoError(t, s.AddTaint(t.Context(), "n1", placement.Taint{Key: "k", Effect: placement.NoSchedule}))
		}, []string{"has taint k:NoSchedule"}},
		{"a port that somebody was found with", nil, func(t testHelper, s *Scheduler) {
			found := testRequest("found", 1)
			found.Ports = tcp(80)
			_, err := s.AdoptNode(t.Context(), zoned("n1", "a"), []Report{{Request: found}})
			require.NoError(t, err)
		}, []string{"has port 80 taken"}},
		{"a match that is gone", func(p placement.Preferences) placement.Preferences {
			return p.Near(placement.Attract(placement.Equal("app", "y")))
		}, relabelled, []string{"has no match for affinity over nodes"}},
		{"one to keep away from", func(p placement.Preferences) placement.Preferences {
			return p.Near(placement.Repel(placement.Equal("app", "x")))
		}, relabelled, []string{"breaks anti-affinity over nodes"}},
		{"one that keeps away", nil, amending(other, func(req *placement.Request) {
			req.Preferences = req.Preferences.Near(placement.Repel(placement.Equal("app", "me")).Within("zone"))
		}), []string{"is kept free by anti-affinity of others over zone"}},
		{"too many in a domain", func(p placement.Preferences) placement.Preferences {
			return p.Across(placement.AtMostPer("zone", 1).Counting(placement.In("app", "me", "x")))
		}, relabelled, []string{"breaks spread over zone"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"))
			allocate(t, s, "n1", labelled(other, map[string]string{"app": "y"}))
			me := labelled("me", map[string]string{"app": "me"})
			me.Ports = tcp(80)
			if test.rules != nil {
				me.Preferences = test.rules(me.Preferences)
			}
			allocate(t, s, "n1", me)
			f := forkOf(t, s)
			require.Empty(t, listed(t, s.Violations))
			test.change(t, s)
			var of *BrokenRules
			for _, v := range listed(t, s.Violations) {
				if v.ID == "me" {
					of = &v
				}
			}
			require.NotNil(t, of)
			require.Equal(t, []any{"n1", uint64(1)}, []any{of.NodeID, of.Generation})
			var got []string
			for _, f := range of.Broken {
				got = append(got, f.String())
			}
			require.Equal(t, test.want, got)
			done := amended(t, s, "me", func(req *placement.Request) { req.Priority = 1 })
			require.Equal(t, of.Broken, done.Broken)
			require.Empty(t, listed(t, f.Violations), "nor on a fork of before")
			require.Equal(t, listed(t, s.Violations), listed(t, forkOf(t, s).Violations))

			require.NoError(t, s.Leave(t.Context(), "me"))
			for _, v := range listed(t, s.Violations) {
				require.NotEqual(t, "me", v.ID, "what leaves is judged no more")
			}
			require.NoError(t, s.Stay(t.Context(), "me"))
			require.NoError(t, s.MarkLost(t.Context(), "n1"))
			require.Empty(t, listed(t, s.Violations), "nor what is lost")
		})
	}
}

// TestNoViolationOfWhatIsNoRule: a node that takes no more, or has less than is used,
// and dynamic ports that it would not give again.
func TestNoViolationOfWhatIsNoRule(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{Now: newClock().Now})
	n := testNode("n1", 4)
	n.DynamicPorts = placement.PortRange{First: 100, Last: 101}
	addNodes(t, s, n)
	a := onlyCPU("a", 2)
	a.DynamicPorts = 2
	place(t, s, a)
	require.NoError(t, s.Cordon(ctx, "n1"))
	n.DynamicPorts, n.MaxInstances, n.Capacity.CPU = placement.PortRange{}, 1, placement.Core
	_, err := s.UpdateNode(ctx, n)
	require.NoError(t, err)
	_, err = s.AdoptNode(ctx, n, []Report{{Request: testRequest("more", 9)}})
	require.NoError(t, err)
	require.Empty(t, listed(t, s.Violations))
}
