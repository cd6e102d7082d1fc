package quota

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/statetime"
	"github.com/rads-project/constellation/placement"
)

// Config of a Ledger. The zero value is a ledger without specs.
type Config struct {
	// Now is the clock that bursts are measured by; nil means time.Now.
	//
	// The time of a ledger never decreases. If the clock is set back, the
	// ledger's time goes at half pace until the clock has caught up: a burst
	// that has ended does not go on, and none lasts more than twice as long.
	// Meanwhile the monotonic part of the readings measures how much time
	// passes, or their wall clock if they have none.
	//
	// Now is called without a lock held, and only where time matters: by New,
	// Create, Update, Usage, Sweep, Import and the calls over a time, and by a
	// Charge, Check or Resize that would leave usage above Soft while any limit
	// admits a burst. While any charge begins or ends at a known time, other calls
	// call it too.
	Now func() time.Time
	// RequireQuota refuses charges to a namespace that has no spec while there
	// is no default.
	RequireQuota bool
	// Specs to begin with, in any order.
	Specs []Spec
}

// Ledger holds the quotas of namespaces and what is charged to them by ID. It
// is safe for concurrent use. The zero value is ready to use; a Ledger must
// not be copied.
//
// Each call takes effect at one instant, as a whole or not at all. Its cost is
// that of the method of Accounts, and of finding a namespace and an ID in maps.
type Ledger struct {
	now func() time.Time

	mu    sync.Mutex
	book  book
	clock statetime.Clock
	// changed is closed when book.version is no longer waitedAt; nil while
	// nobody waits.
	changed  chan struct{}
	waitedAt uint64
}

// New returns a ledger with the specs of cfg. All mistakes in them are
// reported at once.
func New(cfg Config) (*Ledger, error) {
	l := &Ledger{now: cfg.Now}
	l.book.RequireQuota = cfg.RequireQuota
	if err := l.book.createAll(l.clock.Advance(l.reading()), cfg.Specs); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Ledger) reading() time.Time {
	if l.now == nil {
		return time.Now()
	}
	return l.now()
}

// decide makes a decision of the book. Where no charge begins or ends at a known
// time it tries without the time first: reading the clock costs as much as a
// charge, and few depend on it.
func (l *Ledger) decide(decision func(now reading) (Verdict, error)) (Verdict, error) {
	l.mu.Lock()
	defer l.unlock()
	if l.book.due.Len() == 0 {
		verdict, err := decision(reading{})
		if err == nil || !errors.Is(err, errNeedTime) {
			return verdict, err
		}
	}
	l.mu.Unlock()
	return decision(reading{l.lockTimed(), true})
}

// lock locks, and lets time pass if anything can fall due by that.
func (l *Ledger) lock() {
	l.mu.Lock()
	if l.book.due.Len() > 0 {
		l.mu.Unlock()
		l.lockTimed()
	}
}

// lockTimed locks, lets time pass up to now and returns the time, which is never before
// the one that it returned last.
func (l *Ledger) lockTimed() time.Time {
	reading := l.reading()
	l.mu.Lock()
	now := l.clock.Advance(reading)
	l.book.pass(now)
	return now
}

// unlock wakes those who wait if anything has changed.
func (l *Ledger) unlock() {
	if l.changed != nil && l.book.version != l.waitedAt {
		close(l.changed)
		l.changed = nil
	}
	l.mu.Unlock()
}

// Charge charges amounts to a namespace under an ID, in all dimensions and at
// all levels or not at all. It is idempotent: the same charge again changes
// nothing and succeeds. Another charge under that ID is a ConflictError, also if a
// limit would refuse it. A refusal is an ExceededError, with the verdict returned
// as well. Wrong input is a placement.InvalidError.
func (l *Ledger) Charge(ns, id string, amounts placement.Amounts) (Verdict, error) {
	return l.decide(func(now reading) (Verdict, error) { return l.book.charge(now, ns, id, &amounts) })
}

// Release gives back what is charged under an ID and returns it. If nothing
// is, it fails with a NotChargedError.
func (l *Ledger) Release(ns, id string) (placement.Amounts, error) {
	l.lock()
	defer l.unlock()
	return l.book.release(ns, id)
}

// Resize changes the amounts charged under an ID. Dimensions that grow must
// fit; shrinking is always allowed. On failure everything stays as it was.
func (l *Ledger) Resize(ns, id string, amounts placement.Amounts) (Verdict, error) {
	return l.decide(func(now reading) (Verdict, error) { return l.book.resize(now, ns, id, &amounts) })
}

