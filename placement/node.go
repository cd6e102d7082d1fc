package placement

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// LabelGPUModel is the label that a node carries for its Devices.Model. It is
// read-only: no node sets it among its Labels.
const LabelGPUModel = "gpu.model"

// MaxDevices is the largest number of GPUs of one node.
const MaxDevices = 1024

// Node is a machine that instances run on.
//
// What it holds is bounded: IDs, names and keys have at most MaxIDBytes, values
// MaxValueBytes; there are at most MaxDevices devices, MaxPorts reserved ports and
// MaxRules taints; and its JSON has at most MaxEncodedBytes.
type Node struct {
	// ID of the node, not empty, unique in a scheduler.
	ID string `json:"id"`
	// Name is for people.
	Name string `json:"name,omitempty"`
	// Capacity is all that the node has. GPU may be left zero: Devices
	// define it.
	Capacity Resources `json:"capacity,omitzero"`
	// Reserved is the part of Capacity that is not given to instances. GPUs
	// are not reserved.
	Reserved Resources `json:"reserved,omitzero"`
	// Devices are the GPUs, all of one model.
	Devices Devices `json:"devices,omitzero"`
	// ReservedPorts are never given to instances. Instances that have one keep it.
	ReservedPorts []Port `json:"reservedPorts,omitempty"`
	// DynamicPorts is the range of which Request.DynamicPorts are given. The zero
	// value gives none.
	DynamicPorts PortRange `json:"dynamicPorts,omitzero"`
	// MaxInstances caps the instances on the node; 0 is no cap.
	MaxInstances int64 `json:"maxInstances,omitempty"`
	// Overcommit multiplies what is allocatable in a dimension: more is
	// promised than there is. GPUs are not overcommitted.
	Overcommit map[ResourceName]Ratio `json:"overcommit,omitempty"`
	// Labels that constraints and topologies look at.
	Labels map[string]string `json:"labels,omitempty"`
	// Taints keep instances away that do not tolerate them.
	Taints []Taint `json:"taints,omitempty"`
}

// Devices are the GPUs of a node. Each has an index from 0 to Count-1.
type Devices struct {
	// Count of them, broken ones included, at most MaxDevices.
	Count int `json:"count,omitempty"`
	// Model of all of them, the node's label LabelGPUModel; empty is none.
	Model string `json:"model,omitempty"`
	// Broken are the indices of devices that do not work, each once, in any
	// order. A broken device takes nothing new and is no capacity. An instance
	// that uses one keeps it.
	Broken []int `json:"broken,omitempty"`
}

// Working returns how many of the devices are not broken.
func (d Devices) Working() int { return d.Count - len(d.Broken) }

// Works reports whether there is a device of that index that is not broken. The
// devices must be those of a canonical node. It takes O(log n) in the broken ones.
func (d Devices) Works(index int) bool {
	if len(d.Broken) > 0 {
		if _, broken := slices.BinarySearch(d.Broken, index); broken {
			return false
		}
	}
	return index >= 0 && index < d.Count
}

// Equal reports whether both are the same devices; the order of broken ones does
// not matter.
func (d Devices) Equal(other Devices) bool {
	return d.Count == other.Count && d.Model == other.Model && equalSets(d.Broken, other.Broken, cmp.Compare)
}

// equalSets reports whether both lists hold the same, in any order.
func equalSets[T comparable](a, b []T, compare func(T, T) int) bool {
	return slices.Equal(a, b) || len(a) == len(b) &&
		slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}

// Ratio is a rational number above zero, for example {3, 2} for one and a
// half. The zero value is invalid.
type Ratio struct {
	Numerator   int64 `json:"numerator"`
	Denominator int64 `json:"denominator"`
}

// Scale returns ⌊amount × Numerator / Denominator⌋, computed in 128 bits. It
// returns 0 and false if that does not fit an int64, the ratio is not positive
// or the amount is negative.
func (q Ratio) Scale(amount int64) (int64, bool) {
	if q.Numerator <= 0 || q.Denominator <= 0 || amount < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(amount), uint64(q.Numerator))
	if high >= uint64(q.Denominator) {
		return 0, false
	}
	quotient, _ := bits.Div64(high, low, uint64(q.Denominator))
	if quotient > math.MaxInt64 {
		return 0, false
	}
	return int64(quotient), true
}

