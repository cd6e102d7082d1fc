package quota

import (
	"cmp"
	"errors"
	"time"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// timedCharge is a charge that begins or ends at a known time. It falls due at
// the next of the two.
type timedCharge struct {
	deadline.Place
	due time.Time
	ns  string
	id  string
	// asked is what was asked for, counted what of that the accounts count now.
	asked, counted Timed
}

// Before orders by time, then what begins before what ends, so that a burst goes on
// over an instant at which one charge takes the place of another; then by namespace
// and ID.
func (c *timedCharge) Before(other *timedCharge) bool {
	return cmp.Or(
		c.due.Compare(other.due), -c.counted.From.Compare(other.counted.From),
		cmp.Compare(c.ns, other.ns), cmp.Compare(c.id, other.id),
	) < 0
}

// at returns what of t counts at an instant: what has begun counts already, and
// what has not left when it should have counts forever.
func (t Timed) at(now time.Time) Timed {
	if !t.From.After(now) {
		t.From = time.Time{}
	}
	if !t.Until.After(now) {
		t.Until = time.Time{}
	}
	return t
}

// charged returns what an account is charged under an ID.
func (acc *account) charged(id string) (Timed, bool) {
	if amounts, ok := acc.held[id]; ok {
		return Timed{Amounts: amounts}, true
	}
	if c, ok := acc.timed[id]; ok {
		return c.asked, true
	}
	return Timed{}, false
}

// schedule sets when a charge is next due.
func (b *book) schedule(c *timedCharge) {
	switch {
	case !c.counted.From.IsZero():
		c.due = c.counted.From
	case !c.counted.Until.IsZero():
		c.due = c.counted.Until
	default:
		b.due.Remove(c)
		return
	}
	b.due.Set(c)
}

// pass lets time pass: what begins counts from then on, what is reserved ends, and
// another charge that should have ended counts until it is released.
func (b *book) pass(now time.Time) {
	for c, ok := b.due.First(); ok && !c.due.After(now); c, ok = b.due.First() {
		b.version++
		if c.counted.From.IsZero() && c.asked.Reserved {
			_ = b.endTimed(c) // it is charged
			continue
		}
		next := c.counted.at(c.due)
		b.enter(c.due, c.ns, &c.counted, &next, 0)
		c.counted = next
		b.schedule(c)
	}
	b.passed = later(b.passed, now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (b *book) endTimed(c *timedCharge) error {
	acc := b.find(c.ns)
	b.due.Remove(c)
	delete(acc.timed, c.id)
	return b.RemoveOver(c.ns, c.counted)
}

// chargeOver is Ledger.ChargeOver at a time up to which everything has passed.
func (b *book) chargeOver(now time.Time, ns, id string, t *Timed) (Verdict, error) {
	if err := validateKey(ns, id); err != nil {
		return Verdict{}, errors.Join(err, t.Amounts.Validate(), t.validate())
	}
	acc := b.find(ns)
	if before, exists := acc.charged(id); exists {
		if !before.Equal(*t) {
			return Verdict{}, &ConflictError{Namespace: ns, ID: id, Charged: before.Amounts.Clone()}
		}
		return Verdict{}, nil
	}
	if !t.Until.IsZero() && !t.Until.After(now) {
		return Verdict{}, invalid("until", t.Until.String(), "has passed")
	}
	counted := t.at(now)
	verdict, err := b.ChargeOver(now, ns, counted)
	if exceeded, ok := errors.AsType[*ExceededError](err); ok {
		exceeded.Version = b.version
	}
	if err == nil {
		b.hold(ns, id, t, &counted)
	}
	return verdict, err
}

// hold keeps a charge that was entered.
func (b *book) hold(ns, id string, asked, counted *Timed) {
	acc := b.find(ns)
	if !asked.bounded() {
		if acc.held == nil {
			acc.held = map[string]placement.Amounts{}
		}
		acc.held[id] = asked.Amounts.Clone()
	} else {
		if acc.timed == nil {
			acc.timed = map[string]*timedCharge{}
		}
		c := &timedCharge{ns: ns, id: id, asked: *asked, counted: *counted}
		c.asked.Amounts = asked.Amounts.Clone()
		c.counted.Amounts = c.asked.Amounts
		acc.timed[id] = c
		b.schedule(c)
	}
	b.version++
}

func (b *book) releaseTimed(acc *account, ns, id string) (placement.Amounts, error) {
	c, ok := acc.timed[id]
	if !ok {
		return placement.Amounts{}, &NotChargedError{Namespace: ns, ID: id}
	}
	b.version++
	return c.asked.Amounts, b.endTimed(c)
}

func (b *book) resizeTimed(now time.Time, acc *account, ns, id string, amounts *placement.Amounts) (Verdict, error) {
	c, ok := acc.timed[id]
	if !ok {
		return Verdict{}, &NotChargedError{Namespace: ns, ID: id}
	}
	to := c.counted
	to.Amounts = amounts.Clone()
	verdict, err := b.CheckExchange(now, Exchange{Namespace: ns, From: []Timed{c.counted}, To: []Timed{to}})
	if err != nil {
		return verdict, err
	}
	if !verdict.Allowed() {
		return verdict, &ExceededError{Namespace: ns, Verdict: verdict, Version: b.version}
	}
	if !c.asked.Amounts.Equal(to.Amounts) {
		b.enter(now, ns, &c.counted, &to, 0)
		c.asked.Amounts, c.counted.Amounts = to.Amounts, to.Amounts
		b.version++
	}
	return verdict, nil
}

// importTimed enters a charge whatever the limits say, as it is at that time.
func (b *book) importTimed(now time.Time, charge *Charge, t *Timed) error {
	counted := t.at(now)
	if _, err := b.AddOver(now, charge.Namespace, counted); err != nil {
		return err
	}
	b.hold(charge.Namespace, charge.ID, t, &counted)
	return nil
}

// restoreCharge keeps a charge that is counted in the state already.
func (b *book) restoreCharge(charge *Charge) error {
	if err := validateKey(charge.Namespace, charge.ID); err != nil {
		return err
	}
	acc := b.find(charge.Namespace)
	if _, twice := acc.charged(charge.ID); twice || acc == b.vacant {
		return invalid("charges", charge.ID, "given twice, or not counted in the state")
	}
	t := charge.timed()
	counted := t.at(b.passed)
	b.hold(charge.Namespace, charge.ID, &t, &counted)
	return nil
}

// timeOfCharges returns up to when charges have begun and ended, zero if there are
// none with a time.
func (b *book) timeOfCharges() time.Time {
	for _, acc := range b.byName {
		if len(acc.timed) > 0 {
			return b.passed
		}
	}
	return time.Time{}
}
