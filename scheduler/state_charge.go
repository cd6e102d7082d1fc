package scheduler

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// A running instance is a charge of its namespace; there is no other record of
// it. Lost and stale instances charge nobody.

// admits asks the quota of the request's namespace.
func (st *state) admits(now time.Time, req *placement.Request) error {
	verdict, err := st.quota.Check(now, req.Namespace, placement.OneInstance(req.Resources), quota.MayBurst)
	return st.exceeded(req.Namespace, verdict, err)
}

func (st *state) admitsResize(now time.Time, a *allocation, to placement.Resources) error {
	namespace := a.namespace()
	verdict, err := st.quota.CheckResize(now, namespace, st.chargeOf(a), chargeFor(to, stillCovered(a.covered, to)), quota.MayBurst)
	return st.exceeded(namespace, verdict, err)
}

func (st *state) exceeded(namespace string, verdict quota.Verdict, err error) error {
	if err != nil || verdict.Allowed() {
		return err
	}
	return &quota.ExceededError{Namespace: namespace, Verdict: verdict, Version: st.seq}
}

// chargeOf returns what an instance charges its namespace: itself, less what
// the slot that it stands in covers.
func (st *state) chargeOf(a *allocation) placement.Amounts { return chargeFor(a.resources, a.covered) }

func chargeFor(r placement.Resources, covered *paidByReservation) placement.Amounts {
	amounts := placement.OneInstance(r)
	if covered != nil {
		amounts.Resources, _ = amounts.Resources.Sub(covered.Resources)
		amounts.Instances -= covered.Instances
	}
	return amounts
}

// stillCovered returns what a slot goes on to cover of an instance of another
// size: no more than before.
func stillCovered(covered *paidByReservation, to placement.Resources) *paidByReservation {
	if covered == nil {
		return nil
	}
	still := paidByReservation{placement.Amounts{Instances: covered.Instances}, covered.reservation}
	for name, amount := range covered.Resources.All() {
		still.Resources = still.Resources.With(name, min(amount, to.Amount(name)))
	}
	return &still
}

// charge and refund follow what was decided: an amount that could not be
// counted was refused before.
func (st *state) charge(a *allocation) []quota.Usage {
	ns := a.namespace()
	over, err := st.editQuota(ns).Add(st.now, ns, st.chargeOf(a))
	must("what runs can be charged", err)
	return over
}

func (st *state) refund(a *allocation) {
	ns := a.namespace()
	must("what was charged can be refunded", st.editQuota(ns).Remove(ns, st.chargeOf(a)))
}

// recharge gives an instance other amounts.
func (st *state) recharge(a *allocation, to placement.Resources) {
	before := st.chargeOf(a)
	a.resources, a.covered = to, stillCovered(a.covered, to)
	ns := a.namespace()
	_, err := st.editQuota(ns).Replace(st.now, ns, before, st.chargeOf(a))
	must("what was resized can be charged", err)
}

// account returns a copy of what a namespace was granted and uses.
func (st *state) account(now time.Time, ns string) (accountCopy, bool) {
	spec, declared := st.quota.Spec(ns)
	account := st.quota.Account(ns)
	if !declared && account.Charges == 0 {
		return accountCopy{}, false
	}
	spec.Namespace = ns
	return accountCopy{account, st.quotaInfo(now, spec), declared}, true
}

func (st *state) quotaInfo(now time.Time, spec quota.Spec) QuotaInfo {
	return QuotaInfo{
		Spec: spec, Usage: st.quota.Usage(now, spec.Namespace), Version: st.quotaVersions[spec.Namespace],
	}
}

// charges yields what every running instance and every reservation charges.
func (st *state) charges() iter.Seq2[string, placement.Amounts] {
	return func(yield func(string, placement.Amounts) bool) {
		for _, a := range st.allocations {
			if a.state == running && !yield(a.namespace(), st.chargeOf(a)) {
				return
			}
		}
		for r := range st.plan.Reservations() {
			if owes := r.Owes(); !owes.IsZero() && !yield(r.Spec.Namespace, owes) {
				return
			}
		}
	}
}

// overLimit is the namespaces that use too much after charges of which nobody
// asked the quota.
type overLimit map[string]bool

func (o overLimit) note(usage []quota.Usage) {
	for _, u := range usage {
		o[u.Namespace] = true
	}
}

// tellOver tells in one event what the namespaces noted use too much of, by
// namespace and dimension.
func (st *state) tellOver(noted overLimit, out *outcome) {
	var over []quota.Usage
	for _, namespace := range slices.Sorted(maps.Keys(noted)) {
		for _, u := range st.quota.Usage(st.now, namespace) {
			if u.Over() {
				over = append(over, u)
			}
		}
	}
	if len(over) > 0 {
		out.emit(&QuotaOver{Usage: over})
	}
}

func (st *state) verifyQuota() error { return st.quota.Verify(st.charges()) }