// Check returns the verdict that Charge would for a new ID, and changes nothing.
// An error is wrong input; a refusal is in the verdict.
func (l *Ledger) Check(ns string, amounts placement.Amounts) (Verdict, error) {
	return l.decide(func(now reading) (Verdict, error) { return l.book.checkCharge(now, ns, &amounts) })
}

// ChargeOver charges what counts over a time under an ID, as Charge does what
// counts until it is released. What is Reserved is over at its end by itself;
// another charge that should have ended counts on until it is released.
//
// A refusal names the instant at which it does not fit, and Verdict.Earliest the
// first start at which it would. It takes the time of Accounts.ChargeOver. While
// any charge begins or ends at a known time, other calls read the clock too.
func (l *Ledger) ChargeOver(ns, id string, t Timed) (Verdict, error) {
	now := l.lockTimed()
	defer l.unlock()
	return l.book.chargeOver(now, ns, id, &t)
}

// CheckOver returns the verdict that ChargeOver would for a new ID, and changes
// nothing. An error is wrong input; a refusal is in the verdict.
func (l *Ledger) CheckOver(ns string, t Timed) (Verdict, error) {
	now := l.lockTimed()
	defer l.unlock()
	if err := validateName("namespace", ns); err != nil {
		return Verdict{}, errors.Join(err, t.Amounts.Validate(), t.validate())
	}
	verdict, err := l.book.CheckOver(now, ns, t.at(now))
	if err == nil && verdict.Allowed() && t.Reserved {
		verdict = l.book.CheckReserve(now, ns, t.From, t.Until)
	}
	return verdict, err
}

// UsageOver returns the most that a namespace will use over a time, see
// Accounts.UsageOver.
func (l *Ledger) UsageOver(ns string, from, until time.Time) []Usage {
	now := l.lockTimed()
	defer l.unlock()
	return l.book.UsageOver(now, ns, from, until)
}

// Create declares the quota of a namespace, see Accounts.Create.
func (l *Ledger) Create(spec Spec) ([]Usage, error) {
	return l.changeSpec(spec, (*Accounts).Create)
}

// Update replaces the quota of a namespace, see Accounts.Update.
func (l *Ledger) Update(spec Spec) ([]Usage, error) {
	return l.changeSpec(spec, (*Accounts).Update)
}

func (l *Ledger) changeSpec(spec Spec, as func(*Accounts, time.Time, Spec) ([]Usage, error)) ([]Usage, error) {
	now := l.lockTimed()
	defer l.unlock()
	return l.book.changeSpec(now, spec, as)
}

// Delete withdraws the quota of a namespace, see Accounts.Delete. The
// InUseError names charges by ID.
func (l *Ledger) Delete(ns string) error {
	l.lock()
	defer l.unlock()
	return l.book.deleteSpec(ns)
}

// Spec returns a copy of the spec of a namespace, and false if it has none.
func (l *Ledger) Spec(ns string) (Spec, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.Spec(ns)
}

// Specs yields copies of all specs in the order of their namespaces, as they
// are when the iteration begins.
func (l *Ledger) Specs() iter.Seq[Spec] {
	return func(yield func(Spec) bool) {
		l.mu.Lock()
		specs := slices.Collect(l.book.Specs())
		l.mu.Unlock()
		slices.Values(specs)(yield)
	}
}

// Namespaces yields the name of every namespace with a spec or a charge, in
// order, as they are when the iteration begins.
func (l *Ledger) Namespaces() iter.Seq[string] {
	return func(yield func(string) bool) {
		l.lock()
		names := l.book.Namespaces()
		l.unlock()
		names(yield)
	}
}

// Usage returns what a namespace uses, see Accounts.Usage.
func (l *Ledger) Usage(ns string) []Usage {
	now := l.lockTimed()
	defer l.unlock()
	return l.book.Usage(now, ns)
}

// NextDeadline returns when time will next change something: a burst ends, or a
// charge begins or ends. It returns false if nothing is to come. It takes constant
// time.
func (l *Ledger) NextDeadline() (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, due := l.book.NextDeadline()
	if c, timed := l.book.due.First(); timed && (!due || c.due.Before(next)) {
		return c.due, true
	}
	return next, due
}

