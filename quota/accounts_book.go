package quota

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

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
}

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
	verdict := b.checkLevels(now.at, acc, g, to, MayBurst)
	if !verdict.Allowed() {
		return verdict, &ExceededError{Namespace: g.ns, Verdict: verdict, Version: b.version}
	}
	return verdict, nil
}

// checkCharge is Ledger.Check; a refusal is no error.
func (b *book) checkCharge(now reading, ns string, amounts *placement.Amounts) (Verdict, error) {
	if err := validateName("namespace", ns); err != nil {
		return Verdict{}, errors.Join(err, amounts.Validate())
	}
	acc, g := b.find(ns), growth{ns: ns}
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
		return placement.Amounts{}, &NotChargedError{Namespace: ns, ID: id}
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
	if !ok {
		return Verdict{}, &NotChargedError{Namespace: ns, ID: id}
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
	if before, exists := acc.held[charge.ID]; exists {
		if !before.Equal(charge.Amounts) {
			return false, &ConflictError{Namespace: charge.Namespace, ID: charge.ID, Charged: before.Clone()}
		}
		return false, nil
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
		inUse.name(slices.Sorted(maps.Keys(b.find(ns).held)))
	}
	return err
}

// heldCharges appends the charges to one namespace in no order. The amounts are
// not copied: held ones are never written to.
func (acc *account) heldCharges(into []Charge) []Charge {
	for id, amounts := range acc.held {
		into = append(into, Charge{acc.name, id, amounts})
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
func (b *book) verify() error {
	return b.Verify(func(yield func(string, placement.Amounts) bool) {
		for ns, acc := range b.byName {
			for _, amounts := range acc.held {
				if !yield(ns, amounts) {
					return
				}
			}
		}
	})
}

// restore replaces everything by what a snapshot holds.
func (b *book) restore(snapshot Snapshot) error {
	restored := book{Accounts: Accounts{RequireQuota: b.RequireQuota}}
	if snapshot.Version == math.MaxUint64 {
		return invalid("version", strconv.FormatUint(snapshot.Version, 10), "none is left above it")
	}
	if err := restored.Restore(snapshot.State); err != nil {
		return err
	}
	for _, charge := range snapshot.Charges {
		if err := validateKey(charge.Namespace, charge.ID); err != nil {
			return err
		}
		acc := restored.find(charge.Namespace)
		if _, twice := acc.held[charge.ID]; twice || acc == restored.vacant {
			return invalid("charges", charge.ID, "given twice, or not counted in the state")
		}
		if acc.held == nil {
			acc.held = map[string]placement.Amounts{}
		}
		acc.held[charge.ID] = charge.Amounts.Clone()
	}
	if err := restored.verify(); err != nil {
		return invalid("charges", strconv.Itoa(len(snapshot.Charges)), err.Error())
	}
	restored.version = max(b.version, snapshot.Version) + 1
	*b = restored
	return nil
}
