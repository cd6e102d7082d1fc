package reservation

import (
	"cmp"
	"errors"
	"iter"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// SetNode adds a node or replaces it, with nothing used but what SetUsed said.
// Where the node gives less than before, slots without instances that no
// longer fit move or are lost. Reservations that lack slots get what they can.
// A new node costs O(nodes), for they are kept in order; for the rest see
// Plan.NodeChanged.
func (b *Book) SetNode(node placement.Node) error {
	if err := node.Validate(); err != nil {
		return placement.Within("node", err)
	}
	return b.decide(func() ([]PlanChange, error) {
		b.nodes.set(node.Canonical())
		b.applyLocked(b.plan.NodeChanged(&b.nodes, node.ID), node.ID)
		return nil, nil
	})
}

// RemoveNode takes a node out: it is lost with all instances on it. The slots
// on it move or are lost. Instances that stood there keep counting for the
// node, in case it comes back, until Remove says that they are gone. Costs are
// those of SetNode.
func (b *Book) RemoveNode(id string) error {
	return b.decide(func() ([]PlanChange, error) {
		if !b.nodes.remove(id) {
			return nil, placement.NotFound(placement.KindNode, id)
		}
		return b.plan.NodeChanged(&b.nodes, id), nil
	})
}

// SetUsed sets the usage of a node by instances that the book does not manage: in
// total, and of each GPU in thousandths by its index. It costs what
// Plan.NodeChanged does.
func (b *Book) SetUsed(node string, used placement.Amounts, devices ...int64) error {
	return b.decide(func() ([]PlanChange, error) {
		if err := b.nodes.use(node, used, devices); err != nil {
			return nil, err
		}
		b.applyLocked(b.plan.NodeChanged(&b.nodes, node), node)
		return nil, nil
	})
}

// bookNodes are the nodes of a Book: a Nodes that yields by ID.
type bookNodes struct {
	byID  map[string]*bookNode
	order []*bookNode // by ID
}

type bookNode struct {
	node placement.Node
	room Room
}

func newBookNodes() bookNodes { return bookNodes{byID: make(map[string]*bookNode)} }

// set adds or replaces a canonical node.
func (n *bookNodes) set(node placement.Node) {
	known, ok := n.byID[node.ID]
	if !ok {
		known = &bookNode{}
		n.byID[node.ID] = known
		n.order = slices.Insert(n.order, n.index(node.ID), known)
	}
	known.node = node
	known.room.Allocatable = node.Allocatable()
	known.room.MaxInstances = node.MaxInstances
	devices := make([]int64, node.Devices.Count)
	copy(devices, known.room.Devices)
	known.room.Devices, known.room.Broken = devices, node.Devices.Broken
}

// index returns where in the order the node of an ID is or would be.
func (n *bookNodes) index(id string) int {
	i, _ := slices.BinarySearchFunc(n.order, id, func(known *bookNode, id string) int {
		return cmp.Compare(known.node.ID, id)
	})
	return i
}

func (n *bookNodes) remove(id string) bool {
	if _, ok := n.byID[id]; !ok {
		return false
	}
	i := n.index(id)
	n.order = slices.Delete(n.order, i, i+1)
	delete(n.byID, id)
	return true
}

func (n *bookNodes) use(id string, used placement.Amounts, devices []int64) error {
	known, ok := n.byID[id]
	if !ok {
		return placement.NotFound(placement.KindNode, id)
	}
	if err := used.Resources.Validate(); err != nil || used.Instances < 0 {
		return invalid("used", used, "want amounts of at least 0")
	}
	if len(devices) > len(known.room.Devices) {
		return invalid("devices", devices, "the node has fewer")
	}
	for _, share := range devices {
		if share < 0 || share > placement.Device {
			return invalid("devices", devices, "want 0 to 1000 thousandths of each")
		}
	}
	known.room.Used = used.Clone()
	known.room.Devices = make([]int64, len(known.room.Devices))
	copy(known.room.Devices, devices)
	return nil
}

// Room is part of Nodes.
func (n *bookNodes) Room(node string) (Room, bool) {
	known, ok := n.byID[node]
	if !ok {
		return Room{}, false
	}
	return known.room, true
}

// For is part of Nodes.
func (n *bookNodes) For(want *Want) iter.Seq2[string, Room] {
	return func(yield func(string, Room) bool) {
		spread := n.spread(want)
		among := n.order
		if want.Node != "" {
			among = among[:0:0]
			if known, ok := n.byID[want.Node]; ok {
				among = []*bookNode{known}
			}
		}
		for _, known := range among {
			if known.meets(&want.Preferences) && spread(known) && !yield(known.node.ID, known.room) {
				return
			}
		}
	}
}

// meets reports whether the node satisfies the required constraints and has no
// taint that keeps an instance away.
func (known *bookNode) meets(rules *placement.Preferences) bool {
	for _, c := range rules.Required {
		if !known.node.Meets(c) {
			return false
		}
	}
	for _, taint := range known.node.Taints {
		if taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, rules.Tolerations) {
			return false
		}
	}
	return true
}

