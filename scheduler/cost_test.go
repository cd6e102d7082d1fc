package scheduler

import (
	"context"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// costedCall is a call with what undoes it, and the things that a host has many
// of with which its comment lets it grow.
type costedCall struct {
	name     string
	do, undo func(ctx context.Context, s *Scheduler) error
	grows    []string
}

// allInstances are what a call that reads all instances grows with: each service
// and each set of rules of the test has one.
func allInstances() []string {
	return []string{"nodes", "instances", "services", "rulesets", "yielders"}
}

func allThings() []string { return append(allInstances(), "namespaces", "reservations", "windows") }

func costedCalls() []costedCall {
	return slices.Concat(placementCosts(), nodeCosts(), quotaCosts(), reservationCosts(), readingCosts())
}

func placementCosts() []costedCall {
	place := func(ctx context.Context, s *Scheduler) error { return grow(ctx, s, growthRequest("x")) }
	release := func(ctx context.Context, s *Scheduler) error { return s.Release(ctx, "x") }
	resize := func(cpu int64) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error {
			_, err := s.Resize(ctx, "base", placement.Resources{CPU: cpu})
			return err
		}
	}
	move := func(ctx context.Context, s *Scheduler) error { _, err := s.Move(ctx, "base", "quiet"); return err }
	moveBack := func(ctx context.Context, s *Scheduler) error {
		moved, err := s.Allocation(ctx, "base")
		kept, keepErr := s.KeepGeneration(ctx, "base", 1)
		if kept.Generation == moved.Generation {
			return errors.Join(err, keepErr)
		}
		return errors.Join(err, keepErr, s.ReleaseGeneration(ctx, "base", moved.Generation))
	}
	leave := func(ctx context.Context, s *Scheduler) error { return s.Leave(ctx, "base") }
	amend := func(priority int32) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error {
			a, err := s.Allocation(ctx, "base")
			a.Request.Priority = priority
			_, amendErr := s.Amend(ctx, "base", a.Request)
			return errors.Join(err, amendErr)
		}
	}
	stay := func(ctx context.Context, s *Scheduler) error { return s.Stay(ctx, "base") }
	return []costedCall{
		{name: "Schedule", grows: []string{"nodes"}, do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.Schedule(ctx, growthRequest("x"))
			return err
		}},
		{name: "Place", grows: []string{"nodes"}, do: place, undo: release},
		{name: "Place for an hour", grows: []string{"nodes"}, undo: release, do: func(ctx context.Context, s *Scheduler) error {
			req := growthRequest("x")
			req.Duration = time.Hour
			return grow(ctx, s, req)
		}},
		{name: "Place that yields", grows: []string{"nodes"}, undo: release, do: func(ctx context.Context, s *Scheduler) error {
			req := growthRequest("x")
			req.Yield = true
			return grow(ctx, s, req)
		}},
		{name: "PlaceAll", grows: []string{"nodes"}, undo: release, do: func(ctx context.Context, s *Scheduler) error {
			results, err := s.PlaceAll(ctx, growthRequest("x"))
			return errors.Join(err, results[0].Err)
		}},
		{name: "Allocate", undo: release, do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.Allocate(ctx, "quiet", growthRequest("x"))
			return err
		}},
		{name: "Release", do: release, undo: place},
		{name: "Resize", do: resize(200), undo: resize(100)},
		{name: "Move", do: move, undo: moveBack},
		{name: "Amend", do: amend(1), undo: amend(0)},
		{name: "Leave", do: leave, undo: stay},
		{name: "Stay", do: stay, undo: leave},
		{name: "Explain", grows: []string{"nodes", "dimensions"}, do: func(ctx context.Context, s *Scheduler) error {
			req := growthRequest("x")
			req.Resources.CPU = math.MaxInt64
			_, err := s.Explain(ctx, req)
			return err
		}},
		{name: "ExplainNode", grows: []string{"dimensions"}, do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.ExplainNode(ctx, growthRequest("x"), "quiet")
			return err
		}},
		{name: "SetWorkload", do: func(ctx context.Context, s *Scheduler) error {
			return s.SetWorkload(ctx, []WorkloadClass{{Resources: placement.Resources{GPU: 500}, Count: 1}})
		}, undo: func(ctx context.Context, s *Scheduler) error { return s.SetWorkload(ctx, nil) }},
	}
}

