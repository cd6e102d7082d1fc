package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// TestMoveIsWholeWhereTheJournalFails: whether the record was written before the
// failure or not, what a scheduler opened on the journal shows is one of both states,
// and the move can be repeated.
func TestMoveIsWholeWhereTheJournalFails(t *testing.T) {
	broken := errors.New("disk full")
	for name, written := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			journal := new(stored)
			cfg := scheduler.Config{Journal: journal, RememberReleased: 4}
			s := opened(t, cfg)
			require.NoError(t, s.AddNode(ctx, nodeOf("n2", 1000)))
			_, err := s.Allocate(ctx, "n1", one("a"))
			require.NoError(t, err)
			usage, err := s.QuotaUsage(ctx, one("a").Namespace)
			require.NoError(t, err)

			fails := func(context.Context) error { return broken }
			if written {
				journal.after = fails
			} else {
				journal.before = fails
			}
			_, err = s.Move(ctx, "a", "n2")
			require.ErrorIs(t, err, broken)
			journal.before, journal.after = nil, nil

			s, err = scheduler.Open(ctx, cfg)
			require.NoError(t, err)
			all, err := s.Allocations(ctx)
			require.NoError(t, err)
			if written {
				require.Len(t, all, 2)
				require.Equal(t, scheduler.Leaving, all[0].State)
			} else {
				require.Len(t, all, 1)
			}
			require.Equal(t, scheduler.Running, all[len(all)-1].State)
			for range 2 {
				d, err := s.Move(ctx, "a", "n2")
				require.NoError(t, err)
				require.Equal(t, "n2", d.NodeID)
				require.EqualValues(t, 2, d.Generation)
			}
			again, err := s.QuotaUsage(ctx, one("a").Namespace)
			require.NoError(t, err)
			require.Equal(t, usage, again)
			require.NoError(t, s.VerifyQuota(ctx))
			require.NoError(t, s.ReleaseGeneration(ctx, "a", 1))
			_, err = s.Place(ctx, one("a"))
			require.NoError(t, err, "its ID counts as released at no time")
		})
	}
}

func ExampleScheduler_Move() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for _, id := range []string{"a", "b"} {
		_, err := s.Allocate(ctx, "n1", cores(id, 2))
		must(err)
	}
	must(s.Cordon(ctx, "n1"))
	drained, err := s.AllocationsOn(ctx, "n1")
	must(err)
	for _, a := range drained {
		d, err := s.Move(ctx, a.Request.ID, "") // to the best of the others
		must(err)
		fmt.Printf("%s starts on %s as generation %d\n", d.ID, d.NodeID, d.Generation)
	}
	left, err := s.AllocationsOn(ctx, "n1")
	must(err)
	for _, a := range left {
		fmt.Printf("%s on n1 is %s\n", a.Request.ID, a.State)
		must(s.ReleaseGeneration(ctx, a.Request.ID, a.Generation)) // once it has stopped
	}
	// Output:
	// a starts on n2 as generation 2
	// b starts on n2 as generation 2
	// a on n1 is leaving
	// b on n1 is leaving
}

func ExampleScheduler_KeepGeneration() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Allocate(ctx, "n1", cores("a", 2))
	must(err)
	must(s.MarkLost(ctx, "n1"))
	d, err := s.Place(ctx, cores("a", 2))
	must(err)
	fmt.Printf("generation %d on %s\n", d.Generation, d.NodeID)

	must(s.MarkReady(ctx, "n1")) // where the original has run all the time
	d, err = s.KeepGeneration(ctx, "a", 1)
	must(err)
	fmt.Printf("generation %d on %s\n", d.Generation, d.NodeID)
	must(s.ReleaseGeneration(ctx, "a", 2)) // the newer one has been stopped
	// Output:
	// generation 2 on n2
	// generation 1 on n1
}

// TestMovedWorkKeepsItsRules: a move within a zone, of which the instance is the only
// one that may be there, and to the node that spread allows it alone.
func TestMovedWorkKeepsItsRules(t *testing.T) {
	ctx := t.Context()
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	for id, zone := range map[string]string{"a1": "a", "a2": "a", "b1": "b"} {
		n := nodeOf(id, 8)
		n.Labels = map[string]string{"zone": zone}
		require.NoError(t, s.AddNode(ctx, n))
	}
	db := placement.Equal("app", "db")
	request := func(id string) placement.Request {
		req := one(id)
		req.Labels = map[string]string{"app": "db"}
		req.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(db).Within("zone"))
		return req
	}
	_, err = s.Allocate(ctx, "a1", request("db-1"))
	require.NoError(t, err)
	_, err = s.Move(ctx, "db-1", "a2")
	require.NoError(t, err, "it keeps itself away from nowhere")
	_, err = s.Allocate(ctx, "a1", request("db-2"))
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	_, err = s.Move(ctx, "db-1", "b1")
	require.NoError(t, err)
	for _, node := range []string{"a1", "b1"} {
		_, err = s.Allocate(ctx, node, request("db-2"))
		require.ErrorIs(t, err, scheduler.ErrUnschedulable, "those that leave still keep others away from %s", node)
	}
	require.NoError(t, s.ReleaseGeneration(ctx, "db-1", 1))
	require.NoError(t, s.ReleaseGeneration(ctx, "db-1", 2))
	_, err = s.Allocate(ctx, "a1", request("db-2"))
	require.NoError(t, err)
}

// TestWhatCannotMove: and what is said of it.
func TestWhatCannotMove(t *testing.T) {
	ctx := t.Context()
	s := cluster(scheduler.Config{})
	_, err := s.Move(ctx, "a", "n1")
	require.ErrorIs(t, err, scheduler.ErrNotFound)
	_, err = s.Allocate(ctx, "n1", cores("a", 2))
	require.NoError(t, err)
	_, err = s.Move(ctx, "a", "nowhere")
	require.ErrorIs(t, err, scheduler.ErrNotFound)
	version := s.Version()
	d, err := s.Move(ctx, "a", "n1")
	require.NoError(t, err)
	require.EqualValues(t, 1, d.Generation)
	require.Equal(t, version, s.Version(), "it is there")
	require.NoError(t, s.Leave(ctx, "a"))
	_, err = s.Move(ctx, "a", "n1")
	require.ErrorIs(t, err, scheduler.ErrConflict, "it is leaving there")
	d, err = s.Move(ctx, "a", "n2")
	require.NoError(t, err)
	require.Equal(t, "n2", d.NodeID)
	_, err = s.KeepGeneration(ctx, "a", 7)
	require.ErrorIs(t, err, scheduler.ErrNotFound)
	require.NoError(t, s.MarkLost(ctx, "n1"))
	_, err = s.KeepGeneration(ctx, "a", 1)
	require.ErrorIs(t, err, scheduler.ErrConflict)
	require.NoError(t, s.MarkLost(ctx, "n2"))
	_, err = s.Move(ctx, "a", "n1")
	require.ErrorIs(t, err, scheduler.ErrConflict)
}
