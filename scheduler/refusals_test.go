package scheduler

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// callCluster is a cluster as somebody on call finds it: general nodes in three
// zones, full of services, tainted GPU nodes, two Arm nodes that are mostly
// reserved, a cordoned and a lost one.
func callCluster(t *testing.T) *Scheduler {
	t.Helper()
	s := newTestScheduler(t, Config{Now: newClock().Now})
	for i := range 12 {
		n := placement.Node{
			ID: fmt.Sprintf("gen-%02d", i), MaxInstances: 20,
			Capacity: placement.Resources{CPU: 16 * placement.Core, Memory: 64 * placement.GiB},
			Labels:   map[string]string{"zone": string(rune('a' + i%3)), "kernel": "5.15.0-91-generic", "disk": "ssd", "host": fmt.Sprintf("gen-%02d", i)},
		}
		if i == 3 {
			n.Capacity.Custom = map[string]int64{"licence": 2}
		}
		addNodes(t, s, n)
	}
	for i := range 4 {
		addNodes(t, s, placement.Node{
			ID: fmt.Sprintf("gpu-%02d", i), Devices: placement.Devices{Count: 8, Model: "a100"},
			Capacity: placement.Resources{CPU: 64 * placement.Core, Memory: 512 * placement.GiB, GPU: 8 * placement.Device},
			Labels:   map[string]string{"zone": "a", "kernel": "6.1.0"},
			Taints:   []placement.Taint{{Key: "nvidia.com/gpu", Effect: placement.NoSchedule}},
		})
	}
	for i := range 2 {
		addNodes(t, s, placement.Node{
			ID:       fmt.Sprintf("arm-%02d", i),
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
			Labels:   map[string]string{"zone": "b", "arch": "arm64"},
		})
	}
	addNodes(t, s, placement.Node{
		ID: "big-00", Labels: map[string]string{"zone": "c"},
		Capacity: placement.Resources{CPU: 96 * placement.Core, Memory: 1024 * placement.GiB},
	}, testNode("gone-00", 64))
	for i := range 12 {
		req := callRequest(fmt.Sprint("web-", i), 12)
		req.Group, req.Labels = "web", map[string]string{"app": "web"}
		allocate(t, s, fmt.Sprintf("gen-%02d", i), req)
	}
	quiet := callRequest("quiet-0", 1)
	quiet.Labels = map[string]string{"app": "quiet"}
	quiet.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "noisy")).Among(placement.AllNamespaces))
	allocate(t, s, "gen-05", quiet)
	for i := range 3 {
		batch := callRequest(fmt.Sprint("batch-", i), 1)
		batch.Namespace, batch.Priority, batch.Resources.Custom = "batch", -1, nil
		allocate(t, s, "gen-02", batch)
	}
	licensed := callRequest("licensed", 1)
	licensed.Resources.Custom = map[string]int64{"licence": 2}
	allocate(t, s, "gen-03", licensed)
	for i := range 2 {
		spec := holding(fmt.Sprint("night-", i), 30, 1)
		spec.Namespace, spec.Node, spec.Duration = "batch", fmt.Sprintf("arm-%02d", i), 8*time.Hour
		reserve(t, s, spec)
	}
	require.NoError(t, s.Cordon(t.Context(), "big-00"))
	require.NoError(t, s.MarkLost(t.Context(), "gone-00"))
	return s
}

func callRequest(id string, cores int64) placement.Request {
	return placement.Request{
		ID: id, Namespace: "team", Resources: placement.Resources{CPU: cores * placement.Core, Memory: placement.GiB},
	}
}

type refusal struct {
	name string
	edit func(*placement.Request)
	do   func(testHelper, *Scheduler) // before, if not nil
}

// rules returns an edit of a request's preferences.
func rules(edit func(placement.Preferences) placement.Preferences) func(*placement.Request) {
	return func(r *placement.Request) { r.Preferences = edit(r.Preferences) }
}

func cpu(cores int64) func(*placement.Request) {
	return func(r *placement.Request) { r.Resources.CPU = cores * placement.Core }
}

