package scheduler

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
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
	n, err := s.Node(nodeID)
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
	info, err := s.Allocation("b")
	require.NoError(t, err)
	require.Equal(t, "r", info.Reservation)
	require.Zero(t, availableCores(t, s, "n1"))

	c.advance(time.Hour)
	require.Equal(t, int64(2), availableCores(t, s, "n1"), "the end frees what nobody claimed")
	require.Equal(t, []string(nil), due(t, s))
	require.NoError(t, s.Release(t.Context(), "b"))
	require.Equal(t, int64(6), availableCores(t, s, "n1"))
	_, err = s.Reservation("r")
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

func TestReservationAndQuota(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 16))
	burst := cpuQuota("ns", 8)
	burst.Limits[placement.NameCPU] = quota.Limit{Soft: 8 * placement.Core, BurstPercent: 200}
	createQuota(t, s, burst)
	_, err := s.Reserve(t.Context(), holding("big", 9, 1))
	require.ErrorIs(t, err, quota.ErrExceeded, "holds never burst")
	reserve(t, s, holding("r", 8, 1))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	_, err = s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 8))
	require.NoError(t, err)
	require.Equal(t, int64(8), usedCores(t, s, "ns"), "a claim converts what is held")
	require.NoError(t, s.VerifyQuota())
	require.NoError(t, s.Unclaim(t.Context(), "a"))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	_, err = s.ResizeReservation(t.Context(), "r", placement.Resources{CPU: 9 * placement.Core}, 0)
	require.ErrorIs(t, err, quota.ErrExceeded)
	_, err = s.ResizeReservation(t.Context(), "r", placement.Resources{CPU: 4 * placement.Core}, 0)
	require.NoError(t, err)
	require.Equal(t, int64(4), usedCores(t, s, "ns"))
	require.NoError(t, s.ReleaseReservation(t.Context(), "r", false))
	require.Zero(t, usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota())
}

func TestSlotsMoveWithTheirNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	r := reserve(t, s, holding("r", 4, 2))
	require.Equal(t, "n1", r.Slots[0].Node)
	require.Equal(t, "n1", r.Slots[1].Node)
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)

	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	r, err = s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	for _, slot := range r.Slots {
		require.Equal(t, "n2", slot.Node)
	}
	a, err := s.Allocation("a")
	require.NoError(t, err)
	require.Equal(t, Lost, a.State)
	require.Empty(t, a.Reservation)
	again, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("a", 4))
	require.NoError(t, err)
	require.Equal(t, "n2", again.NodeID)
	require.Equal(t, uint64(2), again.Generation)
	require.NoError(t, s.VerifyQuota())

	gone, err := s.RemoveNode(t.Context(), "n2")
	require.NoError(t, err)
	require.Len(t, gone, 1)
	r, err = s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, r.State())
	require.Zero(t, usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota())
}

func TestDegradedReservationRegainsItsSlot(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	reserve(t, s, holding("r", 4, 2))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	r, err := s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, int64(4), usedCores(t, s, "ns"), "what is lost is refunded")
	addNodes(t, s, testNode("n3", 4))
	r, err = s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota())
}

