package quota_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// bareLedger is the least that could pass for a quota: one mutex, maps of
// namespaces and of their charges, counters up a chain of parents. It has no
// bursts and no instances, validates nothing and can not say why it refuses.
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
	verdict, err := c.Check("web", quota.Instance(r))
	return err == nil && verdict.Allowed()
}

func (c ledgerCharger) charge(id string, r placement.Resources) bool {
	_, err := c.Charge("web", id, quota.Instance(r))
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

// newLedgerCharger returns a ledger with limits, where bursts are counted and
// the clock is read only if burst is above 100.
func newLedgerCharger(tb testing.TB, burst int) charger {
	tb.Helper()
	limit := quota.Limit{Soft: benchLimit, BurstPercent: burst}
	if burst > 100 {
		limit.BurstFor = time.Minute
	}
	var specs []quota.Spec
	parent := ""
	for _, name := range []string{"org", "team", "web"} {
		specs = append(specs, quota.Spec{Namespace: name, Parent: parent, Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: limit, placement.NameMemory: limit, placement.NameDisk: limit,
			placement.NameNetwork: limit, placement.NameGPU: limit,
		}})
		parent = name
	}
	l, err := quota.New(quota.Config{Specs: specs})
	if err != nil {
		tb.Fatal(err)
	}
	return ledgerCharger{l}
}

// BenchmarkCharge measures check + charge + release over three levels and five
// dimensions. With fresh IDs each charge is released at once; with churned IDs
// the charge released is one of the live ones, so that each stays for long.
func BenchmarkCharge(b *testing.B) {
	ledgers := []struct {
		name string
		make func(testing.TB) charger
	}{
		{"bare", newBareCharger},
		{"ledger", func(tb testing.TB) charger { tb.Helper(); return newLedgerCharger(tb, 0) }},
		{"ledger-bursts", func(tb testing.TB) charger { tb.Helper(); return newLedgerCharger(tb, 150) }},
	}
	for _, live := range []int{0, 1_000, 1_000_000} {
		for _, ids := range []string{"fresh", "churned"} {
			if live == 0 && ids == "churned" {
				continue
			}
			for _, ledger := range ledgers {
				b.Run(fmt.Sprintf("live=%d/ids=%s/%s", live, ids, ledger.name), func(b *testing.B) {
					benchmarkCharge(b, ledger.make(b), live, ids == "churned")
				})
			}
		}
	}
}

func benchmarkCharge(b *testing.B, c charger, live int, churned bool) {
	b.Helper()
	amounts := placement.Resources{CPU: 500, Memory: placement.GiB, Disk: placement.GiB, Network: placement.Mbps, GPU: 250}
	charged := make([]string, live)
	for i := range charged {
		charged[i] = fmt.Sprintf("live-%d", i)
		c.charge(charged[i], amounts)
	}
	// More IDs than a cache holds, each charged anew only long after its
	// release.
	fresh := make([]string, 1<<18)
	for i := range fresh {
		fresh[i] = fmt.Sprintf("fresh-%d", i)
	}
	random := rand.New(rand.NewPCG(1, 0))
	b.ReportAllocs()
	next := 0
	for b.Loop() {
		id := fresh[next]
		if !c.check(amounts) || !c.charge(id, amounts) {
			b.Fatal("refused")
		}
		released := id
		if churned {
			slot := random.IntN(live)
			released, charged[slot], fresh[next] = charged[slot], id, charged[slot]
		}
		if !c.release(released) {
			b.Fatal("not charged")
		}
		next = (next + 1) % len(fresh)
	}
}
