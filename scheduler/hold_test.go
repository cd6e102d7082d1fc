package scheduler

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// wholeStateCalls look at all records of at least one kind.
func wholeStateCalls() map[string]func(context.Context, *Scheduler) error {
	return map[string]func(context.Context, *Scheduler) error{
		"Nodes":         func(ctx context.Context, s *Scheduler) error { _, err := s.Nodes(ctx); return err },
		"Allocations":   func(ctx context.Context, s *Scheduler) error { _, err := s.Allocations(ctx); return err },
		"Quotas":        func(ctx context.Context, s *Scheduler) error { _, err := s.Quotas(ctx); return err },
		"Reservations":  func(ctx context.Context, s *Scheduler) error { _, err := s.Reservations(ctx); return err },
		"WriteSnapshot": func(ctx context.Context, s *Scheduler) error { return s.WriteSnapshot(ctx, io.Discard) },
		"Checkpoint":    func(ctx context.Context, s *Scheduler) error { return s.Checkpoint(ctx) },
		"VerifyQuota":   func(ctx context.Context, s *Scheduler) error { return s.VerifyQuota(ctx) },
		"DeleteQuota":   func(ctx context.Context, s *Scheduler) error { return s.DeleteQuota(ctx, "ns") },
	}
}

// TestNothingLongIsDoneUnderTheLock counts the records (nodes, instances,
// namespaces, reservations) that are read each time that the lock is held: no
// call that looks at all of them does so in one go, however many there are.
func TestNothingLongIsDoneUnderTheLock(t *testing.T) {
	const perNode = 2
	longest := func(size int) map[string]int {
		s := populated(t, size, perNode)
		most := make(map[string]int)
		for name, call := range wholeStateCalls() {
			before, all := s.state.visited, 0
			s.mu.letGo = func() {
				most[name] = max(most[name], s.state.visited-before)
				all += s.state.visited - before
				before = s.state.visited
			}
			err := call(t.Context(), s)
			s.mu.letGo = nil
			if name == "DeleteQuota" {
				require.ErrorIs(t, err, ErrInUse)
			} else {
				require.NoError(t, err, name)
			}
			require.GreaterOrEqual(t, all, size, "%s counts what it reads", name)
		}
		return most
	}
	small, large := longest(200), longest(600)
	for name := range wholeStateCalls() {
		require.LessOrEqual(t, large[name], captureTurn+1+perNode, name)
		require.LessOrEqual(t, large[name], small[name]+1+perNode, name)
	}
}

// populated returns a scheduler with as many nodes, reservations and
// namespaces, and some instances on each node.
func populated(t *testing.T, size, perNode int) *Scheduler {
	t.Helper()
	s := open(t, Config{Journal: new(MemoryJournal), Now: newClock().Now})
	for i := range size {
		node := fmt.Sprint("n", i)
		addNodes(t, s, testNode(node, 8))
		for k := range perNode {
			allocate(t, s, node, testRequest(fmt.Sprint(i, "-", k), 1))
		}
		spec := holding(fmt.Sprint("r", i), 1, 1)
		spec.Node = node
		reserve(t, s, spec)
		_, err := s.CreateQuota(t.Context(), limited(fmt.Sprint("ns", i), "", 1000))
		require.NoError(t, err)
	}
	_, err := s.CreateQuota(t.Context(), quota.Spec{
		Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameMemory: {Soft: 1 << 60}},
	})
	require.NoError(t, err)
	return s
}
