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

// measureGPUs brings the two columns on GPUs up to date.
func (x *Index) measureGPUs(row Row) {
	var holds []int64
	if h := x.nodes[row].hold; h != nil {
		holds = h.devices
	}
	most, whole := x.nodes[row].gpusLeft(holds)
	x.most[row], x.whole[row] = int32(most), int32(whole)
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
// sum. Only what was reported as running, and devices that are gone, do that.
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

func (n *node) deviceLeft(i int, holds []int64) int64 {
	left := int64(placement.Device)
	if n.gpus != nil && i < len(n.gpus.used) {
		left -= n.gpus.used[i]
	}
	if i < len(holds) {
		left = satSub(left, holds[i])
	}
	return left
}

// useGPUs adds to what is used of each of the devices.
func (x *Index) useGPUs(row Row, devices []uint16, each int64) {
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

// DeviceFree returns what is left of each GPU of the node, in thousandths,
// holds not subtracted.
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
		device := n.tightest(asked, holds)
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

// tightest returns the GPU with the least left that is enough for a fraction,
// the first of several, -1 if there is none.
func (n *node) tightest(asked int64, holds []int64) int {
	best, least := -1, int64(0)
	for i := range n.spec.Devices.Count {
		left := n.deviceLeft(i, holds)
		if left >= asked && (best < 0 || left < least) {
			best, least = i, left
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
