package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// AllocationState is the state of an instance.
type AllocationState string

// The states of allocations.
const (
	// Running: the instance counts everywhere.
	Running AllocationState = "running"
	// Leaving: it is being stopped; see Scheduler.Leave. It holds capacity, ports
	// and required anti-affinity, and its quota unless a newer generation took
	// that over, and counts in no spread, no other affinity and no target.
	Leaving AllocationState = "leaving"
	// Lost: its node was marked lost; it holds capacity there, but no quota,
	// and counts in no affinity or spread.
	Lost AllocationState = "lost"
	// Stale: the node was lost and the instance has been placed again under the
	// same ID; this older generation keeps its capacity until it is released. One
	// that Move has left behind is Leaving.
	Stale AllocationState = "stale"
	// Removed: its node was removed, and the instance with it.
	Removed AllocationState = "removed"
)

// Allocation is an instance on a node.
type Allocation struct {
	// Request as it was placed, with the Resources of the last Resize.
	Request placement.Request `json:"request"`
	// NodeID of the node that it runs on, or ran on.
	NodeID string `json:"nodeID"`
	// Devices are the indices of the GPUs taken, in ascending order.
	Devices []int `json:"devices,omitempty"`
	// DynamicPorts are those that it got, in ascending order.
	DynamicPorts []uint16 `json:"dynamicPorts,omitempty"`
	// Score of the decision, from 0 to 1000.
	Score int             `json:"score"`
	State AllocationState `json:"state"`
	// Generation counts placements under the request's ID, from 1.
	Generation uint64 `json:"generation"`
	// Replaced reports that another generation is the present one, or was the last:
	// once this one has been stopped, ReleaseGeneration says so. It is Stale, or
	// Leaving since a Move or KeepGeneration.
	Replaced bool `json:"replaced,omitempty"`
	// Version is the sequence number of the allocation's last change.
	Version uint64 `json:"version"`
	// Token under which it was placed.
	Token uint64 `json:"token,omitempty"`
	// Placed is when that was, in the state's time.
	Placed time.Time `json:"placed"`
	// EvictionAt is when a NoExecute taint asks the instance to leave; zero
	// if none does.
	EvictionAt time.Time `json:"evictionAt,omitzero"`
	// Reservation whose slot the instance stands in, if it does.
	Reservation string `json:"reservation,omitempty"`
	// Overstayed reports that the instance is past its Duration, or the end of
	// its reservation.
	Overstayed bool `json:"overstayed,omitempty"`
}

// allocation is one instance on the books of a node. Records of a million
// instances are held at once, so it is kept small: what instances have in
// common is in the class. It is read anywhere, and changed only through state.own.
type allocation struct {
	id         string
	class      *index.Class
	resources  placement.Resources
	owner      *cow.Owner
	rare       *rarity // nil is none
	since      instant // when it was placed
	generation uint64
	version    uint64
	token      uint64
	row        index.Row // of its node
	score      uint16
	state      allocationState
	leaving    bool // is being stopped; of a stale one since Move has put another in its place
	overstayed bool
}

// rarity is what few instances have. It is replaced, never changed, since copies
// of the allocation share it.
type rarity struct {
	index.Taken // GPUs and dynamic ports
	// asked are the amounts of the request, where a resize changed them.
	asked   *placement.Resources
	covered *paidByReservation // by the slot that it stands in
	evictAt *time.Time         // when a taint asks it to leave; nil is never
}

// instant is a time of the state, in two thirds of the memory of a time.Time.
type instant struct {
	seconds int64
	nanos   int32
}

func instantOf(t time.Time) instant { return instant{t.Unix(), int32(t.Nanosecond())} }

func (i instant) time() time.Time { return time.Unix(i.seconds, int64(i.nanos)).UTC() }

// paidByReservation is what the slot of a reservation pays for of the instance in it.
type paidByReservation struct {
	placement.Amounts
	reservation string
}

type allocationState uint8

const (
	running allocationState = iota
	lost
	stale
)

func (a *allocation) publicState() AllocationState {
	switch {
	case a.state == lost:
		return Lost
	case a.leaving:
		return Leaving
	case a.state == stale:
		return Stale
	default:
		return Running
	}
}

func compareAllocations(a, b *allocation) int {
	return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.generation, b.generation))
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
		(a.resources.Equal(req.Resources) || a.asked() != nil && a.asked().Equal(req.Resources))
}

// placed returns when the instance was placed.
func (a *allocation) placed() time.Time { return a.since.time() }

// few returns what few instances have.
func (a *allocation) few() rarity {
	if a.rare == nil {
		return rarity{}
	}
	return *a.rare
}

// setFew replaces what few instances have.
func (a *allocation) setFew(r rarity) {
	a.rare = nil
	if len(r.Devices) > 0 || len(r.Ports) > 0 || r.asked != nil || r.covered != nil || r.evictAt != nil {
		kept := r // so that what has nothing takes no memory
		a.rare = &kept
	}
}

// taken is what the instance has of its node by number, and take replaces it.
func (a *allocation) taken() index.Taken { return a.few().Taken }

func (a *allocation) take(devices, ports []uint16) {
	r := a.few()
	r.Taken = index.Taken{Devices: devices, Ports: ports}
	a.setFew(r)
}

// asked returns the amounts of the request, where a resize changed them, else nil.
func (a *allocation) asked() *placement.Resources { return a.few().asked }

// covered returns what the slot that the instance stands in pays for, nil for nothing,
// and cover replaces it.
func (a *allocation) covered() *paidByReservation {
	if a.rare == nil {
		return nil
	}
	return a.rare.covered
}

