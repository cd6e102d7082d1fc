package scheduler

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestFullNodeIsUsableLater: the number of instances that a node takes is part
// of the time axis, as amounts are.
func TestFullNodeIsUsableLater(t *testing.T) {
	c := newClock()
	t0 := c.Now()
	window := func(id string, from, to time.Duration) reservation.Spec {
		spec := holding(id, 4, 1)
		spec.Start, spec.End, spec.Duration = t0.Add(from), t0.Add(to), 0
		return spec
	}
	brief := onlyCPU("x", 1)
	brief.Duration = time.Minute
	tests := []struct {
		name string
		fill func(*Scheduler)
	}{
		{"of a reservation", func(s *Scheduler) { reserve(t, s, window("now", 0, time.Minute)) }},
		{"of an instance that will leave", func(s *Scheduler) { place(t, s, brief) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{Now: c.Now})
			n := testNode("n1", 8)
			n.MaxInstances = 1
			addNodes(t, s, n)
			test.fill(s)
			_, err := s.Reserve(t.Context(), window("r", time.Second, 2*time.Minute))
			var refused *reservation.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "n1", refused.Node, "it meets the rules")
			require.Equal(t, placement.NameInstances, refused.Short)
			require.Len(t, refused.Holders, 1)
			require.Equal(t, t0.Add(time.Minute), refused.Earliest)
			reserve(t, s, window("r", time.Minute, 2*time.Minute))
		})
	}
}

// TestReservationNowOnANodeThatIsOver: of which more is used than it has, of
// anything, a node takes nothing, but it may again once that has left.
func TestReservationNowOnANodeThatIsOver(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	brief := testRequest("x", 8)
	brief.Duration = time.Minute
	addNodes(t, s, testNode("n1", 8))
	place(t, s, brief)
	n := testNode("n1", 16)
	n.Capacity.Memory = placement.GiB
	_, err := s.UpdateNode(t.Context(), n)
	require.NoError(t, err)
	_, err = s.Reserve(t.Context(), holding("r", 4, 1))
	require.ErrorIs(t, err, reservation.ErrRefused)
	spec := holding("r", 4, 1)
	spec.Start = c.Now().Add(time.Minute)
	reserve(t, s, spec)
}

// countingGround counts the nodes that a decision looks at.
type countingGround struct {
	*planNodes
	visits int
}

func (g *countingGround) For(want *reservation.Want) iter.Seq2[string, reservation.Room] {
	return func(yield func(string, reservation.Room) bool) {
		g.planNodes.For(want)(func(node string, room reservation.Room) bool {
			g.visits++
			return yield(node, room)
		})
	}
}

// TestReserveLooksAtEachNodeOnce, however many slots are asked for, for a
// number of times that does not depend on how many there are.
func TestReserveLooksAtEachNodeOnce(t *testing.T) {
	c := newClock()
	tests := []struct {
		name  string
		edit  func(spec *reservation.Spec, nodes int)
		looks int // at each node
	}{
		{"accepted", func(*reservation.Spec, int) {}, 1},
		{"accepted for later", func(s *reservation.Spec, _ int) { s.Start = c.Now().Add(time.Hour) }, 1},
		{"refused", func(s *reservation.Spec, nodes int) { s.Count = 2*nodes + 1 }, 8},
		{"refused, with a higher priority", func(s *reservation.Spec, nodes int) { s.Count, s.Priority = 2*nodes+1, 1 }, 8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, nodes := range []int{20, 200} {
				s := newTestScheduler(t, Config{Now: c.Now})
				for i := range nodes {
					addNodes(t, s, testNode(fmt.Sprint("n", i), 8))
				}
				spec := holding("r", 4, 2*nodes)
				test.edit(&spec, nodes)
				g := &countingGround{planNodes: &planNodes{st: s.state}}
				_, _ = s.state.plan.Reserve(g, spec)
				require.LessOrEqual(t, g.visits, test.looks*nodes)
			}
		})
	}
}

// TestSlotsAreCountedOnce: what a decision looks up of the slots that it has chosen
// is in proportion to them, and it changes nothing.
func TestSlotsAreCountedOnce(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for i := range 8 {
		addNodes(t, s, testNode(fmt.Sprint("n", i), 8))
	}
	spec := holding("r", 4, 8)
	spec.Preferences = placement.Use(placement.BinPack).Across(placement.AtMostPer("", 1))
	g := &planNodes{st: s.state}
	version, found := s.state.index.Version(), 0
	for want := range 8 {
		taken := make([]string, want)
		for i := range taken {
			taken[i] = fmt.Sprint("n", i)
		}
		before := len(g.asked.Joined)
		for node := range g.For(&reservation.Want{ID: "r", Namespace: "ns", Preferences: spec.Preferences, Taken: taken}) {
			require.Equal(t, fmt.Sprint("n", want), node)
			break
		}
		found += len(g.asked.Joined) - before
	}
	require.Equal(t, 7, found)
	require.Equal(t, version, s.state.index.Version())
	spec.Count = 9
	_, err := s.Reserve(t.Context(), spec)
	require.ErrorIs(t, err, reservation.ErrRefused)
	spec.Count = 8
	reserve(t, s, spec)
}
