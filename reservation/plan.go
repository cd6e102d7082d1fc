package reservation

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// Nodes is what a Plan asks its host: which nodes there are and what room they
// have. It is asked during the call that it is passed to and not kept.
type Nodes interface {
	// Room returns what a node gives and what is used on it by instances that
	// the Plan does not count. It reports false for a node that takes
	// nothing: unknown, removed or lost.
	Room(node string) (Room, bool)
	// For yields the nodes that meet the rules of want, best first, with their
	// rooms. Whether there is room is not its business: the Plan takes the
	// first that fits.
	For(want *Want) iter.Seq2[string, Room]
}

// Want describes what a node is sought for.
type Want struct {
	// ID of the reservation or instance, and its namespace.
	ID, Namespace string
	// Shape of what has to fit, and when.
	Shape  placement.Resources
	Window Window
	// Node that it has to be on; empty means any.
	Node string
	// Preferences are the rules by which nodes are chosen.
	Preferences placement.Preferences
	// Taken are the nodes of the other slots of the same reservation, one
	// entry per slot, if the strategy is Spread or there are spread or affinity
	// rules; else it is empty. A decision asks again for every slot, with one
	// more of them at the end.
	Taken []string

	kind standing // of what is sought room for
}

// mindsTaken reports whether the order of the nodes depends on Taken.
func (w *Want) mindsTaken() bool { return rulesAmongSlots(&w.Preferences) }

func (r *Reservation) rulesAmongSlots() bool { return rulesAmongSlots(&r.Spec.Preferences) }

func rulesAmongSlots(p *placement.Preferences) bool {
	return p.Strategy == placement.Spread || len(p.Spread) > 0 || len(p.Affinity) > 0
}

// Plan is the pure core: capacity held over time, without clock, lock or nodes. It
// has the reservations with their slots on nodes, the instances that claimed these,
// and transient instances; all other instances are the host's, which adds them up
// in Room.Used.
//
// A call that decides (Reserve, Update, Release, Claim, Attach, Unclaim, Admit, Remove,
// ResolveConflicts, NodeChanged, Repair) changes nothing: it returns PlanChanges,
// and Apply carries them out. Between the two nothing else may be applied. Time passes
// only in Advance. A Plan is not safe for concurrent use; Book is.
type Plan struct {
	now          int64
	created      uint64
	reservations map[string]*reservationEntry
	series       map[string]*seriesEntry
	claimable    map[string]map[string]*reservationEntry // those that are active, by owner
	claims       map[string]*claimEntry                  // by instance
	recalls      map[string]string                       // reservations by the instance that they keep a slot for
	stays        map[string]*stayEntry
	timelines    map[string]*nodeTimeline // by node
	deadlines    deadline.Heap[*due]
	unsettled    map[string]struct{}          // reservations, see ResolveConflicts
	owing        map[string]*reservationEntry // those with lost or waiting slots
	touched      map[string]struct{}          // nodes, see Touched
	past         []PastReservation
	events       []Event
	before       Before
	marked       *mark // the latest; nil for none
}

// reservationEntry is a reservation on the plan, with its next deadline and how many of
// its slots are on nodes, are lost, and wait.
type reservationEntry struct {
	Reservation
	due                    due
	held, missing, waiting int
}

// seriesEntry is a reservation that repeats, with the IDs of those of its windows
// that are on the plan. It is there while any is.
type seriesEntry struct {
	spec    Spec
	windows []string
}

// displaced reports whether every slot that there should be is lost.
func (r *reservationEntry) displaced() bool { return r.holding() && r.held == 0 && r.missing > 0 }

// claimEntry is an instance in a slot of a reservation, with its deadline.
type claimEntry struct {
	r   *reservationEntry
	due due
}

// stayEntry is a stay on the plan, with its deadline.
type stayEntry struct {
	Stay
	due due
}

// slotRef names a slot of a reservation.
type slotRef struct {
	r    *reservationEntry
	slot int
}

func (ref slotRef) at() *Slot { return &ref.r.Slots[ref.slot] }

// NewPlan returns an empty plan whose time is the zero time, before all that it can
// count: Advance comes first.
func NewPlan() *Plan {
	return &Plan{
		now:          -forever,
		reservations: make(map[string]*reservationEntry),
		series:       make(map[string]*seriesEntry),
		claimable:    make(map[string]map[string]*reservationEntry),
		claims:       make(map[string]*claimEntry),
		recalls:      make(map[string]string),
		stays:        make(map[string]*stayEntry),
		timelines:    make(map[string]*nodeTimeline),
		unsettled:    make(map[string]struct{}),
		owing:        make(map[string]*reservationEntry),
		touched:      make(map[string]struct{}),
	}
}

