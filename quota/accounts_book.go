package quota

import (
	"cmp"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rads-project/constellation/internal/deadline"
	"github.com/rads-project/constellation/placement"
)

// Charge is what a namespace is charged under an ID.
type Charge struct {
	// Namespace that is charged.
	Namespace string `json:"namespace"`
	// ID of the charge, unique in its namespace.
	ID string `json:"id"`
	// Amounts of the charge.
	Amounts placement.Amounts `json:"amounts"`
	// From, Until and Reserved are those of Timed; Amounts alone count until they
	// are released.
	From     time.Time `json:"from,omitzero"`
	Until    time.Time `json:"until,omitzero"`
	Reserved bool      `json:"reserved,omitempty"`
}

func chargeOf(ns, id string, t Timed) Charge {
	return Charge{ns, id, t.Amounts, t.From, t.Until, t.Reserved}
}

func (c *Charge) timed() Timed { return Timed{c.Amounts, c.From, c.Until, c.Reserved} }

func compareCharges(a, b Charge) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
}

// book is accounts that keep the charges too, by namespace and ID: the pure
// part of Ledger. Amounts in held are copies that nobody else sees.
//
//	call of Ledger   method        what it does with a charge or a spec
//	Check            checkCharge   asks the limits
//	Charge           charge        asks the limits and records it
//	  same ID        chargeAgain   compares it with the one that is there
//	Resize           resize        asks the limits for what grows, replaces it
//	Release          release       removes it
//	Import           importAll     records all, or none
//	  each           importOne     records it without asking the limits
//	Create, Update   changeSpec    puts it in force
//	Delete           deleteSpec    withdraws it
//
// decide is where all of them ask the limits, and record where all of them enter
// what is new.
type book struct {
	Accounts
	// version counts changes.
	version uint64
	// due are the charges that begin or end at a known time yet, and passed is
	// the time up to which that has been carried out.
	due    deadline.Heap[*timedCharge]
	passed time.Time
}

// reading is a time that may not have been read.
type reading struct {
	at    time.Time
	known bool
}

// errNeedTime means that the decision depends on the current time; call again
// with it. Nothing has changed.
var errNeedTime = errors.New("quota: need the time")

// decide asks the limits for a growth on the way to the amounts in to. Without
// a burst anywhere, and as long as usage stays within Soft, it does not matter
// what time it is, now or later.
func (b *book) decide(now reading, acc *account, g *growth, to *placement.Amounts) (Verdict, error) {
	switch {
	case b.simple(acc, &g.delta):
		return Verdict{}, nil
	case !now.known && b.bursts > 0:
		return Verdict{}, errNeedTime
	}
	verdict := b.check(now.at, acc, g, to, MayBurst)
	if !verdict.Allowed() {
		return verdict, &ExceededError{Namespace: g.ns, Verdict: verdict, Version: b.version}
	}
	return verdict, nil
}

// checkCharge is Ledger.Check; a refusal is no error.
func (b *book) checkCharge(now reading, ns string, amounts *placement.Amounts) (Verdict, error) {
	acc, g := b.find(ns), growth{ns: ns}
	if acc == b.vacant && validateName("namespace", ns) != nil {
		return Verdict{}, errors.Join(validateName("namespace", ns), amounts.Validate())
	}
	if err := b.tally(&g.delta, amounts, 1); err != nil {
		return Verdict{}, err
	}
	verdict, err := b.decide(now, acc, &g, amounts)
	if !verdict.Allowed() {
		return verdict, nil
	}
	return verdict, err
}

// validateKey reports every mistake in the key of a charge. Release and Resize
// find no charge under a key that is not UTF-8, and ask for no more than that it
// is not empty.
func validateKey(ns, id string) error {
	return errors.Join(validateName("namespace", ns), validateName("id", id))
}

// validateName refuses what no snapshot could tell from another name, and what
// is longer than an ID may be.
func validateName(field, name string) error {
	switch {
	case name == "":
		return invalid(field, name, "empty")
	case !utf8.ValidString(name):
		return invalid(field, name, "not UTF-8")
	case len(name) > placement.MaxIDBytes:
		return invalid(field, name, "longer than 256 bytes")
	}
	return nil
}

