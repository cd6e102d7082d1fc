package reservation

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
)

// Slot is one unit of a reservation: Params.Shape on one node.
type Slot struct {
	// Node that the slot is on; empty if it was given back, see Spent, or if it
	// was lost, and then Lost is the node that it was on: the first that is
	// asked when it is regained.
	Node string `json:"node,omitempty"`
	Lost string `json:"lost,omitempty"`
	// Devices are the indices of the GPUs that it holds.
	Devices []int `json:"devices,omitempty"`
	// Claims are the instances in the slot, in the order of their claims.
	Claims []Claim `json:"claims,omitempty"`
	// Awaits are the instances on the node that have been asked to leave, or
	// have overstayed, and without which the slot would fit. It holds its
	// capacity, but cannot be claimed before they have gone. Sorted.
	Awaits []string `json:"awaits,omitempty"`
	// Recalled is the instance for which those that yield were asked to leave the
	// slot, which is kept for it until it claims the slot or Unclaim gives up.
	Recalled string `json:"recalled,omitempty"`
	// Spent says that the slot of a Once reservation was claimed. It is given
	// back with its last instance.
	Spent bool `json:"spent,omitempty"`
}

// lost reports whether the slot is owed.
func (s *Slot) lost() bool { return s.Node == "" && !s.Spent }

// givenBack reports whether the slot has had its instance and holds nothing any
// more.
func (s *Slot) givenBack() bool { return s.Node == "" && s.Spent }

// standing returns whether instances that yield may stand in the slot, or may
// once nobody else is in its way any more.
func (r *Reservation) standing(slot *Slot) standing {
	if r.Spec.Lend && len(slot.Claims) == 0 && slot.Recalled == "" {
		return lent
	}
	return firm
}

// Claim is an instance that stands in a slot.
type Claim struct {
	// ID of the instance, and its namespace.
	ID        string `json:"id"`
	Namespace string `json:"namespace,omitempty"`
	// Held is the part that the slot covers and the reservation's namespace
	// pays for.
	Held placement.Amounts `json:"held,omitzero"`
	// Excess is the part in dimensions beyond the shape, taken from the node
	// and paid for by Namespace. Every instance of a slot but one counts here
	// among the instances.
	Excess placement.Amounts `json:"excess,omitzero"`
	// Devices are the GPUs that the instance uses.
	Devices []int `json:"devices,omitempty"`
	// Until is when the instance promised to be gone, zero if it did not. Its
	// part of the slot is free again only when it is gone.
	Until time.Time `json:"until,omitzero"`
	// Overstayed says that the instance should have gone.
	Overstayed bool `json:"overstayed,omitempty"`
}

func (c Claim) clone() Claim {
	c.Held, c.Excess, c.Devices = c.Held.Clone(), c.Excess.Clone(), copied(c.Devices)
	return c
}

// used returns what the instances in the slot take of it.
func (s *Slot) used() placement.Amounts {
	var used placement.Amounts
	for _, c := range s.Claims {
		used.Resources, _ = used.Resources.Add(c.Held.Resources)
		used.Instances += c.Held.Instances
	}
	return used
}

// claim returns the index of an instance's claim in the slot, or -1.
func (s *Slot) claim(id string) int {
	return slices.IndexFunc(s.Claims, func(c Claim) bool { return c.ID == id })
}

// whole returns all that the instance takes.
func (c *Claim) whole() placement.Amounts {
	sum, _ := c.Held.Resources.Add(c.Excess.Resources)
	return placement.Amounts{Resources: sum, Instances: c.Held.Instances + c.Excess.Instances}
}

// stay returns the instance as one that has lost its slot, which had that window.
func (c *Claim) stay(node string, w Window) Stay {
	if !c.Until.IsZero() && nanos(c.Until) < w.end() {
		w.End = c.Until
	}
	return Stay{
		ID: c.ID, Namespace: c.Namespace, Node: node, Load: c.whole(), Devices: c.Devices,
		Window: w, Overstayed: c.Overstayed,
	}
}
