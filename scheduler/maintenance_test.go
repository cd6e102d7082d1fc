package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// closes is an hour of maintenance of n1 an hour from now, with ten minutes' notice.
func closes(c *clock) reservation.Spec {
	return reservation.Spec{
		ID: "repair", Node: "n1", Maintenance: true, Start: c.Now().Add(time.Hour), Duration: time.Hour, Notice: 10 * time.Minute,
	}
}

// TestMaintenanceClosesANode: what runs without an end is asked to leave in time,
// nothing new lands from then on, and a replay ends in the same state.
func TestMaintenanceClosesANode(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	var asked []string
	cfg := Config{Journal: journal, Now: c.Now}
	hooked := cfg
	hooked.Hooks = hookOn(func(_ Event, e *ReservationEvent) {
		if e.Kind == reservation.YieldDue || e.Kind == reservation.Closing {
			asked = append(asked, string(e.Kind)+" "+e.Instance)
			require.Equal(t, "n1", e.Node)
		}
	})
	s := open(t, hooked)
	addNodes(t, s, testNode("n1", 8), testNode("n2", 1))
	reserve(t, s, closes(c))
	for _, id := range []string{"never ends", "endless"} { // told by ID
		allocate(t, s, "n1", onlyCPU(id, 1))
	}
	lasts := onlyCPU("lasts", 1)
	lasts.Duration = time.Hour
	allocate(t, s, "n1", lasts)

	tooLong := onlyCPU("long", 1)
	tooLong.Duration = time.Hour + 1
	require.Equal(t, "n2", place(t, s, tooLong).NodeID)
	tooLong.ID = "longer"
	_, err := s.Place(t.Context(), tooLong)
	require.ErrorContains(t, err, "1 is closed for maintenance, 1 lacks cpu")
	_, err = s.Allocate(t.Context(), "n1", tooLong)
	require.ErrorContains(t, err, "1 is closed for maintenance")
	v, err := s.ExplainNode(t.Context(), tooLong, "n1")
	require.NoError(t, err)
	require.False(t, v.Fits)

	c.advance(50 * time.Minute)
	_, err = s.Place(t.Context(), onlyCPU("late", 1))
	require.ErrorContains(t, err, "1 is closed for maintenance")
	require.Equal(t, []string{"closing ", "yield-due endless", "yield-due never ends", "yield-due lasts"}, asked)
	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, NodeClosed, info.State)
	replayed := open(t, cfg)
	require.Equal(t, snapshot(t, s), snapshot(t, replayed))
	_, err = replayed.Place(t.Context(), onlyCPU("late", 1))
	require.ErrorIs(t, err, ErrUnschedulable)

	c.advance(70 * time.Minute)
	require.Equal(t, "n1", place(t, replayed, onlyCPU("late", 1)).NodeID)
}

// TestWhatTurnsUpOnAClosedNodeIsAskedToLeave: nobody decided on what a worker reports,
// what comes back with its node, and on a generation that goes on after all; but for
// what says that it leaves before.
func TestWhatTurnsUpOnAClosedNodeIsAskedToLeave(t *testing.T) {
	c := newClock()
	var asked []string
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: hookOn(func(_ Event, e *ReservationEvent) {
		if e.Kind == reservation.YieldDue {
			require.Equal(t, []string{"n1", "repair"}, []string{e.Node, e.Reservation})
			asked = append(asked, fmt.Sprintf("%s in %s", e.Instance, e.Due.Sub(c.Now())))
		}
	})})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	told := func(want ...string) {
		t.Helper()
		require.Equal(t, want, asked)
		asked = nil
	}
	for _, id := range []string{"lost", "moves"} {
		allocate(t, s, "n1", onlyCPU(id, 1))
	}
	_, err := s.Move(t.Context(), "moves", "n2")
	require.NoError(t, err)
	reserve(t, s, closes(c))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	c.advance(50 * time.Minute)
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	told()
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	told("lost in 10m0s")
	_, err = s.KeepGeneration(t.Context(), "moves", 1)
	require.NoError(t, err)
	told("moves in 10m0s")

	brief, long, yields := onlyCPU("brief", 1), onlyCPU("long", 1), onlyCPU("yields", 1)
	brief.Duration, long.Duration, yields.Yield = 10*time.Minute, 10*time.Minute+1, true
	_, err = s.AdoptNode(t.Context(), testNode("n1", 8), []Report{{Request: brief}, {Request: long}, {Request: yields}})
	require.NoError(t, err)
	told("long in 10m0s", "yields in 10m0s")
	stay, _ := s.state.plan.Stay("yields")
	require.True(t, stay.Told)
	require.Equal(t, c.Now().Add(10*time.Minute), stay.Due)
	for _, id := range []string{"lost", "long", "yields"} {
		amended(t, s, id, func(req *placement.Request) { req.Duration, req.Yield = 20*time.Minute, false })
	}
	told()
	amended(t, s, "brief", func(req *placement.Request) { req.Duration = 11 * time.Minute })
	told("brief in 10m0s")
	amended(t, s, "brief", func(req *placement.Request) { req.Duration = 12 * time.Minute })
	told()
	c.advance(10 * time.Minute)
	_, err = s.AdoptNode(t.Context(), testNode("n1", 8), []Report{{Request: onlyCPU("late", 1)}})
	require.NoError(t, err)
	told("late in 0s")
}