func (b *book) charge(now reading, ns, id string, amounts *placement.Amounts) (Verdict, error) {
	acc := b.find(ns)
	if _, exists := acc.held[id]; exists {
		return b.chargeAgain(now, acc, id, amounts)
	}
	if other, exists := acc.timed[id]; exists {
		return Verdict{}, &ConflictError{Namespace: ns, ID: id, Charged: other.asked.Amounts.Clone()}
	}
	if validateName("id", id) != nil || acc == b.vacant && validateName("namespace", ns) != nil {
		return Verdict{}, errors.Join(validateKey(ns, id), amounts.Validate())
	}
	g := growth{ns: ns}
	if err := b.tally(&g.delta, amounts, 1); err != nil {
		return Verdict{}, err
	}
	verdict, err := b.decide(now, acc, &g, amounts)
	if err == nil {
		b.record(now.at, b.open(ns, acc), id, amounts, &g.delta)
	}
	return verdict, err
}

// chargeAgain answers a charge under an ID that holds one already.
func (b *book) chargeAgain(now reading, acc *account, id string, amounts *placement.Amounts) (Verdict, error) {
	before, g := acc.held[id], growth{ns: acc.name}
	if err := b.step(&g.delta, &before, amounts); err != nil {
		return Verdict{}, err
	}
	if !before.Equal(*amounts) {
		return Verdict{}, &ConflictError{Namespace: acc.name, ID: id, Charged: before.Clone()}
	}
	return b.decide(now, acc, &g, amounts)
}

// record enters a charge that does not exist yet.
func (b *book) record(now time.Time, acc *account, id string, amounts *placement.Amounts, delta *vector) {
	b.apply(now, acc, delta)
	acc.charges++
	if acc.held == nil {
		acc.held = map[string]placement.Amounts{}
	}
	held := *amounts
	held.Resources.Custom = maps.Clone(held.Resources.Custom)
	acc.held[id] = held
	b.version++
}

func (b *book) release(ns, id string) (amounts placement.Amounts, err error) {
	if ns == "" || id == "" {
		return placement.Amounts{}, validateKey(ns, id)
	}
	acc := b.find(ns)
	amounts, ok := acc.held[id]
	if !ok {
		return b.releaseTimed(acc, ns, id)
	}
	var delta vector
	_ = b.tally(&delta, &amounts, -1) // it was when it was charged
	b.apply(time.Time{}, acc, &delta)
	acc.charges--
	delete(acc.held, id)
	b.close(acc)
	b.version++
	return amounts, nil
}

func (b *book) resize(now reading, ns, id string, amounts *placement.Amounts) (Verdict, error) {
	if ns == "" || id == "" {
		return Verdict{}, errors.Join(validateKey(ns, id), amounts.Validate())
	}
	acc := b.find(ns)
	before, ok := acc.held[id]
	if !ok && !now.known {
		return Verdict{}, errNeedTime
	}
	if !ok {
		return b.resizeTimed(now.at, acc, ns, id, amounts)
	}
	g := growth{ns: ns}
	if err := b.step(&g.delta, &before, amounts); err != nil {
		return Verdict{}, err
	}
	verdict, err := b.decide(now, acc, &g, amounts)
	if err != nil || before.Equal(*amounts) {
		return verdict, err
	}
	b.apply(now.at, acc, &g.delta)
	acc.held[id] = amounts.Clone()
	b.version++
	return verdict, nil
}

// importAll enters charges whatever the limits say, all or none, and returns what
// is over in the namespaces concerned and their ancestors. A charge that
// exists in the same amount is left alone.
func (b *book) importAll(now time.Time, charges []Charge) ([]Usage, error) {
	version := b.version
	var entered []Charge
	for _, charge := range charges {
		fresh, err := b.importOne(now, charge)
		if err != nil {
			for _, undo := range entered {
				_, _ = b.release(undo.Namespace, undo.ID) // exists: it was just entered
			}
			b.version = version
			return nil, err
		}
		if fresh {
			entered = append(entered, charge)
		}
	}
	concerned := map[*account]bool{}
	for _, charge := range charges {
		for acc := b.find(charge.Namespace); acc != nil && !concerned[acc]; acc = acc.parent {
			concerned[acc] = true
		}
	}
	var rows []Usage
	for acc := range concerned {
		rows = b.over(rows, now, acc)
	}
	sortUsage(rows)
	return rows, nil
}

