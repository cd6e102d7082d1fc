package reservation

import (
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/statetime"
	"github.com/rads-project/constellation/placement"
)

// Config configures a Book. The zero value works.
type Config struct {
	// Now is the clock; nil means time.Now. The time of a book never decreases:
	// if the clock is set back, it goes at half pace until the clock has caught
	// up. The time that passes meanwhile is the monotonic part of the readings, or
	// their wall clock if they have none.
	Now func() time.Time
	// Backlog is how many events are kept for Sweep, after which the oldest
	// are dropped; 0 means 1024.
	Backlog int
	// Snapshot of an earlier book to go on from; nil starts empty.
	Snapshot *Snapshot
}

// Book is a Plan that is safe for concurrent use, with a clock and with nodes
// that its host tells it of. It places by first fit in the order of node IDs,
// keeping required constraints, taints and hard spread rules among the slots
// of a reservation. Other rules are an ErrInvalid: they need a scheduler.
//
// Every call first brings the book up to date, so nothing depends on Sweep
// being called: what has ended is free at its end. A call therefore costs what it
// says and what Plan.Advance does for whatever has fallen due; and while
// reservations lack slots, Plan.Repair on the nodes that it changes.
type Book struct {
	now     func() time.Time
	backlog int

	mu      sync.Mutex
	clock   statetime.Clock
	plan    *Plan
	nodes   bookNodes
	events  []Event
	seq     uint64
	next    time.Time
	changed chan struct{}
}

