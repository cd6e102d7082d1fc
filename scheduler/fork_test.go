package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

func forkOf(t testHelper, s *Scheduler) *Fork {
	t.Helper()
	f, err := s.Fork(t.Context())
	require.NoError(t, err)
	return f
}

// where returns the node and state of every instance.
func where(t testHelper, list []Allocation) map[string]string {
	t.Helper()
	on := make(map[string]string)
	for _, a := range list {
		on[fmt.Sprint(a.Request.ID, "/", a.Generation)] = fmt.Sprint(a.NodeID, " ", a.State, " ", a.Request.Resources)
	}
	return on
}

// tryAtRandom makes a random call on a fork.
func tryAtRandom(t *rapid.T, f *Fork) {
	ctx := t.Context()
	switch rapid.IntRange(0, 12).Draw(t, "call") {
	case 0, 1, 2:
		_, _ = f.Place(ctx, drawRequest(t))
	case 3:
		_ = f.Release(ctx, drawID(t))
	case 4:
		_, _ = f.Resize(ctx, drawID(t), placement.Resources{CPU: rapid.Int64Range(0, 6).Draw(t, "cpu") * 500})
	case 5:
		_ = f.MarkLost(ctx, drawNode(t))
	case 6:
		_, _ = f.UpdateNode(ctx, describeNode(t))
	case 7:
		_, _ = f.RemoveNode(ctx, drawNode(t))
	case 8:
		_ = f.Leave(ctx, drawID(t))
	case 9, 10:
		_, _ = f.Move(ctx, drawID(t), rapid.SampledFrom([]string{"", "n1", "n2", "n3"}).Draw(t, "to"))
	case 11:
		_, _ = f.KeepGeneration(ctx, drawID(t), rapid.Uint64Range(1, 2).Draw(t, "generation"))
	case 12:
		if a, err := f.Allocation(ctx, drawID(t)); err == nil {
			req := drawRequest(t)
			req.ID, req.Namespace, req.Resources = a.Request.ID, a.Request.Namespace, a.Request.Resources
			_, _ = f.Amend(ctx, a.Request.ID, req)
		}
	}
}

// What was tried on a fork can be committed as long as nothing else has happened, and
// the scheduler is then what the fork is.
func TestCommitOfAPlanIsWhatTheForkIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		journal, c := new(MemoryJournal), newClock()
		cfg := Config{Journal: journal, Now: c.Now}
		s := open(t, cfg)
		for i := range 3 {
			addNodes(t, s, zoned(fmt.Sprint("n", i+1), fmt.Sprint(i%2)))
		}
		_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8000}}})
		require.NoError(t, err)
		for range rapid.IntRange(0, 4).Draw(t, "before") {
			_, _ = s.Place(t.Context(), drawRequest(t))
		}
		f, version := forkOf(t, s), s.Version()
		before := snapshot(t, s)
		for range rapid.IntRange(0, 6).Draw(t, "calls") {
			mark := f.Mark()
			tryAtRandom(t, f)
			if rapid.IntRange(0, 3).Draw(t, "roll back") == 0 {
				require.NoError(t, f.Rollback(mark))
			}
		}
		require.Equal(t, before, snapshot(t, s), "nothing of a fork is visible outside")
		plan := f.Plan()
		if rapid.Bool().Draw(t, "as JSON") {
			data, err := json.Marshal(plan)
			require.NoError(t, err)
			plan = Plan{}
			require.NoError(t, json.Unmarshal(data, &plan))
		}
		done, err := s.Commit(t.Context(), plan)
		require.NoError(t, err)
		require.Equal(t, where(t, listed(t, f.Allocations)), where(t, listed(t, s.Allocations)))
		require.NoError(t, s.VerifyQuota(t.Context()))
		if len(plan.Steps) > 0 {
			require.Equal(t, version+1, done.Version, "one entry")
		} else {
			require.Equal(t, version, done.Version)
		}
		after := snapshot(t, s)
		require.Equal(t, after, snapshot(t, open(t, cfg)), "a replay gives the same bytes")
	})
}