func refusedRules() []refusal {
	web := placement.Equal("app", "web")
	type p = placement.Preferences
	tolerant := func(r *placement.Request) { r.Preferences = r.Preferences.TolerateExists("nvidia.com/gpu") }
	return []refusal{
		{name: "its own anti-affinity", edit: func(r *placement.Request) {
			cpu(4)(r)
			r.Preferences = r.Preferences.Near(placement.Repel(web)).Require(placement.Exists("disk"))
		}},
		{name: "its own anti-affinity over zones", edit: func(r *placement.Request) {
			r.Preferences = r.Preferences.Near(placement.Repel(web).Within("zone"))
		}},
		{name: "a stranger's anti-affinity", edit: func(r *placement.Request) {
			r.Labels = map[string]string{"app": "noisy"}
			r.Preferences = r.Preferences.Require(placement.Equal("host", "gen-05"))
			cpu(3)(r)
		}},
		{name: "nothing to be near to", edit: rules(func(q p) p { return q.Near(placement.Attract(placement.Equal("app", "db")).Within("zone")) })},
		{name: "what it wants to be near to is in another namespace", edit: func(r *placement.Request) {
			r.Namespace = "other"
			r.Preferences = r.Preferences.Near(placement.Attract(web).Within("zone"))
		}},
		{name: "near to what runs on one full node", edit: func(r *placement.Request) {
			cpu(4)(r)
			r.Preferences = r.Preferences.Near(placement.Attract(placement.Equal("app", "quiet")))
		}},
		{name: "one for each node", edit: func(r *placement.Request) {
			r.Group = "web"
			r.Preferences = r.Preferences.Across(placement.AtMostPer("", 1)).Require(placement.Exists("disk"))
		}},
		{name: "spread over zones with too much in one", edit: func(r *placement.Request) {
			r.Group = "web"
			r.Preferences = r.Preferences.Across(placement.EvenlyOver("zone", 1)).Require(placement.Exists("disk"))
			cpu(4)(r)
		}, do: func(t testHelper, s *Scheduler) {
			t.Helper()
			for _, id := range []string{"web-0", "web-3"} {
				require.NoError(t, s.Release(t.Context(), id))
			}
			for node, cores := range map[string]int64{"gen-00": 14, "gen-03": 14, "gen-06": 4, "gen-09": 4} {
				allocate(t, s, node, callRequest("more-"+node, cores))
			}
		}},
		{name: "spread over more zones than there are", edit: func(r *placement.Request) {
			r.Group = "web"
			r.Preferences = r.Preferences.Across(placement.EvenlyOver("zone", 1).Needing(4))
		}},
		{name: "spread over a label that no node has", edit: func(r *placement.Request) {
			r.Group = "web"
			r.Preferences = r.Preferences.Across(placement.AtMostPer("rack", 1))
		}},
		{name: "a kernel that is too old", edit: rules(func(q p) p { return q.Require(placement.Version("kernel", ">= 6.2")) })},
		{name: "a misspelt label", edit: rules(func(q p) p { return q.Require(placement.Equal("Zone", "a")) })},
		{name: "a zone that is not there", edit: rules(func(q p) p { return q.Require(placement.In("zone", "d", "e")) })},
		{name: "GPUs without a toleration", edit: func(r *placement.Request) { r.Resources.GPU = placement.Device }},
		{name: "more GPUs than a node has", edit: func(r *placement.Request) { r.Resources.GPU = 9 * placement.Device; tolerant(r) }},
		{name: "GPUs on a node that fails its rules too", edit: func(r *placement.Request) {
			r.Resources.GPU = placement.Device
			r.Preferences = r.Preferences.Require(placement.Equal("zone", "b"))
		}},
	}
}

