package scheduler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// state is the pure core: everything a snapshot holds, and the index over it.
// Its decide methods look and change nothing; apply alone changes it.
type state struct {
	seq   uint64
	now   time.Time
	joins uint64 // the greatest join number given
	token uint64 // of the latest entry

	nodes       map[string]*node
	slots       []*node // by index.Slot
	allocations map[string]*allocation
	stale       map[string][]*allocation // replaced generations by ID, oldest first
	released    releasedIDs
	evictions   evictionHeap
	index       *index.Index
	asked       index.Query // the latest; see find
	mix         []MixKind
	capturing   *capture // the one under way, or nil
	captures    uint64   // begun so far

	quota         quota.Accounts
	quotaVersions map[string]uint64 // of specs, by namespace
	over          []quota.Usage     // what the latest change of a spec has left over its limits

	plan     *reservation.Plan
	planned  map[*node]bool     // nodes on which the plan counts anything
	reserved map[*node]bool     // nodes on which it holds more than what runs
	vacancy  *index.Class       // of held places of instances
	payments map[string]payment // of reservations by ID
	roomier  bool               // room may have come up in the entry being applied
	crowded  string             // node on which it may have gone to reported instances
}

// node is one node. What runs on it is a list in order of placement.
type node struct {
	*placement.Node // canonical, shared with the index, replaced as a whole
	slot            index.Slot
	join            uint64
	version         uint64
	cordoned, lost  bool
	unreported      bool        // takes no work before AdoptNode
	tainted         []time.Time // when each of Taints was added
	first, last     *allocation
	captured        uint64 // the latest capture that has it
	places          int64  // of instances that the plan holds; see keepPlaces
}

// allocation is one instance on the books of a node. Records of a million
// instances are held at once, so it is kept small: what instances have in
// common is in the class.
type allocation struct {
	id         string
	class      *index.Class
	resources  placement.Resources
	asked      *placement.Resources // by the request, where a resize changed resources
	node       *node
	prev, next *allocation
	devices    []uint16
	placed     time.Time
	generation uint64
	version    uint64
	token      uint64
	covered    *quota.Amounts // by the slot of the reservation that it stands in
	eviction   *eviction
	score      uint16
	state      allocationState
	overstayed bool
}

type allocationState uint8

const (
	running allocationState = iota
	lost
	stale
)

func (s allocationState) public() AllocationState {
	switch s {
	case lost:
		return Lost
	case stale:
		return Stale
	default:
		return Running
	}
}

func newState(cfg Config) *state {
	st := &state{
		nodes:       make(map[string]*node),
		allocations: make(map[string]*allocation),
		stale:       make(map[string][]*allocation),
		released:    releasedIDs{limit: cfg.RememberReleased},

		quota:         quota.Accounts{RequireQuota: cfg.RequireQuota},
		quotaVersions: make(map[string]uint64),

		plan:     reservation.NewPlan(),
		planned:  make(map[*node]bool),
		reserved: make(map[*node]bool),
		payments: make(map[string]payment),
		index: index.New(index.Config{
			Seed:      cfg.Seed,
			Reference: cfg.Reference.Clone(),
			Weights:   maps.Clone(cfg.Weights),
			Engine:    cfg.engine,
		}),
	}
	st.vacancy = st.index.Class(&placement.Request{})
	st.index.Retain(st.vacancy)
	st.setMix(cloneMix(cfg.Mix))
	return st
}

func (n *node) state() NodeState {
	switch {
	case n.lost:
		return NodeLost
	case n.unreported:
		return NodeUnreported
	case n.cordoned:
		return NodeCordoned
	default:
		return NodeReady
	}
}

func (n *node) indexState() index.State {
	switch {
	case n.lost:
		return index.Lost
	case n.unreported:
		return index.Unreported
	case n.cordoned:
		return index.Cordoned
	default:
		return index.Ready
	}
}

// allocations returns what is on the node's books, by ID and generation.
func (n *node) allocations() []*allocation {
	var all []*allocation
	for a := n.first; a != nil; a = a.next {
		all = append(all, a)
	}
	slices.SortFunc(all, compareAllocations)
	return all
}

func compareAllocations(a, b *allocation) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.generation, b.generation))
}

func (n *node) link(a *allocation) {
	a.node, a.prev = n, n.last
	if n.last == nil {
		n.first = a
	} else {
		n.last.next = a
	}
	n.last = a
}

func (n *node) unlink(a *allocation) {
	if a.prev == nil {
		n.first = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		n.last = a.prev
	} else {
		a.next.prev = a.prev
	}
	a.prev, a.next = nil, nil
}

// request returns the request of the allocation, with its present resources.
func (a *allocation) request() placement.Request {
	r := *a.class.Request()
	r.ID, r.Resources = a.id, a.resources
	return r
}

// answers reports whether the allocation is what the request asks for, as it
// was placed or as it was resized.
func (a *allocation) answers(req *placement.Request, class *index.Class) bool {
	return a.class == class &&
		(a.resources.Equal(req.Resources) || a.asked != nil && a.asked.Equal(req.Resources))
}

func (a *allocation) decision() Decision {
	return Decision{
		ID: a.id, NodeID: a.node.ID, Devices: deviceList(a.devices), Score: int(a.score),
		Reason:     reasonFor(a.class.Request().Preferences.Strategy),
		Generation: a.generation, Version: a.version, Token: a.token,
	}
}

func (st *state) info(a *allocation) Allocation {
	info := Allocation{
		Request: a.request().Clone(), NodeID: a.node.ID, Devices: deviceList(a.devices), Score: int(a.score),
		State: a.state.public(), Generation: a.generation, Version: a.version, Token: a.token,
		Placed: a.placed, Overstayed: a.overstayed,
	}
	if a.eviction != nil {
		info.EvictionAt = a.eviction.at
	}
	_, info.Reservation, _ = st.plan.ClaimOf(a.id)
	return info
}

func (st *state) nodeInfo(n *node) NodeInfo {
	free := st.index.Free(n.slot)
	for name, amount := range free.All() {
		if amount < 0 {
			free = free.With(name, 0)
		}
	}
	return NodeInfo{
		Node:       n.Canonical(),
		State:      n.state(),
		Total:      n.Allocatable(),
		Allocated:  st.index.Used(n.slot).Clone(),
		Held:       st.index.Held(n.slot).Resources.Clone(),
		Available:  free,
		DeviceFree: slices.Clone(st.index.DeviceFree(n.slot)),
		Instances:  st.index.Instances(n.slot) - n.places,
		Join:       n.join,
		Version:    n.version,
	}
}

// node returns a node by ID.
func (st *state) node(id string) (*node, error) {
	n, ok := st.nodes[id]
	if !ok {
		return nil, &NotFoundError{KindNode, id}
	}
	return n, nil
}

// allocation returns the current generation of an allocation.
func (st *state) allocation(id string) (*allocation, error) {
	a, ok := st.allocations[id]
	if !ok {
		return nil, &NotFoundError{KindAllocation, id}
	}
	return a, nil
}

// releasedIDs remembers the last released IDs, up to a limit.
type releasedIDs struct {
	limit int
	order []string // oldest first
	known map[string]bool
}

func (r *releasedIDs) add(id string) {
	if r.limit == 0 || r.known[id] {
		return
	}
	if r.known == nil {
		r.known = make(map[string]bool)
	}
	if len(r.order) == r.limit {
		delete(r.known, r.order[0])
		r.order = slices.Delete(r.order, 0, 1)
	}
	r.order = append(r.order, id)
	r.known[id] = true
}