// A plan on which something else has come in between is committed as a whole, or changes
// nothing and names the steps that conflict.
func TestCommitIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		s := newTestScheduler(t, Config{Now: c.Now})
		for i := range 3 {
			addNodes(t, s, testNode(fmt.Sprint("n", i+1), 4))
		}
		for range rapid.IntRange(0, 3).Draw(t, "before") {
			_, _ = s.Place(t.Context(), drawRequest(t))
		}
		f, other := forkOf(t, s), forkOf(t, s)
		for range rapid.IntRange(1, 5).Draw(t, "calls") {
			tryAtRandom(t, f)
		}
		for range rapid.IntRange(0, 3).Draw(t, "between") {
			tryAtRandom(t, other)
		}
		_, err := s.Commit(t.Context(), other.Plan())
		require.NoError(t, err)
		before := snapshot(t, s)
		_, err = s.Commit(t.Context(), f.Plan())
		if conflicts, ok := errors.AsType[*PlanError](err); ok {
			require.ErrorIs(t, err, ErrConflict)
			require.NotEmpty(t, conflicts.Conflicts)
			for _, one := range conflicts.Conflicts {
				require.Equal(t, f.Plan().Steps[one.Step].Change, one.Change)
				require.Error(t, one.Err)
			}
			require.Equal(t, before, snapshot(t, s), "nothing has changed")
			return
		}
		require.NoError(t, err)
		require.NoError(t, s.VerifyQuota(t.Context()))
	})
}

func TestCommitNamesWhatConflicts(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	place(t, s, testRequest("old", 1))
	f := forkOf(t, s)
	_, err := f.Allocate(t.Context(), "n2", testRequest("new", 3))
	require.NoError(t, err)
	_, err = f.Resize(t.Context(), "old", placement.Resources{CPU: 500})
	require.NoError(t, err)
	require.NoError(t, f.Cordon(t.Context(), "n1"))
	_, err = f.Reserve(t.Context(), reservation.Spec{ID: "r", Namespace: "ns", Shape: placement.Resources{CPU: 1}, Count: 1, Duration: time.Hour})
	require.NoError(t, err)
	require.NoError(t, f.ReleaseReservation(t.Context(), "r", false))

	allocate(t, s, "n2", testRequest("first", 2))
	_, err = s.Resize(t.Context(), "old", placement.Resources{CPU: 700})
	require.NoError(t, err)
	require.NoError(t, s.SetLabel(t.Context(), "n1", "a", "b"))
	version := s.Version()
	_, err = s.Commit(t.Context(), f.Plan())
	var conflicts *PlanError
	require.ErrorAs(t, err, &conflicts)
	var steps []int
	for _, c := range conflicts.Conflicts {
		steps = append(steps, c.Step)
	}
	require.Equal(t, []int{0, 1, 2, 4}, steps)
	require.ErrorIs(t, conflicts.Conflicts[0].Err, ErrUnschedulable)
	var changed *ChangedError
	require.ErrorAs(t, conflicts.Conflicts[2].Err, &changed)
	require.Equal(t, []uint64{1, 6}, []uint64{changed.Expected, changed.Version})
	require.ErrorIs(t, conflicts.Conflicts[3].Err, ErrInvalid)
	require.Equal(t, version, s.Version())
	require.EqualError(t, err, `scheduler: 4 steps of the plan conflict: step 0 (*scheduler.Placed): scheduler: 0 of 1 nodes fit new: 1 lacks cpu; `+
		`step 1 (*scheduler.Resized): scheduler: version 3 was asked for, and it is 5; `+
		`step 2 (*scheduler.NodeMarked): scheduler: version 1 was asked for, and it is 6`)
}

