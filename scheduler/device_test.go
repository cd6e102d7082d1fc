package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func gpuNode(id string, count int) placement.Node {
	n := testNode(id, 16)
	n.Devices.Count = count
	return n
}

func gpuRequest(id string, gpu int64) placement.Request {
	req := testRequest(id, 0)
	req.Resources = placement.Resources{GPU: gpu}
	return req
}

// breaking returns the node with these devices broken.
func breaking(n placement.Node, devices ...int) placement.Node {
	n.Devices.Broken = devices
	return n
}

func updateNode(t testHelper, s *Scheduler, n placement.Node) []placement.ResourceName {
	t.Helper()
	over, err := s.UpdateNode(t.Context(), n)
	require.NoError(t, err)
	return over
}

// TestABrokenDeviceTakesNothingNew breaks devices that are free and in use, and
// mends them.
func TestABrokenDeviceTakesNothingNew(t *testing.T) {
	events := 0
	s := newTestScheduler(t, Config{Hooks: Hooks{Event: func(Event) { events++ }}})
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{"gpu": {Soft: 8000}}})
	require.NoError(t, err)
	n := gpuNode("n1", 4)
	addNodes(t, s, n)
	require.Equal(t, []int{0}, place(t, s, gpuRequest("a", placement.Device)).Devices)
	require.Equal(t, []int{1}, place(t, s, gpuRequest("b", 400)).Devices)
	events = 0
	require.Empty(t, updateNode(t, s, breaking(n, 2, 1)), "what broke in use is not over")
	require.Equal(t, 1, events)

	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, info.Devices.Broken)
	require.Equal(t, []int64{0, 0, 0, 1000}, info.DeviceFree)
	require.Equal(t, []int64{4000, 2000, 1400, 1000}, []int64{info.Capacity.GPU, info.Total.GPU, info.Allocated.GPU, info.Available.GPU})
	require.Empty(t, info.Over())
	used, err := s.Quota(t.Context(), "ns")
	require.NoError(t, err)
	require.Equal(t, int64(1400), used.Usage[1].Used)

	require.Equal(t, "n1", place(t, s, testRequest("no gpu", 1)).NodeID)
	_, err = s.Place(t.Context(), gpuRequest("two", 2*placement.Device))
	require.Equal(t, []string{"1 lacks gpu"}, refusals(t, err))
	e, err := s.Explain(t.Context(), gpuRequest("two", 2*placement.Device))
	require.NoError(t, err)
	require.Equal(t, "0 of 1 nodes fit: 1 lacks gpu (nearest n1 lacks 1, its devices [1 2] are broken); would help: waiting on n1 for gpu 1, another node like n1", e.String())
	require.Equal(t, []int{1, 2}, e.NearestMiss.Broken)
	require.Equal(t, []int{3}, place(t, s, gpuRequest("c", 400)).Devices, "not beside b on the broken one")
	_, err = s.Resize(t.Context(), "b", placement.Resources{GPU: 500})
	require.ErrorIs(t, err, ErrUnschedulable, "a broken device takes nothing more of what it has either")
	_, err = s.Resize(t.Context(), "b", placement.Resources{GPU: 300})
	require.NoError(t, err)

	updateNode(t, s, n)
	require.Equal(t, []int{1}, place(t, s, gpuRequest("d", 700)).Devices)
	require.Equal(t, []int{2}, place(t, s, gpuRequest("e", placement.Device)).Devices)
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestABrokenDeviceInUseIsKeptByUpdatesAndReports: it is still the device of its
// instance.
func TestABrokenDeviceInUseIsKeptByUpdatesAndReports(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := breaking(gpuNode("n1", 2), 1)
	running := Report{Request: gpuRequest("a", placement.Device), Devices: []int{1}}
	adoption, err := s.AdoptNode(t.Context(), n, []Report{running})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, adoption.Adopted)
	require.Empty(t, adoption.Over)
	fewer := gpuNode("n1", 1)
	_, err = s.UpdateNode(t.Context(), fewer)
	require.ErrorIs(t, err, ErrConflict)
	_, err = s.Resize(t.Context(), "a", placement.Resources{GPU: 2 * placement.Device})
	require.NoError(t, err)
	require.NoError(t, s.Release(t.Context(), "a"))
	updateNode(t, s, fewer)
}

