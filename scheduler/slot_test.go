package scheduler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestSlotsMoveWithTheirNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	r := reserve(t, s, holding("r", 4, 2))
	require.Equal(t, "n1", r.Slots[0].Node)
	require.Equal(t, "n1", r.Slots[1].Node)
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)

	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	r, err = s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	for _, slot := range r.Slots {
		require.Equal(t, "n2", slot.Node)
	}
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, Lost, a.State)
	require.Empty(t, a.Reservation)
	again, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)
	require.Equal(t, "n2", again.NodeID)
	require.Equal(t, uint64(2), again.Generation)
	require.NoError(t, s.VerifyQuota(t.Context()))

	gone, err := s.RemoveNode(t.Context(), "n2")
	require.NoError(t, err)
	require.Len(t, gone, 1)
	r, err = s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, r.State())
	require.Zero(t, usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestDegradedReservationRegainsItsSlot(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	reserve(t, s, holding("r", 4, 2))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	r, err := s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, int64(4), usedCores(t, s, "ns"), "what is lost is refunded")
	addNodes(t, s, testNode("n3", 4))
	r, err = s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestPriorityDisplacesHoldsOnly(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	low := holding("low", 4, 2)
	reserve(t, s, low)
	_, err := s.PlaceFromReservation(t.Context(), "low", onlyCPU("a", 4))
	require.NoError(t, err)
	high := holding("high", 4, 1)
	_, err = s.Reserve(t.Context(), high)
	require.ErrorIs(t, err, reservation.ErrRefused, "equal priority never displaces")
	high.Priority = 10
	reserve(t, s, high)
	r, err := s.Reservation(t.Context(), "low")
	require.NoError(t, err)
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, []string{"a"}, r.Instances())
	high.ID, high.Count = "higher", 1
	_, err = s.Reserve(t.Context(), high)
	require.ErrorIs(t, err, reservation.ErrRefused, "a claimed slot is never displaced")
	_, err = s.Place(t.Context(), onlyCPU("b", 1))
	require.ErrorIs(t, err, ErrUnschedulable, "instances never displace holds")
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestResizeAfterAHeldDeviceIsGone(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.Devices.Count = 1
	addNodes(t, s, n)
	place(t, s, onlyCPU("a", 1))
	spec := holding("r", 0, 1)
	spec.Shape = placement.Resources{GPU: placement.Device}
	reserve(t, s, spec)
	_, err := s.UpdateNode(t.Context(), testNode("n1", 8))
	require.NoError(t, err)
	_, err = s.Resize(t.Context(), "a", placement.Resources{CPU: placement.Core, GPU: placement.Device})
	require.ErrorIs(t, err, ErrUnschedulable)
}

func TestReplayOfASlotMovedToANewDevice(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	n := testNode("n1", 8)
	n.Devices.Count = 1
	addNodes(t, s, n)
	spec := holding("r", 0, 1)
	spec.Shape.GPU = 500
	reserve(t, s, spec)
	req := onlyCPU("a", 1)
	req.Resources.GPU = 700
	n.Devices.Count = 2
	_, err := s.AdoptNode(t.Context(), n, []Report{{Request: req, Devices: []int{0}}})
	require.NoError(t, err)
	r, err := s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, []int{1}, r.Slots[0].Devices)
	again := open(t, Config{Journal: journal, Token: 9})
	require.Equal(t, snapshot(t, s), snapshot(t, again))
}

// TestShrinkBesideABrokenPromise: what an instance gives back needs no room,
// also on a GPU of which more is held than there is.
func TestShrinkBesideABrokenPromise(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.Devices.Count = 1
	addNodes(t, s, n)
	spec := holding("r", 0, 1)
	spec.Shape.GPU = 500
	reserve(t, s, spec)
	claim := onlyCPU("claims", 0)
	claim.Resources.GPU = 100
	_, err := s.PlaceFromReservation(t.Context(), "r", claim)
	require.NoError(t, err)
	found := onlyCPU("found", 0)
	found.Resources.GPU = 700
	_, err = s.AdoptNode(t.Context(), n, []Report{
		{Request: claim, Devices: []int{0}, Generation: 1}, {Request: found, Devices: []int{0}},
	})
	require.NoError(t, err)
	for _, test := range []struct {
		gpu int64
		ok  bool
	}{{701, false}, {650, true}, {651, false}, {400, true}, {500, true}, {501, false}} {
		d, err := s.Resize(t.Context(), "found", placement.Resources{GPU: test.gpu})
		require.Equal(t, test.ok, err == nil, "%d: %v", test.gpu, err)
		if err == nil {
			require.Equal(t, []int{0}, d.Devices)
		}
	}
}
