package scheduler_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

// stillWaiting returns the IDs that were refused, as ID×times.
func stillWaiting(t *testing.T, s *scheduler.Scheduler) []string {
	t.Helper()
	refused, err := s.Refused(t.Context())
	require.NoError(t, err)
	all := make([]string, 0, len(refused))
	for _, r := range refused {
		all = append(all, fmt.Sprintf("%s×%d", r.Request.ID, r.Times))
	}
	return all
}

func TestWhatWasRefusedWaitsUntilItIsPlaced(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s, err := scheduler.New(scheduler.Config{Now: func() time.Time { return now }})
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 4 * placement.Core}}))
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {}}})
	require.NoError(t, err)

	_, err = s.Place(ctx, cores("a", 8))
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	now = now.Add(time.Second)
	results, err := s.PlaceAll(ctx, cores("b", 9), cores("c", 1))
	require.NoError(t, err)
	require.ErrorIs(t, results[0].Err, scheduler.ErrUnschedulable)
	now = now.Add(time.Second)
	_, err = s.Allocate(ctx, "n1", cores("a", 7))
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	limited := cores("d", 1)
	limited.Namespace = "team"
	_, err = s.Place(ctx, limited)
	require.ErrorIs(t, err, quota.ErrExceeded)
	_, err = s.Schedule(ctx, cores("e", 8))
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	_, err = s.Place(ctx, placement.Request{ID: "f", Priority: 1, DynamicPorts: -1})
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.Equal(t, []string{"a×2", "b×1", "d×1"}, stillWaiting(t, s), "neither placed, nor only asked, nor invalid")

	refused, err := s.Refused(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 7*placement.Core, refused[0].Request.Resources.CPU, "as it was last asked")
	require.Equal(t, 2*time.Second, refused[0].Last.Sub(refused[0].First))
	require.Equal(t, "scheduler: 0 of 1 nodes fit a: 1 lacks cpu", refused[0].String())
	require.NotNil(t, refused[2].Exceeded)

	_, err = s.Place(ctx, cores("a", 1))
	require.NoError(t, err)
	_, err = s.PlaceAll(ctx, cores("b", 1))
	require.NoError(t, err)
	require.Equal(t, []string{"d×1"}, stillWaiting(t, s))
	ended, end := context.WithCancel(ctx)
	end()
	_, err = s.Refused(ended)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheRefusalsOfLongAgoAreForgotten(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	for i := range 257 {
		_, err := s.Place(t.Context(), cores(fmt.Sprint(i), 1))
		require.ErrorIs(t, err, scheduler.ErrUnschedulable)
		_, err = s.Place(t.Context(), cores("0", 1)) // always one of the last
		require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	}
	all := stillWaiting(t, s)
	require.Len(t, all, 256)
	require.Contains(t, all, "0×258")
	require.NotContains(t, all, "1×1")
}

func TestRefusalsShareNothingWithTheCaller(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	req := cores("a", 1)
	req.Labels = map[string]string{"k": "v"}
	_, err = s.Place(t.Context(), req)
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	req.Labels["k"] = "changed"
	refused, err := s.Refused(t.Context())
	require.NoError(t, err)
	refused[0].Request.Labels["k"] += "!"
	refused, err = s.Refused(t.Context())
	require.NoError(t, err)
	require.Equal(t, "v", refused[0].Request.Labels["k"])
}

func ExampleScheduler_Refused() {
	s := cluster(scheduler.Config{})
	ctx := context.Background()
	for _, id := range []string{"large", "larger"} {
		if _, err := s.Place(ctx, cores(id, 12)); err != nil {
			continue // and try again later
		}
	}
	refused, err := s.Refused(ctx)
	must(err)
	for _, r := range refused {
		fmt.Println(r)
	}
	// Output:
	// scheduler: 0 of 3 nodes fit large: 3 lack cpu
	// scheduler: 0 of 3 nodes fit larger: 3 lack cpu
}

// What a worker reports runs, whoever has placed it, and waits no more.
func TestWhatIsAdoptedWaitsNoMore(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		_, err := s.Place(t.Context(), one(id))
		require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	}
	_, err = s.AdoptNode(t.Context(), nodeOf("n1", 8), []scheduler.Report{{Request: one("a")}})
	require.NoError(t, err)
	waiting, err := s.Refused(t.Context())
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, "b", waiting[0].Request.ID)
}
