package reservation_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func gpuRequest(id string, gpu int64) placement.Request {
	return placement.Request{ID: id, Namespace: "team", Resources: placement.Resources{GPU: gpu}}
}

// TestClaimOfAGPUThatTheNodeHas: a slot with an instance in it keeps its GPUs
// when the node changes; a claim gets those of them that are there and unused.
func TestClaimOfAGPUThatTheNodeHas(t *testing.T) {
	tests := []struct {
		name    string
		gpus    int
		used    []int64 // of each GPU, by others
		asked   int64
		devices []int // of the claim; nil is refused
	}{
		{"as it was", 2, nil, 1000, []int{1}},
		{"taken away", 1, nil, 1000, nil},
		{"in use", 2, []int64{0, 300}, 1000, nil},
		{"in use, for the rest of it", 2, []int64{0, 300}, 700, []int{1}},
		{"the other used beyond what it is", 2, []int64{300, 0}, 1000, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			require.NoError(t, d.SetNode(gpuNode("n1", 2)))
			s := spec("r", 0)
			s.Shape = placement.Resources{GPU: 2 * placement.Device}
			d.reserve(s)
			_, first, err := d.Claim("r", gpuRequest("a", placement.Device))
			require.NoError(t, err)
			require.Equal(t, []int{0}, first.Devices)
			require.NoError(t, d.SetNode(gpuNode("n1", test.gpus)))
			require.NoError(t, d.SetUsed("n1", placement.Amounts{}, test.used...))
			var c reservation.Claim
			call := func() error { _, c, err = d.Claim("r", gpuRequest("b", test.asked)); return err }
			if test.devices == nil {
				d.unchanged(reservation.ErrRefused, call)
				return
			}
			require.NoError(t, call())
			require.Equal(t, test.devices, c.Devices)
		})
	}
}

// TestClaimTakesTheGPUThatIsFree: of several in the slot, one that is in use by
// others is passed over.
func TestClaimTakesTheGPUThatIsFree(t *testing.T) {
	d := newDesk(t)
	require.NoError(t, d.SetNode(gpuNode("n1", 3)))
	s := spec("r", 0)
	s.Shape = placement.Resources{CPU: 2 * placement.Core, GPU: 2 * placement.Device}
	d.reserve(s)
	require.NoError(t, d.claim("r", "keeps the slot", 1))
	require.NoError(t, d.SetUsed("n1", placement.Amounts{}, 1000))
	_, c, err := d.Claim("r", gpuRequest("a", placement.Device))
	require.NoError(t, err)
	require.Equal(t, []int{1}, c.Devices)
}

// TestClaimBesideUseBeyondCounting: no sum of what is used overflows.
func TestClaimBesideUseBeyondCounting(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "a", 1))
	used := placement.Amounts{Resources: placement.Resources{CPU: math.MaxInt64}, Instances: math.MaxInt64}
	require.NoError(t, d.SetUsed("n1", used))
	d.unchanged(reservation.ErrRefused, func() error { return d.claim("r", "b", 1) })
}

// TestRefusalsNameTheShortDimension, also where a node takes no more instances.
func TestRefusalsNameTheShortDimension(t *testing.T) {
	small := node("n1", 8)
	small.MaxInstances, small.Capacity.Memory = 2, placement.GiB
	tests := []struct {
		name  string
		shape placement.Resources
		count int
		short placement.ResourceName
	}{
		{"cores", placement.Resources{CPU: 9 * placement.Core, Memory: 1}, 1, placement.NameCPU},
		{"the shortest of two", placement.Resources{CPU: 9 * placement.Core, Memory: 2 * placement.GiB}, 1, placement.NameMemory},
		{"GPUs", placement.Resources{CPU: 1, GPU: placement.Device}, 1, placement.NameGPU},
		{"instances", placement.Resources{CPU: 1}, 3, placement.NameInstances},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			require.NoError(t, d.SetNode(small))
			s := spec("r", 0)
			s.Shape, s.Count = test.shape, test.count
			_, err := d.Reserve(s)
			var refused *reservation.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.short, refused.Short)
			require.NotContains(t, err.Error(), "none on")
		})
	}
}

// TestShortOfWhat: a refused claim names what is short, of the slot or of its
// node.
func TestShortOfWhat(t *testing.T) {
	tests := []struct {
		name  string
		used  placement.Amounts
		asked placement.Resources
		short placement.ResourceName
	}{
		{"of the slot", placement.Amounts{}, placement.Resources{CPU: 9, Memory: 1}, placement.NameCPU},
		{"beyond the shape", placement.Amounts{}, placement.Resources{Memory: 33 * placement.GiB}, placement.NameMemory},
		{"in use", placement.Amounts{Resources: cores(7)}, cores(2), placement.NameCPU},
		{"in use of the other", placement.Amounts{Resources: placement.Resources{Disk: 1}}, cores(1), placement.NameDisk},
		{"in use of what no node gives", placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"fpga": 1}}}, cores(1), "fpga"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			s := spec("r", 8)
			if test.name == "of the slot" {
				s.Shape.CPU = 8
			}
			d.reserve(s)
			require.NoError(t, d.claim("r", "keeps the slot", 0))
			require.NoError(t, d.SetUsed("n1", test.used))
			req := request("i", 0)
			req.Resources = test.asked
			_, _, err := d.Claim("r", req)
			var short *reservation.ShortError
			require.ErrorAs(t, err, &short)
			require.Equal(t, test.short, short.Short)
		})
	}
}

// TestClaimThatOutstaysItsReservation is refused where others hold the node
// afterwards, as beside a reservation, and else keeps them off.
func TestClaimThatOutstaysItsReservation(t *testing.T) {
	next := func(d *desk) error { _, err := d.Reserve(d.during("next", 8, 60, 120)); return err }
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, next(d))
	claim := func(id string, seconds float64) error {
		_, _, err := d.Claim("r", lasting(id, 4, seconds))
		return err
	}
	d.unchanged(reservation.ErrRefused, func() error {
		err := claim("too long", 61)
		var short *reservation.ShortError
		require.ErrorAs(t, err, &short)
		require.Equal(t, 1, short.Outstays)
		require.ErrorContains(t, err, "1 on nodes that others hold before its duration is over")
		return err
	})
	require.NoError(t, claim("as long", 60))
	require.NoError(t, claim("until when it likes", 0))

	d = newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, claim("i", 90))
	var refused *reservation.RefusedError
	require.ErrorAs(t, next(d), &refused)
	require.Equal(t, []reservation.Holder{
		{ID: "r", Window: reservation.Window{Start: d.second(60), End: d.second(90)}},
	}, refused.Holders)
	require.Equal(t, d.second(90), refused.Earliest)
	_, err := d.Extend("r", d.second(100))
	require.NoError(t, err, "it is not in its own way")
	_, err = d.Extend("r", d.second(60))
	require.NoError(t, err)
	require.NoError(t, d.Remove("i"))
	require.NoError(t, next(d))
}