// spread returns a function that reports whether one more slot on a node keeps
// the hard spread rules, given where the others are.
func (n *bookNodes) spread(want *Want) func(*bookNode) bool {
	rules := want.Preferences.Spread
	counts := make([]map[string]int, len(rules))
	for i, rule := range rules {
		counts[i] = make(map[string]int)
		for _, known := range n.order {
			if domain, ok := known.domain(rule.Topology); ok && known.meets(&want.Preferences) {
				counts[i][domain] += 0
			}
		}
		for _, id := range want.Taken {
			if known, ok := n.byID[id]; ok {
				if domain, ok := known.domain(rule.Topology); ok {
					counts[i][domain]++
				}
			}
		}
	}
	return func(known *bookNode) bool {
		for i, rule := range rules {
			domain, ok := known.domain(rule.Topology)
			if !ok || !keepsRule(rule, counts[i], domain) {
				return false
			}
		}
		return true
	}
}

// domain returns the domain of the node, itself where there is no topology.
func (known *bookNode) domain(topology string) (string, bool) {
	if topology == "" {
		return known.node.ID, true
	}
	return known.node.Label(topology)
}

func keepsRule(rule placement.SpreadRule, counts map[string]int, domain string) bool {
	after := counts[domain] + 1
	if rule.MaxPerDomain > 0 {
		return after <= rule.MaxPerDomain
	}
	least := counts[domain]
	for _, count := range counts {
		least = min(least, count)
	}
	if len(counts) < rule.MinDomains {
		least = 0
	}
	return after-least <= rule.MaxSkew
}

// firstFitOnly refuses rules that a Book cannot keep.
func firstFitOnly(p placement.Preferences, spread bool) error {
	var errs []error
	if p.Strategy != placement.BinPack {
		errs = append(errs, invalid("preferences.strategy", p.Strategy, "a book places by first fit; leave it zero"))
	}
	if len(p.Preferred) > 0 {
		errs = append(errs, invalid("preferences.preferred", p.Preferred[0].Constraint, "a book keeps no soft rules"))
	}
	if len(p.Scaled) > 0 {
		errs = append(errs, invalid("preferences.scaled", p.Scaled[0].Label, "a book keeps no soft rules"))
	}
	if len(p.Affinity) > 0 {
		errs = append(errs, invalid("preferences.affinity", p.Affinity[0].Selector, "a book knows no labels of instances"))
	}
	for _, rule := range p.Spread {
		if !spread || !rule.Hard() || !rule.Selector.IsZero() {
			errs = append(errs, invalid("preferences.spread", rule.Topology, "a book keeps hard rules among the slots of a reservation"))
		}
	}
	return errors.Join(errs...)
}