// Sweep lets time pass, and returns the usage of each burst that has ended since
// the last call and is still above Soft, in the order of Accounts.Advance. It only
// reports: growth is refused from the end on, and what is reserved is over,
// whether Sweep is called or not. It wakes Wait if a charge has begun or ended.
func (l *Ledger) Sweep() []Usage {
	now := l.lockTimed()
	defer l.unlock()
	return l.book.Advance(now)
}

// Charged returns what is charged under an ID, and false if nothing is.
func (l *Ledger) Charged(ns, id string) (placement.Amounts, bool) {
	l.lock()
	defer l.unlock()
	t, ok := l.book.find(ns).charged(id)
	return t.Amounts.Clone(), ok
}

// Charges yields all charges by namespace and ID, as they are when the
// iteration begins. It copies all of them under the lock and sorts them after
// it.
func (l *Ledger) Charges() iter.Seq[Charge] {
	return l.sorted(l.book.all)
}

// ChargesOf yields the charges to one namespace by ID, as they are when the
// iteration begins; charges to its descendants are not among them.
func (l *Ledger) ChargesOf(ns string) iter.Seq[Charge] {
	return l.sorted(func() []Charge { return l.book.find(ns).heldCharges(nil) })
}

// sorted yields what collect finds, in order.
func (l *Ledger) sorted(collect func() []Charge) iter.Seq[Charge] {
	return func(yield func(Charge) bool) {
		l.lock()
		charges := collect()
		l.unlock()
		slices.SortFunc(charges, compareCharges)
		for _, charge := range charges {
			charge.Amounts = charge.Amounts.Clone()
			if !yield(charge) {
				return
			}
		}
	}
}

// Import adds charges without checking limits, all or none. It returns what is
// now over its limit in their namespaces and the ancestors of these. A charge that
// exists with the same amounts is left alone; with others it is a ConflictError.
// Import takes the time of a charge for each, and memory in proportion to all.
func (l *Ledger) Import(charges iter.Seq[Charge]) ([]Usage, error) {
	all := slices.Collect(charges)
	now := l.lockTimed()
	defer l.unlock()
	return l.book.importAll(now, all)
}

// Snapshot is a copy of a ledger as plain data with a stable JSON form.
type Snapshot struct {
	// Version of the ledger.
	Version uint64 `json:"version"`
	// Time up to which charges have begun and ended; zero if that never mattered.
	Time time.Time `json:"time,omitzero"`
	// State of its accounts.
	State AccountsSnapshot `json:"state"`
	// Charges by namespace and ID.
	Charges []Charge `json:"charges,omitempty"`
}

// Snapshot returns a copy of the ledger at one instant. It takes time and memory
// in proportion to namespaces and charges. The charges are sorted after the lock
// is released.
func (l *Ledger) Snapshot() Snapshot {
	l.lock()
	snapshot := Snapshot{Version: l.book.version, Time: l.book.timeOfCharges(), State: l.book.Snapshot(), Charges: l.book.all()}
	l.unlock()
	slices.SortFunc(snapshot.Charges, compareCharges)
	for i := range snapshot.Charges {
		snapshot.Charges[i].Amounts = snapshot.Charges[i].Amounts.Clone()
	}
	return snapshot
}

// Restore replaces the specs, the charges and the bursts that are going on by
// those of a snapshot. It fails with ErrInvalid, and changes nothing, if the
// snapshot contradicts itself.
func (l *Ledger) Restore(snapshot Snapshot) error {
	l.mu.Lock()
	defer l.unlock()
	return l.book.restore(snapshot)
}

// Verify compares usage with the sum of the charges at every level. The error
// joins a DriftError for each difference, and shows a fault in this package. It
// takes time in proportion to charges and namespaces.
func (l *Ledger) Verify() error {
	l.lock()
	defer l.unlock()
	return l.book.verify()
}

// Version counts the changes so far: charges, releases, resizes and changes of
// specs that had an effect. It does not move with time or by a refusal.
func (l *Ledger) Version() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.version
}

// Wait returns nil as soon as the version is above the one given, or
// ctx.Err() when ctx is done first. With ExceededError.Version no change
// after the refusal is missed. Time alone changes nothing: see NextDeadline
// for bursts.
func (l *Ledger) Wait(ctx context.Context, version uint64) error {
	for {
		l.mu.Lock()
		if l.book.version > version {
			l.mu.Unlock()
			return nil
		}
		if l.changed == nil {
			l.changed, l.waitedAt = make(chan struct{}), l.book.version
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