// What was reserved on a fork, and placed in there, is committed like any placement.
func TestCommitOfReservations(t *testing.T) {
	ctx := t.Context()
	clock := newClock()
	spec := holding("r", 2, 2)
	tests := []struct {
		name    string
		between func(s *Scheduler) // fork and commit
		want    string             // what conflicts, or nothing
	}{
		{"nothing has come in between", func(*Scheduler) {}, ""},
		{"the slots would go elsewhere", func(s *Scheduler) { allocate(t, s, "n1", testRequest("other", 1)) }, "would have other slots now"},
		{"there is no room any more", func(s *Scheduler) {
			allocate(t, s, "n1", testRequest("other", 4))
			allocate(t, s, "n2", testRequest("another", 4))
		}, "reservation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestScheduler(t, Config{Now: clock.Now})
			addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
			f := forkOf(t, s)
			_, err := f.Reserve(ctx, spec)
			require.NoError(t, err)
			claimed := testRequest("claimed", 1)
			claimed.Namespace, claimed.Resources = spec.Namespace, spec.Shape
			_, err = f.PlaceFromReservation(ctx, "r", claimed)
			require.NoError(t, err)

			tt.between(s)
			before := snapshot(t, s)
			_, err = s.Commit(ctx, f.Plan())
			if tt.want != "" {
				var conflicts *PlanError
				require.ErrorAs(t, err, &conflicts)
				require.Equal(t, 0, conflicts.Conflicts[0].Step)
				require.ErrorContains(t, conflicts.Conflicts[0].Err, tt.want)
				require.Equal(t, before, snapshot(t, s))
				return
			}
			require.NoError(t, err)
			want, err := f.Reservation(ctx, "r")
			require.NoError(t, err)
			got, err := s.Reservation(ctx, "r")
			require.NoError(t, err)
			require.Equal(t, want.Slots, got.Slots)
			require.NoError(t, s.VerifyQuota(ctx))
		})
	}
}

// TestAForkLeavesNothingOnTheHeap: what a fork and what was rolled back there took is
// garbage afterwards, and a fork takes a small part of what the scheduler takes.
func TestAForkLeavesNothingOnTheHeap(t *testing.T) {
	const nodes, perNode = 200, 50
	s := newTestScheduler(t, Config{})
	for i := range nodes {
		addNodes(t, s, testNode(fmt.Sprint("n", i), perNode))
	}
	before := int64(liveHeap())
	for i := range nodes * perNode {
		place(t, s, testRequest(fmt.Sprint("i", i), 1))
	}
	grown := func() int64 { return int64(liveHeap()) - before }
	state := grown()
	f := forkOf(t, s)
	require.Less(t, grown()-state, state/2, "records are shared")
	mark := f.Mark()
	for i := range nodes * perNode {
		require.NoError(t, f.Release(t.Context(), fmt.Sprint("i", i)))
	}
	require.NoError(t, f.Rollback(mark))
	require.Less(t, grown()-state, state, "what was rolled back is gone")
	runtime.KeepAlive(f)
	f = nil
	require.Less(t, grown()-state, state/20, "nothing is left of the fork")
	runtime.KeepAlive(s)
}