// New returns a book without nodes. It starts nothing. All mistakes in the
// configuration, a snapshot included that no book can have made, are
// ErrInvalids, reported at once.
func New(cfg Config) (*Book, error) {
	var errs []error
	if cfg.Backlog < 0 {
		errs = append(errs, invalid("backlog", cfg.Backlog, "negative"))
	}
	if cfg.Snapshot != nil {
		errs = append(errs, cfg.Snapshot.validate())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	b := &Book{
		now: cfg.Now, backlog: cfg.Backlog, plan: NewPlan(), nodes: newBookNodes(), changed: make(chan struct{}),
	}
	if b.now == nil {
		b.now = time.Now
	}
	if b.backlog == 0 {
		b.backlog = 1024
	}
	if cfg.Snapshot != nil {
		b.plan = Restore(*cfg.Snapshot)
		b.clock = statetime.At(b.plan.Now())
	}
	return b, nil
}

// catchUpLocked moves the plan to where a reading of the clock brings it.
func (b *Book) catchUpLocked(reading time.Time) {
	b.keepLocked(b.plan.Advance(b.clock.Advance(reading)))
	b.applyLocked(nil)
}

// applyLocked carries out changes and whatever they make necessary: slots that
// reservations lack get the room that comes up, on the nodes given and on those
// that change.
func (b *Book) applyLocked(changes []PlanChange, withRoom ...string) {
	b.carryOutLocked(changes)
	for {
		withRoom = append(withRoom, b.plan.Touched()...)
		if len(withRoom) == 0 || !b.plan.Owing() {
			break
		}
		for _, id := range b.plan.Owed() {
			// Repair fails for no reservation that lacks slots.
			repaired, _ := b.plan.Repair(&b.nodes, id, withRoom...)
			b.carryOutLocked(repaired)
		}
		withRoom = nil
	}
	if next, _ := b.plan.NextDeadline(); !next.Equal(b.next) {
		b.next = next
		b.wakeLocked()
	}
}

func (b *Book) carryOutLocked(changes []PlanChange) {
	b.keepLocked(b.plan.Apply(changes...))
	for b.plan.Unsettled() {
		b.keepLocked(b.plan.Apply(b.plan.ResolveConflicts(&b.nodes)...))
	}
}

func (b *Book) keepLocked(events []Event) {
	if len(events) == 0 {
		return
	}
	for _, e := range events {
		b.seq++
		e.Seq = b.seq
		b.events = append(b.events, e)
	}
	if len(b.events) >= 2*b.backlog { // so that dropping is cheap on average
		b.events = b.events[:copy(b.events, b.events[len(b.events)-b.backlog:])]
	}
	b.wakeLocked()
}

func (b *Book) wakeLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// decide runs one decision on the book as it is now and carries it out.
func (b *Book) decide(decision func() ([]PlanChange, error)) error {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.decideLocked(now, decision)
}

func (b *Book) decideLocked(now time.Time, decision func() ([]PlanChange, error)) error {
	b.catchUpLocked(now)
	changes, err := decision()
	if err == nil || len(changes) > 0 {
		b.applyLocked(changes)
	}
	return err
}

// Reserve makes a reservation, all of it or none. The same spec under the same
// ID gives the reservation that there is. It costs what Plan.Reserve does, with a
// look at every node until one has room; spread rules look at every node for each
// slot.
//
// Errors: ErrInvalid, ErrConflict, RefusedError.
func (b *Book) Reserve(spec Spec) (Reservation, error) {
	if err := firstFitOnly(spec.Preferences, true); err != nil {
		_, others := spec.occurrences(nanos(b.now()))
		return Reservation{}, errors.Join(err, others)
	}
	id := spec.ID
	return b.reservationAfter(&id, func() ([]PlanChange, error) {
		changes, err := b.plan.Reserve(&b.nodes, spec)
		if len(changes) > 0 {
			id = Reserved(changes)
		}
		return changes, err
	})
}

// reservationAfter runs a decision and returns the reservation of an ID, which
// the decision may set, as it is after that. One that has ended by it comes
// back with its ID and the state Ended.
func (b *Book) reservationAfter(id *string, decision func() ([]PlanChange, error)) (Reservation, error) {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.decideLocked(now, decision); err != nil {
		return Reservation{}, err
	}
	r, ok := b.plan.Reservation(*id)
	if !ok {
		r = Reservation{Spec: Spec{ID: *id}, Phase: Ended}
	}
	return r, nil
}

// Claim puts an instance into a slot of a reservation and returns the node. The same
// instance with the same amounts again is the same claim; one that its slot has left
// behind, on a lost node, is ErrConflict. It costs what Plan.Claim does. ErrWaiting
// says that instances were asked to leave for it, or are leaving: the slot is kept, and
// the same claim succeeds once they have gone.
//
// Errors: ErrInvalid, ErrNotFound, StateError, OwnerError, ErrConflict,
// ShortError.
func (b *Book) Claim(reservation string, req placement.Request) (node string, c Claim, err error) {
	if err := firstFitOnly(req.Preferences, false); err != nil {
		return "", Claim{}, errors.Join(err, validateRequest(req))
	}
	err = b.decide(func() ([]PlanChange, error) {
		changes, err := b.plan.Claim(&b.nodes, reservation, req, func(node string) bool {
			known, ok := b.nodes.byID[node]
			return ok && known.meets(&req.Preferences)
		})
		if i := len(changes) - 1; err == nil && i >= 0 {
			fill := changes[i]
			c, node = fill.Claim.clone(), b.plan.reservations[fill.ID].Slots[fill.Slot].Node
			if i > 0 {
				node = changes[0].Node // The slot moves.
			}
		}
		if err == nil && len(changes) == 0 {
			r := b.plan.claims[req.ID].r
			slot, i := r.find(req.ID)
			node, c = r.Slots[slot].Node, r.Slots[slot].Claims[i].clone()
		}
		return changes, err
	})
	return node, c, err
}

// Attach makes an instance that was placed beside all reservations a claim of a slot on
// its node, and returns the node. The same call again is the same claim. It costs what
// Plan.Attach does.
//
// Errors: ErrNotFound, StateError, OwnerError, ErrConflict, ShortError.
func (b *Book) Attach(reservation, instance string) (node string, c Claim, err error) {
	err = b.decide(func() ([]PlanChange, error) {
		if !b.plan.Counts(instance) {
			return nil, placement.NotFound(placement.KindInstance, instance)
		}
		running, stays := b.plan.Stay(instance)
		if !stays {
			claim, _, _ := b.plan.ClaimOf(instance)
			running.ID, running.Namespace, running.Load = claim.ID, claim.Namespace, claim.whole()
		}
		changes, err := b.plan.Attach(&b.nodes, reservation, running)
		if err == nil && len(changes) > 0 {
			b.applyLocked(changes)
		}
		if err == nil {
			c, _, _ = b.plan.ClaimOf(instance)
			node, _ = b.plan.nodeOfClaim(instance)
		}
		return nil, err
	})
	return node, c, err
}

// Unclaim gives what an instance claimed back to its reservation, or to the
// node if that has ended: it was not started after all, or is gone. O(slots and
// claims of the reservation), and what Plan.NodeChanged costs.
//
// Errors: ErrNotFound.
func (b *Book) Unclaim(instance string) error {
	return b.leave(instance, b.plan.Unclaim)
}

// leave carries out that an instance goes. On a node that has become too small
// its slot stayed for it only, and goes elsewhere now.
func (b *Book) leave(instance string, gone func(string) ([]PlanChange, error)) error {
	return b.decide(func() ([]PlanChange, error) {
		node, claimed := b.plan.nodeOfClaim(instance)
		changes, err := gone(instance)
		if err != nil || !claimed {
			return changes, err
		}
		b.applyLocked(changes)
		return b.plan.NodeChanged(&b.nodes, node), nil
	})
}

// Place puts an instance beside all reservations. With a Duration it may stand
// where capacity is held for later; with Yield it may even stay until it is
// asked to leave. The same request again is the same instance. It costs what
// Plan.Admit does.
//
// Errors: ErrInvalid, ErrConflict, RefusedError.
func (b *Book) Place(req placement.Request) (Stay, error) {
	if err := firstFitOnly(req.Preferences, false); err != nil {
		return Stay{}, errors.Join(err, validateRequest(req))
	}
	var stay Stay
	err := b.decide(func() ([]PlanChange, error) {
		changes, err := b.plan.Admit(&b.nodes, req)
		if len(changes) > 0 {
			stay = changes[0].Stay.clone()
		} else {
			stay, _ = b.plan.Stay(req.ID)
		}
		return changes, err
	})
	if err != nil {
		return Stay{}, err
	}
	return stay, nil
}

// Remove says that an instance is gone, placed or claimed. O(log h) in the holds
// of its node, and for a claim what Unclaim costs.
//
// Errors: ErrNotFound.
func (b *Book) Remove(instance string) error {
	return b.leave(instance, b.plan.Remove)
}

// Update gives a reservation new parameters if it has still that version (0: any);
// zero fields keep what there is. A failed update changes nothing. It costs what
// Plan.Update does.
//
// Errors: ErrInvalid, ErrNotFound, StateError, VersionError, InUseError,
// RefusedError.
func (b *Book) Update(id string, version uint64, params Params) (Reservation, error) {
	return b.reservationAfter(&id, func() ([]PlanChange, error) { return b.plan.Update(&b.nodes, id, version, params) })
}

// Extend moves the end of a reservation. An end that has passed ends it now.
// Errors and costs are those of Update.
func (b *Book) Extend(id string, end time.Time) (Reservation, error) {
	if end.IsZero() { // which keeps the end, for Update
		return Reservation{}, invalid("end", end, "missing")
	}
	return b.Update(id, 0, Params{End: end})
}

// Resize changes the shape and the number of a reservation's slots; zero keeps
// what there is. Errors and costs are those of Update.
func (b *Book) Resize(id string, shape placement.Resources, count int) (Reservation, error) {
	return b.Update(id, 0, Params{Shape: shape, Count: count})
}

// Release ends a reservation now. If instances use it that takes force; they are
// then handled according to its AtEnd. O(slots and claims of it).
//
// Errors: ErrNotFound, StateError, InUseError.
func (b *Book) Release(id string, force bool) error {
	return b.decide(func() ([]PlanChange, error) { return b.plan.Release(id, force) })
}

// Sweep brings the book up to date and returns all events since it was last
// called, each once and in order. After more than Config.Backlog events the
// oldest are missing, which shows as a gap in Seq. It costs what Plan.Advance
// does.
func (b *Book) Sweep() []Event {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catchUpLocked(now)
	events := b.events[max(0, len(b.events)-b.backlog):]
	b.events = nil
	return events
}

// NextDeadline returns when Sweep will next have something to do, and false if
// nothing is to come. O(1).
func (b *Book) NextDeadline() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.plan.NextDeadline()
}

