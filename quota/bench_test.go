package quota_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// bareLedger is the least that could pass for a quota: one mutex, maps of
// namespaces and of their charges, counters up a chain of parents. It has no
// bursts and no instances, validates nothing and cannot say why it refuses.
type bareLedger struct {
	mu         sync.Mutex
	namespaces map[string]*bareNamespace
}

type bareNamespace struct {
	parent      *bareNamespace
	used, limit [5]int64
	charges     map[string][5]int64
}

func bareAmounts(r *placement.Resources) [5]int64 {
	return [5]int64{r.CPU, r.Memory, r.Disk, r.Network, r.GPU}
}

func (l *bareLedger) fits(ns *bareNamespace, amounts *[5]int64) bool {
	for ; ns != nil; ns = ns.parent {
		for d, amount := range amounts {
			if ns.used[d]+amount > ns.limit[d] {
				return false
			}
		}
	}
	return true
}

func (l *bareLedger) check(ns string, r placement.Resources) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	amounts := bareAmounts(&r)
	return l.fits(l.namespaces[ns], &amounts)
}

func (l *bareLedger) charge(ns, id string, r placement.Resources) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	namespace, amounts := l.namespaces[ns], bareAmounts(&r)
	if _, exists := namespace.charges[id]; exists || !l.fits(namespace, &amounts) {
		return false
	}
	for at := namespace; at != nil; at = at.parent {
		for d, amount := range amounts {
			at.used[d] += amount
		}
	}
	namespace.charges[id] = amounts
	return true
}

func (l *bareLedger) release(ns, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	namespace := l.namespaces[ns]
	amounts, ok := namespace.charges[id]
	if !ok {
		return false
	}
	for at := namespace; at != nil; at = at.parent {
		for d, amount := range amounts {
			at.used[d] -= amount
		}
	}
	delete(namespace.charges, id)
	return true
}

// charger is either ledger, for one namespace.
type charger interface {
	check(r placement.Resources) bool
	charge(id string, r placement.Resources) bool
	release(id string) bool
}

type bareCharger struct{ *bareLedger }

func (c bareCharger) check(r placement.Resources) bool { return c.bareLedger.check("web", r) }

func (c bareCharger) charge(id string, r placement.Resources) bool {
	return c.bareLedger.charge("web", id, r)
}

func (c bareCharger) release(id string) bool { return c.bareLedger.release("web", id) }

type ledgerCharger struct{ *quota.Ledger }

func (c ledgerCharger) check(r placement.Resources) bool {
	verdict, err := c.Check("web", placement.OneInstance(r))
	return err == nil && verdict.Allowed()
}

func (c ledgerCharger) charge(id string, r placement.Resources) bool {
	_, err := c.Charge("web", id, placement.OneInstance(r))
	return err == nil
}

func (c ledgerCharger) release(id string) bool {
	_, err := c.Release("web", id)
	return err == nil
}

const benchLimit = 1 << 60

func newBareCharger(testing.TB) charger {
	l := &bareLedger{namespaces: map[string]*bareNamespace{}}
	var parent *bareNamespace
	for _, name := range []string{"org", "team", "web"} {
		parent = &bareNamespace{parent: parent, charges: map[string][5]int64{}}
		for d := range parent.limit {
			parent.limit[d] = benchLimit
		}
		l.namespaces[name] = parent
	}
	return bareCharger{l}
}

// burst is what the limits of a measured ledger say of bursts.
type burst string

const (
	noBurst burst = "none"
	allowed burst = "allowed" // and not needed
	goingOn burst = "on"
)

func benchAmounts() placement.Resources {
	return placement.Resources{CPU: 500, Memory: placement.GiB, Disk: placement.GiB, Network: placement.Mbps, GPU: 250}
}

// limits returns the limits of a ledger with so many live charges.
func (kind burst) limits(live int) map[placement.ResourceName]quota.Limit {
	all := map[placement.ResourceName]quota.Limit{}
	for name, amount := range benchAmounts().All() {
		limit := quota.Limit{Soft: benchLimit}
		if kind == goingOn {
			limit.Soft = amount * int64(live)
		}
		if kind != noBurst {
			limit.BurstPercent, limit.BurstFor = 150, time.Hour
		}
		all[name] = limit
	}
	return all
}

func newLedgerCharger(tb testing.TB, kind burst, live int) charger {
	tb.Helper()
	var specs []quota.Spec
	parent := ""
	for _, name := range []string{"org", "team", "web"} {
		specs = append(specs, quota.Spec{Namespace: name, Parent: parent, Limits: kind.limits(live)})
		parent = name
	}
	l, err := quota.New(quota.Config{Specs: specs})
	if err != nil {
		tb.Fatal(err)
	}
	return ledgerCharger{l}
}

