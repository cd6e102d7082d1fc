package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// later returns a spec that begins at a second and lasts for a minute.
func (h *host) later(id string, n int64, start int) reservation.Spec {
	s := spec(id, n)
	s.Start, s.Duration = h.second(start), time.Minute
	return s
}

// resolve carries out what ResolveConflicts decides.
func (h *host) resolve() []reservation.Event { return h.plan.Apply(h.plan.ResolveConflicts(h)...) }

// lose takes a node out and moves its slots.
func (h *host) lose(node string) {
	delete(h.room, node)
	h.plan.Apply(h.plan.NodeChanged(h, node)...)
}

func kindsOfChanges(changes []reservation.PlanChange) []reservation.PlanChangeKind {
	var kinds []reservation.PlanChangeKind
	for _, c := range changes {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

func TestNobodyIsAskedToLeaveForAnEndedReservation(t *testing.T) {
	h := newHost(t, node("n1", 8))
	h.carry(h.plan.Reserve(h, h.later("r", 8, 10)))
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	h.plan.Advance(h.second(10))
	h.carry(h.plan.Claim(h, "r", request("i", 1), nil))
	h.carry(h.plan.Release("r", true))
	room := h.room["n1"]
	room.Allocatable = cores(4) // too little for both
	h.room["n1"] = room
	require.True(t, h.plan.Unsettled())
	require.Equal(t, []reservation.PlanChangeKind{reservation.Settled}, kindsOfChanges(h.plan.ResolveConflicts(h)))
}

// TestResolvingRegainsNoLostSlot, for that has to be paid for: Repair does.
func TestResolvingRegainsNoLostSlot(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	s := h.later("r", 8, 10)
	s.Count = 2
	h.carry(h.plan.Reserve(h, s))
	h.lose("n2")
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	h.plan.Advance(h.second(10))
	h.room["n3"] = h.room["n1"]
	for _, c := range h.plan.ResolveConflicts(h) {
		require.False(t, c.Kind == reservation.Move && c.Slot == 1, "%+v", c)
	}
}

// TestOverstayMovesNoSlotBeforeItsStart: until then it may be gone.
func TestOverstayMovesNoSlotBeforeItsStart(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	s := h.later("r", 8, 20)
	s.Notice = 10 * time.Second
	h.carry(h.plan.Reserve(h, s))
	h.carry(h.plan.Admit(h, lasting("x", 4, 5)))
	h.plan.Advance(h.second(10))
	require.True(t, h.plan.Unsettled())
	require.Equal(t, []reservation.PlanChangeKind{reservation.Settled}, kindsOfChanges(h.plan.ResolveConflicts(h)))
	h.resolve()
	h.plan.Advance(h.second(20))
	require.Equal(t, []reservation.EventKind{reservation.SlotMoved}, kindsOf(h.resolve()))
}

// TestAClaimedSlotStaysWhateverIsInTheWay on a node that is there.
func TestAClaimedSlotStaysWhateverIsInTheWay(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	h.carry(h.plan.Reserve(h, spec("r", 4)))
	h.carry(h.plan.Claim(h, "r", request("i", 4), nil))
	s := h.plan.Snapshot()
	s.Unsettled = []string{"r"}
	h.plan = reservation.Restore(s)
	room := h.room["n1"]
	room.Allocatable = cores(2)
	h.room["n1"] = room
	require.Equal(t, []reservation.PlanChangeKind{reservation.Settled}, kindsOfChanges(h.plan.ResolveConflicts(h)))
	require.Empty(t, h.plan.NodeChanged(h, "n1"))
}

// TestTheMostImportantBeginsFirst, and so it is the one that others leave for.
func TestTheMostImportantBeginsFirst(t *testing.T) {
	h := newHost(t, node("n1", 8))
	for id, priority := range map[string]int32{"a": 1, "b": 9, "c": 1} {
		s := h.later(id, 2, 10)
		s.Priority = priority
		h.carry(h.plan.Reserve(h, s))
	}
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	h.plan.Advance(h.second(10))
	events := h.resolve()
	require.Equal(t, reservation.YieldDue, events[0].Kind)
	require.Equal(t, "b", events[0].Reservation)
}

// TestOfYieldingInstancesTheNewestLeaves, if their priority is the same.
func TestOfYieldingInstancesTheNewestLeaves(t *testing.T) {
	h := newHost(t, node("n1", 8))
	h.carry(h.plan.Reserve(h, h.later("r", 4, 10)))
	for i, id := range []string{"a", "m", "z"} {
		h.plan.Advance(h.second(i + 1))
		h.carry(h.plan.Admit(h, yielding(id, 2)))
	}
	h.plan.Advance(h.second(10))
	events := h.resolve()
	require.Equal(t, "z", events[0].Instance)
}

// TestAPendingSlotDoesNotWait: before its start it is lost if it has no room, and
// comes back when there is some.
func TestAPendingSlotDoesNotWait(t *testing.T) {
	h := newHost(t, node("n1", 8))
	h.carry(h.plan.Reserve(h, h.later("r", 8, 20)))
	h.carry(h.plan.Admit(h, lasting("x", 4, 5)))
	h.plan.Advance(h.second(6))
	changes := h.plan.NodeChanged(h, "n1")
	require.Equal(t, []reservation.PlanChangeKind{reservation.Move}, kindsOfChanges(changes))
	require.Empty(t, changes[0].Node)
	h.plan.Apply(changes...)
	h.carry(h.plan.Remove("x"))
	require.Equal(t, []reservation.EventKind{reservation.SlotRegained}, kindsOf(h.carry(h.plan.Repair(h, "r", "n1"))))
}

// TestAWaitingSlotThatCannotStayMayGoAnywhere, not only to the nodes on which
// room came up.
func TestAWaitingSlotThatCannotStayMayGoAnywhere(t *testing.T) {
	h := newHost(t, node("n1", 8))
	h.carry(h.plan.Reserve(h, h.later("r", 8, 10)))
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	h.plan.Advance(h.second(10))
	require.Contains(t, kindsOf(h.resolve()), reservation.SlotWaiting)
	small := h.room["n1"]
	h.room["n2"] = small
	small.Allocatable = cores(4)
	h.room["n1"] = small
	changes, err := h.plan.Repair(h, "r", "n1")
	require.NoError(t, err)
	require.Equal(t, []reservation.PlanChangeKind{reservation.Move}, kindsOfChanges(changes))
	require.Equal(t, "n2", changes[0].Node)
}

// TestALostSlotComesBackToItsNodeFirst.
func TestALostSlotComesBackToItsNodeFirst(t *testing.T) {
	h := newHost(t, node("n2", 8))
	h.carry(h.plan.Reserve(h, spec("r", 8)))
	room := h.room["n2"]
	h.lose("n2")
	h.room["n1"], h.room["n2"] = room, room
	for _, on := range [][]string{nil, {"n1"}} {
		changes, err := h.plan.Repair(h, "r", on...)
		require.NoError(t, err)
		require.Equal(t, "n2", changes[0].Node)
	}
}

// TestRepairLooksOnTheGivenNodesOnly, unless rules among the slots may have
// changed anywhere.
func TestRepairLooksOnTheGivenNodesOnly(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	ruled := spec("ruled", 8)
	ruled.Preferences = ruled.Preferences.Across(placement.AtMostPer("", 1))
	h.carry(h.plan.Reserve(h, spec("r", 8)))
	h.carry(h.plan.Reserve(h, ruled))
	room := h.room["n1"]
	h.lose("n1")
	h.lose("n2")
	h.room["n3"], h.room["n4"] = room, room
	changes, err := h.plan.Repair(h, "r", "n1")
	require.NoError(t, err)
	require.Empty(t, changes)
	changes, err = h.plan.Repair(h, "ruled", "n1")
	require.NoError(t, err)
	require.Equal(t, "n3", changes[0].Node)
}

// TestRepairLooksAtAllNodesOnce for all slots of a reservation that are lacking,
// if the first finds no room.
func TestRepairLooksAtAllNodesOnce(t *testing.T) {
	h := newHost(t, node("n1", 8))
	s := spec("r", 1)
	s.Count = 8
	h.carry(h.plan.Reserve(h, s))
	h.lose("n1")
	looks := &lookingHost{host: h}
	changes, err := h.plan.Repair(looks, "r")
	require.NoError(t, err)
	require.Empty(t, changes)
	require.LessOrEqual(t, looks.searches, s.Count+1, "all nodes once, and for each slot the one that it was on")
}

// TestASpentSlotIsNotSoughtElsewhere: nobody could claim it there.
func TestASpentSlotIsNotSoughtElsewhere(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	once := spec("r", 8)
	once.Once = true
	h.carry(h.plan.Reserve(h, once))
	h.carry(h.plan.Claim(h, "r", request("i", 1), nil))
	h.lose("n1")
	r, _ := h.plan.Reservation("r")
	require.Empty(t, r.Slots[0].Node)
	require.False(t, h.plan.Owing())
	peak, _ := h.plan.Peak("n2", reservation.Window{Start: h.second(0)})
	require.True(t, peak.IsZero())
}

// TestASmallSlotBeginsBesideOneThatWaits at once, and is not said to wait.
func TestASmallSlotBeginsBesideOneThatWaits(t *testing.T) {
	h := newHost(t, node("n1", 16))
	h.carry(h.plan.Admit(h, yielding("x", 10)))
	large := h.later("large", 8, 10)
	large.Priority = 100
	h.carry(h.plan.Reserve(h, large))
	h.carry(h.plan.Reserve(h, h.later("small", 2, 10)))
	h.plan.Advance(h.second(10))
	for _, e := range h.resolve() {
		require.False(t, e.Kind == reservation.SlotWaiting && e.Reservation == "small", "%+v", e)
	}
	require.Equal(t, []string{"large"}, h.plan.Owed())
}

// TestAGivenBackSlotEndsNoSearch for those that were lost.
func TestAGivenBackSlotEndsNoSearch(t *testing.T) {
	h := newHost(t, node("n1", 4), node("n2", 4))
	once := spec("r", 4)
	once.Once, once.Count = true, 2
	h.carry(h.plan.Reserve(h, once))
	h.carry(h.plan.Claim(h, "r", request("i", 1), nil))
	h.carry(h.plan.Unclaim("i"))
	room := h.room["n2"]
	h.lose("n2")
	h.lose("n1")
	h.room["n3"] = room
	changes, err := h.plan.Repair(h, "r")
	require.NoError(t, err)
	require.Len(t, changes, 1)
	require.Equal(t, 1, changes[0].Slot)
	require.Equal(t, "n3", changes[0].Node)
}

// TestABoundReservationIsRepairedOnItsNodeOnly.
func TestABoundReservationIsRepairedOnItsNodeOnly(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	bound := spec("r", 8)
	bound.Node = "n1"
	h.carry(h.plan.Reserve(h, bound))
	h.lose("n1")
	changes, err := h.plan.Repair(h, "r", "n2")
	require.NoError(t, err)
	require.Empty(t, changes)
}

// TestSurplusSlotsThatWaitAreGivenBackFirst, before those that can be claimed.
func TestSurplusSlotsThatWaitAreGivenBackFirst(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	s := h.later("r", 8, 10)
	s.Count = 2
	h.carry(h.plan.Reserve(h, s))
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	h.plan.Advance(h.second(10))
	h.resolve()
	r, _ := h.plan.Reservation("r")
	require.Equal(t, []string{"y"}, r.Slots[0].Awaits)
	h.carry(h.plan.Update(h, "r", 0, reservation.Params{Count: 1}))
	r, _ = h.plan.Reservation("r")
	require.Equal(t, []reservation.Slot{{Node: "n2"}}, r.Slots)
}
