package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// Plan is what has been changed on a Fork, for Commit. It stays what it is whatever
// happens to the fork afterwards.
type Plan struct {
	// Version of the scheduler that was forked.
	Version uint64 `json:"version"`
	// Steps in the order of the calls on the fork, without what was rolled back.
	Steps []Step `json:"steps,omitempty"`
}

// Step is one change of a plan.
type Step struct {
	// Change as it was decided on the fork.
	Change Change
	// Rests is the version of what the change replaces or takes away, as the fork
	// found it: of the node, allocation or quota. 0 rests on none, or on an earlier
	// step.
	Rests uint64
}

// tried is what has been changed on a fork.
type tried struct {
	version uint64
	steps   []Step
}

// note adds a change that is about to be applied.
func (t *tried) note(st *state, c decided) {
	if t == nil {
		return
	}
	rests := c.rests(st)
	if rests > t.version {
		rests = 0 // which is on an earlier step
	}
	if placed, ok := c.(*Placed); ok {
		alone := *placed // without the index of the fork
		alone.class, alone.node = nil, nil
		c = &alone
	}
	t.steps = append(t.steps, Step{Change: c, Rests: rests})
}

func (c *NodeAdded) rests(*state) uint64      { return 0 }
func (c *NodeUpdated) rests(st *state) uint64 { return st.nodeVersion(c.Node.ID) }
func (c *NodeMarked) rests(st *state) uint64  { return st.nodeVersion(c.NodeID) }
func (c *NodeRemoved) rests(st *state) uint64 { return st.nodeVersion(c.NodeID) }
func (c *NodeAdopted) rests(st *state) uint64 { return st.nodeVersion(c.Node.ID) }
func (c *Released) rests(st *state) uint64    { return st.generation(c.ID, c.Generation).versionOrZero() }

func (c *GenerationKept) rests(st *state) uint64 {
	return st.generation(c.ID, c.Generation).versionOrZero()
}

func (c *Attached) rests(st *state) uint64       { return st.generation(c.ID, c.Generation).versionOrZero() }
func (c *Resized) rests(st *state) uint64        { return st.allocations.At(c.ID).versionOrZero() }
func (c *LeavingChanged) rests(st *state) uint64 { return st.allocations.At(c.ID).versionOrZero() }
func (c *Amended) rests(st *state) uint64        { return st.allocations.At(c.Request.ID).versionOrZero() }
func (c *QuotaCreated) rests(*state) uint64      { return 0 }
func (c *QuotaUpdated) rests(st *state) uint64   { return st.quotaVersions[c.Spec.Namespace] }
func (c *QuotaDeleted) rests(st *state) uint64   { return st.quotaVersions[c.Namespace] }
func (c *PlanChanged) rests(*state) uint64       { return 0 }
func (c *WorkloadChanged) rests(*state) uint64   { return 0 }

func (c *Placed) rests(st *state) uint64 {
	if !c.Move {
		return 0
	}
	return st.allocations.At(c.ID).versionOrZero()
}

// versionOrZero returns the version of an instance, 0 for none.
func (a *allocation) versionOrZero() uint64 {
	if a == nil {
		return 0
	}
	return a.version
}

func (st *state) nodeVersion(id string) uint64 {
	if n := st.named(id); n != nil {
		return n.version
	}
	return 0
}

// step is what a Step of a plan comes to now.
type step struct {
	change  decided            // nil if nothing is left to do
	request *placement.Request // that is placed, or was
	to      candidate
}

// decideStep decides a step of a plan anew, with the code of the call that it came from.
func (st *state) decideStep(s *Step, at *view) (step, error) {
	if c, ok := s.Change.(decided); ok && s.Rests != 0 && c.rests(st) != s.Rests {
		return step{}, &ChangedError{Expected: s.Rests, Version: c.rests(st)}
	}
	switch c := s.Change.(type) {
	case *Placed:
		if c.Move {
			return st.decideMove(at.now, c.ID, c.NodeID)
		}
		return st.decidePlaced(at, c)
	case *GenerationKept:
		kept, err := st.canKeep(at.now, c.ID, c.Generation)
		return step{change: kept}, err
	case *Released:
		return st.decideReleased(c)
	case *Resized:
		a, err := st.allocation(c.ID)
		if err != nil {
			return step{}, err
		}
		resized, err := st.canResize(at.now, a, c.Resources.Clone())
		return step{change: resized}, err
	case *LeavingChanged:
		changed, err := st.canLeave(c.ID, c.Leaving)
		return step{change: changed}, err
	case *Amended:
		amended, err := st.canAmend(at.now, &c.Request)
		return step{change: amended}, err
	case *Attached:
		attached, err := st.decideAttached(at.now, c)
		return step{change: attached}, err
	case *QuotaCreated:
		return st.decideSpec(c, &c.Spec)
	case *QuotaUpdated:
		return st.decideSpec(c, &c.Spec)
	case *QuotaDeleted:
		return step{change: c}, c.check(st)
	case *WorkloadChanged:
		return step{change: c}, c.check(st)
	case *PlanChanged:
		return st.decideReserved(at.now, c)
	default:
		return st.decideNode(c, &at.cfg)
	}
}

