package scheduler

import (
	"iter"
	"slices"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// Records of nodes and instances are shared: by a scheduler and its forks, and by what
// a state was at its marks. Each record has an owner, and a state changes only those of
// its own owner in place; of another one it makes a copy first, and puts that in its
// tables. A state has a new owner once what it has is shared, so that a fork and a mark
// copy no record.
//
// Invariant: nothing that a record points to is ever changed, only replaced; and a
// record says by row, not by pointer, on which node an instance is.

// edit returns the node of a row to be changed: nothing of it, nor of what is on its
// books, is changed before edit was called in the same step. Captures under way, and
// the latest mark, get theirs first.
func (st *state) edit(row index.Row) *node {
	n := st.at(row)
	st.preserve(n)
	st.keepNode(row)
	if n.owner == st.owner {
		return n
	}
	own := *n
	own.owner, own.instances = st.owner, slices.Clone(n.instances)
	st.byRow.Set(int(row), &own)
	return &own
}

// own returns the record of an instance to be changed. It takes a look at those of its
// node.
func (st *state) own(a *allocation) *allocation {
	n := st.edit(a.row)
	if a.owner == st.owner {
		return a
	}
	at := n.place(a)
	if present := n.instances[at]; present != a {
		return present // which somebody has made since
	}
	own := *a
	own.owner = st.owner
	n.instances[at] = &own
	if st.allocations.At(a.id) == a {
		st.allocations.Set(a.id, &own)
	} else if at := slices.Index(st.stale[a.id], a); at >= 0 {
		st.stale[a.id][at] = &own
	}
	return &own
}

// place returns where an instance stands among those of its node.
func (record *nodeRecord) place(a *allocation) int {
	if at := slices.Index(record.instances, a); at >= 0 {
		return at
	}
	return slices.IndexFunc(record.instances, func(other *allocation) bool {
		return other.generation == a.generation && other.id == a.id
	})
}

// share returns a state with the same records, once neither may change them in place.
// Accounts and reservations are still to come: see completed. It takes time in
// proportion to nodes and classes, and to the instances over 32.
func (st *state) share() *state {
	st.owner = new(cow.Owner)
	other := &state{
		seq: st.seq, now: st.now, joins: st.joins, token: st.token, owner: new(cow.Owner),
		nodes: st.nodes.Clone(), byRow: st.byRow.Clone(), allocations: st.allocations.Clone(),
		stale: make(map[string][]*allocation, len(st.stale)), replaced: st.replaced, leaving: st.leaving,
		released: releasedIDs{
			limit: st.released.limit, bytes: st.released.bytes, order: st.released.all(), known: st.released.known.Clone(),
		},
		index: st.index.Clone(), mix: st.mix,
		quota: quota.Accounts{RequireQuota: st.quota.RequireQuota}, quotaVersions: make(map[string]uint64),
		planned: st.planned.clone(), reserved: st.reserved.clone(), payments: make(map[string]reservationCharge),
	}
	for id, list := range st.stale {
		other.stale[id] = slices.Clone(list)
	}
	for key, due := range st.evictions.of {
		other.evictions.enter(&eviction{instanceKey: key, at: due.at})
	}
	for place := range other.captured {
		other.captured[place] = make([]uint64, st.byRow.Len())
	}
	return other
}

// completed gives a state that shares records with another one the accounts and
// reservations of that, from a capture of the same instant. It takes time in proportion
// to namespaces, reservations and the instances that leave by themselves.
func (st *state) completed(c *capture) error {
	accounts, versions := c.quotas()
	for i, spec := range accounts.Specs {
		st.quotaVersions[spec.Namespace] = versions[i]
	}
	plan := c.outline
	plan.Reservations, plan.Stays = values(c.reservations.all()), values(c.stays.all())
	st.plan = reservation.Restore(plan)
	st.plan.Touched() // what the index knows
	for r := range st.plan.Reservations() {
		st.pays(&r)
	}
	if err := st.quota.Restore(accounts, st.timedCharges(plan.Stays)); err != nil {
		return err
	}
	st.expireBursts(new(outcome)) // those that were over by then, which has been told
	return nil
}

// timedCharges yields those charges of which accounts know more than a sum: of
// instances that leave at a known time, and of reservations.
func (st *state) timedCharges(stays []reservation.Stay) iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		timed := func(id string) bool {
			a := st.allocations.At(id)
			return a.class.Request().Duration == 0 || yield(a.namespace(), a.charge())
		}
		for i := range stays {
			if !timed(stays[i].ID) {
				return
			}
		}
		for r := range st.plan.Reservations() {
			for claim := range r.Claims() {
				if !timed(claim.ID) {
					return
				}
			}
			for owes := range bills(&r) {
				if !yield(r.Spec.Namespace, owes) {
					return
				}
			}
		}
	}
}