// TestABrokenDeviceHoldsNoSlot moves slots from a device that breaks; one in which
// an instance stands stays with it, and takes no other.
func TestABrokenDeviceHoldsNoSlot(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := gpuNode("n1", 4)
	addNodes(t, s, n)
	spec := holding("r", 0, 2)
	spec.Shape = placement.Resources{GPU: 500}
	spec.Preferences = placement.Use(placement.Spread)
	r := reserve(t, s, spec)
	require.Equal(t, []int{0}, r.Slots[0].Devices)
	require.Equal(t, []int{1}, r.Slots[1].Devices, "slots spread over devices as instances do")
	d, err := s.PlaceFromReservation(t.Context(), "r", gpuRequest("a", 400))
	require.NoError(t, err)
	require.Equal(t, []int{0}, d.Devices)

	updateNode(t, s, breaking(n, 0, 1))
	r, err = s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, reservation.Active, r.State())
	require.Equal(t, []int{0}, r.Slots[0].Devices)
	require.Equal(t, []int{2}, r.Slots[1].Devices)
	d, err = s.PlaceFromReservation(t.Context(), "r", gpuRequest("b", 100))
	require.NoError(t, err)
	require.Equal(t, []int{2}, d.Devices, "not what a leaves of the broken one")

	require.NoError(t, s.Release(t.Context(), "a"))
	r, err = s.Reservation(t.Context(), "r")
	require.NoError(t, err)
	require.Equal(t, []int{3}, r.Slots[0].Devices, "it moves once its instance has gone")
	updateNode(t, s, breaking(n, 0, 1, 3))
	_, err = s.Reserve(t.Context(), reservation.Spec{ID: "late", Namespace: "ns", Shape: placement.Resources{GPU: placement.Device}, Count: 1, Duration: time.Hour})
	require.ErrorIs(t, err, reservation.ErrRefused)
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestAnInstanceThatOutlastsItsSlotKeepsItsDevice reserves, on the device of a slot,
// beside an instance that says it stays for longer: both count, for the scheduler
// and for the clerk of the histories.
func TestAnInstanceThatOutlastsItsSlotKeepsItsDevice(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, gpuNode("n1", 2))
	spec := holding("r", 0, 1)
	spec.Shape = placement.Resources{GPU: 700}
	spec.Duration = 20 * time.Second
	reserve(t, s, spec)
	req := gpuRequest("a", 700)
	req.Duration = time.Minute
	_, err := s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	spec.ID, spec.Shape.GPU, spec.Start = "later", 250, c.Now().Add(20*time.Second)
	r := reserve(t, s, spec)
	require.Equal(t, []int{0}, r.Slots[0].Devices)

	n := deviceNodes(t, s, c.Now())[0]
	require.Equal(t, int64(50+1000), n.Available.GPU)
	left, _ := n.left(c.Now(), time.Time{})
	require.Equal(t, []int64{50, 1000}, left)
	left, _ = n.left(c.Now(), c.Now().Add(20*time.Second))
	require.Equal(t, []int64{300, 1000}, left, "before the other begins")
}

// TestSpreadGivesFractionsTheIdleDevice beside BinPack, which fills the fullest.
func TestSpreadGivesFractionsTheIdleDevice(t *testing.T) {
	for strategy, want := range map[placement.Strategy][]int{placement.BinPack: {0, 0, 0}, placement.Spread: {0, 1, 2}} {
		s := newTestScheduler(t, Config{})
		addNodes(t, s, gpuNode("n1", 3))
		for i, device := range want {
			req := gpuRequest(fmt.Sprint("r", i), 250)
			req.Preferences = placement.Use(strategy)
			require.Equal(t, []int{device}, place(t, s, req).Devices, "%s", strategy)
		}
	}
}

// TestMoreOfOneGPUThanThereIs adopts what shares a GPU beyond what it has,
// while the other GPU is untouched.
func TestMoreOfOneGPUThanThereIs(t *testing.T) {
	tests := []struct {
		name    string
		running int
	}{
		{"less than the node has in sum", 2},
		{"more than the node has in sum", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			var running []Report
			for i := range tt.running {
				running = append(running, Report{Request: gpuRequest(fmt.Sprint("r", i), 700), Devices: []int{0}})
			}
			adoption, err := s.AdoptNode(t.Context(), gpuNode("n1", 2), running)
			require.NoError(t, err)
			require.Equal(t, []placement.ResourceName{placement.NameGPU}, adoption.Over)

			for _, gpu := range []int64{0, 300, placement.Device} {
				lacksGPU := []ReasonCount{{placement.Reason{Kind: placement.ReasonResource, Name: placement.NameGPU}, 1}}
				if gpu == 0 {
					lacksGPU[0].Reason.Detail = placement.Overused
				}
				req := gpuRequest("new", gpu)
				_, err := s.Place(t.Context(), req)
				require.Equal(t, lacksGPU, refusedFor(t, err), "gpu %d", gpu)
				_, err = s.Allocate(t.Context(), "n1", req)
				require.Equal(t, lacksGPU, refusedFor(t, err), "gpu %d", gpu)
				e, err := s.Explain(t.Context(), req)
				require.NoError(t, err)
				require.Zero(t, e.Fit)
				require.Equal(t, lacksGPU, e.First)
			}
			for i := range tt.running - 1 {
				require.NoError(t, s.Release(t.Context(), fmt.Sprint("r", i)))
			}
			require.Equal(t, []int{1}, place(t, s, gpuRequest("new", placement.Device)).Devices)
		})
	}
}