// importOne enters one charge, and reports whether it is new.
func (b *book) importOne(now time.Time, charge Charge) (bool, error) {
	if err := validateKey(charge.Namespace, charge.ID); err != nil {
		return false, errors.Join(err, charge.Amounts.Validate())
	}
	acc, g := b.find(charge.Namespace), growth{ns: charge.Namespace}
	if err := b.tally(&g.delta, &charge.Amounts, 1); err != nil {
		return false, err
	}
	t := charge.timed()
	if before, exists := acc.charged(charge.ID); exists {
		if !before.Equal(t) {
			return false, &ConflictError{Namespace: charge.Namespace, ID: charge.ID, Charged: before.Amounts.Clone()}
		}
		return false, nil
	}
	if t.bounded() {
		return true, b.importTimed(now, &charge, &t)
	}
	if verdict := b.check(now, acc, &g, &charge.Amounts, forced); !verdict.Allowed() {
		return false, &ExceededError{Namespace: charge.Namespace, Verdict: verdict, Version: b.version}
	}
	b.record(now, b.open(charge.Namespace, acc), charge.ID, &charge.Amounts, &g.delta)
	return true, nil
}

// changeSpec creates or updates a spec.
func (b *book) changeSpec(now time.Time, spec Spec, as func(*Accounts, time.Time, Spec) ([]Usage, error)) ([]Usage, error) {
	before, declared := b.Spec(spec.Namespace)
	same := declared && before.Equal(spec)
	over, err := as(&b.Accounts, now, spec)
	if err == nil && !same {
		b.version++
	}
	return over, err
}

// deleteSpec deletes a spec; what uses it is named by ID.
func (b *book) deleteSpec(ns string) error {
	err := b.Delete(ns)
	if err == nil {
		b.version++
	}
	if inUse, ok := errors.AsType[*InUseError](err); ok && inUse.By == ByCharges {
		acc := b.find(ns)
		inUse.name(slices.Sorted(func(yield func(string) bool) {
			maps.Keys(acc.held)(yield)
			maps.Keys(acc.timed)(yield)
		}))
	}
	return err
}

// heldCharges appends the charges to one namespace in no order. The amounts are
// not copied: held ones are never written to.
func (acc *account) heldCharges(into []Charge) []Charge {
	for id, amounts := range acc.held {
		into = append(into, Charge{Namespace: acc.name, ID: id, Amounts: amounts})
	}
	for id, c := range acc.timed {
		into = append(into, chargeOf(acc.name, id, c.asked))
	}
	return into
}

// all returns all charges in no order.
func (b *book) all() []Charge {
	var charges []Charge
	for _, acc := range b.byName {
		charges = acc.heldCharges(charges)
	}
	return charges
}

// verify compares the accounts with the charges held.
func (b *book) verify() error { return b.Verify(b.counted()) }

// counted yields the charges as the accounts count them now.
func (b *book) counted() iter.Seq2[string, Timed] {
	return func(yield func(string, Timed) bool) {
		for ns, acc := range b.byName {
			for _, amounts := range acc.held {
				if !yield(ns, Timed{Amounts: amounts}) {
					return
				}
			}
			for _, c := range acc.timed {
				if !yield(ns, c.counted) {
					return
				}
			}
		}
	}
}

// restore replaces everything by what a snapshot holds.
func (b *book) restore(snapshot Snapshot) error {
	restored := book{Accounts: Accounts{RequireQuota: b.RequireQuota}}
	if snapshot.Version == math.MaxUint64 {
		return invalid("version", strconv.FormatUint(snapshot.Version, 10), "none is left above it")
	}
	restored.passed = snapshot.Time
	err := restored.Restore(snapshot.State, func(yield func(string, Timed) bool) {
		for i := range snapshot.Charges {
			c := &snapshot.Charges[i]
			if t := c.timed(); t.bounded() && !yield(c.Namespace, t.at(snapshot.Time)) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range snapshot.Charges {
		if err := restored.restoreCharge(&snapshot.Charges[i]); err != nil {
			return err
		}
	}
	if err := restored.verify(); err != nil {
		return invalid("charges", strconv.Itoa(len(snapshot.Charges)), err.Error())
	}
	restored.version = max(b.version, snapshot.Version) + 1
	restored.passed = later(b.passed, restored.passed)
	*b = restored
	return nil
}
