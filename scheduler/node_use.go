package scheduler

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// NodeUse says who has what of a node by number, and what is about to come free. It
// is of everything on the books of the node, lost and stale generations included.
type NodeUse struct {
	// Ports that instances have, by port and then by instance.
	Ports []PortUse `json:"ports,omitempty"`
	// Devices by index and then by instance.
	Devices []DeviceUse `json:"devices,omitempty"`
	// Leaving are the instances that are being stopped, by ID and generation.
	Leaving []LeavingUse `json:"leaving,omitempty"`
}

// PortUse is a port that an instance has.
type PortUse struct {
	Port placement.Port `json:"port"`
	// Dynamic says that it was given the number, of TCP and UDP alike.
	Dynamic bool `json:"dynamic,omitempty"`
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
}

// DeviceUse is what an instance uses of a GPU.
type DeviceUse struct {
	// Device by its index, and how many thousandths of it.
	Device int   `json:"device"`
	Amount int64 `json:"amount"`
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
}

// LeavingUse is what comes free once an instance has been stopped and released.
type LeavingUse struct {
	// ID and Generation of the instance.
	ID         string              `json:"id"`
	Generation uint64              `json:"generation"`
	Resources  placement.Resources `json:"resources,omitzero"`
}

// numbered returns copies of those on the node that a NodeUse tells of.
func (record *nodeRecord) numbered() []allocation {
	var copies []allocation
	for _, a := range record.instances {
		if a.publicState() == Leaving || len(a.taken().Devices)+len(a.taken().Ports)+len(a.class.Request().Ports) > 0 {
			copies = append(copies, *a)
		}
	}
	return copies
}

// useOf returns what instances on one node have of it.
func useOf(instances []allocation) (use NodeUse) {
	slices.SortFunc(instances, func(a, b allocation) int { return compareAllocations(&a, &b) })
	for i := range instances {
		a := &instances[i]
		for _, port := range a.class.Request().Ports {
			use.Ports = append(use.Ports, PortUse{Port: port, ID: a.id, Generation: a.generation})
		}
		for _, number := range a.taken().Ports {
			use.Ports = append(use.Ports, PortUse{Port: placement.Port{Number: number}, Dynamic: true, ID: a.id, Generation: a.generation})
		}
		for _, device := range a.taken().Devices {
			amount := min(a.resources.GPU, placement.Device)
			use.Devices = append(use.Devices, DeviceUse{Device: int(device), Amount: amount, ID: a.id, Generation: a.generation})
		}
		if a.publicState() == Leaving {
			use.Leaving = append(use.Leaving, LeavingUse{a.id, a.generation, a.resources.Clone()})
		}
	}
	slices.SortStableFunc(use.Ports, func(a, b PortUse) int { return a.Port.Compare(b.Port) })
	slices.SortStableFunc(use.Devices, func(a, b DeviceUse) int { return cmp.Compare(a.Device, b.Device) })
	return use
}