// Now returns the time that the plan has reached.
func (p *Plan) Now() time.Time { return instant(p.now) }

// Reservation returns a copy of a reservation; of one that repeats it is the window
// that is on or comes next, or the last one. O(slots and claims of it), and
// O(windows).
func (p *Plan) Reservation(id string) (Reservation, bool) {
	r, ok := p.current(id)
	if !ok {
		return Reservation{}, false
	}
	return r.Clone(), true
}

// State returns the state of a reservation, and false if there is none of that ID.
// O(slots) of it, and it copies nothing.
func (p *Plan) State(id string) (State, bool) {
	r, ok := p.reservations[id]
	if !ok {
		return "", false
	}
	return r.State(), true
}

// Reservations yields copies of all reservations in the order of their IDs.
// The plan must not change meanwhile. O(r log r) in the reservations, and O(slots
// and claims) for each that is yielded.
func (p *Plan) Reservations() iter.Seq[Reservation] {
	return func(yield func(Reservation) bool) {
		for _, id := range slices.Sorted(maps.Keys(p.reservations)) {
			if !yield(p.reservations[id].Clone()) {
				return
			}
		}
	}
}

// ClaimOf returns the claim of an instance and the ID of its reservation. O(slots
// and claims of that reservation).
func (p *Plan) ClaimOf(instance string) (c Claim, reservation string, ok bool) {
	entry, ok := p.claims[instance]
	if !ok {
		return Claim{}, "", false
	}
	slot, i := entry.r.find(instance)
	return entry.r.Slots[slot].Claims[i].clone(), entry.r.Spec.ID, true
}

// nodeOfClaim returns the node that an instance is on, and false if it is in no
// slot.
func (p *Plan) nodeOfClaim(instance string) (string, bool) {
	entry, ok := p.claims[instance]
	if !ok {
		return "", false
	}
	slot, _ := entry.r.find(instance)
	return entry.r.Slots[slot].Node, true
}

// find returns in which slot an instance stands, and where in its claims.
func (r *Reservation) find(instance string) (slot, claim int) {
	for i := range r.Slots {
		if j := r.Slots[i].claim(instance); j >= 0 {
			return i, j
		}
	}
	return -1, -1
}

// Stay returns a transient instance. O(1).
func (p *Plan) Stay(instance string) (Stay, bool) {
	g, ok := p.stays[instance]
	if !ok {
		return Stay{}, false
	}
	return g.clone(), true
}

// allStays yields all transient instances in the order of their IDs. The plan must not change
// meanwhile.
func (p *Plan) allStays() iter.Seq[Stay] {
	return func(yield func(Stay) bool) {
		for _, id := range slices.Sorted(maps.Keys(p.stays)) {
			if !yield(p.stays[id].clone()) {
				return
			}
		}
	}
}

// Counts reports whether the plan counts an instance, as a claim or as a stay,
// so that the host does not. O(1).
func (p *Plan) Counts(instance string) bool {
	return p.claims[instance] != nil || p.stays[instance] != nil
}

// KeptBy returns the reservation that keeps a slot for an instance whose claim
// waits for others to leave, empty if none does. O(1).
func (p *Plan) KeptBy(instance string) string { return p.recalls[instance] }

// Owes returns what a reservation's namespace has to pay for now, nothing for
// one that is no more; see Reservation.Owes. O(slots and claims of it).
func (p *Plan) Owes(id string) placement.Amounts {
	if r, ok := p.reservations[id]; ok {
		return r.Owes()
	}
	return placement.Amounts{}
}

// Touched returns the nodes on which something has changed since it was last
// called, sorted. O(t log t) in these.
func (p *Plan) Touched() []string {
	nodes := slices.Sorted(maps.Keys(p.touched))
	clear(p.touched)
	return nodes
}

// Holder is something that the plan counts on a node.
type Holder struct {
	// ID of the reservation, or of the instance if Instance is set.
	ID       string `json:"id"`
	Instance bool   `json:"instance,omitempty"`
	// Window over which it counts.
	Window Window `json:"window"`
}

// Holders returns what the plan counts on a node during a window: stays and
// reservations, by ID. It takes time in proportion to the holders of the node and
// the slots of these reservations.
func (p *Plan) Holders(node string, w Window) []Holder {
	g, ok := p.timelines[node]
	if !ok {
		return nil
	}
	var holders []Holder
	for _, id := range slices.Sorted(maps.Keys(g.stays)) {
		if h := g.stays[id].hold(); h.Window.Overlaps(w) {
			holders = append(holders, Holder{id, true, h.Window})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.slots)) {
		if h, ok := p.reservations[id].holdOn(node, w); ok {
			holders = append(holders, Holder{ID: id, Window: h.Window})
		}
	}
	return holders
}

