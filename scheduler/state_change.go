package scheduler

import (
	"encoding/json"
	"strconv"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// Change is one thing that happened to the state. The kinds are sealed: the
// types of this package whose comments say that they are a Change. Decided
// changes are what a replay of the journal applies. Derived ones follow from them
// or from the passing of time: a replay derives them again, and a reader of the
// events in a journal finds them there too.
type Change interface {
	changeKind() changeKind
	// fields describes the change in an entry.
	fields(*codec.Coder)
}

// decided is a Change that a call has decided on. The other kinds of Change are
// derived: they are not decided, so that no entry can have one applied.
//
// To add a kind:
//
//   - its constant with the name and newChange below, its type with the JSON names
//     of its fields, and its methods changeKind, fields, check, apply and rests;
//   - tried.go: decideStep, how Commit decides a step of it again;
//   - FORMAT.md: its number with its name, and its fields;
//   - in the tests, refusedChanges, messages of wire_test.go, a call in goldenHistory,
//     which pins how a journal tells it, and mirror_test.go, if it says what became of
//     an instance.
type decided interface {
	Change
	// check refuses a change from a journal that the state could not follow:
	// one that names what is not there, or repeats what is. It changes nothing.
	// Changes of this process were decided on the state and need no check.
	check(*state) error
	// apply carries the change out and tells out what comes of it. It never
	// searches, reads a clock or fails.
	apply(*state, *outcome)
	// rests returns the version of what the change replaces or takes away, 0 if that
	// is nothing: a plan's Step rests on it.
	rests(*state) uint64
}

// changeKind is the number of a kind in an entry, where it is decided. Numbers
// are never given to another kind.
type changeKind uint8

const (
	kindNodeAdded       changeKind = 1
	kindNodeUpdated     changeKind = 2
	kindNodeMarked      changeKind = 3
	kindNodeRemoved     changeKind = 4
	kindNodeAdopted     changeKind = 5
	kindPlaced          changeKind = 6
	kindReleased        changeKind = 7
	kindResized         changeKind = 8
	kindQuotaCreated    changeKind = 9
	kindQuotaUpdated    changeKind = 10
	kindQuotaDeleted    changeKind = 11
	kindPlanChanged     changeKind = 12
	kindWorkloadChanged changeKind = 13
	kindLeavingChanged  changeKind = 14
	kindGenerationKept  changeKind = 15
	kindAmended         changeKind = 16
	kindAttached        changeKind = 17

	// Derived kinds are not among the changes that an entry applies.
	firstDerivedKind   changeKind = 200
	kindInstanceMarked changeKind = 201
	kindEvictionDue    changeKind = 202
	kindOverstayed     changeKind = 203
	kindQuotaOver      changeKind = 204
	kindBurstExpired   changeKind = 205
	kindReservation    changeKind = 206
)

// String returns the name of a kind, and the number of one that is unknown.
func (k changeKind) String() string {
	switch k {
	case kindNodeAdded:
		return "node-added"
	case kindNodeUpdated:
		return "node-updated"
	case kindNodeMarked:
		return "node-marked"
	case kindNodeRemoved:
		return "node-removed"
	case kindNodeAdopted:
		return "node-adopted"
	case kindPlaced:
		return "placed"
	case kindReleased:
		return "released"
	case kindResized:
		return "resized"
	case kindQuotaCreated:
		return "quota-created"
	case kindQuotaUpdated:
		return "quota-updated"
	case kindQuotaDeleted:
		return "quota-deleted"
	case kindPlanChanged:
		return "plan-changed"
	case kindWorkloadChanged:
		return "mix-changed"
	case kindLeavingChanged:
		return "leaving-changed"
	case kindGenerationKept:
		return "generation-kept"
	case kindAmended:
		return "amended"
	case kindAttached:
		return "attached"
	case kindInstanceMarked:
		return "instance-marked"
	case kindEvictionDue:
		return "eviction-due"
	case kindOverstayed:
		return "overstayed"
	case kindQuotaOver:
		return "quota-over"
	case kindBurstExpired:
		return "burst-expired"
	case kindReservation:
		return "reservation"
	default:
		return strconv.Itoa(int(k))
	}
}

// newChange returns an empty change of a decided kind, or nil if the kind is
// unknown.
func newChange(kind changeKind) decided {
	switch kind {
	case kindNodeAdded:
		return new(NodeAdded)
	case kindNodeUpdated:
		return new(NodeUpdated)
	case kindNodeMarked:
		return new(NodeMarked)
	case kindNodeRemoved:
		return new(NodeRemoved)
	case kindNodeAdopted:
		return new(NodeAdopted)
	case kindPlaced:
		return new(Placed)
	case kindReleased:
		return new(Released)
	case kindResized:
		return new(Resized)
	case kindQuotaCreated:
		return new(QuotaCreated)
	case kindQuotaUpdated:
		return new(QuotaUpdated)
	case kindQuotaDeleted:
		return new(QuotaDeleted)
	case kindPlanChanged:
		return new(PlanChanged)
	case kindWorkloadChanged:
		return new(WorkloadChanged)
	case kindLeavingChanged:
		return new(LeavingChanged)
	case kindGenerationKept:
		return new(GenerationKept)
	case kindAmended:
		return new(Amended)
	case kindAttached:
		return new(Attached)
	default:
		return nil
	}
}

// newDerived returns an empty change of a derived kind, or nil if the kind is
// unknown.
func newDerived(kind changeKind) Change {
	switch kind {
	case kindInstanceMarked:
		return new(InstanceMarked)
	case kindEvictionDue:
		return new(EvictionDue)
	case kindOverstayed:
		return new(Overstayed)
	case kindQuotaOver:
		return new(QuotaOver)
	case kindBurstExpired:
		return new(BurstExpired)
	case kindReservation:
		return new(ReservationEvent)
	default:
		return nil
	}
}

// NodeAdded is the Change of AddNode.
type NodeAdded struct {
	// Node in canonical form.
	Node placement.Node `json:"node"`
	// Join is the node's place in the order of joining, which breaks ties.
	Join uint64 `json:"join"`
	// Unreported nodes take no work before AdoptNode.
	Unreported bool `json:"unreported,omitempty"`
}

// NodeUpdated is the Change of UpdateNode and of changes of labels and
// taints: the node as it is now.
type NodeUpdated struct {
	// Node in canonical form.
	Node placement.Node `json:"node"`
	// Moves of slots of reservations that the node has no room for any more.
	Moves []reservation.PlanChange `json:"moves,omitempty"`
}

// Mark is what NodeMarked says of a node.
type Mark string

// The marks of nodes.
const (
	MarkCordoned   Mark = "cordoned"
	MarkUncordoned Mark = "uncordoned"
	MarkLost       Mark = "lost"
	MarkReady      Mark = "ready"
)

// NodeMarked is the Change of Cordon, Uncordon, MarkLost and MarkReady.
type NodeMarked struct {
	NodeID string `json:"nodeID"`
	Mark   Mark   `json:"mark"`
	// Moves of slots of reservations away from a lost node.
	Moves []reservation.PlanChange `json:"moves,omitempty"`
}

// NodeRemoved is the Change of RemoveNode.
type NodeRemoved struct {
	NodeID string `json:"nodeID"`
	// Moves of slots of reservations away from the node.
	Moves []reservation.PlanChange `json:"moves,omitempty"`
}

// NodeAdopted is the Change of AdoptNode: the node as it is now, and the
// instances that were not known.
type NodeAdopted struct {
	// Node in canonical form.
	Node placement.Node `json:"node"`
	// Join of a node that was not known, 0 for one that was.
	Join uint64 `json:"join,omitempty"`
	// Moves of slots of reservations that the node has no room for any more.
	Moves []reservation.PlanChange `json:"moves,omitempty"`
	// Instances that were reported and not known.
	Instances []Report `json:"instances,omitempty"`
}

// Placed is the Change of Place, Allocate, PlaceFromReservation and Move.
type Placed struct {
	// ID and Resources of the request that was placed, on the node of NodeID.
	// Request returns all of it.
	ID        string
	Resources placement.Resources
	NodeID    string
	// Devices are the indices of the GPUs taken, in ascending order.
	Devices []uint16
	// DynamicPorts are those that it got, in ascending order.
	DynamicPorts []uint16
	// Score of the decision, from 0 to 1000.
	Score int
	// Generation counts placements under the request's ID, from 1.
	Generation uint64
	// Claim of a slot, for PlaceFromReservation.
	Claim *reservation.PlanChange
	// Move says that the generation before it was running. That is Leaving from now
	// on, where it is.
	Move bool

	rules *placement.Request // whose ID and Resources are those of any request
	class *index.Class       // of the rules, where the decision knows it already
	node  *node              // of NodeID, likewise, until the change is applied
}

// Request returns the request that was placed. What it points to is shared with
// all requests of the same rules, and with the scheduler.
func (c *Placed) Request() placement.Request {
	var req placement.Request
	if c.rules != nil {
		req = *c.rules
	}
	req.ID, req.Resources = c.ID, c.Resources
	return req
}

// placedJSON is Placed as JSON.
type placedJSON struct {
	Request    placement.Request       `json:"request"`
	NodeID     string                  `json:"nodeID"`
	Devices    []uint16                `json:"devices,omitempty"`
	Ports      []uint16                `json:"dynamicPorts,omitempty"`
	Score      int                     `json:"score"`
	Generation uint64                  `json:"generation"`
	Claim      *reservation.PlanChange `json:"claim,omitempty"`
	Move       bool                    `json:"move,omitempty"`
}

// MarshalJSON writes the request as a whole.
func (c *Placed) MarshalJSON() ([]byte, error) {
	return json.Marshal(placedJSON{c.Request(), c.NodeID, c.Devices, c.DynamicPorts, c.Score, c.Generation, c.Claim, c.Move})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Placed) UnmarshalJSON(data []byte) error {
	var wire placedJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*c = Placed{
		ID: wire.Request.ID, Resources: wire.Request.Resources, NodeID: wire.NodeID, Devices: wire.Devices,
		DynamicPorts: wire.Ports, Score: wire.Score, Generation: wire.Generation, Claim: wire.Claim, Move: wire.Move, rules: &wire.Request,
	}
	return nil
}

// Released is the Change of Release and Unclaim.
type Released struct {
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	// Unclaimed says that the instance never ran.
	Unclaimed bool `json:"unclaimed,omitempty"`
}

// Resized is the Change of Resize.
type Resized struct {
	// ID of the instance.
	ID string `json:"id"`
	// Resources that it has from now on, and the indices of all its GPUs.
	Resources placement.Resources `json:"resources"`
	Devices   []uint16            `json:"devices,omitempty"`
}

// QuotaCreated is the Change of CreateQuota.
type QuotaCreated struct {
	Spec quota.Spec `json:"spec"`
}

// QuotaUpdated is the Change of UpdateQuota.
type QuotaUpdated struct {
	Spec quota.Spec `json:"spec"`
}

// QuotaDeleted is the Change of DeleteQuota.
type QuotaDeleted struct {
	Namespace string `json:"namespace"`
}

// QuotaOver is a derived Change: instances that came back with their node, or
// a change of a quota, have brought usage above its limits. Nothing is
// evicted for it.
type QuotaOver struct {
	// Usage that is over, by namespace and then in the order of
	// placement.Amounts.All.
	Usage []quota.Usage `json:"usage"`
}

// BurstExpired is a derived Change: usage has been above Soft for as long as the
// limit's BurstFor allows, and cannot grow until it is back at Soft. It is
// delivered once for each burst, and again if an UpdateQuota gives the burst more
// time and that has passed as well. Nothing is evicted for it.
type BurstExpired struct {
	// Usage of the namespace in that dimension; BurstEnd is when it was due.
	quota.Usage
}

// PlanChanged is the Change of the calls on reservations, and of what else
// makes slots move: see reservation.PlanChange.
type PlanChanged struct {
	Changes []reservation.PlanChange `json:"changes"`
}

// WorkloadChanged is the Change of SetWorkload.
type WorkloadChanged struct {
	Mix []WorkloadClass `json:"mix,omitempty"`
}

// LeavingChanged is the Change of Leave and Stay.
type LeavingChanged struct {
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	// Leaving says that it is being stopped, false that it stays after all.
	Leaving bool `json:"leaving,omitempty"`
}

// GenerationKept is the Change of KeepGeneration: the generation is the running one
// again. The one that was is Leaving where it is, or Stale if it was lost.
type GenerationKept struct {
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
}

// Amended is the Change of Amend: the instance with its request from now on.
type Amended struct {
	// Request with the ID and the present amounts of the instance.
	Request placement.Request `json:"request"`
	// DynamicPorts that it has now, in ascending order.
	DynamicPorts []uint16 `json:"dynamicPorts,omitempty"`
	// Generation of the instance.
	Generation uint64 `json:"generation"`
}

// Attached is the Change by which an instance that was running already, beside all
// reservations, stands in a slot from now on.
type Attached struct {
	// ID and Generation of the instance.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	// Changes of reservations, of which the last fills the slot: see
	// reservation.Plan.Attach.
	Changes []reservation.PlanChange `json:"changes"`
}

// ReservationEvent is a derived Change: what became of a reservation.
type ReservationEvent struct {
	reservation.Event
}

// InstanceMarked is a derived Change: what became of an instance when its
// node was lost, came back or was removed.
type InstanceMarked struct {
	// ID and Generation of the instance, and the node that it is on.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	NodeID     string `json:"nodeID"`
	// State from now on; Removed is gone.
	State AllocationState `json:"state"`
}

// EvictionDue is a derived Change: the instance has stayed under a NoExecute
// taint as long as it tolerates it, is Leaving from now on, and should be stopped
// and released. It is delivered once, and again if the node is lost and comes back.
type EvictionDue struct {
	// ID of the instance, and the node that it is on.
	ID     string `json:"id"`
	NodeID string `json:"nodeID"`
	// Taint that asks it to leave.
	Taint placement.Taint `json:"taint"`
}

// Overstayed is a derived Change: the instance is past its Duration, or the
// end of the reservation that it stands in, and still there.
type Overstayed struct {
	// ID of the instance, and the node that it is on.
	ID     string `json:"id"`
	NodeID string `json:"nodeID"`
	// Reservation that it stands in, if it does.
	Reservation string `json:"reservation,omitempty"`
}

func (*NodeAdded) changeKind() changeKind        { return kindNodeAdded }
func (*NodeUpdated) changeKind() changeKind      { return kindNodeUpdated }
func (*NodeMarked) changeKind() changeKind       { return kindNodeMarked }
func (*NodeRemoved) changeKind() changeKind      { return kindNodeRemoved }
func (*NodeAdopted) changeKind() changeKind      { return kindNodeAdopted }
func (*Placed) changeKind() changeKind           { return kindPlaced }
func (*Released) changeKind() changeKind         { return kindReleased }
func (*Resized) changeKind() changeKind          { return kindResized }
func (*QuotaCreated) changeKind() changeKind     { return kindQuotaCreated }
func (*QuotaUpdated) changeKind() changeKind     { return kindQuotaUpdated }
func (*QuotaDeleted) changeKind() changeKind     { return kindQuotaDeleted }
func (*PlanChanged) changeKind() changeKind      { return kindPlanChanged }
func (*WorkloadChanged) changeKind() changeKind  { return kindWorkloadChanged }
func (*LeavingChanged) changeKind() changeKind   { return kindLeavingChanged }
func (*GenerationKept) changeKind() changeKind   { return kindGenerationKept }
func (*Amended) changeKind() changeKind          { return kindAmended }
func (*Attached) changeKind() changeKind         { return kindAttached }
func (*ReservationEvent) changeKind() changeKind { return kindReservation }
func (*QuotaOver) changeKind() changeKind        { return kindQuotaOver }
func (*BurstExpired) changeKind() changeKind     { return kindBurstExpired }
func (*InstanceMarked) changeKind() changeKind   { return kindInstanceMarked }
func (*EvictionDue) changeKind() changeKind      { return kindEvictionDue }
func (*Overstayed) changeKind() changeKind       { return kindOverstayed }