// DeadlineChanged returns a channel that is closed when NextDeadline changes
// or an event waits for Sweep. Take it before looking at NextDeadline, and
// nothing is missed. O(1).
func (b *Book) DeadlineChanged() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Reservation returns a reservation as it is now. O(slots and claims of it).
func (b *Book) Reservation(id string) (r Reservation, err error) {
	err = b.decide(func() ([]PlanChange, error) {
		live, err := b.plan.live(id, "look at")
		if err == nil {
			r = live.Clone()
		}
		return nil, err
	})
	return r, err
}

// Reservations yields all reservations as they are now, in the order of their
// IDs. It costs what Snapshot does.
func (b *Book) Reservations() iter.Seq[Reservation] {
	return slices.Values(b.Snapshot().Reservations)
}

// Free returns what is left of a node for an instance over a window: what is
// allocatable, less what is used and less the peak of all that the book counts
// there, and of GPUs the unused ones; nothing if the node takes no more instances.
// O(log h) in the holds of the node.
func (b *Book) Free(node string, w Window) (free placement.Resources, err error) {
	err = b.decide(func() ([]PlanChange, error) {
		room, ok := b.nodes.Room(node)
		if !ok {
			return nil, placement.NotFound(placement.KindNode, node)
		}
		free = b.plan.free(node, &room, &placement.Amounts{Resources: room.Allocatable, Instances: 1}, b.plan.span(w))
		return nil, nil
	})
	return free, err
}

// Snapshot returns the state of the book as it is now. Neither nodes nor events
// that wait for Sweep are part of it: the host sets nodes again, and calls Sweep
// first if it wants all events. O(everything in it), with the book locked.
func (b *Book) Snapshot() Snapshot {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catchUpLocked(now)
	return b.plan.Snapshot()
}