// reservationCharge is what a reservation charges its namespace.
type reservationCharge struct {
	namespace string
	amounts   placement.Amounts
}

// charged brings the charge of a reservation to what it owes now. A namespace
// is given where it may be the first charge. O(slots and claims of it), for what
// it owes is summed up anew.
func (st *state) charged(id, namespace string) {
	paid, paying := st.payments[id]
	if paying {
		namespace = paid.namespace
	}
	owes := st.plan.Owes(id)
	switch owing := !owes.IsZero(); {
	case paying && owing:
		_, err := st.editQuota(namespace).Replace(st.now, namespace, paid.amounts, owes)
		must("what a reservation owes can be charged in place of what it has paid", err)
	case paying:
		must("what a reservation has paid can be refunded", st.editQuota(namespace).Remove(namespace, paid.amounts))
		delete(st.payments, id)
		return
	case owing:
		_, err := st.editQuota(namespace).Add(st.now, namespace, owes)
		must("what a reservation owes can be charged", err)
	default:
		return
	}
	st.payments[id] = reservationCharge{namespace, owes}
}

// affordable asks the quota for what changes of the plan would make a
// reservation owe: within soft limits, since holds never burst. What is given
// back for slots that it displaces is taken into account, at every level.
func (st *state) affordable(now time.Time, changes []reservation.PlanChange, err error) ([]reservation.PlanChange, error) {
	if err != nil || len(changes) == 0 {
		return changes, err
	}
	exchange := quota.Exchange{Freed: st.freed(changes)}
	for _, c := range changes {
		if r := c.Reservation; r != nil {
			exchange.Namespace = r.Spec.Namespace
			exchange.From = sumOf(exchange.From, st.payments[r.Spec.ID].amounts)
			exchange.To = sumOf(exchange.To, r.Owes())
		}
	}
	if exchange.To.IsZero() {
		return changes, nil
	}
	verdict, err := st.quota.CheckExchange(now, exchange, quota.SoftOnly)
	if err := st.exceeded(exchange.Namespace, verdict, err); err != nil {
		return nil, err
	}
	return changes, nil
}

// sumOf returns the sum of what windows of one reservation owe, which was checked
// when it was made.
func sumOf(a, b placement.Amounts) placement.Amounts {
	sum, err := a.Resources.Add(b.Resources)
	must("the sum of all windows can be counted", err)
	return placement.Amounts{Resources: sum, Instances: a.Instances + b.Instances}
}

// affordsAll asks the quota for all slots of a spec that is valid.
func (st *state) affordsAll(now time.Time, spec *reservation.Spec) error {
	all := placement.Amounts{Instances: int64(spec.Count)}
	for name, amount := range spec.Shape.All() {
		all.Resources = all.Resources.With(name, amount*int64(spec.Count))
	}
	verdict, err := st.quota.Check(now, spec.Namespace, all, quota.SoftOnly)
	return st.exceeded(spec.Namespace, verdict, err)
}

// freed yields what namespaces get back for the slots that are lost by changes
// of the plan.
func (st *state) freed(changes []reservation.PlanChange) iter.Seq2[string, placement.Amounts] {
	return func(yield func(string, placement.Amounts) bool) {
		for _, c := range changes {
			if c.Kind != reservation.Move || c.Node != "" {
				continue
			}
			lost, _ := st.plan.Reservation(c.ID)
			if !yield(lost.Spec.Namespace, placement.OneInstance(lost.Params.Shape)) {
				return
			}
		}
	}
}

func (c *QuotaCreated) check(st *state) error { return st.quota.CheckCreate(c.Spec) }

func (c *QuotaCreated) apply(st *state, out *outcome) {
	over, err := st.editSpec(c.Spec.Namespace, c.Spec).Create(st.now, c.Spec.Clone())
	must("a quota that was checked can be created", err)
	st.declared(c.Spec.Namespace, over, out)
}

func (c *QuotaUpdated) check(st *state) error { return st.quota.CheckUpdate(c.Spec) }

func (c *QuotaUpdated) apply(st *state, out *outcome) {
	over, err := st.editSpec(c.Spec.Namespace, c.Spec).Update(st.now, c.Spec.Clone())
	must("a quota that was checked can be updated", err)
	st.declared(c.Spec.Namespace, over, out)
}

func (c *QuotaDeleted) check(st *state) error { return st.quota.CheckDelete(c.Namespace) }

func (c *QuotaDeleted) apply(st *state, _ *outcome) {
	must("a quota that was checked can be deleted", st.editSpec(c.Namespace, quota.Spec{}).Delete(c.Namespace))
	delete(st.quotaVersions, c.Namespace)
}

// declared notes the change of a quota, which was tried before it was
// recorded.
func (st *state) declared(namespace string, over []quota.Usage, out *outcome) {
	st.quotaVersions[namespace], out.over = st.seq, over
	if len(over) > 0 {
		out.emit(&QuotaOver{Usage: over})
	}
}
