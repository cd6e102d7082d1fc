package index

import (
	"math"

	"github.com/rads-project/constellation/placement"
)

// gpus is how much of each GPU of a node is used, in thousandths by index. It
// is longer than the node's count after the node shrank below what is used.
// Nodes point to it, since most have none.
type gpus struct {
	used []int64
}

// measureGPUs brings the three columns on GPUs up to date.
func (x *Index) measureGPUs(row Row) {
	var holds []int64
	if h := x.nodes[row].hold; h != nil {
		holds = h.devices
	}
	most, whole := x.nodes[row].gpusLeft(holds)
	x.most[row], x.whole[row] = int32(most), int32(whole)
	d := int(x.named[gpuName])
	if d < 0 {
		return
	}
	x.ownRow(row)
	if h := x.nodes[row].hold; h != nil {
		h.spare[d] = x.nodes[row].gpusFree(nil)
	}
	x.setFree(row, d, x.nodes[row].gpusFree(holds))
}

// gpusFree returns what is free of the working GPUs, each for itself: one of which
// more is used than there is takes nothing from the others.
func (n *node) gpusFree(holds []int64) int64 {
	if n.spec == nil {
		return 0
	}
	free := int64(0)
	for i := range n.spec.Devices.Count {
		free += max(0, n.deviceLeft(i, holds))
	}
	return free
}

// gpusLeft returns the most that is left on one GPU of the node and how many
// are untouched, what is held subtracted. Where more of one GPU is used than
// there is, it returns that as less than nothing left: whatever is asked, also
// nothing, is missing then.
func (n *node) gpusLeft(holds []int64) (most, whole int64) {
	if n.spec == nil {
		return 0, 0
	}
	if over := n.gpusOver(); over > 0 {
		return -over, 0
	}
	for i := range n.spec.Devices.Count {
		left := n.deviceLeft(i, holds)
		most = max(most, left)
		if left >= placement.Device {
			whole++
		}
	}
	return most, whole
}

// gpusOver returns by how much more is used of GPUs than there is of each, in
// sum. Only what was reported as running, and devices that are gone, do that: a
// broken one is still there.
func (n *node) gpusOver() int64 {
	over := int64(0)
	if n.gpus != nil {
		for i, used := range n.gpus.used {
			if n.spec != nil && i < n.spec.Devices.Count {
				used -= placement.Device
			}
			over += max(0, used)
		}
	}
	return min(over, math.MaxInt32)
}

// deviceLeft returns what is left of a GPU beside holds. Nothing is left of one
// that is broken, whatever is used of it.
func (n *node) deviceLeft(i int, holds []int64) int64 {
	left := placement.Device - n.deviceUsed(i)
	if i < len(holds) {
		left = satSub(left, holds[i])
	}
	if !n.spec.Devices.Works(i) {
		left = min(left, 0)
	}
	return left
}

func (n *node) deviceUsed(i int) int64 {
	if n.gpus != nil && i < len(n.gpus.used) {
		return n.gpus.used[i]
	}
	return 0
}

// gpusUsed returns what is used of all GPUs, broken ones and those that are gone
// included.
func (n *node) gpusUsed() int64 {
	used := int64(0)
	if n.gpus != nil {
		for _, amount := range n.gpus.used {
			used += amount
		}
	}
	return used
}

// useGPUs adds to what is used of each of the devices.
func (x *Index) useGPUs(row Row, devices []uint16, each int64) {
	x.ownRow(row)
	n := &x.nodes[row]
	if n.gpus == nil {
		n.gpus = &gpus{used: make([]int64, n.spec.Devices.Count)}
	}
	for _, device := range devices {
		for int(device) >= len(n.gpus.used) {
			n.gpus.used = append(n.gpus.used, 0)
		}
		n.gpus.used[device] += each
	}
	x.measureGPUs(row)
}

// DeviceUsed returns what is used of each GPU of the node, in thousandths.
func (x *Index) DeviceUsed(row Row) []int64 {
	n := &x.nodes[row]
	if n.spec.Devices.Count == 0 {
		return nil
	}
	used := make([]int64, n.spec.Devices.Count)
	for i := range used {
		used[i] = n.deviceUsed(i)
	}
	return used
}

// DeviceFree returns what is left of each GPU of the node, in thousandths,
// holds not subtracted: nothing of a broken one.
func (x *Index) DeviceFree(row Row) []int64 {
	n := &x.nodes[row]
	if n.spec.Devices.Count == 0 {
		return nil
	}
	left := make([]int64, n.spec.Devices.Count)
	for i := range left {
		left[i] = n.deviceLeft(i, nil)
	}
	return left
}

// Devices returns which GPUs the query takes on a node that it fits on: those
// that placement.ChooseDevices returns, found without a list of what is left.
// held stands in for the node's own holds; nil means its own. The result is nil
// if the query asks for no GPU.
func (x *Index) Devices(q *Query, row Row, held *Hold) []uint16 {
	asked := q.Resources.GPU
	if asked == 0 {
		return nil
	}
	n := &x.nodes[row]
	holds := x.deviceHolds(row, held)
	if asked < placement.Device {
		device := n.fraction(asked, holds, q.Class.request.Preferences.Strategy == placement.Spread)
		if device < 0 {
			return nil
		}
		return []uint16{uint16(device)}
	}
	devices := make([]uint16, 0, asked/placement.Device)
	for i := range n.spec.Devices.Count {
		if len(devices) < cap(devices) && n.deviceLeft(i, holds) >= placement.Device {
			devices = append(devices, uint16(i))
		}
	}
	return devices
}

// fraction returns the GPU with the least left that is enough for a fraction, or
// to spread the one with the most left, the first of several, -1 if there is none.
func (n *node) fraction(asked int64, holds []int64, spread bool) int {
	best, bestLeft := -1, int64(0)
	for i := range n.spec.Devices.Count {
		left := n.deviceLeft(i, holds)
		if left >= asked && (best < 0 || spread && left > bestLeft || !spread && left < bestLeft) {
			best, bestLeft = i, left
		}
	}
	return best
}

func (x *Index) deviceHolds(row Row, held *Hold) []int64 {
	if held != nil {
		return held.Devices
	}
	if h := x.nodes[row].hold; h != nil {
		return h.devices
	}
	return nil
}

// gpuMissing returns by how much a request for GPUs fails where so much is
// left; it fits if that is not positive.
func gpuMissing(asked, most, whole int64) int64 {
	if asked < placement.Device {
		return asked - most
	}
	return asked - whole*placement.Device
}