// A commit that is repeated, since its answer was lost, changes nothing.
func TestCommitOfPlacementsIsIdempotent(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	f := forkOf(t, s)
	_, err := f.Place(t.Context(), testRequest("a", 2))
	require.NoError(t, err)
	first, err := s.Commit(t.Context(), f.Plan())
	require.NoError(t, err)
	again, err := s.Commit(t.Context(), f.Plan())
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// Four planners place on forks of their own and commit. Whatever is refused is tried
// again on a new fork; nothing is ever oversold, and all that fits is placed.
func TestPlannersOnForksNeverOversell(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	for i := range 8 {
		addNodes(t, s, testNode(fmt.Sprint("n", i), 4))
	}
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 24 * placement.Core}}})
	require.NoError(t, err)
	var planners sync.WaitGroup
	for p := range 4 {
		planners.Go(func() {
			for i := range 4 {
				for {
					f := forkOf(t, s)
					for k := range 2 {
						_, _ = f.Place(t.Context(), testRequest(fmt.Sprint(p, "-", i, "-", k), 1))
					}
					_, err := s.Commit(t.Context(), f.Plan())
					if err == nil {
						break
					}
					if _, ok := errors.AsType[*PlanError](err); !ok {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	planners.Wait()
	for _, n := range listed(t, s.Nodes) {
		require.Empty(t, n.Over())
	}
	require.Len(t, listed(t, s.Allocations), 24, "as many as the quota allows")
	require.NoError(t, s.VerifyQuota(t.Context()))
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, Config{Journal: journal})), "which is a serial order")
}

func TestAllocateIfTheNodeIsAsItWasSeen(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	seen, err := s.Node(ctx, "n1")
	require.NoError(t, err)
	d, err := s.AllocateIf(ctx, "n1", seen.Version, testRequest("a", 1))
	require.NoError(t, err)
	_, err = s.AllocateIf(ctx, "n1", seen.Version, testRequest("b", 1))
	require.NoError(t, err, "what is placed there does not change a node")

	require.NoError(t, s.SetLabel(ctx, "n1", "rack", "r2"))
	before := s.Version()
	_, err = s.AllocateIf(ctx, "n1", seen.Version, testRequest("c", 1))
	var changed *ChangedError
	require.ErrorAs(t, err, &changed)
	require.Equal(t, &ChangedError{NodeID: "n1", Expected: seen.Version, Version: 4}, changed)
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, before, s.Version())
	again, err := s.AllocateIf(ctx, "n1", seen.Version, testRequest("a", 1))
	require.NoError(t, err)
	require.Equal(t, d, again, "a retry of what was placed")
	_, err = s.AllocateIf(ctx, "n2", seen.Version, testRequest("c", 1))
	require.ErrorIs(t, err, ErrNotFound)
}

func TestRollbackToMarks(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	f, other := forkOf(t, s), forkOf(t, s)
	first := f.Mark()
	_, err := f.Place(ctx, testRequest("a", 1))
	require.NoError(t, err)
	second := f.Mark()
	require.NoError(t, f.Release(ctx, "a"))
	require.Len(t, f.Plan().Steps, 2)
	require.NoError(t, f.Rollback(second))
	require.Len(t, listed(t, f.Allocations), 1)
	require.Len(t, f.Plan().Steps, 1)
	require.NoError(t, f.Release(ctx, "a"))
	require.NoError(t, f.Rollback(second), "a mark stays")
	require.NoError(t, f.Rollback(first))
	require.Empty(t, listed(t, f.Allocations))
	require.Empty(t, f.Plan().Steps)
	require.ErrorIs(t, f.Rollback(second), ErrInvalid, "it came later")
	require.ErrorIs(t, other.Rollback(first), ErrInvalid)
	require.Equal(t, snapshot(t, s), snapshot(t, f))
}

// Fits says what placing one by one would come to, and leaves the fork as it is.
func TestFitsIsWhatPlacingComesTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newTestScheduler(t, Config{Now: newClock().Now, RememberReleased: 2})
		for i := range 3 {
			n := describeNode(t)
			n.ID = fmt.Sprint("n", i)
			addNodes(t, s, n)
		}
		if rapid.Bool().Draw(t, "quota") {
			_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
				placement.NameCPU: {Soft: rapid.Int64Range(0, 8).Draw(t, "soft") * 500, BurstPercent: 150, BurstFor: time.Minute},
			}})
			require.NoError(t, err)
		}
		for range rapid.IntRange(0, 4).Draw(t, "before") {
			_, _ = s.Place(t.Context(), drawRequest(t))
		}
		f := forkOf(t, s)
		before, steps := snapshot(t, f), len(f.Plan().Steps)
		template, count := drawRequest(t), rapid.IntRange(0, 20).Draw(t, "count")
		got, err := f.Fits(t.Context(), template, count)
		require.NoError(t, err)
		require.Equal(t, before, snapshot(t, f))
		require.Len(t, f.Plan().Steps, steps)
		want := 0
		for ; want < count; want++ {
			if _, err := f.Place(t.Context(), numbered(template, want+1)); err != nil {
				break
			}
		}
		require.Equal(t, want, got)
	})
}

