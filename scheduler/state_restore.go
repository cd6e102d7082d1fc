package scheduler

import (
	"fmt"
	"iter"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// restorer brings an empty state to have what the items of a snapshot say, one
// after the other. It refuses an item that the state could not follow.
type restorer struct {
	st      *state
	seq     uint64 // of the snapshot's record
	bytes   int64  // that were read of it
	parts   partReader
	node    *node // the latest, on which instances come
	classes []*index.Class

	quotas quota.AccountsSnapshot
	plan   reservation.Snapshot
}

func (i *headItem) restore(r *restorer) error {
	st := r.st
	switch {
	case i.Seq != r.seq:
		return fmt.Errorf("holds snapshot %d", i.Seq)
	case i.Nodes < 0 || i.Instances < 0:
		return fmt.Errorf("%d nodes, %d instances", i.Nodes, i.Instances)
	}
	st.seq, st.now, st.token, st.joins = i.Seq, i.Time, i.Token, i.Joins
	if err := validateMix(i.Workload); err != nil {
		return err
	}
	st.setMix(i.Workload)
	r.plan.Now, r.plan.Created = i.Time, i.Created
	return nil
}

func (i *releasedItem) restore(r *restorer) error {
	r.st.released.add(i.ID)
	return nil
}

func (i *nodeItem) restore(r *restorer) error {
	st := r.st
	added, err := st.admitNew(i.Node)
	if err != nil {
		return err
	}
	if len(i.Tainted) != len(i.Node.Taints) {
		return fmt.Errorf("node %q has %d taints and %d times of them", i.Node.ID, len(i.Node.Taints), len(i.Tainted))
	}
	if r.node != nil && i.Join <= r.node.join || i.Join > st.joins {
		return fmt.Errorf("node %q is not in the order of joining", i.Node.ID)
	}
	record := st.insertCanonical(&added.Node, i.Join)
	record.version, record.tainted = i.Version, i.Tainted
	record.cordoned, record.lost, record.unreported = i.Cordoned, i.Lost, i.Unreported
	st.index.SetState(record.row, record.indexState())
	r.node = record
	return nil
}

func (i *classItem) restore(r *restorer) error {
	req := i.Request
	req.ID = "any"
	if err := req.Validate(); err != nil {
		return err
	}
	r.classes = append(r.classes, r.st.index.Class(&req))
	return nil
}

func (i *instanceItem) restore(r *restorer) error {
	st := r.st
	switch {
	case r.node == nil || i.Class < 0 || i.Class >= len(r.classes) || i.State > stale,
		i.State == stale && i.Leaving && r.node.lost:
		return fmt.Errorf("allocation %q points nowhere", i.ID)
	case !r.node.follows(i.ID, i.Generation):
		return fmt.Errorf("allocation %q is not in the order of IDs", i.ID)
	case i.State != stale && st.allocations.At(i.ID) != nil:
		return placement.Conflict(placement.KindAllocation, i.ID, "is there twice")
	}
	req := withValidRules(i.ID, i.Resources, r.classes[i.Class].Request())
	if err := st.checkInstance(&req, r.node, index.Taken{Devices: i.Devices, Ports: i.Ports}, i.Generation); err != nil {
		return err
	}
	a := &allocation{
		id: i.ID, class: r.classes[i.Class], resources: i.Resources, owner: st.owner, row: r.node.row,
		since: instantOf(i.Placed), generation: i.Generation, version: i.Version, token: i.Token, score: i.Score,
		state: i.State, leaving: i.Leaving, overstayed: i.Overstayed,
	}
	a.setFew(rarity{Taken: index.Taken{Devices: i.Devices, Ports: i.Ports}, asked: i.Asked})
	if a.state == stale {
		st.keepStale(a)
	} else {
		st.allocations.Set(a.id, a)
	}
	st.addToNode(a)
	r.classes[i.Class] = a.class
	return nil
}

// follows reports whether an instance comes after those that a node has, by ID and
// generation.
func (record *nodeRecord) follows(id string, generation uint64) bool {
	if len(record.instances) == 0 {
		return true
	}
	return compareAllocations(record.instances[len(record.instances)-1], &allocation{id: id, generation: generation}) < 0
}

func (i *quotaItem) restore(r *restorer) error {
	r.quotas.Specs = append(r.quotas.Specs, i.Spec)
	r.st.quotaVersions[i.Spec.Namespace] = i.Version
	return nil
}

func (i *accountItem) restore(r *restorer) error {
	r.quotas.Accounts = append(r.quotas.Accounts, i.AccountState)
	return nil
}

func (i *seriesItem) restore(r *restorer) error {
	r.plan.Series = append(r.plan.Series, i.Spec)
	return nil
}

func (i *reservationItem) restore(r *restorer) error {
	r.plan.Reservations = append(r.plan.Reservations, i.Reservation)
	return nil
}

func (i *stayItem) restore(r *restorer) error {
	r.plan.Stays = append(r.plan.Stays, i.Stay)
	return nil
}

func (i *unsettledItem) restore(r *restorer) error {
	r.plan.Unsettled = append(r.plan.Unsettled, i.ID)
	return nil
}

func (i *pastItem) restore(r *restorer) error {
	r.plan.Past = append(r.plan.Past, i.PastReservation)
	return nil
}

// end restores what needs all items, once they are there.
func (r *restorer) end() error {
	if err := r.books(r.st.charges()); err != nil {
		return err
	}
	return r.st.verifyQuota()
}

// books restores reservations and quotas from what is charged.
func (r *restorer) books(charges iter.Seq2[string, quota.Timed]) error {
	st := r.st
	if err := st.restorePlan(r.plan); err != nil {
		return err
	}
	if err := st.quota.Restore(r.quotas, charges); err != nil {
		return err
	}
	// What had fallen due by then has been delivered.
	st.expireBursts(new(outcome))
	for e, ok := st.evictions.first(); ok && !e.at.After(st.now); e, ok = st.evictions.first() {
		st.evictions.remove(e.instanceKey)
	}
	return nil
}

// pays notes what a reservation charges.
func (st *state) pays(r *reservation.Reservation) {
	if owes := bill(r); !owes.Amounts.IsZero() {
		st.payments[r.Spec.ID] = reservationCharge{r.Spec.Namespace, owes, laterBills(r)}
	}
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
		a := st.allocations.At(stay.ID)
		_, stands := check.stands[stay.ID]
		if a == nil || a.state != running || st.on(a).ID != stay.Node || !a.resources.Equal(stay.Load.Resources) || stands ||
			stay.Load.Instances != 1 || !slices.Equal(stay.Devices, deviceList(a.taken().Devices)) ||
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
		st.pays(&r)
		for claim := range r.Claims() {
			st.allocations.At(claim.ID).cover(&paidByReservation{claim.Held, r.Spec.ID})
		}
	}
	st.syncHeld(new(outcome))
	return nil
}