func nodeCosts() []costedCall {
	add := func(ctx context.Context, s *Scheduler) error { return s.AddNode(ctx, growthNode("x")) }
	remove := func(ctx context.Context, s *Scheduler) error { _, err := s.RemoveNode(ctx, "x"); return err }
	update := func(instances int64) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error {
			n := growthNode("quiet")
			n.MaxInstances = instances
			_, err := s.UpdateNode(ctx, n)
			return err
		}
	}
	taint := placement.Taint{Key: "k", Effect: placement.NoExecute}
	on := func(call func(*Scheduler, context.Context, string) error) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error { return call(s, ctx, "quiet") }
	}
	setLabel := func(ctx context.Context, s *Scheduler) error { return s.SetLabel(ctx, "quiet", "k", "v") }
	removeLabel := func(ctx context.Context, s *Scheduler) error { return s.RemoveLabel(ctx, "quiet", "k") }
	addTaint := func(ctx context.Context, s *Scheduler) error { return s.AddTaint(ctx, "quiet", taint) }
	removeTaint := func(ctx context.Context, s *Scheduler) error {
		return s.RemoveTaint(ctx, "quiet", "k", placement.NoExecute)
	}
	return []costedCall{
		{name: "AddNode", do: add, undo: remove},
		{name: "RemoveNode", do: remove, undo: add},
		{name: "UpdateNode", do: update(1000), undo: update(2000)},
		{name: "SetLabel", do: setLabel, undo: removeLabel},
		{name: "RemoveLabel", do: removeLabel, undo: setLabel},
		{name: "AddTaint", do: addTaint, undo: removeTaint},
		{name: "RemoveTaint", do: removeTaint, undo: addTaint},
		{name: "Cordon", do: on((*Scheduler).Cordon), undo: on((*Scheduler).Uncordon)},
		{name: "Uncordon", do: on((*Scheduler).Uncordon), undo: on((*Scheduler).Cordon)},
		{name: "MarkLost", do: on((*Scheduler).MarkLost), undo: on((*Scheduler).MarkReady)},
		{name: "MarkReady", do: on((*Scheduler).MarkReady), undo: on((*Scheduler).MarkLost)},
		{name: "AdoptNode", do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.AdoptNode(ctx, growthNode("quiet"), []Report{{Request: growthRequest("x")}})
			return err
		}, undo: func(ctx context.Context, s *Scheduler) error { return s.Release(ctx, "x") }},
	}
}

func quotaCosts() []costedCall {
	spec := func(soft int64) quota.Spec {
		return quota.Spec{Namespace: "x", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: soft}}}
	}
	create := func(ctx context.Context, s *Scheduler) error { _, err := s.CreateQuota(ctx, spec(1)); return err }
	remove := func(ctx context.Context, s *Scheduler) error { return s.DeleteQuota(ctx, "x") }
	update := func(soft int64) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error {
			changed := spec(soft)
			changed.Namespace = "base"
			_, err := s.UpdateQuota(ctx, changed)
			return err
		}
	}
	return []costedCall{
		{name: "CreateQuota", do: create, undo: remove},
		{name: "DeleteQuota", do: remove, undo: create},
		{name: "UpdateQuota", do: update(1), undo: update(2)},
	}
}

func reservationCosts() []costedCall {
	reserve := func(ctx context.Context, s *Scheduler) error { _, err := s.Reserve(ctx, growthSpec("x")); return err }
	release := func(ctx context.Context, s *Scheduler) error { return s.ReleaseReservation(ctx, "x", true) }
	claim := func(ctx context.Context, s *Scheduler) error {
		_, err := s.PlaceFromReservation(ctx, "base", growthRequest("claim"))
		return err
	}
	unclaim := func(ctx context.Context, s *Scheduler) error { return s.Unclaim(ctx, "claim") }
	until := func(hours time.Duration) func(context.Context, *Scheduler) error {
		return func(ctx context.Context, s *Scheduler) error {
			_, err := s.Extend(ctx, "base", s.state.now.Add(hours*time.Hour))
			return err
		}
	}
	maintain := func(ctx context.Context, s *Scheduler) error {
		_, err := s.Reserve(ctx, growthWindow("x", s.state.now.Add(4000*time.Hour)))
		return err
	}
	return []costedCall{
		{name: "Reserve", grows: []string{"nodes", "yielders"}, do: reserve, undo: release},
		{name: "Reserve maintenance", grows: []string{"nodes", "reservations", "windows"}, do: maintain, undo: release},
		{name: "ReleaseReservation", do: release, undo: reserve},
		{name: "PlaceFromReservation", do: claim, undo: unclaim},
		{name: "Unclaim", do: unclaim, undo: claim},
		{name: "Extend", do: until(2000), undo: until(3000)},
	}
}

