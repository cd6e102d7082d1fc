package scheduler

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestDecisionsChangeNothingInBetween: the index counts every change, also one that
// is taken back, and no decision that is refused or only asked for makes one.
func TestDecisionsChangeNothingInBetween(t *testing.T) {
	ctx := t.Context()
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"), gpuNode("n3", 2))
	ran := testRequest("a", 4)
	place(t, s, ran)
	allocate(t, s, "n3", gpuRequest("g", placement.Device))
	reserve(t, s, holding("r", 8, 1))
	reserve(t, s, closes(c))
	createQuota(t, s, cpuQuota("small", 1))
	require.NoError(t, s.MarkLost(ctx, "n2"))
	spread := holding("x", 8, 50)
	spread.Preferences = placement.Use(placement.BinPack).Across(placement.EvenlyOver("zone", 1)).
		Near(placement.Repel(placement.Equal("app", "db")))
	huge := testRequest("huge", 1)
	huge.Resources.Memory = math.MaxInt64
	again := huge
	again.ID = "again"
	fits, small, large := testRequest("new", 1), testRequest("small", 2), testRequest("large", 4096)
	small.Namespace = "small"
	long, longer := testRequest("long", 1), large
	long.Duration, longer.Duration = 2*time.Hour, 2*time.Hour // into the maintenance of n1
	decisions := map[string]func() error{
		"Schedule":            func() error { _, err := s.Schedule(ctx, fits); return err },
		"Place, refused":      func() error { _, err := s.Place(ctx, large); return refusedOnly(err) },
		"Place, no quota":     func() error { _, err := s.Place(ctx, small); return refusedOnly(err) },
		"Schedule, long":      func() error { _, err := s.Schedule(ctx, long); return err },
		"Place, longer":       func() error { _, err := s.Place(ctx, longer); return refusedOnly(err) },
		"Allocate, closing":   func() error { _, err := s.Allocate(ctx, "n1", long); return refusedOnly(err) },
		"Explain, long":       func() error { _, err := s.Explain(ctx, long); return err },
		"Explain, longer":     func() error { _, err := s.Explain(ctx, longer); return err },
		"ExplainNode, long":   func() error { _, err := s.ExplainNode(ctx, long, "n1"); return err },
		"Explain":             func() error { _, err := s.Explain(ctx, large); return err },
		"ExplainNode":         func() error { _, err := s.ExplainNode(ctx, large, "n1"); return err },
		"Explain, placed":     func() error { _, err := s.Explain(ctx, ran); return err },
		"ExplainNode, placed": func() error { _, err := s.ExplainNode(ctx, ran, "n1"); return err },
		"Reserve, refused":    func() error { _, err := s.Reserve(ctx, spread); return refusedOnly(err) },
		"Resize, refused":     func() error { _, err := s.Resize(ctx, "a", large.Resources); return refusedOnly(err) },
		"AdoptNode, refused": func() error {
			_, err := s.AdoptNode(ctx, zoned("n9", "a"), []Report{{Request: huge}, {Request: again}})
			return refusedOnly(err)
		},
		"UpdateNode, refused": func() error {
			_, err := s.UpdateNode(ctx, gpuNode("n3", 0))
			return refusedOnly(err)
		},
		"UpdateReservation, refused": func() error {
			_, err := s.ResizeReservation(ctx, "r", placement.Resources{CPU: 4096 * placement.Core}, 9)
			return refusedOnly(err)
		},
		"CheckQuota": func() error { _, err := s.CheckQuota(ctx, "small", small.Resources); return err },
	}
	before, version := snapshot(t, s), s.state.index.Version()
	for name, decide := range decisions {
		require.NoError(t, decide(), name)
		require.Equal(t, version, s.state.index.Version(), name)
		require.Equal(t, before, snapshot(t, s), name)
	}
}

// refusedOnly returns nil for an error, since that is what was wanted.
func refusedOnly(err error) error {
	if err == nil {
		return ErrInvariant
	}
	return nil
}
