package quota_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

const core = placement.Core

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type limits = map[placement.ResourceName]quota.Limit

// cpuLimit is a limit on CPU alone, in millicores.
func cpuLimit(milli int64) limits {
	return limits{placement.NameCPU: {Soft: milli}}
}

func milli(n int64) placement.Amounts { return placement.OneInstance(placement.Resources{CPU: n}) }

// newLedger returns a ledger in which namespace ns has these limits.
func newLedger(t *testing.T, l limits) (*quota.Ledger, *clock) {
	t.Helper()
	c := newClock()
	ledger, err := quota.New(quota.Config{Now: c.Now, Specs: []quota.Spec{{Namespace: "ns", Limits: l}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ledger.Verify()) })
	return ledger, c
}

func used(l *quota.Ledger, ns string, name placement.ResourceName) int64 {
	for _, usage := range l.Usage(ns) {
		if usage.Resource == name {
			return usage.Used
		}
	}
	return 0
}

// requireRefused checks that a charge was refused for one reason alone.
func requireRefused(t *testing.T, err error, name placement.ResourceName, reason quota.ViolationReason) quota.Violation {
	t.Helper()
	require.ErrorIs(t, err, quota.ErrExceeded)
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Len(t, exceeded.Verdict.Violations, 1)
	violation := exceeded.Verdict.Violations[0]
	require.Equal(t, name, violation.Resource)
	require.Equal(t, reason, violation.Reason)
	return violation
}

func charge(t *testing.T, l *quota.Ledger, id string, amounts placement.Amounts) quota.Verdict {
	t.Helper()
	verdict, err := l.Charge("ns", id, amounts)
	require.NoError(t, err)
	return verdict
}
