package scheduler

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func reports(requests ...placement.Request) []Report {
	var list []Report
	for _, r := range requests {
		list = append(list, Report{Request: r})
	}
	return list
}

func TestAdoptNode(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal, RememberReleased: 4})
	createQuota(t, s, cpuQuota("ns", 1))
	addNodes(t, s, testNode("n2", 8))
	other := testRequest("elsewhere", 1)
	other.Namespace = "free"
	place(t, s, other)
	gone := testRequest("gone", 1)
	gone.Namespace = "free"
	place(t, s, gone)
	require.NoError(t, s.Release(t.Context(), "gone"))

	running := reports(testRequest("b", 3), testRequest("a", 3), other, gone)
	adoption, err := s.AdoptNode(t.Context(), testNode("n1", 4), running)
	require.NoError(t, err)
	require.Equal(t, Adoption{
		Adopted: []string{"a", "b"}, Conflicts: []string{"elsewhere"}, Released: []string{"gone"},
		Over: []placement.ResourceName{placement.NameCPU},
	}, adoption)
	require.Equal(t, int64(6), usedCores(t, s, "ns"), "charged, whatever the limit")
	elsewhere, err := s.Allocation(t.Context(), "elsewhere")
	require.NoError(t, err)
	require.Equal(t, "n2", elsewhere.NodeID, "never moved")

	before := snapshot(t, s)
	again, err := s.AdoptNode(t.Context(), testNode("n1", 4), running)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, again.Known)
	require.Empty(t, again.Adopted)
	require.Equal(t, before, snapshot(t, s), "idempotent")

	adoption, err = s.AdoptNode(t.Context(), testNode("n1", 4), running[:1])
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, adoption.Missing)
	retry, err := s.Place(t.Context(), testRequest("b", 3))
	require.NoError(t, err)
	require.Equal(t, "n1", retry.NodeID, "the client's retry finds it")

	require.Equal(t, snapshot(t, s), snapshot(t, open(t, Config{Journal: journal, RememberReleased: 4})))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestAdoptLostNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	place(t, s, testRequest("a", 2))
	place(t, s, testRequest("b", 2))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	place(t, s, testRequest("b", 2))
	adoption, err := s.AdoptNode(t.Context(), testNode("n1", 4), []Report{
		{Request: testRequest("a", 2), Generation: 1}, {Request: testRequest("b", 2), Generation: 1},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, adoption.Known)
	require.Equal(t, []string{"b"}, adoption.Conflicts, "it was placed anew")
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, Running, a.State)
}

func TestNothingNewBeforeTheReport(t *testing.T) {
	s := newTestScheduler(t, Config{RequireReports: true})
	addNodes(t, s, testNode("n1", 4))
	_, err := s.Place(t.Context(), testRequest("a", 1))
	require.Equal(t, []string{"1 is unreported"}, refusals(t, err))
	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, NodeUnreported, info.State)
	_, err = s.AdoptNode(t.Context(), testNode("n1", 4), nil)
	require.NoError(t, err)
	place(t, s, testRequest("a", 1))
}

func TestBadReports(t *testing.T) {
	s := newTestScheduler(t, Config{})
	before := snapshot(t, s)
	n := testNode("n1", 4)
	n.Devices.Count = 1
	gpu := testRequest("gpu", 1)
	gpu.Resources.GPU = 500
	_, err := s.AdoptNode(t.Context(), n, []Report{
		{Request: gpu, Devices: []int{1}},
		{Request: testRequest("", 1)},
		{Request: testRequest("a", 1)},
		{Request: testRequest("a", 1)},
		{Request: testRequest("b", 1), Devices: []int{0}, Generation: math.MaxUint64},
	})
	require.ErrorIs(t, err, placement.ErrInvalid)
	for _, part := range []string{"report 0", "report 1", "report 3", "report 4"} {
		require.ErrorContains(t, err, "scheduler: "+part)
	}
	require.ErrorContains(t, err, `invalid id "a": reported twice`)
	require.ErrorContains(t, err, `invalid devices "[0]"`)
	require.ErrorContains(t, err, "invalid generation")
	_, err = s.AdoptNode(t.Context(), placement.Node{}, reports(testRequest("a", -1)))
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ErrorContains(t, err, "invalid id", "of the node")
	require.ErrorContains(t, err, "invalid resources.cpu", "of the instance")
	require.Equal(t, before, snapshot(t, s))
}

func TestReportedDevicesOutOfRange(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 4)
	n.Devices.Count = 2
	req := testRequest("a", 1)
	req.Resources.GPU = placement.Device
	for _, device := range []int{-1, 2, 1 << 16, 1<<16 + 1} {
		_, err := s.AdoptNode(t.Context(), n, []Report{{Request: req, Devices: []int{device}}})
		require.ErrorIs(t, err, placement.ErrInvalid, "device %d", device)
	}
}