// TestSlotsLeaveANodeUnderMaintenance: one in use with its last instance, whatever
// its priority.
func TestSlotsLeaveANodeUnderMaintenance(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	idle, used := holding("idle", 2, 1), holding("used", 2, 1)
	idle.Priority, used.Priority = 9, 9
	idle.Duration, used.Duration = 10*time.Hour, 10*time.Hour
	reserve(t, s, idle)
	reserve(t, s, used)
	d, err := s.PlaceFromReservation(t.Context(), "used", onlyCPU("web", 2))
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
	reserve(t, s, closes(c))
	node := func(id string) string {
		r, err := s.Reservation(t.Context(), id)
		require.NoError(t, err)
		return r.Slots[0].Node
	}
	require.Equal(t, "n2", node("idle"))
	c.advance(time.Hour)
	_, err = s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, "n1", node("used"))
	require.NoError(t, s.Release(t.Context(), "web"))
	require.Equal(t, "n2", node("used"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestNodeThatIsRemovedKeepsItsMaintenance: it is closed when it comes back, and the
// journal of it replays.
func TestNodeThatIsRemovedKeepsItsMaintenance(t *testing.T) {
	c, journal := newClock(), new(MemoryJournal)
	s := open(t, Config{Journal: journal, Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	reserve(t, s, closes(c))
	_, err := s.RemoveNode(t.Context(), "n1")
	require.NoError(t, err)
	_, err = s.Extend(t.Context(), "repair", c.Now().Add(3*time.Hour))
	require.NoError(t, err)
	c.advance(2 * time.Hour)
	addNodes(t, s, testNode("n1", 8))
	_, err = s.Place(t.Context(), onlyCPU("a", 1))
	require.ErrorIs(t, err, ErrUnschedulable)
	require.NoError(t, s.Checkpoint(t.Context()))
	again := open(t, Config{Journal: journal, Now: c.Now})
	require.Equal(t, snapshot(t, s), snapshot(t, again))
	_, err = again.Place(t.Context(), onlyCPU("a", 1))
	require.ErrorIs(t, err, ErrUnschedulable)
}

// TestExplainCountsTheDomainsThatPlaceCounts: a zone whose only node is to be closed
// is still there for a spread rule, for a refusal and for its explanation.
func TestExplainCountsTheDomainsThatPlaceCounts(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"))
	reserve(t, s, closes(c))
	long := labelled("long", map[string]string{"app": "x"})
	long.Duration = 2 * time.Hour
	long.Preferences = placement.Use(placement.BinPack).
		Across(placement.EvenlyOver("zone", 1).Counting(placement.Equal("app", "x")))
	ran := long
	ran.ID = "ran"
	require.Equal(t, "n2", place(t, s, ran).NodeID)
	_, err := s.Place(t.Context(), long)
	require.ErrorContains(t, err, "1 is closed for maintenance, 1 breaks spread over zone")
	e, err := s.Explain(t.Context(), long)
	require.NoError(t, err)
	require.Zero(t, e.Fit)
	v, err := s.ExplainNode(t.Context(), long, "n2")
	require.NoError(t, err)
	require.False(t, v.Fits)
}

// TestRandomDrawsAmongNodesThatStayOpen: the first in join order is not all that it
// knows when it has drawn a node that would interrupt.
func TestRandomDrawsAmongNodesThatStayOpen(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64), testNode("n2", 64), testNode("n3", 64))
	reserve(t, s, closes(c))
	on := make(map[string]int)
	for i := range 60 {
		req := onlyCPU(fmt.Sprint("r", i), 1)
		req.Duration, req.Preferences = 2*time.Hour, placement.Use(placement.Random)
		on[place(t, s, req).NodeID]++
	}
	require.Zero(t, on["n1"])
	require.InDelta(t, 30, on["n2"], 8)
}

// TestExplainKnowsOfMaintenanceToCome: what would be interrupted does not fit, as
// Place has it, and what does not say when it leaves does until notice is given.
func TestExplainKnowsOfMaintenanceToCome(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 1))
	reserve(t, s, closes(c))
	long, endless := onlyCPU("long", 4), onlyCPU("endless", 4)
	long.Duration = 2 * time.Hour
	e, err := s.Explain(t.Context(), endless)
	require.NoError(t, err)
	require.Equal(t, 1, e.Fit)
	e, err = s.Explain(t.Context(), long)
	require.NoError(t, err)
	require.Zero(t, e.Fit)
	require.Empty(t, e.Candidates)
	require.Equal(t, "0 of 2 nodes fit: 1 is closed for maintenance, 1 lacks cpu (nearest n2 lacks 3); would help: another node like n1", e.String())
	require.Equal(t, "n1", e.NearestMiss.NodeID)
	require.Equal(t, []Failure{{Reason: interruption()}}, e.NearestMiss.Failures)
}