func refusedAmounts() []refusal {
	return []refusal{
		{name: "a little too much", edit: cpu(5)},
		{name: "more than any node has", edit: cpu(200)},
		{name: "only a cordoned node is large enough", edit: cpu(80)},
		{name: "more memory than there is", edit: func(r *placement.Request) { cpu(1)(r); r.Resources.Memory = 2048 * placement.GiB }},
		{name: "licences in use", edit: func(r *placement.Request) { r.Resources.Custom = map[string]int64{"licence": 1} }},
		{name: "more licences than there are", edit: func(r *placement.Request) { r.Resources.Custom = map[string]int64{"licence": 3} }},
		{name: "a misspelt licence", edit: func(r *placement.Request) { r.Resources.Custom = map[string]int64{"license": 1} }},
		{name: "capacity that is reserved", edit: func(r *placement.Request) {
			cpu(4)(r)
			r.Preferences = r.Preferences.Require(placement.Equal("arch", "arm64"))
		}},
		{name: "a node over in what is not asked", edit: func(r *placement.Request) {
			cpu(1)(r)
			r.Preferences = r.Preferences.Require(placement.Equal("zone", "a"), placement.Exists("disk"))
			r.Preferences = r.Preferences.Near(placement.Attract(placement.Equal("app", "licensed")))
		}, do: func(t testHelper, s *Scheduler) {
			t.Helper()
			info, err := s.Node(t.Context(), "gen-03")
			require.NoError(t, err)
			n := info.Node
			n.Capacity.Custom = map[string]int64{"licence": 1}
			_, err = s.UpdateNode(t.Context(), n)
			require.NoError(t, err)
		}},
		{name: "less important work is in the way", edit: func(r *placement.Request) {
			cpu(3)(r)
			r.Priority = 5
			r.Preferences = r.Preferences.Require(placement.Equal("host", "gen-02"))
		}},
		{name: "all nodes are full of instances", edit: cpu(0), do: func(t testHelper, s *Scheduler) {
			t.Helper()
			for _, n := range listed(t, s.Nodes) {
				n.MaxInstances = max(1, n.Instances)
				if n.Instances > 0 && n.State != NodeLost {
					_, err := s.UpdateNode(t.Context(), n.Node)
					require.NoError(t, err)
				} else if n.State != NodeLost {
					require.NoError(t, s.Cordon(t.Context(), n.ID))
				}
			}
		}},
		{name: "a port that is taken or kept", edit: func(r *placement.Request) {
			cpu(1)(r)
			r.Ports = []placement.Port{{Number: 443}}
			r.Preferences = r.Preferences.Require(placement.In("host", "gen-00", "gen-01"))
		}, do: func(t testHelper, s *Scheduler) {
			t.Helper()
			proxy := callRequest("proxy", 1)
			proxy.Ports = []placement.Port{{Number: 443}}
			allocate(t, s, "gen-00", proxy)
			info, err := s.Node(t.Context(), "gen-01")
			require.NoError(t, err)
			info.ReservedPorts = []placement.Port{{Number: 443}}
			_, err = s.UpdateNode(t.Context(), info.Node)
			require.NoError(t, err)
		}},
		{name: "too few dynamic ports", edit: func(r *placement.Request) {
			cpu(1)(r)
			r.DynamicPorts = 3
			r.Preferences = r.Preferences.Require(placement.Equal("host", "gen-00"))
		}, do: func(t testHelper, s *Scheduler) {
			t.Helper()
			info, err := s.Node(t.Context(), "gen-00")
			require.NoError(t, err)
			info.DynamicPorts = placement.PortRange{First: 20000, Last: 20001}
			_, err = s.UpdateNode(t.Context(), info.Node)
			require.NoError(t, err)
		}},
		{name: "broken GPUs", edit: func(r *placement.Request) {
			cpu(1)(r)
			r.Resources.GPU = 8 * placement.Device
			r.Preferences = r.Preferences.TolerateExists("nvidia.com/gpu").Require(placement.Equal("gpu.model", "a100"))
		}, do: func(t testHelper, s *Scheduler) {
			t.Helper()
			for i := range 4 {
				info, err := s.Node(t.Context(), fmt.Sprintf("gpu-%02d", i))
				require.NoError(t, err)
				info.Devices.Broken = []int{3}
				_, err = s.UpdateNode(t.Context(), info.Node)
				require.NoError(t, err)
			}
		}},
		{name: "a version that cannot be read", edit: rules(func(q placement.Preferences) placement.Preferences {
			return q.Require(placement.Version("disk", ">= 2"))
		})},
		{name: "the quota is used up", edit: cpu(2), do: func(t testHelper, s *Scheduler) {
			t.Helper()
			_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 100 * placement.Core}}})
			require.NoError(t, err)
		}},
		{name: "neither room nor quota", edit: cpu(200), do: func(t testHelper, s *Scheduler) {
			t.Helper()
			_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 100 * placement.Core}}})
			require.NoError(t, err)
		}},
		{name: "no nodes at all", edit: cpu(1), do: func(t testHelper, s *Scheduler) {
			t.Helper()
			for _, r := range listed(t, s.Reservations) {
				require.NoError(t, s.ReleaseReservation(t.Context(), r.Spec.ID, true))
			}
			for _, n := range listed(t, s.Nodes) {
				_, err := s.RemoveNode(t.Context(), n.ID)
				require.NoError(t, err)
			}
		}},
	}
}

// TestRefusalsReadWell pins what is said to somebody on call; read the difference
// when it changes.
func TestRefusalsReadWell(t *testing.T) {
	var b strings.Builder
	for _, r := range append(refusedRules(), refusedAmounts()...) {
		s := callCluster(t)
		if r.do != nil {
			r.do(t, s)
		}
		req := callRequest("new", 5)
		r.edit(&req)
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s\n  %s\n", r.name, e)
		_, err = s.Place(t.Context(), req)
		require.Error(t, err, r.name)
		fmt.Fprintf(&b, "  %v\n\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	const path = "testdata/refusals.txt"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

func TestForemostIsWhatErrorNamesFirst(t *testing.T) {
	lacks := func(name placement.ResourceName, nodes int) ReasonCount {
		return ReasonCount{placement.Reason{Kind: placement.ReasonResource, Name: name}, nodes}
	}
	e := &UnschedulableError{Total: 5, Reasons: []ReasonCount{
		lacks(placement.NameGPU, 1), lacks(placement.NameMemory, 2), lacks(placement.NameCPU, 2),
	}}
	most, found := e.Foremost()
	require.True(t, found)
	require.Equal(t, e.Reasons[1], most, "of several the first")
	require.Contains(t, e.Error(), ": "+most.String()+", ")
	_, found = new(UnschedulableError).Foremost()
	require.False(t, found)
}
