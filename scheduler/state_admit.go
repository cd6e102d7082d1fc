package scheduler

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// The methods of this file decide on nodes: they look at the state, change
// nothing, and return a Change to apply or the refusal.

func (st *state) admitNew(n placement.Node) (*NodeAdded, error) {
	canonical, err := st.admit(n)
	if err != nil {
		return nil, err
	}
	if known := st.named(n.ID); known != nil {
		return nil, placement.Conflict(placement.KindNode, n.ID, "exists")
	}
	return &NodeAdded{Node: canonical, Join: st.joins + 1}, nil
}

func (st *state) admitUpdate(n placement.Node) (*NodeUpdated, error) {
	old, err := st.node(n.ID)
	if err != nil {
		return nil, err
	}
	canonical, err := st.admit(n)
	if err != nil {
		return nil, err
	}
	if err := st.keepsDevices(old, canonical.Devices); err != nil {
		return nil, err
	}
	return &NodeUpdated{
		Node:  canonical,
		Moves: st.plan.NodeChanged(&planNodes{st: st, changed: &canonical}, n.ID),
	}, nil
}

// admit decides on a node that is new, or an update of one.
func (st *state) admit(n placement.Node) (canonical placement.Node, err error) {
	if err := n.Validate(); err != nil {
		return n, err
	}
	canonical = n.Canonical()
	return canonical, st.admitDimensions("capacity.custom", canonical.Allocatable())
}

// admitDimensions refuses amounts in more dimensions than a cluster has at a time,
// and names one that has no place.
func (st *state) admitDimensions(field string, r placement.Resources) error {
	name, ok := st.index.Admits(r)
	if ok {
		return nil
	}
	return &placement.InvalidError{
		Field: field, Value: string(name),
		Reason: fmt.Sprintf("the cluster would have more than %d dimensions", placement.MaxDimensions),
	}
}

// keepsDevices refuses to take away a device that an instance uses, or that is
// held in the slot of one.
func (st *state) keepsDevices(n *node, to placement.Devices) error {
	inUse := func(by string) error {
		return placement.Conflict(placement.KindNode, n.ID, "has a device in use by "+by+" that the update takes away")
	}
	for _, a := range n.instances {
		for _, d := range a.taken().Devices {
			if int(d) >= to.Count {
				return inUse(a.id)
			}
		}
	}
	if !st.planned.has(n.row) {
		return nil
	}
	for r := range st.plan.Reservations() {
		for _, slot := range r.Slots {
			if slot.Node == n.ID && len(slot.Claims) > 0 && len(slot.Devices) > 0 && slices.Max(slot.Devices) >= to.Count {
				return inUse(slot.Claims[0].ID)
			}
		}
	}
	return nil
}

// relabel returns the node with one label set, or removed.
func (n *node) relabel(key, value string, remove bool) placement.Node {
	updated := n.Canonical()
	updated.Labels = maps.Clone(updated.Labels)
	if remove {
		delete(updated.Labels, key)
		return updated
	}
	if updated.Labels == nil {
		updated.Labels = make(map[string]string, 1)
	}
	updated.Labels[key] = value
	return updated
}

// retaint returns the node with the taint, which replaces one of the same key
// and effect.
func (n *node) retaint(t placement.Taint) placement.Node {
	updated := n.untaint(t.Key, t.Effect)
	updated.Taints = append(updated.Taints, t)
	return updated
}

// untaint returns the node without the taint of this key and effect.
func (n *node) untaint(key string, effect placement.Effect) placement.Node {
	updated := n.Canonical()
	updated.Taints = slices.DeleteFunc(updated.Taints, func(t placement.Taint) bool {
		return t.Key == key && t.Effect == effect
	})
	return updated
}
