package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func gpuNode(id string, devices int) placement.Node {
	n := node(id, 8)
	n.Devices = placement.Devices{Count: devices, Model: "a100"}
	return n
}

func gpus(milli int64) placement.Resources { return placement.Resources{GPU: milli} }

func gpuSpec(id string, milli int64) reservation.Spec {
	s := spec(id, 0)
	s.Shape = gpus(milli)
	return s
}

func TestSlotsPinDevices(t *testing.T) {
	d := newDesk(t, gpuNode("g", 4))
	devices := func(id string, milli int64) []int { return d.reserve(gpuSpec(id, milli)).Slots[0].Devices }
	require.Equal(t, []int{0}, devices("fraction", 300))
	require.Equal(t, []int{1, 2}, devices("pair", 2*placement.Device))
	require.Equal(t, []int{0}, devices("beside the fraction", 700), "the fitting device with least left")
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(gpuSpec("two halves are no whole", 2*placement.Device))
		var refused *reservation.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, gpus(placement.Device), refused.Largest)
		return err
	})
	require.Equal(t, []int{3}, devices("last", placement.Device))
}

// TestABrokenDeviceHoldsNoSlot: the slot moves or is lost when its device breaks,
// unless an instance stands in it, and comes back when the device is mended. What
// an instance leaves of a broken device is nobody's.
func TestABrokenDeviceHoldsNoSlot(t *testing.T) {
	n := gpuNode("g", 2)
	d := newDesk(t, n)
	devices := func(id string) []int { return d.lookup(id).Slots[0].Devices }
	d.reserve(gpuSpec("claimed", 500))
	_, _, err := d.Claim("claimed", placement.Request{ID: "i", Namespace: "team", Resources: gpus(200)})
	require.NoError(t, err)
	d.reserve(gpuSpec("moves", 400))
	require.Equal(t, []int{0}, devices("moves"))

	n.Devices.Broken = []int{0}
	require.NoError(t, d.SetNode(n))
	require.Equal(t, []int{0}, devices("claimed"))
	require.Equal(t, []int{1}, devices("moves"))
	free, err := d.Free("g", reservation.Window{Start: d.clock.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, gpus(placement.Device).GPU, free.GPU, "nor when the instance has gone")
	_, _, err = d.Claim("claimed", placement.Request{ID: "j", Namespace: "team", Resources: gpus(100)})
	require.ErrorIs(t, err, reservation.ErrRefused)

	n.Devices.Broken = []int{0, 1}
	require.NoError(t, d.SetNode(n))
	require.Equal(t, reservation.Displaced, d.state("moves"))
	require.Equal(t, reservation.Active, d.state("claimed"))
	n.Devices.Broken = nil
	require.NoError(t, d.SetNode(n))
	require.Equal(t, reservation.Active, d.state("moves"))
}

func TestClaimsUseTheSlotsDevices(t *testing.T) {
	d := newDesk(t, gpuNode("g", 4))
	d.reserve(gpuSpec("other", placement.Device))
	d.reserve(gpuSpec("r", 3*placement.Device))
	claim := func(id string, milli int64) []int {
		_, c, err := d.Claim("r", placement.Request{ID: id, Namespace: "team", Resources: gpus(milli)})
		require.NoError(t, err)
		return c.Devices
	}
	require.Equal(t, []int{1}, claim("half", 500))
	require.Equal(t, []int{2, 3}, claim("pair", 2*placement.Device))
	require.Equal(t, []int{1}, claim("other half", 500))
}

func TestClaimTakesGPUsBeyondTheShapeFromTheNode(t *testing.T) {
	d := newDesk(t, gpuNode("g", 2))
	s := spec("r", 4)
	s.Node = "g"
	d.reserve(s)
	req := request("i", 2)
	req.Resources.GPU = placement.Device
	_, c, err := d.Claim("r", req)
	require.NoError(t, err)
	require.Equal(t, []int{0}, c.Devices)
	require.Equal(t, []int{1}, d.reserve(gpuSpec("rest", placement.Device)).Slots[0].Devices)
	d.unchanged(reservation.ErrRefused, func() error {
		req.ID = "j"
		_, _, err := d.Claim("r", req)
		return err
	})
}

func TestResizeKeepsDevices(t *testing.T) {
	d := newDesk(t, gpuNode("g", 4))
	d.reserve(gpuSpec("first", placement.Device))
	d.reserve(gpuSpec("r", placement.Device))
	d.reserve(gpuSpec("third", placement.Device))
	require.NoError(t, d.Release("first", false))
	r, err := d.Resize("r", gpus(2*placement.Device), 0)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, r.Slots[0].Devices)
	_, c, err := d.Claim("r", placement.Request{ID: "i", Namespace: "team", Resources: gpus(300)})
	require.NoError(t, err)
	require.Equal(t, []int{0}, c.Devices)
	r, err = d.Resize("r", gpus(placement.Device), 0)
	require.NoError(t, err)
	require.Equal(t, []int{0}, r.Slots[0].Devices, "the one in use")
	d.unchanged(reservation.ErrInvalid, func() error {
		_, err := d.Resize("r", gpus(500), 0)
		return err
	})
}

func TestSlotHoldsOneInstance(t *testing.T) {
	few := node("few", 8)
	few.MaxInstances = 2
	d := newDesk(t, few)
	s := spec("r", 8)
	s.Node = "few"
	d.reserve(s)
	for _, id := range []string{"first", "second"} {
		require.NoError(t, d.claim("r", id, 1))
	}
	d.unchanged(reservation.ErrRefused, func() error { return d.claim("r", "third", 1) })
	require.NoError(t, d.Remove("first"))
	require.NoError(t, d.claim("r", "third", 1), "the slot's own place is free again")
	r := d.lookup("r")
	require.Equal(t, placement.Amounts{Resources: cores(8), Instances: 1}, r.Owes())
}

