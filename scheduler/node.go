package scheduler

import (
	"cmp"
	"context"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// AddNode adds a node, ready for work. It returns InvalidErrors for everything
// that is wrong with it, and ErrConflict if its ID is taken.
//
// Adding the first node that is larger than all before in a dimension costs
// O(nodes); otherwise it takes time in proportion to the labels and taints of
// the node. It does not depend on instances, services or namespaces. Each
// reservation that lacks slots is tried on the node, and those with rules among
// their slots on all nodes.
func (s *calls) AddNode(ctx context.Context, n placement.Node) error {
	return s.change(ctx, func(st *state) (decided, error) {
		c, err := st.admitNew(n)
		if err != nil {
			return nil, err
		}
		c.Unreported = s.cfg.RequireReports
		return c, nil
	})
}

// UpdateNode replaces everything that describes a node except its ID. What runs
// there stays, and so does its place in the order of joining, which breaks
// ties. Lowering capacity below current usage is allowed: UpdateNode returns
// the over-committed dimensions, in the order of NodeInfo.Over, and nothing new
// is placed on the node until usage fits again, not even a request for none of
// them. Taking away a GPU that is in use is ErrConflict. The same node again is
// no change.
//
// It takes time in proportion to what runs on the node and holds there.
// Changing a label that rules count by also takes time in proportion to the
// services that run on the node. Reservations that lack slots are looked for as
// in AddNode; a slot that has to leave the node costs a look at every node.
func (s *calls) UpdateNode(ctx context.Context, n placement.Node) ([]placement.ResourceName, error) {
	var over []placement.ResourceName
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	c, err := s.state.admitUpdate(n)
	if err == nil {
		if !s.state.named(n.ID).Equal(c.Node) {
			s.commitLocked(c)
		}
		over = s.state.nodeInfo(s.state.named(n.ID)).Over()
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return nil, err
	}
	return over, nil
}

// RemoveNode takes a node away for good and returns what ran there, by ID.
// Those allocations are gone; their IDs can be placed again, also with
// Config.RememberReleased. ErrNotFound says that there is no such node. It
// takes time in proportion to what ran there; a slot that has to leave the node
// costs a look at every node.
func (s *calls) RemoveNode(ctx context.Context, nodeID string) ([]Allocation, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	n, err := s.state.node(nodeID)
	var gone []Allocation
	if err == nil {
		for _, a := range n.allocations() {
			info := a.info(nodeID)
			info.State = Removed
			gone = append(gone, info)
		}
		s.commitLocked(s.state.removed(nodeID))
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return nil, err
	}
	return gone, nil
}

// Cordon keeps new work off a node. What runs there stays. Cordoning a cordoned
// node changes nothing; an unknown one is ErrNotFound. It takes constant time.
func (s *calls) Cordon(ctx context.Context, nodeID string) error {
	return s.mark(ctx, nodeID, MarkCordoned, func(n *node) bool { return n.cordoned })
}

// Uncordon undoes Cordon, with the same errors. It takes constant time;
// reservations that lack slots are looked for as in AddNode.
func (s *calls) Uncordon(ctx context.Context, nodeID string) error {
	return s.mark(ctx, nodeID, MarkUncordoned, func(n *node) bool { return !n.cordoned })
}

// MarkLost marks a node as unreachable. It accepts no new work. Its instances
// are lost: they stay on the books of the node, but count in no affinity,
// spread or quota, and their IDs may be placed again, as the next generation.
// Marking a lost node changes nothing; an unknown one is ErrNotFound. It takes
// time in proportion to what runs there; a slot that has to leave the node
// costs a look at every node.
func (s *calls) MarkLost(ctx context.Context, nodeID string) error {
	return s.mark(ctx, nodeID, MarkLost, func(n *node) bool { return n.lost })
}

// MarkReady marks a lost node as reachable again. Instances that were not
// placed again meanwhile are running; those that were become Stale and keep
// their capacity until ReleaseGeneration, which their worker calls for once it
// has stopped them. Marking a node that is not lost changes nothing; an unknown
// one is ErrNotFound, and a quota.ExceededError says that a namespace would use
// more than an int64 can count. It takes time in proportion to what is on the
// books of the node; reservations that lack slots are looked for as in AddNode.
func (s *calls) MarkReady(ctx context.Context, nodeID string) error {
	return s.mark(ctx, nodeID, MarkReady, func(n *node) bool { return !n.lost })
}

func (s *calls) mark(ctx context.Context, nodeID string, mark Mark, done func(*node) bool) error {
	return s.change(ctx, func(st *state) (decided, error) {
		n, err := st.node(nodeID)
		if err != nil || done(n) {
			return nil, err
		}
		return st.marked(n, mark)
	})
}

// SetLabel sets a label of a node. Errors and cost are those of UpdateNode.
func (s *calls) SetLabel(ctx context.Context, nodeID, key, value string) error {
	return s.update(ctx, nodeID, func(n *node) (placement.Node, error) {
		return n.relabel(key, value, false), nil
	})
}

// RemoveLabel removes a label of a node; ErrNotFound says that it had none. It
// costs what UpdateNode does.
func (s *calls) RemoveLabel(ctx context.Context, nodeID, key string) error {
	return s.update(ctx, nodeID, func(n *node) (placement.Node, error) {
		if _, ok := n.Labels[key]; !ok {
			return placement.Node{}, placement.NotFound(placement.KindLabel, key)
		}
		return n.relabel(key, "", true), nil
	})
}

// AddTaint adds a taint to a node, in place of one of the same key and effect.
// Running instances that do not tolerate a NoExecute taint become due for
// eviction; other effects leave them alone. Errors and cost are those of
// UpdateNode.
func (s *calls) AddTaint(ctx context.Context, nodeID string, t placement.Taint) error {
	return s.update(ctx, nodeID, func(n *node) (placement.Node, error) {
		return n.retaint(t), nil
	})
}

// RemoveTaint removes the taint of this key and effect; ErrNotFound says that
// there was none. Evictions that it caused and that are not due yet are
// cancelled. It costs what UpdateNode does.
func (s *calls) RemoveTaint(ctx context.Context, nodeID, key string, effect placement.Effect) error {
	return s.update(ctx, nodeID, func(n *node) (placement.Node, error) {
		updated := n.untaint(key, effect)
		if len(updated.Taints) == len(n.Taints) {
			return placement.Node{}, placement.NotFound(placement.KindTaint, key+":"+string(effect))
		}
		return updated, nil
	})
}

func (s *calls) update(ctx context.Context, nodeID string, to func(*node) (placement.Node, error)) error {
	return s.change(ctx, func(st *state) (decided, error) {
		n, err := st.node(nodeID)
		if err != nil {
			return nil, err
		}
		updated, err := to(n)
		if err != nil {
			return nil, err
		}
		c, err := st.admitUpdate(updated)
		if err != nil || n.Equal(c.Node) {
			return nil, err
		}
		return c, nil
	})
}

// Node returns a node with what is on its books. It takes time in proportion to the
// node's labels, devices, dimensions and instances, and memory in proportion to those
// that have ports or devices or are leaving, O(n log n) to sort these.
func (s *view) Node(ctx context.Context, nodeID string) (info NodeInfo, err error) {
	var users []allocation
	err = s.look(ctx, func(st *state) error {
		n, err := st.node(nodeID)
		if err == nil {
			info, users = st.nodeInfo(n), n.numbered()
		}
		return err
	})
	if err != nil {
		return NodeInfo{}, err
	}
	info.Node = info.Canonical() // what a node was described as does not change
	info.Use = useOf(users)
	return info, nil
}

// Nodes returns all nodes by ID, as of one instant, without NodeInfo.Use. Decisions go
// on meanwhile. It takes time and memory in proportion to the nodes and what dimensions they
// have, O(n log n) to sort them, however many instances there are.
func (s *view) Nodes(ctx context.Context) ([]NodeInfo, error) {
	c, err := s.captured(ctx, parts{infos: true})
	if err != nil {
		return nil, err
	}
	for i := range c.infos {
		c.infos[i].Node = c.infos[i].Canonical()
	}
	slices.SortFunc(c.infos, func(a, b NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	return c.infos, nil
}

// AdoptNode takes in a node with everything that its worker reports as running,
// in one step: for a leader that has no journal of its predecessors. The node
// is added, or updated if it is known, and is ready. Instances that are not
// known are entered without asking for room, rules or quota, and slots of
// reservations that have no room beside them move or are lost. Where the node is
// closed for maintenance they are asked to leave. Repeating the
// same report is a no-op. With Config.RequireReports, a node accepts no new
// work until it has been adopted. AdoptNode returns InvalidErrors for
// everything that is wrong with the node or a report, and then changes nothing.
//
// An instance, known or not, whose report names a reservation stands in a slot of it
// from then on, as PlaceFromReservation does that for one that runs. So a host that has
// lost its journal adds its nodes, makes its reservations, and then adopts what its
// workers report; with Config.RequireReports, which keeps slots off a node too, it makes
// them after the first reports, and the next ones find their slots. Whatever keeps an
// instance from a slot, also that there is no such reservation, is in
// Adoption.Unattached and no error: it is on the books beside all reservations, paid for
// by its own namespace, and each report that names the reservation tries again. A report
// that names none leaves an instance in its slot.
//
// It takes time in proportion to what is reported and what is on the books of
// the node, like as many placements on a node that is known, and otherwise what
// UpdateNode does; and for each report that names a reservation O(s log s) in its slots,
// and O(log h) in the holds of the node for each that could come there.
func (s *calls) AdoptNode(ctx context.Context, n placement.Node, running []Report) (Adoption, error) {
	if err := s.enter(ctx); err != nil {
		return Adoption{}, err
	}
	c, adoption, err := s.state.adopt(n, running)
	if err == nil {
		if c != nil {
			s.commitLocked(c)
		}
		for _, id := range adoption.Adopted { // which run, and so wait no more
			s.refused.forget(id)
		}
		s.attachLocked(running, &adoption)
		adoption.Over = s.state.nodeInfo(s.state.named(n.ID)).Over()
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Adoption{}, err
	}
	return adoption, nil
}

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
