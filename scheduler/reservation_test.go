package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func holding(id string, cores int64, count int) reservation.Spec {
	return reservation.Spec{
		ID: id, Namespace: "ns", Shape: placement.Resources{CPU: cores * placement.Core}, Count: count,
		Duration: time.Hour,
	}
}

func reserve(t testHelper, s *Scheduler, spec reservation.Spec) reservation.Reservation {
	t.Helper()
	r, err := s.Reserve(t.Context(), spec)
	require.NoError(t, err)
	return r
}

func onlyCPU(id string, cores int64) placement.Request {
	req := testRequest(id, cores)
	req.Resources.Memory = 0
	return req
}

func availableCores(t testHelper, s *Scheduler, nodeID string) int64 {
	t.Helper()
	n, err := s.Node(t.Context(), nodeID)
	require.NoError(t, err)
	return n.Available.CPU / placement.Core
}

func TestOrdinaryPlacementsKeepOffHeldCapacity(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 6, 1)
	spec.Start = c.Now().Add(time.Minute)
	reserve(t, s, spec)
	require.Equal(t, int64(2), availableCores(t, s, "n1"), "also before the start")
	_, err := s.Place(t.Context(), onlyCPU("a", 3))
	require.Equal(t, []string{"1 has cpu held by reservations"}, refusals(t, err))
	place(t, s, onlyCPU("a", 2))

	_, err = s.PlaceFromReservation(t.Context(), "r", onlyCPU("b", 4))
	require.ErrorIs(t, err, reservation.ErrState)
	c.advance(time.Minute)
	d, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("b", 4))
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
	again, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("b", 4))
	require.NoError(t, err)
	require.Equal(t, d, again)
	_, err = s.PlaceFromReservation(t.Context(), "r", onlyCPU("c", 4))
	require.ErrorIs(t, err, reservation.ErrRefused, "no silent spill")
	info, err := s.Allocation(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "r", info.Reservation)
	require.Zero(t, availableCores(t, s, "n1"))

	c.advance(time.Hour)
	require.Equal(t, int64(2), availableCores(t, s, "n1"), "the end frees what nobody claimed")
	require.Equal(t, []string(nil), due(t, s))
	require.NoError(t, s.Release(t.Context(), "b"))
	require.Equal(t, int64(6), availableCores(t, s, "n1"))
	_, err = s.Reservation(t.Context(), "r")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestUnclaimAndRelease(t *testing.T) {
	s := newTestScheduler(t, Config{RememberReleased: 8})
	addNodes(t, s, testNode("n1", 8))
	reserve(t, s, holding("r", 8, 1))
	claim := func(id string) error {
		_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU(id, 8))
		return err
	}
	require.NoError(t, claim("a"))
	require.NoError(t, s.Unclaim(t.Context(), "a"))
	require.NoError(t, claim("a"), "the creation that failed is tried again")
	require.NoError(t, s.Release(t.Context(), "a"))
	require.ErrorIs(t, claim("a"), ErrReleased)
	require.NoError(t, claim("b"), "the slot has it again")
	require.ErrorIs(t, s.Unclaim(t.Context(), "a"), ErrNotFound)
	require.ErrorIs(t, s.ReleaseReservation(t.Context(), "r", false), reservation.ErrInUse)
	require.NoError(t, s.ReleaseReservation(t.Context(), "r", true))
	require.Zero(t, availableCores(t, s, "n1"), "the instance is still there")
	require.NoError(t, s.Release(t.Context(), "b"))
	require.Equal(t, int64(8), availableCores(t, s, "n1"))
}

func TestOnlyOwnersClaim(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Owners = []string{"other"}
	reserve(t, s, spec)
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 1))
	require.ErrorIs(t, err, reservation.ErrNotOwner)
	req := onlyCPU("a", 1)
	req.Namespace = "other"
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
}

func TestClaimKeepsItsOwnRules(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.Labels = map[string]string{"disk": "hdd"}
	addNodes(t, s, n)
	reserve(t, s, holding("r", 4, 1))
	req := onlyCPU("a", 1)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("disk", "ssd"))
	_, err := s.PlaceFromReservation(t.Context(), "r", req)
	require.ErrorIs(t, err, reservation.ErrRefused)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("disk", "hdd"))
	req.Resources.Memory = 4 * placement.GiB // beyond the shape: from the node
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	req.ID, req.Resources.Memory = "b", 29*placement.GiB
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.ErrorIs(t, err, reservation.ErrRefused, "both or nothing")
}

