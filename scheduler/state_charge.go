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
// it. Lost and stale instances charge nobody. An instance with a Duration counts
// until that is over, and once it has overstayed until it is released; another
// counts forever.

// admits asks the quota of the request's namespace.
func (st *state) admits(now time.Time, req *placement.Request) error {
	verdict, err := st.quotaVerdict(now, req)
	return st.exceeded(req.Namespace, verdict, err)
}

func (st *state) quotaVerdict(now time.Time, req *placement.Request) (quota.Verdict, error) {
	return st.quota.CheckOver(now, req.Namespace, quota.Timed{
		Amounts: placement.OneInstance(req.Resources), Until: leaving(now, req.Duration),
	})
}

// leaving returns when an instance placed at an instant is to leave, as the plan
// counts it; zero if that is not known.
func leaving(placed time.Time, duration time.Duration) time.Time {
	if duration <= 0 {
		return time.Time{}
	}
	w := reservation.Window{Start: placed, End: placed.Add(duration)}
	if !w.Overlaps(w) {
		return time.Time{}
	}
	return w.End
}

func (st *state) admitsResize(now time.Time, a *allocation, to placement.Resources) error {
	namespace, from := a.namespace(), a.charge()
	verdict, err := st.quota.CheckExchange(now, quota.Exchange{Namespace: namespace, From: []quota.Timed{from}, To: []quota.Timed{{
		Amounts: chargeFor(to, stillCovered(a.covered(), to)), Until: from.Until,
	}}})
	return st.exceeded(namespace, verdict, err)
}

func (st *state) exceeded(namespace string, verdict quota.Verdict, err error) error {
	if err != nil || verdict.Allowed() {
		return err
	}
	return &quota.ExceededError{Namespace: namespace, Verdict: verdict, Version: st.seq}
}

// charge returns what an instance charges its namespace: itself, less what
// the slot that it stands in covers.
func (a *allocation) charge() quota.Timed {
	t := quota.Timed{Amounts: chargeFor(a.resources, a.covered())}
	if duration := a.class.Request().Duration; duration > 0 && !a.overstayed {
		t.Until = leaving(a.placed(), duration)
	}
	return t
}

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
	over, err := st.editQuota(ns).AddOver(st.now, ns, a.charge())
	must("what runs can be charged", err)
	return over
}

func (st *state) refund(a *allocation) {
	ns := a.namespace()
	must("what was charged can be refunded", st.editQuota(ns).RemoveOver(ns, a.charge()))
}

// recharge gives an instance other amounts.
func (st *state) recharge(a *allocation, to placement.Resources) {
	st.rechargeAs(a, func() {
		a.resources = to
		a.cover(stillCovered(a.covered(), to))
	})
}

// rechargeAs changes what a running instance charges.
func (st *state) rechargeAs(a *allocation, change func()) {
	before := a.charge()
	change()
	ns := a.namespace()
	_, err := st.editQuota(ns).ReplaceOver(st.now, ns, before, a.charge())
	must("what runs can be charged otherwise", err)
}

