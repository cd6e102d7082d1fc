package scheduler

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func cpuQuota(namespace string, cores int64) quota.Spec {
	return quota.Spec{
		Namespace: namespace,
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: cores * placement.Core}},
	}
}

func createQuota(t testHelper, s *Scheduler, spec quota.Spec) {
	t.Helper()
	_, err := s.CreateQuota(t.Context(), spec)
	require.NoError(t, err)
}

func usedCores(t testHelper, s *Scheduler, namespace string) int64 {
	t.Helper()
	rows, err := s.QuotaUsage(t.Context(), namespace)
	require.NoError(t, err)
	for _, row := range rows {
		if row.Resource == placement.NameCPU {
			return row.Used / placement.Core
		}
	}
	return 0
}

func TestQuotaIsChargedWithThePlacement(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 16), testNode("n2", 16))
	createQuota(t, s, cpuQuota("org", 10))
	child := cpuQuota("ns", 8)
	child.Parent = "org"
	createQuota(t, s, child)

	place(t, s, testRequest("a", 4))
	place(t, s, testRequest("a", 4))
	require.Equal(t, int64(4), usedCores(t, s, "ns"), "the same ID is charged once")
	place(t, s, testRequest("b", 4))
	require.Equal(t, int64(8), usedCores(t, s, "org"))
	_, err := s.Place(t.Context(), testRequest("c", 1))
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.NotErrorIs(t, err, ErrUnschedulable)
	require.Equal(t, "ns", exceeded.Verdict.Violations[0].Namespace)
	require.Equal(t, s.Version(), exceeded.Version)

	_, err = s.Resize(t.Context(), "a", placement.Resources{CPU: 5 * placement.Core})
	require.ErrorIs(t, err, quota.ErrExceeded)
	_, err = s.Resize(t.Context(), "a", placement.Resources{CPU: 2 * placement.Core})
	require.NoError(t, err)
	require.Equal(t, int64(6), usedCores(t, s, "ns"))
	require.NoError(t, s.Release(t.Context(), "b"))
	require.Equal(t, int64(2), usedCores(t, s, "org"))
	_, err = s.RemoveNode(t.Context(), "n1")
	require.NoError(t, err)
	require.Zero(t, usedCores(t, s, "org"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestRefusedByQuotaAndByCapacity(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	createQuota(t, s, cpuQuota("ns", 2))
	_, err := s.Place(t.Context(), testRequest("a", 8))
	require.ErrorIs(t, err, ErrUnschedulable)
	require.ErrorIs(t, err, quota.ErrExceeded)
	_, err = s.Place(t.Context(), testRequest("a", 3))
	require.NotErrorIs(t, err, ErrUnschedulable)
	require.ErrorIs(t, err, quota.ErrExceeded)
	other := testRequest("a", 8)
	other.Namespace = "free"
	_, err = s.Place(t.Context(), other)
	require.ErrorIs(t, err, ErrUnschedulable)
	require.NotErrorIs(t, err, quota.ErrExceeded)
	require.Zero(t, usedCores(t, s, "ns"), "what is refused leaves nothing charged")
}

func TestLostInstancesAreRefunded(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	createQuota(t, s, cpuQuota("ns", 4))
	place(t, s, testRequest("a", 4))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	require.Zero(t, usedCores(t, s, "ns"))
	place(t, s, testRequest("b", 4))
	kinds := collect(s, func() { require.NoError(t, s.MarkReady(t.Context(), "n1")) })
	require.Contains(t, kinds, "quota-over", "what comes back is charged again, and what is over is told")
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	require.NoError(t, s.Release(t.Context(), "a"))
	require.Equal(t, int64(4), usedCores(t, s, "ns"))
}

func TestStaleInstancesChargeNobody(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 8))
	createQuota(t, s, cpuQuota("ns", 4))
	place(t, s, testRequest("a", 4))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	place(t, s, testRequest("a", 4))
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.Equal(t, int64(4), usedCores(t, s, "ns"))
	require.NoError(t, s.ReleaseGeneration(t.Context(), "a", 1))
	require.Equal(t, int64(4), usedCores(t, s, "ns"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

func TestQuotaBurstEnds(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 64))
	createQuota(t, s, quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 10 * placement.Core, BurstPercent: 150, BurstFor: time.Minute},
	}})
	place(t, s, testRequest("a", 12))
	c.advance(time.Minute - 1)
	place(t, s, testRequest("b", 1))
	c.advance(1)
	_, err := s.Place(t.Context(), testRequest("c", 1))
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	require.Equal(t, quota.BurstExpired, exceeded.Verdict.Violations[0].Reason)
}

func TestRequireQuota(t *testing.T) {
	s := newTestScheduler(t, Config{RequireQuota: true})
	addNodes(t, s, testNode("n1", 4))
	_, err := s.Place(t.Context(), testRequest("a", 1))
	require.ErrorIs(t, err, quota.ErrExceeded)
	createQuota(t, s, quota.Spec{Namespace: "ns"})
	place(t, s, testRequest("a", 1))
}

