package pagetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// markup is the name of somebody who tries.
const markup = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`

// fill gives a scheduler a bit of everything: three zones, GPUs of which one is broken,
// a cordoned and a lost node, a burst, reservations in several states, and names with
// markup.
func fill(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	ctx := t.Context()
	s.Watch(ctx, 0) // from here on there are events
	for i := range 48 {
		n := placement.Node{
			ID: fmt.Sprintf("node-%02d", i), Labels: map[string]string{"zone": string("abc"[i%3]), "rack": fmt.Sprintf("r%d", i/6), "kind": "general"},
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
		}
		if i%8 == 0 {
			n.Labels["kind"] = "gpu"
			n.Devices = placement.Devices{Count: 8, Model: "h100"}
			n.Taints = []placement.Taint{{Key: "gpu", Effect: placement.NoSchedule}}
		}
		if i == 8 {
			n.Devices.Broken = []int{3}
		}
		require.NoError(t, s.AddNode(ctx, n))
	}
	quotas(t, s)
	for i := range 140 {
		_, err := s.Place(ctx, placement.Request{
			ID: fmt.Sprintf("web-%03d", i), Namespace: "shop", Group: "web", Labels: map[string]string{"app": "web"},
			Resources:   placement.Resources{CPU: int64(1+i%7) * placement.Core, Memory: int64(2+i%11) * placement.GiB},
			Preferences: placement.Use([]placement.Strategy{placement.Spread, placement.BinPack}[i%2]),
		})
		require.NoError(t, err)
	}
	for i := range 9 {
		_, err := s.Place(ctx, placement.Request{
			ID: fmt.Sprintf("train-%d", i), Namespace: "research", Resources: placement.Resources{CPU: 4 * placement.Core, GPU: int64(1+i%3) * placement.Device},
			Preferences: placement.Use(placement.BinPack).TolerateExists("gpu"),
		})
		require.NoError(t, err)
	}
	reservations(t, s)
	require.NoError(t, s.Cordon(ctx, "node-05"))
	require.NoError(t, s.MarkLost(ctx, "node-11"))
	require.NoError(t, s.AddNode(ctx, placement.Node{ID: markup, Labels: map[string]string{"zone": markup}, Capacity: placement.Resources{CPU: placement.Core}}))
	_, err := s.CreateQuota(ctx, quota.Spec{Namespace: markup})
	require.NoError(t, err)
	for _, r := range []placement.Request{
		{ID: "huge", Namespace: "shop", Resources: placement.Resources{CPU: 64 * placement.Core}},
		{ID: markup, Resources: placement.Resources{CPU: 40 * placement.Core}},
		{ID: "gpus", Namespace: "research", Resources: placement.Resources{GPU: 16 * placement.Device}},
	} {
		_, err := s.Place(ctx, r)
		require.Error(t, err)
	}
}

func quotas(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	limit := func(cores int64) map[placement.ResourceName]quota.Limit {
		return map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: cores * placement.Core}}
	}
	burst := map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 400 * placement.Core, BurstPercent: 200, BurstFor: time.Hour}}
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: limit(1500)},
		{Namespace: "shop", Parent: "org", Limits: burst},
		{Namespace: "research", Parent: "org", Limits: limit(600)},
		{Namespace: "vision", Parent: "research", Limits: limit(100)},
	} {
		_, err := s.CreateQuota(t.Context(), spec)
		require.NoError(t, err)
	}
}

func reservations(t *testing.T, s *scheduler.Scheduler) {
	t.Helper()
	now := time.Now()
	for _, spec := range []reservation.Spec{
		{ID: "launch", Namespace: "org", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 4, Duration: 2 * time.Hour},
		{ID: "nightly", Namespace: "research", Shape: placement.Resources{CPU: 16 * placement.Core}, Count: 6, Start: now.Add(5 * time.Hour), Duration: 3 * time.Hour},
		{ID: "pinned", Namespace: "vision", Shape: placement.Resources{CPU: 2 * placement.Core}, Count: 2, Node: "node-11", Duration: time.Hour},
		{ID: "swap-disk", Node: "node-20", Maintenance: true, Start: now.Add(time.Hour), Duration: time.Hour, Notice: 30 * time.Minute},
	} {
		_, err := s.Reserve(t.Context(), spec)
		require.NoError(t, err, spec.ID)
	}
	_, err := s.PlaceFromReservation(t.Context(), "launch", placement.Request{ID: "launch-1", Namespace: "org", Resources: placement.Resources{CPU: 4 * placement.Core}})
	require.NoError(t, err)
}

// election is the status of a leader of three.
func election(t *testing.T) func() raft.Status {
	t.Helper()
	members, err := raft.NewConfiguration(
		raft.Member{ID: "a", Voter: true, Data: "http://10.0.0.1:8001"},
		raft.Member{ID: "b", Voter: true, Data: "http://10.0.0.2:8001"},
		raft.Member{ID: "w", Voter: true, Witness: true, Data: "http://10.0.0.3:8001"})
	require.NoError(t, err)
	return func() raft.Status {
		return raft.Status{Cluster: "test", ID: "a", Role: raft.Leader, Leader: "a", Leading: true, Lease: 120 * time.Millisecond, Term: 7, Configuration: members}
	}
}
