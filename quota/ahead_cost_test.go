package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// ahead returns accounts of three levels with so many reservations of an hour
// each, one after the other, and the time.
func withAhead(t *testing.T, reservations int) (*Accounts, time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := &Accounts{visited: new(int)}
	parent := ""
	for _, ns := range []string{"org", "team", "web"} {
		_, err := a.Create(now, Spec{Namespace: ns, Parent: parent, Limits: map[placement.ResourceName]Limit{placement.NameCPU: {Soft: 10}}})
		require.NoError(t, err)
		parent = ns
	}
	for i := range reservations {
		from := now.Add(time.Duration(i+1) * time.Hour)
		_, err := a.ChargeOver(now, "web", Timed{
			Amounts: placement.Amounts{Resources: placement.Resources{CPU: int64(4 + i%3)}},
			From:    from, Until: from.Add(50 * time.Minute), Reserved: true,
		})
		require.NoError(t, err)
	}
	return a, now
}

// TestAheadCostsALogarithm counts the steps that calls look at, with a hundred
// times the reservations ahead: they grow with the logarithm.
func TestAheadCostsALogarithm(t *testing.T) {
	few, now := withAhead(t, 100)
	many, _ := withAhead(t, 10_000)
	core := func(cpu int64) Timed {
		return Timed{Amounts: placement.Amounts{Resources: placement.Resources{CPU: cpu}}}
	}
	middle := now.Add(70*time.Hour + 10*time.Minute)
	later := Timed{Amounts: core(2).Amounts, From: middle, Until: middle.Add(3 * time.Hour), Reserved: true}
	tests := []struct {
		name string
		call func(*Accounts) error
	}{
		{"charge and remove for ever", func(a *Accounts) error {
			if _, err := a.Charge(now, "web", core(3).Amounts, MayBurst); err != nil {
				return err
			}
			return a.Remove("web", core(3).Amounts)
		}},
		{"refuse for ever", func(a *Accounts) error { _, err := a.Check(now, "web", core(5).Amounts, MayBurst); return err }},
		{"reserve and remove", func(a *Accounts) error {
			if _, err := a.ChargeOver(now, "web", later); err != nil {
				return err
			}
			return a.RemoveOver("web", later)
		}},
		{"usage", func(a *Accounts) error { a.UsageOver(now, "web", middle, middle.Add(time.Hour)); return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			visits := func(a *Accounts) int {
				before := *a.visited
				require.NoError(t, tt.call(a))
				return *a.visited - before
			}
			least, most := visits(few), visits(many)
			require.LessOrEqual(t, most, 4*least+60, "log 10,000 is twice log 100; trees are not quite even")
			require.Less(t, most, 2000)
		})
	}
	require.Zero(t, testing.AllocsPerRun(10, func() {
		_, _ = many.Charge(now, "web", core(3).Amounts, MayBurst)
		_ = many.Remove("web", core(3).Amounts)
	}))
}

// TestNothingIsKeptOfWhatWasAhead: a namespace without reservations costs again what it
// did before it had any.
func TestNothingIsKeptOfWhatWasAhead(t *testing.T) {
	a, now := withAhead(t, 3)
	for i := range 3 {
		from := now.Add(time.Duration(i+1) * time.Hour)
		require.NoError(t, a.RemoveOver("web", Timed{
			Amounts: placement.Amounts{Resources: placement.Resources{CPU: int64(4 + i%3)}},
			From:    from, Until: from.Add(50 * time.Minute), Reserved: true,
		}))
	}
	for _, ns := range []string{"org", "team", "web"} {
		require.Nil(t, a.find(ns).ahead, ns)
	}
}