func TestBackfill(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("launch", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	job := onlyCPU("job", 8)
	_, err := s.Place(t.Context(), job)
	require.ErrorIs(t, err, ErrUnschedulable, "no promise to leave")
	job.Duration = time.Hour + 1
	_, err = s.Place(t.Context(), job)
	require.ErrorIs(t, err, ErrUnschedulable, "too long")
	job.Duration = time.Hour
	place(t, s, job)
	_, err = s.Place(t.Context(), onlyCPU("other", 1))
	require.ErrorIs(t, err, ErrUnschedulable)
	require.NoError(t, s.Release(t.Context(), "job"))
	c.advance(time.Hour)
	_, err = s.PlaceFromReservation(t.Context(), "launch", onlyCPU("web", 8))
	require.NoError(t, err)
}

func TestOverstayMovesTheSlot(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	require.NoError(t, s.Cordon(t.Context(), "n2"))
	spec := holding("launch", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	job := onlyCPU("job", 8)
	job.Duration = time.Hour
	require.Equal(t, "n1", place(t, s, job).NodeID)
	require.NoError(t, s.Uncordon(t.Context(), "n2"))
	c.advance(time.Hour)
	require.Contains(t, due(t, s), "overstayed job")
	r, err := s.Reservation("launch")
	require.NoError(t, err)
	require.Equal(t, "n2", r.Slots[0].Node)
	require.Equal(t, int64(0), availableCores(t, s, "n1"), "it counts until it is released")
}

func TestYieldingInstanceIsToldToLeave(t *testing.T) {
	c := newClock()
	var told []reservation.EventKind
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: Hooks{
		Reservation: func(_ Event, e *ReservationEvent) { told = append(told, e.Kind) },
	}})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("launch", 8, 1)
	spec.Start, spec.Notice = c.Now().Add(time.Hour), 10*time.Minute
	reserve(t, s, spec)
	batch := onlyCPU("batch", 8)
	batch.Yield = true
	place(t, s, batch)
	c.advance(50 * time.Minute)
	require.Empty(t, due(t, s))
	require.Equal(t, []reservation.EventKind{reservation.YieldDue}, told)
	c.advance(10 * time.Minute)
	require.Empty(t, due(t, s))
	r, err := s.Reservation("launch")
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, r.State(), "it remained, and there is no other node")
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
	r, err := s.Reservation("low")
	require.NoError(t, err)
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, []string{"a"}, r.Instances())
	high.ID, high.Count = "higher", 1
	_, err = s.Reserve(t.Context(), high)
	require.ErrorIs(t, err, reservation.ErrRefused, "a claimed slot is never displaced")
	_, err = s.Place(t.Context(), onlyCPU("b", 1))
	require.ErrorIs(t, err, ErrUnschedulable, "instances never displace holds")
	require.NoError(t, s.VerifyQuota())
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
	info, err := s.Node("n1")
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

func TestExplainKnowsOfBackfill(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Start = c.Now().Add(time.Hour)
	reserve(t, s, spec)
	for _, yields := range []bool{false, true} {
		req := onlyCPU("a", 4)
		req.Yield = yields
		if !yields {
			req.Duration = time.Minute
		}
		e, err := s.Explain(req)
		require.NoError(t, err)
		require.Equal(t, 1, e.Fit)
		require.Len(t, e.Candidates, 1)
		v, err := s.ExplainNode(req, "n1")
		require.NoError(t, err)
		require.True(t, v.Fits)
		d, err := s.Schedule(req)
		require.NoError(t, err)
		require.Equal(t, d.Score, v.Score)
	}
}

func TestClaimThatNeedsNothingMoreAsksNoQuota(t *testing.T) {
	s := newTestScheduler(t, Config{RequireQuota: true})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.Reserve(t.Context(), holding("r", 2, 1))
	require.ErrorIs(t, err, quota.ErrExceeded, "undeclared")
	_, err = s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	spec := holding("r", 2, 1)
	spec.Owners = []string{"guest"}
	reserve(t, s, spec)
	req := onlyCPU("a", 2)
	req.Namespace = "guest"
	_, err = s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	require.NoError(t, s.VerifyQuota())
}

func TestLostSlotsReturnAsFarAsTheQuotaGoes(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	addNodes(t, s, testNode("n1", 2), testNode("n2", 4))
	reserve(t, s, holding("r", 2, 3))
	require.NoError(t, s.MarkLost(ctx, "n2"))
	_, err := s.CreateQuota(ctx, quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}},
	})
	require.NoError(t, err)
	require.NoError(t, s.MarkReady(ctx, "n2"))
	r, err := s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, 1, r.Missing())
	require.NoError(t, s.VerifyQuota())
}

func TestYieldingInstanceIsToldOnce(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 8, 1)
	spec.Start, spec.Notice = c.Now().Add(time.Hour), time.Minute
	reserve(t, s, spec)
	req := onlyCPU("a", 4)
	req.Yield = true
	place(t, s, req)
	c.advance(59 * time.Minute)
	require.Contains(t, collect(s, func() { _, _ = s.Sweep(t.Context()) }), "reservation")
	kinds := collect(s, func() {
		_, err := s.Resize(t.Context(), "a", placement.Resources{CPU: 3 * placement.Core})
		require.NoError(t, err)
	})
	require.NotContains(t, kinds, "reservation")
}

