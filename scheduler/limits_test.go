package scheduler

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// TestLongTextsAreRefusedEverywhere hands a megabyte to every call that takes a
// name or a value: none keeps it, and no error repeats it.
func TestLongTextsAreRefusedEverywhere(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now, RememberReleased: 10})
	ctx := t.Context()
	require.NoError(t, s.AddNode(ctx, testNode("n1", 8)))
	long := strings.Repeat("x", 1<<20)
	request := placement.Request{ID: "a", Resources: placement.Resources{CPU: 1}}
	with := func(change func(*placement.Request)) placement.Request {
		changed := request.Clone()
		change(&changed)
		return changed
	}
	longID := with(func(r *placement.Request) { r.ID = long })
	spec := reservation.Spec{Shape: placement.Resources{CPU: 1}, Count: 1, Duration: time.Hour}
	reserve := func(change func(*reservation.Spec)) func() error {
		changed := spec.Clone()
		change(&changed)
		return func() error { _, err := s.Reserve(ctx, changed); return err }
	}
	limit := map[placement.ResourceName]quota.Limit{placement.ResourceName(long): {}}
	calls := map[string]func() error{
		"AddNode":     func() error { return s.AddNode(ctx, placement.Node{ID: long}) },
		"UpdateNode":  func() error { _, err := s.UpdateNode(ctx, placement.Node{ID: "n1", Name: long}); return err },
		"AdoptNode":   func() error { _, err := s.AdoptNode(ctx, testNode("n2", 1), []Report{{Request: longID}}); return err },
		"SetLabel":    func() error { return s.SetLabel(ctx, "n1", "k", long) },
		"a label key": func() error { return s.SetLabel(ctx, "n1", long, "") },
		"AddTaint": func() error {
			return s.AddTaint(ctx, "n1", placement.Taint{Key: "k", Value: long, Effect: placement.NoExecute})
		},
		"Place":    func() error { _, err := s.Place(ctx, longID); return err },
		"Allocate": func() error { _, err := s.Allocate(ctx, "n1", longID); return err },
		"a rule": func() error {
			_, err := s.Place(ctx, with(func(r *placement.Request) {
				r.Preferences = r.Preferences.Require(placement.Equal("k", long))
			}))
			return err
		},
		"SetWorkload": func() error { return s.SetWorkload(ctx, []WorkloadClass{{Models: []string{long}, Count: 1}}) },
		"CreateQuota": func() error { _, err := s.CreateQuota(ctx, quota.Spec{Namespace: long}); return err },
		"a parent":    func() error { _, err := s.CreateQuota(ctx, quota.Spec{Namespace: "a", Parent: long}); return err },
		"a limit":     func() error { _, err := s.CreateQuota(ctx, quota.Spec{Namespace: "a", Limits: limit}); return err },
		"Reserve":     reserve(func(s *reservation.Spec) { s.ID = long }),
		"a namespace": reserve(func(s *reservation.Spec) { s.Namespace = long }),
		"a node":      reserve(func(s *reservation.Spec) { s.Node = long }),
		"an owner":    reserve(func(s *reservation.Spec) { s.Owners = []string{long} }),
		"owners":      reserve(func(s *reservation.Spec) { s.Owners = strings.Split(strings.Repeat("x", 1<<20), "") }),
		"a rule of a reservation": reserve(func(s *reservation.Spec) {
			s.Preferences = s.Preferences.Require(placement.Matches("k", long))
		}),
		"RemoveLabel":        func() error { return s.RemoveLabel(ctx, "n1", long) },
		"RemoveTaint":        func() error { return s.RemoveTaint(ctx, "n1", long, placement.NoExecute) },
		"Cordon":             func() error { return s.Cordon(ctx, long) },
		"Release":            func() error { return s.Release(ctx, long) },
		"ReleaseReservation": func() error { return s.ReleaseReservation(ctx, long, true) },
		"DeleteQuota":        func() error { return s.DeleteQuota(ctx, long) },
		"UpdateQuota":        func() error { _, err := s.UpdateQuota(ctx, quota.Spec{Namespace: long}); return err },
		"Unclaim":            func() error { return s.Unclaim(ctx, long) },
	}
	before := snapshot(t, s)
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			err := call()
			require.Error(t, err)
			require.True(t, errors.Is(err, ErrNotFound) || errors.Is(err, placement.ErrInvalid) ||
				errors.Is(err, quota.ErrInvalid) || errors.Is(err, reservation.ErrInvalid))
			require.Less(t, len(err.Error()), 10_000)
			require.Equal(t, before, snapshot(t, s))
		})
	}
}