func readingCosts() []costedCall {
	return []costedCall{
		{name: "Node", do: func(ctx context.Context, s *Scheduler) error { _, err := s.Node(ctx, "quiet"); return err }},
		{name: "Nodes", grows: []string{"nodes", "dimensions"}, do: func(ctx context.Context, s *Scheduler) error { _, err := s.Nodes(ctx); return err }},
		{name: "Allocation", do: func(ctx context.Context, s *Scheduler) error { _, err := s.Allocation(ctx, "base"); return err }},
		{name: "Allocations", grows: allInstances(), do: func(ctx context.Context, s *Scheduler) error { _, err := s.Allocations(ctx); return err }},
		{name: "Violations", grows: allInstances(), do: func(ctx context.Context, s *Scheduler) error { _, err := s.Violations(ctx); return err }},
		{name: "AllocationsOn", do: func(ctx context.Context, s *Scheduler) error { _, err := s.AllocationsOn(ctx, "quiet"); return err }},
		{name: "Quota", do: func(ctx context.Context, s *Scheduler) error { _, err := s.Quota(ctx, "base"); return err }},
		{name: "QuotaUsageOver", do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.QuotaUsageOver(ctx, "base", time.Time{}, time.Time{})
			return err
		}},
		{name: "CheckQuotaOver", do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.CheckQuotaOver(ctx, "base", quota.Timed{Amounts: placement.Amounts{Instances: 1}, Reserved: true})
			return err
		}},
		{name: "QuotaUsage", do: func(ctx context.Context, s *Scheduler) error { _, err := s.QuotaUsage(ctx, "base"); return err }},
		{name: "Quotas", grows: []string{"namespaces"}, do: func(ctx context.Context, s *Scheduler) error { _, err := s.Quotas(ctx); return err }},
		{name: "CheckQuota", do: func(ctx context.Context, s *Scheduler) error {
			_, err := s.CheckQuota(ctx, "base", placement.Resources{CPU: 1})
			return err
		}},
		{name: "VerifyQuota", grows: allThings(), do: func(ctx context.Context, s *Scheduler) error { return s.VerifyQuota(ctx) }},
		{name: "Reservation", do: func(ctx context.Context, s *Scheduler) error { _, err := s.Reservation(ctx, "base"); return err }},
		{name: "Reservations", grows: []string{"reservations", "windows"}, do: func(ctx context.Context, s *Scheduler) error { _, err := s.Reservations(ctx); return err }},
		{name: "WriteSnapshot", grows: allThings(), do: func(ctx context.Context, s *Scheduler) error { return s.WriteSnapshot(ctx, io.Discard) }},
		{name: "Sweep", do: func(ctx context.Context, s *Scheduler) error { _, err := s.Sweep(ctx); return err }},
		{name: "Wait", do: func(ctx context.Context, s *Scheduler) error { return s.Wait(ctx, 0) }},
		{name: "Stats", do: func(_ context.Context, s *Scheduler) error { _ = s.Stats(); return nil }},
		{name: "Inventory", grows: []string{"namespaces", "dimensions"}, do: func(ctx context.Context, s *Scheduler) error { _, err := s.Inventory(ctx); return err }},
		{name: "Scale", grows: []string{"dimensions"}, do: func(_ context.Context, s *Scheduler) error { _ = s.Scale(); return nil }},
		{name: "NextDeadline", do: func(_ context.Context, s *Scheduler) error { _, _ = s.NextDeadline(); return nil }},
		{name: "Watch", do: func(ctx context.Context, s *Scheduler) error {
			ended, end := context.WithCancel(ctx)
			end()
			for range s.Watch(ended, s.Version()) {
				continue
			}
			return nil
		}},
	}
}