func TestExtendNeedsAnEnd(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	before := reserve(t, s, holding("r", 8, 1))
	_, err := s.Extend(t.Context(), "r", time.Time{})
	require.ErrorIs(t, err, reservation.ErrInvalid)
	after, err := s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestQuotaInUseNamesReservations(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	reserve(t, s, holding("r", 2, 1))
	err = s.DeleteQuota(t.Context(), "ns")
	var used *quota.InUseError
	require.ErrorAs(t, err, &used)
	require.Equal(t, []string{"r"}, used.IDs)
}

func TestLongestDuration(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 4, 1)
	spec.Start = time.Now().Add(time.Hour)
	reserve(t, s, spec)
	req := onlyCPU("a", 4)
	req.Duration = math.MaxInt64
	place(t, s, req)
	req.ID = "b"
	_, err := s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)
	_, err = s.Snapshot()
	require.NoError(t, err)
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
	r, err := s.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, []int{1}, r.Slots[0].Devices)
	again := open(t, Config{Journal: journal, Token: 9})
	require.Equal(t, snapshot(t, s), snapshot(t, again))
}

func TestBackfillAndYieldOnDevices(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 8)
	n.Devices.Count = 2
	addNodes(t, s, n)
	spec := holding("r", 1, 2)
	spec.Shape.GPU = placement.Device
	spec.Start, spec.Notice = c.Now().Add(time.Hour), time.Minute
	reserve(t, s, spec)

	req := onlyCPU("for ever", 1)
	req.Resources.GPU = 500
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"1 has gpu held by reservations"}, refusals(t, err))
	req.ID, req.Duration = "too long", 2*time.Hour
	_, err = s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)
	req.ID, req.Duration = "brief", time.Hour
	require.Equal(t, []int{0}, place(t, s, req).Devices)
	req.ID, req.Duration, req.Yield = "yields", 0, true
	req.Resources.GPU = placement.Device
	require.Equal(t, []int{1}, place(t, s, req).Devices)
	req.ID = "no device is left"
	_, err = s.Place(t.Context(), req)
	require.ErrorIs(t, err, ErrUnschedulable)

	c.advance(59 * time.Minute)
	events, err := s.Sweep(t.Context())
	require.NoError(t, err)
	var told []string
	for _, e := range events {
		if r, ok := e.Change.(*ReservationEvent); ok && r.Kind == reservation.YieldDue {
			told = append(told, r.Instance)
		}
	}
	require.Equal(t, []string{"yields"}, told)
	require.NoError(t, s.Release(t.Context(), "yields"))
	require.NoError(t, s.Release(t.Context(), "brief"))
	c.advance(time.Minute)
	for i, id := range []string{"a", "b"} {
		claim := onlyCPU(id, 1)
		claim.Resources.GPU = placement.Device
		d, err := s.PlaceFromReservation(t.Context(), "r", claim)
		require.NoError(t, err)
		require.Equal(t, []int{i}, d.Devices)
	}
}

func TestDisplacedSlotsPayForTheirSuccessor(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}},
	})
	require.NoError(t, err)
	reserve(t, s, holding("low", 8, 1))
	spec := holding("high", 8, 1)
	spec.Priority = 1
	reserve(t, s, spec)
	low, err := s.Reservation("low")
	require.NoError(t, err)
	require.Equal(t, reservation.Displaced, low.State())
	require.NoError(t, s.VerifyQuota())
}

// TestDisplacedSlotsPayAcrossNamespaces: where two namespaces share a parent,
// what one loses is free for the other.
func TestDisplacedSlotsPayAcrossNamespaces(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("org", 8))
	for _, ns := range []string{"ns", "other"} {
		createQuota(t, s, quota.Spec{Namespace: ns, Parent: "org"})
	}
	reserve(t, s, holding("low", 4, 2))
	spec := holding("high", 8, 1)
	spec.Namespace, spec.Priority = "other", 1
	reserve(t, s, spec)
	require.Zero(t, usedCores(t, s, "ns"))
	require.Equal(t, int64(8), usedCores(t, s, "org"))
	require.NoError(t, s.VerifyQuota())
}