// String writes the ratio as 3/2.
func (q Ratio) String() string {
	return strconv.FormatInt(q.Numerator, 10) + "/" + strconv.FormatInt(q.Denominator, 10)
}

// Canonical returns a copy of the node that shares nothing with n and has its
// GPU capacity filled in from Devices, or Devices from a GPU capacity without
// them, empty collections nil, taints sorted by key and effect, reserved ports by
// number and broken devices by index. What is invalid stays so.
func (n Node) Canonical() Node {
	n.Capacity, n.Reserved = n.Capacity.Clone(), n.Reserved.Clone()
	n.Labels, n.Overcommit = cloneMap(n.Labels), cloneMap(n.Overcommit)
	n.Taints = cloneSlice(n.Taints)
	slices.SortFunc(n.Taints, compareTaints)
	n.ReservedPorts = cloneSlice(n.ReservedPorts)
	slices.SortFunc(n.ReservedPorts, Port.Compare)
	n.Devices.Broken = cloneSlice(n.Devices.Broken)
	slices.Sort(n.Devices.Broken)
	switch whole := n.Capacity.GPU / Device; {
	case n.Capacity.GPU == 0 && n.Devices.Count > 0:
		n.Capacity.GPU = int64(n.Devices.Count) * Device
	case n.Devices.Count == 0 && n.Capacity.GPU%Device == 0 && whole <= MaxDevices:
		n.Devices.Count = int(whole)
	}
	return n
}

// Equal reports whether both describe the same node; order of taints,
// ports and broken devices, nil and empty collections, and what Canonical fills in do not matter.
func (n Node) Equal(other Node) bool {
	n, other = n.Canonical(), other.Canonical()
	return n.ID == other.ID && n.Name == other.Name && n.Devices.Equal(other.Devices) &&
		slices.Equal(n.ReservedPorts, other.ReservedPorts) && n.DynamicPorts == other.DynamicPorts &&
		n.MaxInstances == other.MaxInstances && n.Capacity.Equal(other.Capacity) && n.Reserved.Equal(other.Reserved) &&
		maps.Equal(n.Overcommit, other.Overcommit) && maps.Equal(n.Labels, other.Labels) &&
		slices.Equal(n.Taints, other.Taints)
}

// Label returns the value of a label, the read-only LabelGPUModel included.
func (n *Node) Label(key string) (string, bool) {
	if key == LabelGPUModel {
		return n.Devices.Model, n.Devices.Model != ""
	}
	value, ok := n.Labels[key]
	return value, ok
}

// Meets reports whether the constraint holds for the node's labels, the
// read-only LabelGPUModel included.
func (n *Node) Meets(c Constraint) bool { return c.holds(labelSource{node: n}) }

// Allocatable returns what the node gives to instances: Capacity minus
// Reserved, multiplied by Overcommit where there is one, and of GPUs those that
// work. The node must be valid and canonical.
func (n *Node) Allocatable() Resources {
	free, err := n.Capacity.Sub(n.Reserved)
	if err != nil {
		return Resources{}
	}
	for name, ratio := range n.Overcommit {
		amount, _ := ratio.Scale(free.Amount(name))
		free = free.With(name, amount)
	}
	free.GPU -= int64(len(n.Devices.Broken)) * Device
	return free
}

// AllocatableOf returns the amount of one dimension in Allocatable, without making
// the rest of it.
func (n *Node) AllocatableOf(name ResourceName) int64 {
	amount := n.Capacity.Amount(name) - n.Reserved.Amount(name)
	if ratio, ok := n.Overcommit[name]; ok {
		amount, _ = ratio.Scale(amount)
	}
	if name == NameGPU {
		amount -= int64(len(n.Devices.Broken)) * Device
	}
	return amount
}