// overstay notes that an instance has not left when it should have: it counts
// until it is released.
func (st *state) overstay(a *allocation) {
	switch {
	case a.overstayed:
	case a.state == running:
		st.rechargeAs(a, func() { a.overstayed = true })
	default:
		a.overstayed = true
	}
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
func (st *state) charges() iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, n := range st.byRow.All() { // as they lie in memory after a restart
			if n == nil {
				continue
			}
			for _, a := range n.instances {
				if a.state == running && !yield(a.namespace(), a.charge()) {
					return
				}
			}
		}
		for r := range st.plan.Reservations() {
			for owes := range bills(&r) {
				if !yield(r.Spec.Namespace, owes) {
					return
				}
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

// reservationCharge is what a reservation charges its namespace, and beyond its
// window.
type reservationCharge struct {
	namespace string
	quota.Timed
	beyond []quota.Timed
}

// bill returns what a reservation owes, and over which time. What is still there
// after its end is not reserved any more.
func bill(r *reservation.Reservation) quota.Timed {
	w := r.OwesOver()
	return quota.Timed{Amounts: r.Owes(), From: w.Start, Until: w.End, Reserved: r.Phase != reservation.Ended}
}

// laterBills returns what a reservation owes after its window, for claims that last
// for longer.
func laterBills(r *reservation.Reservation) (all []quota.Timed) {
	for w, held := range r.OwesBeyond() {
		all = append(all, quota.Timed{Amounts: held, From: w.Start, Until: w.End})
	}
	return all
}

// laterBillsFor is laterBills for one claim.
func laterBillsFor(r *reservation.Reservation, claim *reservation.Claim) []quota.Timed {
	return laterBills(&reservation.Reservation{
		Spec: r.Spec, Params: r.Params, Phase: r.Phase, Slots: []reservation.Slot{{Claims: []reservation.Claim{*claim}}},
	})
}

// bills yields all that a reservation owes.
func bills(r *reservation.Reservation) iter.Seq[quota.Timed] {
	return func(yield func(quota.Timed) bool) {
		if owes := bill(r); owes.Amounts.IsZero() || !yield(owes) {
			return // Only slots that are paid for have claims.
		}
		for _, owes := range laterBills(r) {
			if !yield(owes) {
				return
			}
		}
	}
}

// charged brings the charge of a reservation to what it owes from now on. A
// namespace is given where it may be the first charge. O(slots and claims of it),
// for what it owes is summed up again.
func (st *state) charged(id, namespace string) {
	paid, paying := st.payments[id]
	if paying {
		namespace = paid.namespace
	}
	owes := reservationCharge{namespace: namespace}
	if r, known := st.plan.Reservation(id); known {
		owes.Timed, owes.beyond = bill(&r), laterBills(&r)
	}
	owing := !owes.Amounts.IsZero()
	if !paying && !owing {
		return
	}
	st.keepPaid(id)
	accounts := st.editQuota(namespace)
	for _, t := range paid.without(&owes) {
		must("what a reservation has paid can be refunded", accounts.RemoveOver(namespace, t))
	}
	switch {
	case paying && owing:
		_, err := accounts.ReplaceOver(st.now, namespace, paid.Timed, owes.Timed)
		must("what a reservation owes can be charged in place of what it has paid", err)
	case paying:
		must("what a reservation has paid can be refunded", accounts.RemoveOver(namespace, paid.Timed))
		delete(st.payments, id)
		return
	default:
		_, err := accounts.AddOver(st.now, namespace, owes.Timed)
		must("what a reservation owes can be charged", err)
	}
	for _, t := range owes.without(&paid) {
		_, err := accounts.AddOver(st.now, namespace, t)
		must("what a reservation owes can be charged", err)
	}
	st.payments[id] = owes
}

// without returns what c charges beyond the window, and in its place other does not.
func (c *reservationCharge) without(other *reservationCharge) (all []quota.Timed) {
	for i, t := range c.beyond {
		if i >= len(other.beyond) || !t.Equal(other.beyond[i]) {
			all = append(all, t)
		}
	}
	return all
}

// affordable asks the quota for what changes of the plan would make a
// reservation owe: within soft limits at every instant, since holds never burst,
// and within the bounds on reservations if its window is new. What is given back
// for slots that it displaces is taken into account, at every level.
func (st *state) affordable(now time.Time, changes []reservation.PlanChange, err error) ([]reservation.PlanChange, error) {
	if err != nil || len(changes) == 0 {
		return changes, err
	}
	exchange := quota.Exchange{Freed: st.freed(changes)}
	for _, c := range changes {
		if r := c.Reservation; r != nil && !r.Spec.Maintenance {
			exchange.Namespace = r.Spec.Namespace
			paid := st.payments[r.Spec.ID]
			exchange.From = append(append(exchange.From, paid.Timed), paid.beyond...)
			exchange.To = append(append(exchange.To, bill(r)), laterBills(r)...)
		}
	}
	if len(exchange.To) == 0 {
		return changes, nil
	}
	verdict, err := st.quota.CheckExchange(now, exchange)
	for _, c := range changes {
		if err == nil && verdict.Allowed() && c.Reservation != nil {
			verdict = st.bookable(now, c.Reservation)
		}
	}
	if err := st.exceeded(exchange.Namespace, verdict, err); err != nil {
		return nil, err
	}
	return changes, nil
}

// bookable asks the bounds on reservations for a window that the reservation
// does not have yet.
func (st *state) bookable(now time.Time, r *reservation.Reservation) quota.Verdict {
	before, known := st.plan.Reservation(r.Spec.ID)
	if known && !r.Params.Start.After(before.Params.Start) && !r.Params.End.After(before.Params.End) {
		return quota.Verdict{}
	}
	return st.quota.CheckReserve(now, r.Spec.Namespace, r.Params.Start, r.Params.End)
}

// affordsAll asks the quota for all slots of a spec that is valid, over the
// window for which it found no room.
func (st *state) affordsAll(now time.Time, spec *reservation.Spec, w reservation.Window) error {
	all := quota.Timed{Amounts: placement.Amounts{Instances: int64(spec.Count)}, Until: w.End, Reserved: true}
	if w.Start.After(now) {
		all.From = w.Start
	}
	for name, amount := range spec.Shape.All() {
		all.Amounts.Resources = all.Amounts.Resources.With(name, amount*int64(spec.Count))
	}
	verdict, err := st.quota.CheckOver(now, spec.Namespace, all)
	return st.exceeded(spec.Namespace, verdict, err)
}

// affordsClaim asks the quota of the claimant for what a claim takes beyond its slot,
// and that of the reservation for what the slot covers of one that lasts for longer
// than the reservation. Both have no dimension in common.
func (st *state) affordsClaim(now time.Time, r *reservation.Reservation, claim *reservation.Claim) error {
	verdict, err := st.quota.CheckOver(now, claim.Namespace, quota.Timed{Amounts: claim.Excess, Until: claim.Until})
	if err := st.exceeded(claim.Namespace, verdict, err); err != nil {
		return err
	}
	for _, longer := range laterBillsFor(r, claim) {
		verdict, err := st.quota.CheckOver(now, r.Spec.Namespace, longer)
		if err := st.exceeded(r.Spec.Namespace, verdict, err); err != nil {
			return err
		}
	}
	return nil
}

// freed yields what namespaces get back for the slots that are lost by changes
// of the plan.
func (st *state) freed(changes []reservation.PlanChange) iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, c := range changes {
			if c.Kind != reservation.Move || c.Node != "" {
				continue
			}
			lost, _ := st.plan.Reservation(c.ID)
			if !yield(lost.Spec.Namespace, slotsOf(&lost, 1)) {
				return
			}
		}
	}
}

// slotsOf returns what a number of slots of a reservation owe.
func slotsOf(r *reservation.Reservation, count int64) quota.Timed {
	owes := bill(r)
	owes.Amounts = placement.Amounts{Instances: count}
	for name, amount := range r.Params.Shape.All() {
		owes.Amounts.Resources = owes.Amounts.Resources.With(name, amount*count)
	}
	return owes
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
