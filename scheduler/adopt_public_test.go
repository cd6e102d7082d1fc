package scheduler_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// requireReplay asserts that the journal leads to the same bytes, by its
// entries and by a snapshot.
func requireReplay(t *testing.T, s *scheduler.Scheduler, cfg scheduler.Config) {
	t.Helper()
	want := snapshot(t, s)
	for range 2 {
		next, err := scheduler.Open(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, want, snapshot(t, next))
		require.NoError(t, next.Checkpoint(t.Context()))
	}
}

// TestAdoptedGenerationsCollideWithNoOther lets a worker report an older
// generation than one that is stale elsewhere.
func TestAdoptedGenerationsCollideWithNoOther(t *testing.T) {
	ctx := t.Context()
	cfg := scheduler.Config{Journal: new(scheduler.MemoryJournal)}
	s, err := scheduler.Open(ctx, cfg)
	require.NoError(t, err)
	for _, id := range []string{"n1", "n2", "n3"} {
		require.NoError(t, s.AddNode(ctx, nodeOf(id, 1)))
	}
	lose := func(id string) scheduler.Decision {
		require.NoError(t, s.MarkLost(ctx, id))
		d, err := s.Place(ctx, one("a"))
		require.NoError(t, err)
		return d
	}
	_, err = s.Place(ctx, one("a"))
	require.NoError(t, err)
	lose("n1")
	require.Equal(t, uint64(3), lose("n2").Generation)
	require.NoError(t, s.Release(ctx, "a"))
	require.NoError(t, s.ReleaseGeneration(ctx, "a", 1)) // the second is stale on n2

	adoption, err := s.AdoptNode(ctx, nodeOf("n1", 1), []scheduler.Report{{Request: one("a"), Generation: 1}})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, adoption.Adopted)
	require.Equal(t, uint64(3), lose("n1").Generation, "the second is there")
	require.NoError(t, s.ReleaseGeneration(ctx, "a", 2))
	requireReplay(t, s, cfg)
}

func TestReleaseOfAGenerationMeetsNoOther(t *testing.T) {
	ctx := t.Context()
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(ctx, nodeOf("n1", 1)))
	require.NoError(t, s.AddNode(ctx, nodeOf("n2", 1)))
	_, err = s.Place(ctx, one("a"))
	require.NoError(t, err)
	require.NoError(t, s.MarkLost(ctx, "n1"))
	_, err = s.Place(ctx, one("a"))
	require.NoError(t, err)
	require.NoError(t, s.MarkReady(ctx, "n1"))
	require.ErrorIs(t, s.ReleaseGeneration(ctx, "a", 2), scheduler.ErrConflict, "it runs")
	require.NoError(t, s.ReleaseGeneration(ctx, "a", 1))
	require.NoError(t, s.Release(ctx, "a"))

	// Somebody places the ID again, and the worker repeats what it said.
	d, err := s.Place(ctx, one("a"))
	require.NoError(t, err)
	require.Equal(t, uint64(1), d.Generation)
	require.ErrorIs(t, s.ReleaseGeneration(ctx, "a", 1), scheduler.ErrConflict)
	_, err = s.Allocation(ctx, "a")
	require.NoError(t, err)
	require.NoError(t, s.MarkLost(ctx, d.NodeID))
	require.ErrorIs(t, s.ReleaseGeneration(ctx, "a", 1), scheduler.ErrConflict, "it may come back")
	require.ErrorIs(t, s.ReleaseGeneration(ctx, "a", 9), scheduler.ErrNotFound)
}

func TestReportedGenerationsHaveRoomAbove(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	adopt := func(generation uint64) error {
		_, err := s.AdoptNode(t.Context(), nodeOf("n1", 1), []scheduler.Report{{Request: one("a"), Generation: generation}})
		return err
	}
	require.ErrorIs(t, adopt(math.MaxUint64), placement.ErrInvalid)
	require.ErrorIs(t, adopt(1<<62+1), placement.ErrInvalid)
	require.NoError(t, adopt(1<<62))
	require.NoError(t, s.AddNode(t.Context(), nodeOf("n2", 1)))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	d, err := s.Place(t.Context(), one("a"))
	require.NoError(t, err)
	require.Equal(t, uint64(1<<62+1), d.Generation)
}

// TestAdoptionTakesHeldCapacity reports instances where a slot is held: what
// runs has the capacity, and the slot moves or is lost.
func TestAdoptionTakesHeldCapacity(t *testing.T) {
	ctx := t.Context()
	for _, elsewhere := range []bool{true, false} {
		cfg := scheduler.Config{Journal: new(scheduler.MemoryJournal)}
		s, err := scheduler.Open(ctx, cfg)
		require.NoError(t, err)
		require.NoError(t, s.AddNode(ctx, nodeOf("n1", 4)))
		r, err := s.Reserve(ctx, reservation.Spec{
			ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: 3 * placement.Core}, Count: 1, Duration: time.Hour,
		})
		require.NoError(t, err)
		require.Equal(t, "n1", r.Slots[0].Node)
		if elsewhere {
			require.NoError(t, s.AddNode(ctx, nodeOf("n2", 4)))
		}
		_, err = s.AdoptNode(ctx, nodeOf("n1", 4), []scheduler.Report{{Request: one("a")}, {Request: one("b")}})
		require.NoError(t, err)
		r, err = s.Reservation(ctx, "r")
		require.NoError(t, err)
		want := ""
		if elsewhere {
			want = "n2"
		}
		require.Equal(t, want, r.Slots[0].Node)
		require.NoError(t, s.VerifyQuota(ctx))
		requireReplay(t, s, cfg)
	}
}

// TestTextThatIsNoUTF8 would come back from the journal as other text, and two
// IDs as one.
func TestTextThatIsNoUTF8(t *testing.T) {
	ctx := t.Context()
	const bad = "a\xff"
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(ctx, nodeOf("n1", 4)))
	hold := func(change func(*reservation.Spec)) error {
		spec := reservation.Spec{
			ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: placement.Core}, Count: 1, Duration: time.Hour,
		}
		change(&spec)
		_, err := s.Reserve(ctx, spec)
		return err
	}
	before := snapshot(t, s)
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"reservation", hold(func(s *reservation.Spec) { s.ID = bad }), reservation.ErrInvalid},
		{"its namespace", hold(func(s *reservation.Spec) { s.Namespace = bad }), reservation.ErrInvalid},
		{"its owner", hold(func(s *reservation.Spec) { s.Owners = []string{bad} }), reservation.ErrInvalid},
		{"quota", func() error {
			_, err := s.CreateQuota(ctx, quota.Spec{Namespace: bad})
			return err
		}(), quota.ErrInvalid},
		{"mix", s.SetWorkload(ctx, []scheduler.WorkloadClass{{Models: []string{bad}, Count: 1}}), placement.ErrInvalid},
		{"instance", func() error { _, err := s.Place(ctx, one(bad)); return err }(), placement.ErrInvalid},
		{"node", s.AddNode(ctx, nodeOf(bad, 1)), placement.ErrInvalid},
	}
	for _, test := range tests {
		require.ErrorIs(t, test.err, test.want, test.name)
		require.True(t, strings.Contains(test.err.Error(), "not UTF-8"), test.name)
	}
	require.Equal(t, before, snapshot(t, s))
}