func TestAdoptionTellsWhatIsOverQuota(t *testing.T) {
	s := newTestScheduler(t, Config{})
	_, err := s.CreateQuota(t.Context(), quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: placement.Core}},
	})
	require.NoError(t, err)
	kinds := collect(s, func() {
		_, err := s.AdoptNode(t.Context(), testNode("n1", 8), []Report{{Request: testRequest("a", 2)}})
		require.NoError(t, err)
	})
	require.Equal(t, []string{"node-adopted", "quota-over"}, kinds)
}

func TestReportsThatNoSumCanHold(t *testing.T) {
	s := newTestScheduler(t, Config{})
	a, b := testRequest("a", 1), testRequest("b", 1)
	a.Resources.Memory, b.Resources.Memory = math.MaxInt64-1, math.MaxInt64-1
	before := snapshot(t, s)
	_, err := s.AdoptNode(t.Context(), testNode("n1", 8), []Report{{Request: a}, {Request: b}})
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.Equal(t, before, snapshot(t, s))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestReportsOfTooManyDimensions(t *testing.T) {
	s := newTestScheduler(t, Config{})
	full := testNode("n1", 8)
	for i := range placement.MaxDimensions - 5 {
		full.Capacity = full.Capacity.With(placement.ResourceName(fmt.Sprint("c", i)), 1)
	}
	addNodes(t, s, full)
	before := snapshot(t, s)
	odd := testRequest("a", 1)
	odd.Resources = odd.Resources.With("one-more", 1)
	_, err := s.AdoptNode(t.Context(), testNode("n2", 8), reports(odd))
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ErrorContains(t, err, `"one-more": the cluster would have more than 37 dimensions`)
	require.Equal(t, before, snapshot(t, s))

	every := placement.Node{ID: "n2", Capacity: placement.Resources{CPU: 1, Memory: 1, Disk: 1, Network: 1, GPU: placement.Device}}
	addNodes(t, s, every)
	place(t, s, placement.Request{ID: "b", Resources: every.Capacity})
}

// TestReturnsThatNoSumCanHold: what came to run while a node was lost may leave
// no room to count what returns with it.
func TestReturnsThatNoSumCanHold(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n1, n2 := testNode("n1", 8), testNode("n2", 8)
	n1.Capacity.Memory, n2.Capacity.Memory = math.MaxInt64, math.MaxInt64
	addNodes(t, s, n1, n2)
	a, b := testRequest("a", 1), testRequest("b", 1)
	a.Resources.Memory, b.Resources.Memory = math.MaxInt64, 1
	require.Equal(t, "n1", place(t, s, a).NodeID)
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	place(t, s, b)

	before := snapshot(t, s)
	require.ErrorIs(t, s.MarkReady(t.Context(), "n1"), quota.ErrExceeded)
	_, err := s.AdoptNode(t.Context(), n1, nil)
	require.ErrorIs(t, err, quota.ErrExceeded)
	require.Equal(t, before, snapshot(t, s))
	require.NoError(t, s.VerifyQuota(t.Context()))

	require.NoError(t, s.Release(t.Context(), "b"))
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestLossIsNotChargedInPassing: an instance that loses its slot with its node
// pays for nothing on the way, which might be more than can be counted.
func TestLossIsNotChargedInPassing(t *testing.T) {
	const third = math.MaxInt64 / 3
	losses := map[string]func(*Scheduler) error{
		"lost": func(s *Scheduler) error { return s.MarkLost(t.Context(), "n1") },
		"removed": func(s *Scheduler) error {
			_, err := s.RemoveNode(t.Context(), "n1")
			return err
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			for _, id := range []string{"n1", "n2"} {
				n := testNode(id, 8)
				n.Capacity.Memory = math.MaxInt64
				addNodes(t, s, n)
			}
			place(t, s, testRequest("other", 1))
			_, err := s.Reserve(t.Context(), reservation.Spec{
				ID: "r", Namespace: "ns", Shape: placement.Resources{Memory: third}, Count: 2, Duration: time.Hour,
			})
			require.NoError(t, err)
			claim := testRequest("a", 0)
			claim.Resources = placement.Resources{Memory: third}
			d, err := s.PlaceFromReservation(t.Context(), "r", claim)
			require.NoError(t, err)
			require.Equal(t, "n1", d.NodeID)

			require.NoError(t, lose(s))
			require.NoError(t, s.VerifyQuota(t.Context()))
			r, err := s.Reservation(t.Context(), "r")
			require.NoError(t, err)
			require.Zero(t, r.Missing())
		})
	}
}