func (st *state) decideSpec(c decided, spec *quota.Spec) (step, error) {
	if old, ok := st.quota.Spec(spec.Namespace); ok && old.Equal(*spec) {
		return step{}, nil
	}
	return step{change: c}, c.check(st)
}

func (st *state) decidePlaced(at *view, c *Placed) (step, error) {
	req := c.Request()
	if err := req.Validate(); err != nil {
		return step{}, err
	}
	var to candidate
	var err error
	if c.Claim != nil {
		to, err = st.findClaim(at.now, c.Claim.ID, &req)
		if err == nil && len(to.asks) > 0 {
			err = placement.Conflict(placement.KindReservation, c.Claim.ID, "has to move a slot first")
		}
	} else {
		to, err = st.find(at.now, &req, st.ask(&req), c.NodeID)
	}
	if err != nil || to.existing != nil {
		return step{change: to.attached, request: &req, to: to}, err
	}
	placed := st.placed(&req, &to)
	return step{&placed, &req, to}, nil
}

func (st *state) decideReleased(c *Released) (step, error) {
	a := st.generation(c.ID, c.Generation)
	switch {
	case a == nil:
		return step{}, placement.NotFound(placement.KindAllocation, c.ID)
	case c.Unclaimed && a.covered() == nil:
		return step{}, placement.Conflict(placement.KindAllocation, c.ID, "stands in no reservation")
	}
	return step{change: c}, nil
}

func (st *state) decideAttached(now time.Time, c *Attached) (decided, error) {
	a := st.generation(c.ID, c.Generation)
	if a == nil || len(c.Changes) == 0 {
		return nil, placement.NotFound(placement.KindAllocation, c.ID)
	}
	return st.canAttach(now, a, c.Changes[len(c.Changes)-1].ID)
}

// decideReserved is decideStep for a call of Reserve, the only one on reservations that a
// plan can have beside claims: it asks for the same again, and for the same slots.
func (st *state) decideReserved(now time.Time, c *PlanChanged) (step, error) {
	spec, ok := c.reserved()
	if !ok {
		return step{}, &placement.InvalidError{Field: "change", Value: fmt.Sprintf("%T", c), Reason: "is a step of a plan only as made by Reserve"}
	}
	changes, err := st.plan.Reserve(&planNodes{st: st}, *spec)
	changes, err = st.affordable(now, changes, err)
	switch {
	case err != nil || len(changes) == 0:
		return step{}, err
	case !slices.EqualFunc(c.Changes, changes, sameSlots):
		return step{}, placement.Conflict(placement.KindReservation, spec.ID, "would have other slots now")
	}
	return step{change: &PlanChanged{Changes: changes}}, nil
}

// reserved returns what was asked for by the call of Reserve that made a change. It
// reports false if another call did.
func (c *PlanChanged) reserved() (*reservation.Spec, bool) {
	for i := range c.Changes {
		switch change := &c.Changes[i]; {
		case change.Kind == reservation.Schedule:
			return change.Series, change.Series != nil
		case change.Kind == reservation.Put && change.Reservation != nil:
			return &change.Reservation.Spec, change.Reservation.Version == 1
		}
	}
	return nil, false
}

// sameSlots reports whether two changes put, or move, the same slots to the same nodes
// and GPUs.
func sameSlots(a, b reservation.PlanChange) bool {
	if a.Kind != b.Kind || a.ID != b.ID || a.Slot != b.Slot || a.Node != b.Node || !slices.Equal(a.Devices, b.Devices) ||
		(a.Reservation == nil) != (b.Reservation == nil) {
		return false
	}
	return a.Reservation == nil || slices.EqualFunc(a.Reservation.Slots, b.Reservation.Slots, func(a, b reservation.Slot) bool {
		return a.Node == b.Node && slices.Equal(a.Devices, b.Devices)
	})
}

// decideNode is decideStep for changes of nodes.
func (st *state) decideNode(c Change, cfg *Config) (step, error) {
	switch c := c.(type) {
	case *NodeAdded:
		added, err := st.admitNew(c.Node)
		if err != nil {
			return step{}, err
		}
		added.Unreported = cfg.RequireReports
		return step{change: added}, nil
	case *NodeUpdated:
		updated, err := st.admitUpdate(c.Node)
		if err != nil {
			return step{}, err
		}
		return step{change: updated}, nil
	case *NodeMarked:
		n, err := st.node(c.NodeID)
		if err != nil {
			return step{}, err
		}
		marked, err := st.marked(n, c.Mark)
		return step{change: marked}, err
	case *NodeRemoved:
		if _, err := st.node(c.NodeID); err != nil {
			return step{}, err
		}
		return step{change: st.removed(c.NodeID)}, nil
	case *NodeAdopted:
		adopted, _, err := st.adopt(c.Node, c.Instances)
		if err != nil || adopted == nil {
			return step{}, err
		}
		return step{change: adopted}, nil
	default:
		return step{}, &placement.InvalidError{Field: "change", Value: fmt.Sprintf("%T", c), Reason: "is no step of a plan"}
	}
}
