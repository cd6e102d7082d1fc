package scheduler

import (
	"errors"
	"iter"
	"slices"

	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// What is made of a capture, without the lock.

// placed is the copy of an instance, with its node.
type placed struct {
	*allocation
	on *node
}

// placed returns the instances by ID and generation.
func (c *capture) placed() (all []placed) {
	instances := 0
	for _, saved := range c.copies {
		instances += len(saved.allocations)
	}
	// Room for all at once: garbage is collected at the expense of decisions.
	all = make([]placed, 0, instances)
	for _, saved := range c.copies {
		for i := range saved.allocations {
			all = append(all, placed{&saved.allocations[i], &saved.node})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return compareAllocations(a.allocation, b.allocation) })
	return all
}

func values[T any](records iter.Seq[*T]) []T {
	var all []T
	for record := range records {
		all = append(all, *record)
	}
	return all
}

// quotas returns the state of the accounts, and the versions of specs in their
// order.
func (c *capture) quotas() (state quota.AccountsSnapshot, versions []uint64) {
	for account := range c.accounts.all() {
		if account.declared {
			state.Specs = append(state.Specs, account.info.Spec)
			versions = append(versions, account.info.Version)
		}
		if account.Charges > 0 || account.Since != nil {
			state.Accounts = append(state.Accounts, account.AccountState)
		}
	}
	return state, versions
}

// charges yields what every running instance and every reservation charges.
func (c *capture) charges() iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, saved := range c.copies {
			for i := range saved.allocations {
				a := &saved.allocations[i]
				if a.state == running && !yield(a.namespace(), a.charge()) {
					return
				}
			}
		}
		for r := range c.reservations.all() {
			for owes := range bills(r) {
				if !yield(r.Spec.Namespace, owes) {
					return
				}
			}
		}
	}
}

// verifyQuota compares what the accounts had with the charges, and with what
// accounts that start from the same charges would show as used.
func (c *capture) verifyQuota() error {
	var again quota.Accounts
	state, _ := c.quotas()
	if err := again.Restore(state, c.charges()); err != nil {
		return err
	}
	errs := []error{again.Verify(c.charges())}
	for account := range c.accounts.all() {
		want := again.Usage(c.now, account.Namespace)
		if !slices.EqualFunc(account.info.Usage, want, func(a, b quota.Usage) bool {
			return a.Resource == b.Resource && a.Used == b.Used
		}) {
			errs = append(errs, &quota.DriftError{Namespace: account.Namespace})
		}
	}
	return errors.Join(errs...)
}

// users returns the instances and reservations that charge a namespace, by ID.
func (c *capture) users(namespace string) []string {
	var ids []string
	all := c.placed()
	for _, a := range all {
		if a.state == running && a.namespace() == namespace {
			ids = append(ids, a.id)
		}
	}
	for r := range c.reservations.all() {
		if r.Spec.Namespace == namespace && !r.Owes().IsZero() {
			ids = append(ids, r.Spec.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// listed returns the reservations by ID.
func (c *capture) listed() []reservation.Reservation { return values(c.reservations.all()) }