// Validate reports every mistake in the node at once. It takes time in
// proportion to what the node holds.
func (n Node) Validate() error {
	var (
		found mistakes
		size  extent
	)
	if n.ID == "" {
		found.add("id", "", "empty")
	}
	found.checkID("id", n.ID)
	found.checkID("name", n.Name)
	found.addWithin("capacity", n.Capacity.Validate())
	found.addWithin("reserved", n.Reserved.Validate())
	for name, amount := range n.Reserved.All() {
		if amount > max(n.Capacity.Amount(name), 0) && name != NameGPU {
			found.addAmount("reserved."+string(name), amount, "more than the capacity")
		}
	}
	if n.Reserved.GPU > 0 {
		found.addAmount("reserved.gpu", n.Reserved.GPU, "GPUs are not reserved")
	}
	found.checkPorts("reservedPorts", n.ReservedPorts)
	found.addWithin("dynamicPorts", n.DynamicPorts.Validate())
	if n.MaxInstances < 0 {
		found.addAmount("maxInstances", n.MaxInstances, "negative")
	}
	found.addWithin("labels", validateLabels(n.Labels, &size))
	if model, ok := n.Labels[LabelGPUModel]; ok {
		found.add(keyed("labels", LabelGPUModel), model, "read-only: set devices.model")
	}
	n.checkDevices(&found)
	n.checkOvercommit(&found)
	n.checkTaints(&found)
	found.checkNodeSize(&n, size)
	return found.join()
}

func (n *Node) checkDevices(found *mistakes) {
	found.checkValue("devices.model", n.Devices.Model)
	count, amount := n.Devices.Count, n.Capacity.GPU
	switch {
	case count < 0 || count > MaxDevices:
		found.addAmount("devices.count", int64(count), "want 0 to 1024 devices")
	case amount < 0: // Reported with the capacity.
	case amount > MaxDevices*Device:
		found.addAmount("capacity.gpu", amount, "more than 1024 devices")
	case count > 0 && amount > 0 && amount != int64(count)*Device:
		found.addAmount("capacity.gpu", amount, "differs from devices.count")
	case amount%Device != 0:
		found.addAmount("capacity.gpu", amount, "want whole devices")
	case count == 0 && amount == 0 && n.Devices.Model != "":
		found.add("devices.model", n.Devices.Model, "a model without devices")
	}
	n.checkBroken(found)
}

// checkBroken takes the number of devices from the capacity where Devices leave
// it out, as Canonical does.
func (n *Node) checkBroken(found *mistakes) {
	count := n.Devices.Count
	if count == 0 {
		count = int(min(max(n.Capacity.GPU, 0)/Device, MaxDevices))
	}
	broken := n.Devices.Broken
	if len(broken) > MaxDevices {
		found.addAmount("devices.broken", int64(len(broken)), "want at most 1024")
		return
	}
	seen := make(map[int]bool, len(broken))
	for i, index := range broken {
		switch {
		case index < 0 || index >= count:
			found.addAt("devices.broken", i, invalidAmount("", int64(index), "the node has no such device"))
		case seen[index]:
			found.addAt("devices.broken", i, invalidAmount("", int64(index), "given twice"))
		}
		seen[index] = true
	}
}

func (n *Node) checkOvercommit(found *mistakes) {
	for _, name := range slices.Sorted(maps.Keys(n.Overcommit)) {
		ratio, field := n.Overcommit[name], "overcommit."+string(name)
		switch name {
		case NameGPU, NameInstances:
			found.add(field, ratio.String(), "cannot be overcommitted")
			continue
		case NameCPU, NameMemory, NameDisk, NameNetwork:
		default:
			found.addWithin("overcommit", validateCustomName(string(name)))
		}
		free := n.Capacity.Amount(name) - n.Reserved.Amount(name)
		if _, ok := ratio.Scale(max(free, 0)); !ok {
			found.add(field, ratio.String(), "want a positive ratio whose result fits an int64")
		}
	}
}

func (n *Node) checkTaints(found *mistakes) {
	if len(n.Taints) > MaxRules {
		found.addAmount("taints", int64(len(n.Taints)), tooMany(MaxRules, "taints"))
		return
	}
	seen := make(map[Taint]bool, len(n.Taints))
	for i, taint := range n.Taints {
		found.addAt("taints", i, taint.Validate())
		identity := Taint{Key: taint.Key, Effect: taint.Effect}
		if seen[identity] {
			found.addAt("taints", i, invalid("", taint.String(), "key and effect given twice"))
		}
		seen[identity] = true
	}
}