// subject is a ledger with what it needs to go on forever.
type subject struct {
	charger
	amounts placement.Resources
	// live IDs are charged; fresh ones, more than a cache holds, are not.
	live, fresh []string
	next        int
	random      *rand.Rand
	churn       bool
	nanos       []float64 // per operation, of each turn
}

func newSubject(b *testing.B, c charger, live int, churn bool) *subject {
	b.Helper()
	s := &subject{
		charger: c, live: make([]string, live), fresh: make([]string, 1<<18),
		random: rand.New(rand.NewPCG(1, 0)), churn: churn, nanos: make([]float64, 0, 1<<16),
		amounts: benchAmounts(),
	}
	for i := range s.live {
		s.live[i] = fmt.Sprintf("live-%d", i)
		c.charge(s.live[i], s.amounts)
	}
	for i := range s.fresh {
		s.fresh[i] = fmt.Sprintf("fresh-%d", i)
	}
	return s
}

// operation is one check, charge and release.
func (s *subject) operation() bool {
	id := s.fresh[s.next]
	released := id
	if s.churn {
		slot := s.random.IntN(len(s.live))
		released = s.live[slot]
		s.live[slot], s.fresh[s.next] = id, released
	}
	s.next = (s.next + 1) % len(s.fresh)
	return s.check(s.amounts) && s.charge(id, s.amounts) && s.release(released)
}

const turnLength = 256

func (s *subject) turn(b *testing.B) {
	b.Helper()
	start := time.Now()
	for range turnLength {
		if !s.operation() {
			b.Fatal("refused")
		}
	}
	s.nanos = append(s.nanos, float64(time.Since(start))/turnLength)
}

// least returns the time of the turn that nothing else disturbed.
func (s *subject) least() float64 { return slices.Min(s.nanos) }

// BenchmarkCharge measures check + charge + release over three levels and five
// dimensions. With fresh IDs a charge is released at once; with churned ones
// the charge released is a random one of those that are live.
func BenchmarkCharge(b *testing.B) {
	for _, live := range []int{0, 1_000, 1_000_000} {
		for _, churn := range []bool{false, true} {
			for _, kind := range []burst{noBurst, allowed} {
				if live > 0 || !churn {
					b.Run(fmt.Sprintf("live=%d/churn=%t/burst=%s", live, churn, kind), func(b *testing.B) {
						besideBare(b, live, newLedgerCharger(b, kind, live), churn)
					})
				}
			}
		}
	}
	b.Run("live=1000/ahead=1000", func(b *testing.B) {
		c := newLedgerCharger(b, noBurst, 1_000)
		reserveAhead(b, c.(ledgerCharger).Ledger, 1_000)
		without := newSubject(b, newLedgerCharger(b, noBurst, 1_000), 1_000, false)
		beside(b, "without", without, newSubject(b, c, 1_000, false))
	})
}

// reserveAhead makes so many reservations of an hour each, one after the other.
func reserveAhead(b *testing.B, l *quota.Ledger, reservations int) {
	b.Helper()
	for i := range reservations {
		from := time.Now().Add(time.Duration(i+10) * time.Hour)
		_, err := l.ChargeOver("web", fmt.Sprintf("ahead-%d", i), quota.Timed{
			Amounts: placement.OneInstance(benchAmounts()), From: from, Until: from.Add(time.Hour), Reserved: true,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChargeBursting is BenchmarkCharge while a burst is going on in every
// dimension on every level: only then do check and charge depend on the time,
// and read the clock.
func BenchmarkChargeBursting(b *testing.B) {
	besideBare(b, 1_000, newLedgerCharger(b, goingOn, 1_000), false)
}

// besideBare measures a ledger and the bare one in turns of 256 operations, so
// that what else the machine does hits both; an "op" is one turn of each. It
// reports the least of each per operation, and their ratio.
func besideBare(b *testing.B, live int, measured charger, churn bool) {
	b.Helper()
	beside(b, "bare", newSubject(b, newBareCharger(b), live, churn), newSubject(b, measured, live, churn))
}

// beside measures a ledger and what it is compared with, which has that name.
func beside(b *testing.B, name string, other, ledger *subject) {
	b.Helper()
	runtime.GC()
	b.ReportAllocs()
	for b.Loop() {
		other.turn(b)
		ledger.turn(b)
	}
	b.ReportMetric(other.least(), name+"-ns")
	b.ReportMetric(ledger.least(), "ledger-ns")
	b.ReportMetric(ledger.least()/other.least(), "x-"+name)
}