// TestFitsCostsWhatFits: a count without end is no more work than the nodes have room
// for.
func TestFitsCostsWhatFits(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	f, err := s.Fork(t.Context())
	require.NoError(t, err)
	fit, err := f.Fits(t.Context(), testRequest("new", 1), math.MaxInt)
	require.NoError(t, err)
	require.Equal(t, 4, fit)
	place(t, s, testRequest("new-6", 1)) // beyond the first that does not fit
	place(t, s, testRequest("new-2", 1))
	f, err = s.Fork(t.Context())
	require.NoError(t, err)
	_, err = f.Fits(t.Context(), testRequest("new", 1), 6)
	require.ErrorIs(t, err, ErrConflict)
	require.NoError(t, s.Release(t.Context(), "new-2"))
	f, err = s.Fork(t.Context())
	require.NoError(t, err)
	fit, err = f.Fits(t.Context(), testRequest("other", 1), math.MaxInt)
	require.NoError(t, err)
	require.Equal(t, 3, fit)
}

// TestAForkKnowsWhatFallsDue: evictions, ends of instances and of bursts fall due on a
// fork as on the scheduler, and what has fallen due before is not told again.
func TestAForkKnowsWhatFallsDue(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 16))
	for _, ns := range []string{"over", "later"} {
		spec := burstingQuota(map[string]time.Duration{"over": time.Second, "later": 20 * time.Second}[ns])
		spec.Namespace = ns
		createQuota(t, s, spec)
		req := testRequest("burst-"+ns, 2)
		req.Namespace = ns
		place(t, s, req)
	}
	stays := onlyCPU("stays", 1)
	stays.Preferences.Tolerations = []placement.Toleration{placement.TolerateExists("k").AtMost(10)}
	ends := onlyCPU("ends", 1)
	ends.Preferences.Tolerations = []placement.Toleration{placement.TolerateExists("k")}
	ends.Duration = 30 * time.Second
	place(t, s, stays)
	place(t, s, ends)
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("k")))
	c.advance(2 * time.Second)
	require.NotEmpty(t, sweep(t, s), "one burst is over")

	f := forkOf(t, s)
	for range 4 {
		want, known := s.NextDeadline()
		got, due := f.NextDeadline()
		require.Equal(t, known, due)
		require.Equal(t, want, got)
		c.advance(10 * time.Second)
		told, err := f.Sweep(t.Context())
		require.NoError(t, err)
		require.Equal(t, sweep(t, s), told)
	}
	_, due := s.NextDeadline()
	require.False(t, due, "all of it has fallen due")
}

// TestARollbackOfAReservationLooksAtNoOther: what a fork takes to try something with a
// reservation does not grow with those that stay as they are.
func TestARollbackOfAReservationLooksAtNoOther(t *testing.T) {
	trial := func(others int) float64 {
		s := newTestScheduler(t, Config{Now: newClock().Now})
		n := testNode("n1", 64)
		addNodes(t, s, n, testNode("n2", int64(others)+1))
		for i := range others {
			other := holding(fmt.Sprint("other", i), 1, 1)
			other.Node, other.Duration = "n2", time.Duration(i+1)*time.Minute
			reserve(t, s, other)
		}
		f, err := s.Fork(t.Context())
		require.NoError(t, err)
		return testing.AllocsPerRun(20, func() {
			mark := f.Mark()
			mine := holding("mine", 2, 1)
			mine.Node = "n1"
			_, err := f.Reserve(t.Context(), mine)
			require.NoError(t, err)
			_, err = f.PlaceFromReservation(t.Context(), "mine", onlyCPU("x", 1))
			require.NoError(t, err)
			require.NoError(t, f.ReleaseReservation(t.Context(), "mine", true))
			require.NoError(t, f.Rollback(mark))
		})
	}
	few, many := trial(10), trial(600)
	require.Less(t, many, few+60, "the way of a change is longer, by the logarithm")
}