// TestCallsGrowOnlyWithWhatTheirCommentsName makes every call on a small and on a
// large cluster, and counts the records that it reads, the classes that the index
// looks at and the words that it allocates, beside watchers that wait as well. What
// a comment does not name must not matter, and what it names as read as a whole must.
func TestCallsGrowOnlyWithWhatTheirCommentsName(t *testing.T) {
	const small, large = 40, 640
	for _, thing := range append(allThings(), "watchers", "dimensions") {
		synctest.Test(t, func(t *testing.T) {
			few, many := costedCluster(t, thing, small), costedCluster(t, thing, large)
			for _, call := range costedCalls() {
				before, after := work(t, few, call), work(t, many, call)
				if slices.Contains(call.grows, thing) {
					if slices.Contains(call.grows, "instances") {
						require.Greater(t, after, before+large-small, "%s reads all %s", call.name, thing)
					}
					continue
				}
				require.LessOrEqual(t, after, before+before/4+64, "%s with %d %s and with %d", call.name, small, thing, large)
			}
		})
	}
}

func costedCluster(t *testing.T, thing string, size int) *Scheduler {
	t.Helper()
	ctx := t.Context()
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, growthNode("base"), growthNode("quiet"))
	allocate(t, s, "base", growthRequest("base"))
	spec := growthSpec("base")
	spec.Node = "base"
	reserve(t, s, spec)
	createQuota(t, s, cpuQuota("base", 1000))
	if thing == "dimensions" {
		addDimensions(t, s, size/20) // there cannot be as many
		return s
	}
	for i := range size {
		require.NoError(t, growing()[thing](ctx, s, i))
	}
	return s
}

// addDimensions brings up dimensions, each on a node of its own, and as many nodes
// however few they are.
func addDimensions(t *testing.T, s *Scheduler, dimensions int) {
	t.Helper()
	for i := range placement.MaxDimensions - 5 {
		thing := "nodes"
		if i < dimensions {
			thing = "dimensions"
		}
		require.NoError(t, growing()[thing](t.Context(), s, i))
	}
}

// work returns the least that a call does in some runs: now and then a table grows,
// which is no work of that call. Watchers that begin, or read what was told before,
// have come to rest.
func work(t *testing.T, s *Scheduler, call costedCall) int64 {
	t.Helper()
	ctx := context.Background()
	if firstUndone(call.name) {
		require.NoError(t, call.undo(ctx, s), call.name)
		defer func() { require.NoError(t, call.do(ctx, s), call.name) }()
	}
	least := int64(math.MaxInt64)
	for range 6 {
		read, search := s.state.visited, s.state.index.Stats()
		var before, after runtime.MemStats
		synctest.Wait()
		runtime.ReadMemStats(&before)
		err := call.do(ctx, s)
		runtime.ReadMemStats(&after)
		require.NoError(t, err, call.name)
		now := s.state.index.Stats()
		least = min(least, int64(s.state.visited-read)+int64(now.Moved-search.Moved)+int64(now.Compared-search.Compared)+
			int64(after.TotalAlloc-before.TotalAlloc)/8)
		if call.undo != nil {
			require.NoError(t, call.undo(ctx, s), call.name)
		}
	}
	return least
}

// firstUndone are the calls that need what undoes them to have been made before.
func firstUndone(name string) bool {
	return slices.Contains([]string{
		"Release", "RemoveNode", "RemoveLabel", "RemoveTaint", "Uncordon", "MarkReady", "DeleteQuota", "ReleaseReservation", "Unclaim", "Stay",
	}, name)
}

// TestEveryCallIsCosted: a call that is added needs a place in the table above.
func TestEveryCallIsCosted(t *testing.T) {
	known := map[string]string{
		"AllocateIf":         "is Allocate that asks for a version",
		"Commit":             "is its steps, which are calls",
		"Fork":               "copies what WriteSnapshot writes",
		"Checkpoint":         "writes what WriteSnapshot writes",
		"Run":                "sweeps and appends checkpoints",
		"Close":              "ends all",
		"DeadlineChanged":    "returns a channel",
		"ExplainReservation": "is Reserve that makes nothing, and looks at every node",
		"ReleaseGeneration":  "is Release of another generation",
		"KeepGeneration":     "is Move to where it has been",
		"ResizeReservation":  "is UpdateReservation, as Extend is",
		"Token":              "returns a field",
		"Refused":            "copies at most 256 requests",
		"UpdateReservation":  "is what Extend calls",
		"Prepare":            "reads no state",
		"Version":            "returns a field",
	}
	for _, call := range costedCalls() {
		known[call.name] = "is counted"
	}
	for call := range reflect.TypeFor[*Scheduler]().Methods() {
		require.Contains(t, known, call.Name)
	}
}
