package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// replay brings the state through one record.
func (st *state) replay(cfg Config, r Record) (err error) {
	defer func() {
		if broken, ok := errors.AsType[*InvariantError](err); ok {
			err = &FormatError{r.Seq, broken.Error()}
		}
	}()
	defer st.recoverBroken(&err)
	switch r.Kind {
	case RecordSnapshot:
		return st.replaySnapshot(cfg, r)
	case RecordEntry:
		e, err := decodeEntry(r)
		if err != nil {
			return err
		}
		if e.seq != st.seq+1 {
			return &FormatError{r.Seq, fmt.Sprintf("follows record %d", st.seq)}
		}
		if err := st.replayEntry(e); err != nil {
			return &FormatError{r.Seq, err.Error()}
		}
		return nil
	default:
		return &FormatError{r.Seq, fmt.Sprintf("unknown kind %d", r.Kind)}
	}
}

// replayEntry brings the state through an entry that was applied before, with its
// consequences in it. It refuses one that the state cannot follow.
func (st *state) replayEntry(e *entry) error {
	if e.time.Before(st.now) {
		return fmt.Errorf("time %s is before %s", e.time, st.now)
	}
	out := new(outcome)
	st.begin(e, out)
	for _, c := range e.changes {
		if err := c.check(st); err != nil {
			return err
		}
		st.step(c, out)
	}
	return nil
}

func (st *state) replaySnapshot(cfg Config, r Record) error {
	var wire snapshotJSON
	if err := decodeVersioned(r, &wire); err != nil {
		return err
	}
	if err := unseal(r, wire.Sum); err != nil {
		return err
	}
	if wire.Seq != r.Seq {
		return &FormatError{r.Seq, fmt.Sprintf("holds snapshot %d", wire.Seq)}
	}
	if wire.Seq < st.seq {
		return &FormatError{r.Seq, fmt.Sprintf("follows record %d", st.seq)}
	}
	restored := newState(cfg)
	if err := restored.restore(wire); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	*st = *restored
	return nil
}

func (st *state) restore(wire snapshotJSON) error {
	st.seq, st.now, st.token, st.joins = wire.Seq, wire.Time, wire.Token, wire.Joins
	if err := validateMix(wire.Mix); err != nil {
		return err
	}
	st.setMix(wire.Mix)
	nodes := make([]*node, len(wire.Nodes))
	for i, w := range wire.Nodes {
		if err := (&NodeAdded{Node: w.Node}).check(st); err != nil {
			return err
		}
		if len(w.Tainted) != len(w.Node.Taints) {
			return fmt.Errorf("node %q has %d taints and %d times of them", w.Node.ID, len(w.Node.Taints), len(w.Tainted))
		}
		nodes[i] = st.restoreNode(w)
	}
	for _, w := range wire.Allocations {
		if w.Class < 0 || w.Class >= len(wire.Classes) || w.Node < 0 || w.Node >= len(nodes) {
			return fmt.Errorf("allocation %q points nowhere", w.ID)
		}
		req := wire.Classes[w.Class]
		req.ID, req.Resources = w.ID, w.Resources
		if err := st.checkInstance(&req, nodes[w.Node], w.Devices, w.Generation); err != nil {
			return err
		}
		st.restoreAllocation(w, &req, nodes[w.Node])
	}
	if err := st.restorePlan(wire.Reservations); err != nil {
		return err
	}
	if err := st.quota.Restore(wire.Quota); err != nil {
		return err
	}
	if err := st.verifyQuota(); err != nil {
		return err
	}
	maps.Copy(st.quotaVersions, wire.Quotas)
	for _, id := range wire.Released {
		st.released.add(id)
	}
	// What had fallen due by then has been delivered.
	st.expireBursts(new(outcome))
	for e, ok := st.evictions.First(); ok && !e.at.After(st.now); e, ok = st.evictions.First() {
		st.evictions.Remove(e)
	}
	return nil
}

func (st *state) restoreNode(w nodeJSON) *node {
	n := st.insertNode(w.Node, w.Join)
	record := st.edit(n)
	record.version, record.tainted = w.Version, w.Tainted
	record.cordoned, record.lost, record.unreported = w.Cordoned, w.Lost, w.Unreported
	st.index.SetState(n.row, n.indexState())
	return n
}

func (st *state) restoreAllocation(w allocationJSON, req *placement.Request, n *node) {
	a := &allocation{
		id: w.ID, class: st.index.Class(req), resources: w.Resources, asked: w.Asked, devices: w.Devices,
		placed: w.Placed, generation: w.Generation, version: w.Version, token: w.Token, score: w.Score,
		state: w.State, overstayed: w.Overstayed,
	}
	if a.state == stale {
		st.stale[a.id] = append(st.stale[a.id], a)
		st.replaced++
	} else {
		st.allocations[a.id] = a
	}
	st.addToNode(a, n)
}

// restorePlan restores the reservations, after the instances in them, and what
// they cover and charge. The charges themselves are in the quota.
func (st *state) restorePlan(wire reservation.Snapshot) error {
	check := st.planCheck(nil)
	for i := range wire.Series {
		id := wire.Series[i].ID
		if err := check.schedule(&wire.Series[i]); err != nil {
			return err
		}
		if !slices.ContainsFunc(wire.Reservations, func(r reservation.Reservation) bool { return r.Series == id }) {
			return fmt.Errorf("no window of reservation %q", id)
		}
	}
	for i := range wire.Reservations {
		r := &wire.Reservations[i]
		if i > 0 && r.Spec.ID <= wire.Reservations[i-1].Spec.ID {
			return fmt.Errorf("reservation %q is not in the order of IDs", r.Spec.ID)
		}
		if err := check.reservation(r); err != nil {
			return err
		}
	}
	for i, stay := range wire.Stays {
		a := st.allocations[stay.ID]
		_, stands := check.stands[stay.ID]
		if a == nil || a.state != running || a.node.ID != stay.Node || !a.resources.Equal(stay.Load.Resources) || stands ||
			stay.Load.Instances != 1 || !slices.Equal(stay.Devices, deviceList(a.devices)) ||
			i > 0 && stay.ID <= wire.Stays[i-1].ID {
			return fmt.Errorf("instance %q does not stay on node %q", stay.ID, stay.Node)
		}
	}
	for _, id := range wire.Unsettled {
		if _, ok := check.put[id]; !ok {
			return placement.NotFound(placement.KindReservation, id)
		}
	}
	st.plan = reservation.Restore(wire)
	for r := range st.plan.Reservations() {
		if owes := r.Owes(); !owes.IsZero() {
			st.payments[r.Spec.ID] = reservationCharge{r.Spec.Namespace, owes}
		}
		for claim := range r.Claims() {
			st.allocations[claim.ID].covered = &paidByReservation{claim.Held, r.Spec.ID}
		}
	}
	st.syncHeld(new(outcome))
	return nil
}