// holdOn returns the first that the reservation holds on a node during a
// window.
func (r *Reservation) holdOn(node string, w Window) (hold, bool) {
	for i := range r.Slots {
		if r.Slots[i].Node != node {
			continue
		}
		for h := range r.holds(&r.Slots[i]) {
			if h.Window.Overlaps(w) {
				return h, true
			}
		}
	}
	return hold{}, false
}

// PastReservation is what is remembered of a reservation that is no more.
type PastReservation struct {
	// ID that it had, and its last state.
	ID    string `json:"id"`
	State State  `json:"state"`
}

// remembered is how many past reservations are known by their last state, so
// that a late call gets a StateError rather than ErrNotFound.
const remembered = 1024

func (p *Plan) remember(id string, state State) {
	if len(p.past) >= 2*remembered { // to a list of its own, since a mark may have this one
		p.past = append(make([]PastReservation, 0, 2*remembered), p.past[len(p.past)-remembered:]...)
	}
	p.past = append(p.past, PastReservation{id, state})
}

// latest returns the past reservations that are remembered, the oldest first.
func (p *Plan) latest() []PastReservation { return p.past[max(0, len(p.past)-remembered):] }

// live returns a reservation, or the error that says why action cannot be
// done: it is over or was never there.
func (p *Plan) live(id, action string) (*reservationEntry, error) {
	if r, ok := p.current(id); ok {
		return r, nil
	}
	for _, past := range slices.Backward(p.latest()) {
		if past.ID == id {
			return nil, &StateError{ID: id, State: past.State, Action: action}
		}
	}
	return nil, placement.NotFound(placement.KindReservation, id)
}

// Claimable returns the IDs of the active reservations of which a namespace is an
// owner, those that end soonest first. O(r log r) in these.
func (p *Plan) Claimable(namespace string) []string {
	active := slices.SortedFunc(maps.Values(p.claimable[namespace]), func(a, b *reservationEntry) int {
		return cmp.Or(a.Params.End.Compare(b.Params.End), cmp.Compare(a.Seq, b.Seq))
	})
	ids := make([]string, len(active))
	for i, r := range active {
		ids[i] = r.Spec.ID
	}
	return ids
}

// noteClaimable keeps up which reservations are active.
func (p *Plan) noteClaimable(r *reservationEntry) {
	for _, owner := range r.Spec.owners() {
		of := p.claimable[owner]
		switch {
		case r.Phase != Active:
			delete(of, r.Spec.ID)
		case of == nil:
			p.claimable[owner] = map[string]*reservationEntry{r.Spec.ID: r}
		default:
			of[r.Spec.ID] = r
		}
		if len(of) == 0 && r.Phase != Active {
			delete(p.claimable, owner)
		}
	}
}

// current returns a reservation, or of one that repeats the window that is on or
// comes next, or one that is over.
func (p *Plan) current(id string) (*reservationEntry, bool) {
	if r, ok := p.reservations[id]; ok {
		return r, true
	}
	repeating, ok := p.series[id]
	if !ok || len(repeating.windows) == 0 {
		return nil, false
	}
	windows := p.windowsOf(repeating)
	slices.SortFunc(windows, func(a, b *reservationEntry) int {
		return cmp.Or(a.Params.Start.Compare(b.Params.Start), cmp.Compare(a.Spec.ID, b.Spec.ID))
	})
	if i := slices.IndexFunc(windows, func(r *reservationEntry) bool { return r.holding() }); i >= 0 {
		return windows[i], true
	}
	return windows[len(windows)-1], true
}

// windowsOf returns the windows of a reservation that repeats, in the order in which
// they were made.
func (p *Plan) windowsOf(repeating *seriesEntry) []*reservationEntry {
	all := make([]*reservationEntry, len(repeating.windows))
	for i, id := range repeating.windows {
		all[i] = p.reservations[id]
	}
	return all
}

// Series returns what a reservation that repeats was asked for as, and the IDs of
// its windows that are not over, in the order in which they were made. O(windows).
func (p *Plan) Series(id string) (spec Spec, windows []string, ok bool) {
	repeating, ok := p.series[id]
	if !ok {
		return Spec{}, nil, false
	}
	return repeating.spec.Clone(), slices.Clone(repeating.windows), true
}

// generatedID returns an ID for the next reservation that nobody has.
func (p *Plan) generatedID() string {
	for n := p.created + 1; ; n++ {
		id := "reservation-" + strconv.FormatUint(n, 10)
		if _, taken := p.askedAs(id); !taken {
			return id
		}
	}
}