func TestQuotaCalls(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 4))
	over, err := s.CreateQuota(t.Context(), cpuQuota("ns", 3))
	require.NoError(t, err)
	require.Len(t, over, 1, "what runs already counts")
	version := s.Version()
	_, err = s.CreateQuota(t.Context(), cpuQuota("ns", 3))
	require.NoError(t, err)
	require.Equal(t, version, s.Version(), "the same again is no change")
	_, err = s.CreateQuota(t.Context(), cpuQuota("ns", 9))
	require.ErrorIs(t, err, quota.ErrConflict)
	_, err = s.UpdateQuota(t.Context(), cpuQuota("none", 9))
	require.ErrorIs(t, err, quota.ErrNotFound)
	over, err = s.UpdateQuota(t.Context(), cpuQuota("ns", 5))
	require.NoError(t, err)
	require.Empty(t, over)

	verdict, err := s.CheckQuota(t.Context(), "ns", placement.Resources{CPU: 2 * placement.Core})
	require.NoError(t, err)
	require.False(t, verdict.Allowed())
	info, err := s.Quota(t.Context(), "ns")
	require.NoError(t, err)
	require.Equal(t, cpuQuota("ns", 5), info.Spec)
	require.Equal(t, s.Version(), info.Version)
	_, err = s.Quota(t.Context(), "none")
	require.ErrorIs(t, err, quota.ErrNotFound)
	for _, info := range listed(t, s.Quotas) {
		require.Equal(t, "ns", info.Namespace)
	}

	err = s.DeleteQuota(t.Context(), "ns")
	var used *quota.InUseError
	require.ErrorAs(t, err, &used)
	require.Equal(t, []string{"a"}, used.IDs)
	require.NoError(t, s.Release(t.Context(), "a"))
	require.NoError(t, s.DeleteQuota(t.Context(), "ns"))
	require.ErrorIs(t, s.DeleteQuota(t.Context(), "ns"), quota.ErrNotFound)
}

// TestQuotaUnderConcurrency admits exactly the limit, at every instant.
func TestQuotaUnderConcurrency(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 1000))
	createQuota(t, s, cpuQuota("org", 10))
	child := cpuQuota("ns", 100)
	child.Parent = "org"
	createQuota(t, s, child)
	var (
		callers sync.WaitGroup
		placed  atomic.Int64
	)
	for i := range 64 {
		callers.Go(func() {
			_, err := s.Place(t.Context(), testRequest(fmt.Sprint(i), 1))
			switch {
			case err == nil:
				placed.Add(1)
			case !errors.Is(err, quota.ErrExceeded):
				t.Error(err)
			}
			if usedCores(t, s, "org") > 10 {
				t.Error("above the limit")
			}
		})
	}
	callers.Wait()
	require.Equal(t, int64(10), placed.Load())
}

// TestFailedAppendLeavesNothingCharged has the journal refuse what was
// charged: the scheduler that opens it next knows nothing of it.
func TestFailedAppendLeavesNothingCharged(t *testing.T) {
	journal := &gatedJournal{gate: make(chan struct{})}
	close(journal.gate)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("ns", 8))
	place(t, s, testRequest("a", 1))
	journal.fail = errors.New("no space")
	_, err := s.Place(t.Context(), testRequest("b", 1))
	require.ErrorIs(t, err, ErrJournal)
	journal.fail = nil
	next := open(t, Config{Journal: journal})
	require.Equal(t, int64(1), usedCores(t, next, "ns"))
	require.NoError(t, next.VerifyQuota(t.Context()))
}

// TestErrorsOfQuotasByEitherName: the sentinels of this package know what
// package quota has refused, and its own structs are there too.
func TestErrorsOfQuotasByEitherName(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	_, err := s.CreateQuota(t.Context(), cpuQuota("ns", 8))
	require.NoError(t, err)
	place(t, s, testRequest("a", 1))
	_, missing := s.Quota(t.Context(), "none")
	_, noUpdate := s.UpdateQuota(t.Context(), cpuQuota("none", 1))
	_, noParent := s.CreateQuota(t.Context(), quota.Spec{Namespace: "child", Parent: "none"})
	_, other := s.CreateQuota(t.Context(), cpuQuota("ns", 9))
	tests := []struct {
		name       string
		err        error
		ours, same error
		text       string
	}{
		{"look", missing, ErrNotFound, quota.ErrNotFound, `placement: quota "none" not found`},
		{"update", noUpdate, ErrNotFound, quota.ErrNotFound, `placement: quota "none" not found`},
		{"parent", noParent, ErrNotFound, quota.ErrNotFound, `placement: quota "none" not found`},
		{"delete none", s.DeleteQuota(t.Context(), "none"), ErrNotFound, quota.ErrNotFound, `placement: quota "none" not found`},
		{"another spec", other, ErrConflict, quota.ErrConflict, `placement: quota "ns" exists with another spec`},
		{"in use", s.DeleteQuota(t.Context(), "ns"), ErrInUse, quota.ErrInUse, `quota: namespace "ns" still has charges, 1 in all: "a"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorIs(t, test.err, test.ours)
			require.Same(t, test.ours, test.same)
			require.EqualError(t, test.err, test.text)
		})
	}
	require.Equal(t, placement.NotFound(placement.KindQuota, "none"), noParent)
}