func (a *allocation) cover(by *paidByReservation) {
	r := a.few()
	r.covered = by
	a.setFew(r)
}

// evictAt returns when a taint asks the instance to leave, nil for never, and
// setEvictAt replaces it.
func (a *allocation) evictAt() *time.Time {
	if a.rare == nil {
		return nil
	}
	return a.rare.evictAt
}

func (a *allocation) setEvictAt(at *time.Time) {
	r := a.few()
	r.evictAt = at
	a.setFew(r)
}

// decision is where an instance runs.
func (st *state) decision(a *allocation) Decision {
	return Decision{
		ID: a.id, NodeID: st.on(a).ID, Devices: deviceList(a.taken().Devices), Score: int(a.score),
		Ports: slices.Clone(a.class.Request().Ports), DynamicPorts: slices.Clone(a.taken().Ports),
		Reason:     reasonFor(a.class.Request()),
		Generation: a.generation, Version: a.version, Token: a.token,
	}
}

// info describes the instance, which is on a node.
func (a *allocation) info(nodeID string) Allocation {
	info := Allocation{
		Request: a.request().Clone(), NodeID: nodeID, Devices: deviceList(a.taken().Devices), Score: int(a.score),
		DynamicPorts: slices.Clone(a.taken().Ports),
		State:        a.publicState(), Generation: a.generation, Replaced: a.state == stale, Version: a.version, Token: a.token,
		Placed: a.placed(), Overstayed: a.overstayed,
	}
	if at := a.evictAt(); at != nil {
		info.EvictionAt = *at
	}
	if by := a.covered(); by != nil {
		info.Reservation = by.reservation
	}
	return info
}

// allocation returns the current generation of an allocation.
func (st *state) allocation(id string) (*allocation, error) {
	a := st.allocations.At(id)
	if a == nil {
		return nil, placement.NotFound(placement.KindAllocation, id)
	}
	return a, nil
}

// generation returns the allocation of an ID and generation, nil if there is
// none.
func (st *state) generation(id string, generation uint64) *allocation {
	if a := st.allocations.At(id); a != nil && a.generation == generation {
		return a
	}
	for _, a := range st.stale[id] {
		if a.generation == generation {
			return a
		}
	}
	return nil
}

func (a *allocation) namespace() string { return a.class.Request().Namespace }

// deviceList returns the indices of devices as callers know them.
func deviceList(devices []uint16) []int {
	if len(devices) == 0 {
		return nil
	}
	list := make([]int, len(devices))
	for i, d := range devices {
		list[i] = int(d)
	}
	return list
}

// packed returns the indices of devices as records keep them.
func packed(devices []int) []uint16 {
	var list []uint16
	for _, d := range devices {
		list = append(list, uint16(d))
	}
	return list
}

func (c *Placed) apply(st *state, out *outcome) { st.place(c, out) }

// place enters a new instance and returns what its namespace uses too much of
// then, which is nothing unless nobody asked the quota.
func (st *state) place(c *Placed, out *outcome) []quota.Usage {
	class, on, first := c.class, c.node, c.node != nil && c.Generation == 1
	if class == nil {
		class = st.index.Class(c.rules)
	}
	if on == nil {
		on = st.named(c.NodeID)
	}
	c.node = nil // since who listens keeps the change
	var old *allocation
	if !first { // which was decided just now, where nothing has its ID
		old = st.allocations.At(c.ID)
	}
	a := &allocation{
		id: c.ID, class: class, resources: c.Resources.Clone(), owner: st.owner, row: on.row,
		since: instantOf(st.now), generation: c.Generation, version: st.seq, token: st.token, score: uint16(c.Score),
	}
	few := rarity{Taken: index.Taken{Devices: slices.Clone(c.Devices), Ports: slices.Clone(c.DynamicPorts)}}
	if c.Claim != nil {
		few.covered = &paidByReservation{c.Claim.Claim.Held.Clone(), c.Claim.ID}
	}
	if c.Move { // with the request that it was placed with
		few.asked = old.asked()
	}
	a.setFew(few)
	over := st.takeOver(a, old, out) // first, since it may have overstayed
	st.addToNode(a)
	if c.Claim != nil {
		st.applyPlan([]reservation.PlanChange{*c.Claim}, out)
	}
	st.turnUp(a, out)
	return over
}

// addToNode enters a new instance in the books of its node, and its eviction.
func (st *state) addToNode(a *allocation) {
	record := st.edit(a.row)
	record.instances = append(record.instances, a)
	a.class = st.index.Retain(a.class)
	st.index.Occupy(a.row, a.class, &a.resources, a.taken())
	st.join(a)
	if len(record.Taints) > 0 {
		st.timeEviction(a)
	}
}

func (c *Released) check(st *state) error {
	if st.generation(c.ID, c.Generation) == nil {
		return placement.NotFound(placement.KindAllocation, c.ID)
	}
	return nil
}

func (c *Released) apply(st *state, out *outcome) {
	a := st.generation(c.ID, c.Generation)
	st.release(a, out)
	if a.state != stale && !c.Unclaimed {
		st.remember(a.id)
	}
}

func (st *state) release(a *allocation, out *outcome) {
	a = st.own(a)
	record := st.edit(a.row)
	if a.state == running {
		st.refund(a)
		st.leave(a, out)
	}
	st.unjoin(a)
	st.index.Vacate(a.row, a.class, &a.resources, a.taken())
	st.letGo(a.class)
	st.cancelEviction(a)
	at := record.place(a)
	record.instances = slices.Delete(record.instances, at, at+1)
	out.roomOn(st, record.ID)
	if a.state != stale {
		st.allocations.Delete(a.id)
		return
	}
	st.dropStale(a)
}