func TestHeldDevices(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 64)
	n.Devices.Count = 2
	addNodes(t, s, n)
	gpu := func(id string, milli int64) placement.Request {
		return placement.Request{ID: id, Namespace: "ns", Resources: placement.Resources{GPU: milli}}
	}
	spec := holding("r", 0, 1)
	spec.Shape = placement.Resources{GPU: placement.Device}
	r := reserve(t, s, spec)
	require.Equal(t, []int{0}, r.Slots[0].Devices)
	require.Equal(t, []int{1}, place(t, s, gpu("a", 500)).Devices)
	_, err := s.Place(t.Context(), gpu("b", 1000))
	require.ErrorIs(t, err, ErrUnschedulable)
	d, err := s.PlaceFromReservation(t.Context(), "r", gpu("b", 1000))
	require.NoError(t, err)
	require.Equal(t, []int{0}, d.Devices)
	require.NoError(t, s.Release(t.Context(), "b"))
	require.Equal(t, []int{1}, place(t, s, gpu("c", 500)).Devices, "the device is held again")
}

func TestReservationSpreadsItsSlots(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8), testNode("n3", 8))
	spec := holding("r", 2, 3)
	spec.Preferences = placement.Use(placement.BinPack).Across(placement.AtMostPer("", 1))
	r := reserve(t, s, spec)
	seen := make(map[string]bool)
	for _, slot := range r.Slots {
		seen[slot.Node] = true
	}
	require.Len(t, seen, 3)
	spec.ID, spec.Count = "r4", 4
	_, err := s.Reserve(t.Context(), spec)
	require.ErrorIs(t, err, reservation.ErrRefused)
}

func TestHeldSlotKeepsItsInstancePlace(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 8)
	n.MaxInstances = 2
	addNodes(t, s, n)
	spec := holding("r", 1, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	place(t, s, onlyCPU("a", 1))
	_, err := s.Place(t.Context(), onlyCPU("b", 1))
	require.Equal(t, []string{"1 is full of instances"}, refusals(t, err))
	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, int64(1), info.Instances, "the slot is no instance")

	brief := onlyCPU("brief", 1)
	brief.Duration = time.Minute
	place(t, s, brief)
	c.advance(time.Minute)
	require.NoError(t, s.Release(t.Context(), "brief"))
	c.advance(time.Hour)
	_, err = s.PlaceFromReservation(t.Context(), "r", onlyCPU("c", 1))
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), "c"))
	require.NoError(t, s.ReleaseReservation(t.Context(), "r", false))
	place(t, s, onlyCPU("b", 1))
}

func TestInstancePlacesFollowTheCap(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	addNodes(t, s, n)
	reserve(t, s, holding("r", 1, 2))
	n.MaxInstances = 2
	_, err := s.UpdateNode(t.Context(), n)
	require.NoError(t, err)
	_, err = s.Place(t.Context(), onlyCPU("a", 1))
	require.Equal(t, []string{"1 is full of instances"}, refusals(t, err))
	n.MaxInstances = 0
	_, err = s.UpdateNode(t.Context(), n)
	require.NoError(t, err)
	place(t, s, onlyCPU("a", 1))
}

func TestExtendNeedsAnEnd(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	before := reserve(t, s, holding("r", 8, 1))
	_, err := s.Extend(t.Context(), "r", time.Time{})
	require.ErrorIs(t, err, reservation.ErrInvalid)
	after, err := s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestErrorsOfBothPackages: whoever knows the errors of the scheduler need not
// know those of reservations, and the reverse.
func TestErrorsOfBothPackages(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	ctx := t.Context()
	tests := []struct {
		name string
		call func() error
	}{
		{"Reservation", func() error { _, err := s.Reservation(ctx, "x"); return err }},
		{"Extend", func() error { _, err := s.Extend(ctx, "x", time.Now().Add(time.Hour)); return err }},
		{"ResizeReservation", func() error { _, err := s.ResizeReservation(ctx, "x", placement.Resources{}, 1); return err }},
		{"ReleaseReservation", func() error { return s.ReleaseReservation(ctx, "x", false) }},
		{"PlaceFromReservation", func() error { _, err := s.PlaceFromReservation(ctx, "x", onlyCPU("a", 1)); return err }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.call()
			require.ErrorIs(t, err, ErrNotFound)
			require.Equal(t, placement.NotFound(placement.KindReservation, "x"), err)
		})
	}

	reserve(t, s, holding("r", 1, 1))
	_, err := s.Reserve(ctx, holding("r", 2, 1))
	require.ErrorIs(t, err, ErrConflict)
	require.EqualError(t, err, `placement: reservation "r" exists with another spec`)

	_, err = s.PlaceFromReservation(ctx, "r", onlyCPU("a", 1))
	require.NoError(t, err)
	err = s.ReleaseReservation(ctx, "r", false)
	require.ErrorIs(t, err, ErrInUse)
	require.EqualError(t, err, `reservation: "r" is in use by ["a"]`)
}