func TestMostUsedSlotFirst(t *testing.T) {
	d := newDesk(t)
	s := spec("r", 4)
	s.Count = 2
	d.reserve(s)
	slots := func() [2]int {
		r := d.lookup("r")
		return [2]int{len(r.Slots[0].Claims), len(r.Slots[1].Claims)}
	}
	require.NoError(t, d.claim("r", "a", 3))
	require.NoError(t, d.claim("r", "b", 2))
	require.Equal(t, [2]int{1, 1}, slots())
	require.NoError(t, d.claim("r", "c", 1))
	require.Equal(t, [2]int{2, 1}, slots())
	require.NoError(t, d.claim("r", "d", 2))
	require.Equal(t, [2]int{2, 2}, slots())
}

func TestFragmentsDoNotHoldASlot(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	for _, id := range []string{"n1", "n2"} {
		require.NoError(t, d.SetUsed(id, placement.Amounts{Resources: cores(4), Instances: 1}))
	}
	var refused *reservation.RefusedError
	_, err := d.Reserve(spec("r", 8))
	require.ErrorAs(t, err, &refused)
	require.Equal(t, cores(4), refused.Largest)
	require.True(t, refused.Earliest.IsZero(), "ordinary instances have no end")
	require.EqualError(t, err, "reservation: no room for 1 of 1 × cpu=8 in "+
		"[2030-01-01T00:00:00Z, 2030-01-01T00:01:00Z): the largest single fit is cpu=4 on n1, short of cpu")
}

func TestSpreadAmongSlots(t *testing.T) {
	zoned := func(id, zone string) placement.Node {
		n := node(id, 8)
		n.Labels = map[string]string{"zone": zone}
		return n
	}
	d := newDesk(t, zoned("a1", "a"), zoned("a2", "a"), zoned("b1", "b"))
	nodes := func(s reservation.Spec) []string {
		var nodes []string
		for _, slot := range d.reserve(s).Slots {
			nodes = append(nodes, slot.Node)
		}
		return nodes
	}
	s := spec("even", 1)
	s.Count = 4
	s.Preferences = placement.Preferences{}.Across(placement.EvenlyOver("zone", 1))
	require.Equal(t, []string{"a1", "b1", "a1", "b1"}, nodes(s))
	s.ID, s.Count = "distinct", 3
	s.Preferences = placement.Preferences{}.Across(placement.AtMostPer("", 1)).Require(placement.Exists("zone"))
	require.Equal(t, []string{"a1", "a2", "b1"}, nodes(s))

	require.NoError(t, d.RemoveNode("b1"))
	distinct := d.lookup("distinct")
	require.Equal(t, 1, distinct.Missing(), "the rule holds for moves too")

	s.ID, s.Count = "one too many", 3
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(s)
		require.ErrorContains(t, err, "no room for 1 of 3 × cpu=1")
		require.ErrorContains(t, err, "no node meets the rules")
		return err
	})
}

func TestTaintsAndConstraints(t *testing.T) {
	tainted := node("a-tainted", 8)
	tainted.Taints = []placement.Taint{{Key: "dedicated", Effect: placement.NoSchedule}}
	labelled := node("z-labelled", 8)
	labelled.Labels = map[string]string{"disk": "ssd"}
	d := newDesk(t, tainted, labelled)
	require.Equal(t, "n1", d.reserve(spec("plain", 1)).Slots[0].Node)
	s := spec("tolerant", 1)
	s.Preferences = placement.Preferences{}.TolerateExists("dedicated")
	require.Equal(t, "a-tainted", d.reserve(s).Slots[0].Node)
	s = spec("ssd", 1)
	s.Preferences = placement.Preferences{}.Require(placement.Equal("disk", "ssd"))
	require.Equal(t, "z-labelled", d.reserve(s).Slots[0].Node)

	picky := request("picky", 1)
	picky.Preferences = s.Preferences
	d.unchanged(reservation.ErrRefused, func() error {
		_, _, err := d.Claim("plain", picky)
		var short *reservation.ShortError
		require.ErrorAs(t, err, &short)
		require.Equal(t, 1, short.Rules)
		return err
	})
	node, _, err := d.Claim("ssd", picky)
	require.NoError(t, err)
	require.Equal(t, "z-labelled", node)

	s.ID, s.Preferences = "nowhere", placement.Preferences{}.Require(placement.Equal("disk", "tape"))
	_, err = d.Reserve(s)
	require.ErrorContains(t, err, "no node meets the rules")
}

// What is left of several GPUs is told as far as one instance can use it.
func TestShortOfGPUs(t *testing.T) {
	d := newDesk(t, gpuNode("g", 2))
	d.reserve(gpuSpec("r", 2*placement.Device))
	for _, id := range []string{"a", "b"} {
		_, _, err := d.Claim("r", placement.Request{ID: id, Namespace: "team", Resources: gpus(700)})
		require.NoError(t, err)
	}
	for asked, left := range map[int64]int64{600: 300, placement.Device: 0} {
		_, _, err := d.Claim("r", placement.Request{ID: "c", Namespace: "team", Resources: gpus(asked)})
		var short *reservation.ShortError
		require.ErrorAs(t, err, &short)
		require.Equal(t, gpus(left), short.Left)
	}
}
