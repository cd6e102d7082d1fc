package placement

import (
	"errors"
	"maps"
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

// Devices are the GPUs of a node.
type Devices struct {
	Count int    `json:"count,omitempty"`
	Model string `json:"model,omitempty"`
}

// Ratio is a rational number above zero, for example {3, 2} for one and a
// half.
type Ratio struct {
	Numerator   int64 `json:"numerator"`
	Denominator int64 `json:"denominator"`
}

// Scale returns ⌊amount × Numerator / Denominator⌋, computed in 128 bits. It
// reports false if that does not fit an int64 or the ratio is not positive.
func (q Ratio) Scale(amount int64) (int64, bool) {
	if q.Numerator <= 0 || q.Denominator <= 0 || amount < 0 {
		return 0, false
	}
	high, low := bits.Mul64(uint64(amount), uint64(q.Numerator))
	if high >= uint64(q.Denominator) {
		return 0, false
	}
	quotient, _ := bits.Div64(high, low, uint64(q.Denominator))
	return int64(quotient), quotient <= 1<<63-1
}

// Canonical returns a copy of the node that shares nothing with n and has its
// GPU capacity filled in from Devices, or Devices from a GPU capacity without
// them, empty collections nil and taints sorted by key and effect.
func (n Node) Canonical() Node {
	n.Capacity, n.Reserved = n.Capacity.Clone(), n.Reserved.Clone()
	n.Labels, n.Overcommit = cloneMap(n.Labels), maps.Clone(n.Overcommit)
	if len(n.Overcommit) == 0 {
		n.Overcommit = nil
	}
	n.Taints = slices.Clone(n.Taints)
	slices.SortFunc(n.Taints, compareTaints)
	if n.Devices.Count == 0 && n.Capacity.GPU%Device == 0 {
		n.Devices.Count = int(min(n.Capacity.GPU/Device, MaxDevices+1))
	}
	n.Capacity.GPU = int64(n.Devices.Count) * Device
	return n
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
func (n *Node) Meets(c Constraint) bool { return c.holds(n.Label) }

// Allocatable returns what the node gives to instances: Capacity minus
// Reserved, multiplied by Overcommit where there is one. The node must be
// valid and canonical.
func (n *Node) Allocatable() Resources {
	free, err := n.Capacity.Sub(n.Reserved)
	if err != nil {
		return Resources{}
	}
	for name, ratio := range n.Overcommit {
		amount, _ := ratio.Scale(free.Amount(name))
		free = free.With(name, amount)
	}
	return free
}

// Validate reports every mistake in the node at once.
func (n Node) Validate() error {
	errs := []error{
		within("capacity", n.Capacity.Validate()),
		within("reserved", n.Reserved.Validate()),
		within("labels", validateLabels(n.Labels)),
	}
	report := func(field, value, reason string) { errs = append(errs, invalid(field, value, reason)) }
	if n.ID == "" {
		report("id", "", "empty")
	}
	if _, ok := n.Labels[LabelGPUModel]; ok {
		report("labels", LabelGPUModel, "read-only: set Devices.Model")
	}
	if n.MaxInstances < 0 {
		report("maxInstances", strconv.FormatInt(n.MaxInstances, 10), "negative")
	}
	if n.Reserved.GPU != 0 {
		report("reserved.gpu", strconv.FormatInt(n.Reserved.GPU, 10), "GPUs are not reserved")
	}
	for name, amount := range n.Reserved.All() {
		if amount > n.Capacity.Amount(name) {
			report("reserved."+string(name), strconv.FormatInt(amount, 10), "more than the capacity")
		}
	}
	errs = append(errs, n.validateDevices(), n.validateOvercommit(), n.validateTaints())
	return errors.Join(errs...)
}

func (n Node) validateDevices() error {
	count, amount := n.Devices.Count, n.Capacity.GPU
	switch {
	case count < 0 || count > MaxDevices || amount > MaxDevices*Device:
		return invalid("devices.count", strconv.Itoa(count), "want 0 to 1024 devices")
	case count > 0 && amount > 0 && amount != int64(count)*Device:
		return invalidAmount("capacity.gpu", amount, "differs from devices.count")
	case count == 0 && amount%Device != 0:
		return invalidAmount("capacity.gpu", amount, "want whole devices")
	case count == 0 && amount <= 0 && n.Devices.Model != "":
		return invalid("devices.model", n.Devices.Model, "a model without devices")
	}
	return nil
}

func (n Node) validateOvercommit() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(n.Overcommit)) {
		ratio := n.Overcommit[name]
		text := strconv.FormatInt(ratio.Numerator, 10) + "/" + strconv.FormatInt(ratio.Denominator, 10)
		field := "overcommit." + string(name)
		free := n.Capacity.Amount(name) - n.Reserved.Amount(name)
		if name == NameGPU || name == NameInstances {
			errs = append(errs, invalid(field, text, "can not be overcommitted"))
		} else if _, ok := ratio.Scale(max(free, 0)); !ok {
			errs = append(errs, invalid(field, text, "want a positive ratio whose result fits an int64"))
		}
	}
	return errors.Join(errs...)
}

func (n Node) validateTaints() error {
	var errs []error
	for i, taint := range n.Taints {
		errs = append(errs, within(indexed("taints", i), taint.Validate()))
		for _, earlier := range n.Taints[:i] {
			if compareTaints(earlier, taint) == 0 {
				errs = append(errs, invalid(indexed("taints", i), taint.String(), "key and effect given twice"))
			}
		}
	}
	return errors.Join(errs...)
}
