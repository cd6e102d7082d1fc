package scheduler

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func kubernetesSpellings() map[string][]mapCase {
	all := kubernetesResources()
	maps.Copy(all, kubernetesNodeRules())
	maps.Copy(all, kubernetesPodRules())
	maps.Copy(all, kubernetesSpread())
	maps.Copy(all, kubernetesTaints())
	return all
}

func kubernetesResources() map[string][]mapCase {
	asked := placement.Resources{CPU: 500, Memory: 8 * placement.GiB}
	reserving := offering("a", placement.Resources{CPU: 3 * placement.Core})
	reserving.Reserved.CPU = 2 * placement.Core
	capped := testNode("b", 8)
	capped.MaxInstances = 1
	important := needing(placement.Resources{CPU: placement.Core})
	important.Priority = 2
	porty := ruled(placement.Preferences{}, "")
	porty.Ports = tcp(80)
	return map[string][]mapCase{
		"requests: cpu 500m, memory 8Gi": {{
			nodes: []placement.Node{
				offering("both", asked),
				offering("cpu", placement.Resources{CPU: 499, Memory: 8 * placement.GiB}),
				offering("memory", placement.Resources{CPU: 500, Memory: 8*placement.GiB - 1}),
			},
			request: needing(asked), fits: []string{"both"},
			also: func(t *testing.T, _ *Scheduler) {
				t.Helper()
				read, err := placement.ParseResources("cpu=500m memory=8GiB")
				require.NoError(t, err)
				require.Equal(t, asked, read)
			},
		}},
		"ephemeral-storage": {{
			nodes:   []placement.Node{offering("a", placement.Resources{Disk: 9}), offering("b", placement.Resources{Disk: 10})},
			request: needing(placement.Resources{Disk: 10}), fits: []string{"b"},
		}},
		"nvidia.com/gpu: 2": {{
			nodes:   []placement.Node{gpus("one", 1, ""), gpus("two", 2, ""), gpus("shared", 2, "")},
			running: []mapRun{using("shared", placement.Resources{GPU: 1})},
			request: needing(placement.Resources{GPU: 2 * placement.Device}), fits: []string{"two"},
		}},
		"extended resource example.com/fpga": {{
			nodes:   []placement.Node{testNode("a", 8), offering("b", placement.Resources{Custom: map[string]int64{"example.com/fpga": 1}})},
			request: needing(placement.Resources{Custom: map[string]int64{"example.com/fpga": 1}}), fits: []string{"b"},
		}},
		"status.allocatable; max pods": {{
			nodes: []placement.Node{reserving, capped, testNode("c", 8)}, running: []mapRun{on("b", "")},
			request: needing(placement.Resources{CPU: 2 * placement.Core}), fits: []string{"c"},
		}, {
			nodes:   []placement.Node{reserving, capped},
			request: needing(placement.Resources{CPU: placement.Core}), fits: []string{"a", "b"},
		}},
		"hostPort": {{
			nodes: []placement.Node{testNode("a", 8), testNode("b", 8)}, running: []mapRun{{"a", porty}},
			request: porty, fits: []string{"b"},
		}},
		"PriorityClass value": {{
			nodes:   []placement.Node{offering("a", placement.Resources{CPU: placement.Core})},
			running: []mapRun{using("a", placement.Resources{CPU: placement.Core})},
			request: important,
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				e, err := s.Explain(t.Context(), important)
				require.NoError(t, err)
				require.Equal(t, "a", e.Help.Preemption)
				e, err = s.Explain(t.Context(), needing(important.Resources))
				require.NoError(t, err)
				require.Empty(t, e.Help.Preemption, "of the same priority")
			},
		}},
	}
}

func kubernetesNodeRules() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{marked("a", "zone=A cores=8"), marked("b", "zone=B disktype=ssd cores=16"), marked("c", "disktype=hdd")}
	required := func(c placement.Constraint, fits ...string) mapCase {
		return mapCase{nodes: nodes, request: ruled(p.Require(c), ""), fits: fits}
	}
	return map[string][]mapCase{
		"nodeSelector: {disktype: ssd}": {required(placement.Equal("disktype", "ssd"), "b")},
		"nodeAffinity, required":        {required(placement.Exists("zone"), "a", "b")},
		"In, NotIn, Exists, DoesNotExist": {
			required(placement.In("zone", "A", "C"), "a"),
			required(placement.NotIn("zone", "A", "C"), "b", "c"),
			required(placement.Exists("disktype"), "b", "c"),
			required(placement.NotExists("disktype"), "a"),
		},
		"Gt, Lt": {
			required(placement.Greater("cores", 8), "b"),
			required(placement.Less("cores", 16), "a"),
		},
		"several nodeSelectorTerms": {required(placement.Or(
			placement.And(placement.Equal("zone", "B"), placement.Equal("disktype", "ssd")),
			placement.And(placement.Equal("zone", "A"), placement.Equal("disktype", "ssd")),
			placement.Equal("disktype", "hdd")), "b", "c")},
		"matchFields metadata.name": {{
			nodes:   []placement.Node{marked("a", "host=a"), marked("b", "host=b")},
			request: ruled(p.Require(placement.Equal("host", "b")), ""), fits: []string{"b"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				d, err := s.Allocate(t.Context(), "a", ruled(p, ""))
				require.NoError(t, err)
				require.Equal(t, "a", d.NodeID)
			},
		}},
		"nodeAffinity, preferred, weight: 50": {{
			nodes: nodes, request: ruled(p.Prefer(placement.Equal("disktype", "hdd"), 50), ""),
			fits: []string{"a", "b", "c"}, chosen: "c",
		}},
		"extender or plugin that scores nodes": {{
			nodes:   []placement.Node{marked("a", "price=700"), marked("b", "price=300"), marked("c", "price=301")},
			request: ruled(p.PreferScaled("price", -50), ""), fits: []string{"a", "b", "c"}, chosen: "b",
		}, {
			nodes:   []placement.Node{marked("a", ""), marked("b", "score=10"), marked("c", "score=1000.0")},
			request: ruled(p.PreferScaled("score", 1), ""), fits: []string{"a", "b", "c"}, chosen: "b",
		}},
		"MostAllocated, LeastAllocated": {{
			nodes: nodes, running: []mapRun{on("b", "")},
			request: ruled(placement.Use(placement.BinPack), ""), fits: []string{"a", "b", "c"}, chosen: "b",
		}, {
			nodes: nodes, running: []mapRun{on("a", ""), on("b", "")},
			request: ruled(placement.Use(placement.Spread), ""), fits: []string{"a", "b", "c"}, chosen: "c",
		}, {
			nodes: nodes[:2], running: []mapRun{grouped("a"), on("b", ""), on("b", "")},
			request: ruled(placement.Use(placement.Spread), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
	}
}

func kubernetesPodRules() map[string][]mapCase {
	var p placement.Preferences
	db, web := placement.Equal("app", "db"), placement.Equal("app", "web")
	nodes := []placement.Node{marked("a", "zone=A"), marked("b", "zone=A"), marked("c", "zone=B"), marked("d", "")}
	foreign := on("a", "app=db")
	foreign.request.Namespace = "other"
	repelling := on("a", "app=db")
	repelling.request.Preferences = p.Near(placement.Repel(web).Within("zone"))
	avoiding := on("a", "app=db")
	avoiding.request.Preferences = p.Near(placement.Repel(web).Weighing(50))
	return map[string][]mapCase{
		"podAffinity, required": {{
			nodes: nodes, running: []mapRun{on("a", "app=db"), on("b", "app=web")},
			request: ruled(p.Near(placement.Attract(db).Within("zone"), placement.Attract(web).Within("zone")), ""),
			fits:    []string{"a", "b"},
		}},
		"podAntiAffinity, required": {{
			nodes: nodes, running: []mapRun{on("a", "app=db")},
			request: ruled(p.Near(placement.Repel(db).Within("zone")), ""), fits: []string{"c", "d"},
		}, {
			nodes: nodes, running: []mapRun{repelling},
			request: ruled(p, "app=web"), fits: []string{"c", "d"},
		}},
		"preferred, weight: 50": {{
			nodes: nodes[:2], running: []mapRun{on("a", "app=db")},
			request: ruled(p.Near(placement.Repel(db).Weighing(50)), ""), fits: []string{"a", "b"}, chosen: "b",
		}, {
			nodes: nodes[:2], running: []mapRun{on("a", "app=db"), on("b", "app=db"), on("b", "app=db")},
			request: ruled(p.Near(placement.Repel(db).Weighing(50)), ""), fits: []string{"a", "b"}, chosen: "b",
		}, {
			nodes: nodes[:2], running: []mapRun{avoiding},
			request: ruled(p, "app=web"), fits: []string{"a", "b"}, chosen: "a",
		}},
		"namespaces: [a, b]": {{
			nodes: nodes, running: []mapRun{foreign, on("c", "app=db")},
			request: ruled(p.Near(placement.Repel(db).Among("other", "third")), ""), fits: []string{"b", "c", "d"},
		}, {
			nodes: nodes, running: []mapRun{foreign, on("c", "app=db")},
			request: ruled(p.Near(placement.Repel(db)), ""), fits: []string{"a", "b", "d"},
		}},
		"namespaceSelector: {}": {{
			nodes: nodes, running: []mapRun{foreign, on("c", "app=db")},
			request: ruled(p.Near(placement.Repel(db).Among(placement.AllNamespaces)), ""), fits: []string{"b", "d"},
		}},
		"matchLabelKeys: [version]": {{
			nodes: nodes[:2], running: []mapRun{on("a", "app=db version=1"), on("b", "app=db version=2")},
			request: ruled(p.Near(placement.Repel(placement.And(db, placement.Equal("version", "2")))), "app=db version=2"),
			fits:    []string{"a"},
		}},
	}
}

func kubernetesSpread() map[string][]mapCase {
	var p placement.Preferences
	web := placement.Equal("app", "web")
	even := placement.EvenlyOver("zone", 1)
	nodes := []placement.Node{marked("a", "zone=A"), marked("b", "zone=B"), marked("c", "")}
	fouled := marked("f", "zone=D pool=new")
	fouled.Taints = []placement.Taint{{Key: "k", Effect: placement.NoSchedule}}
	return map[string][]mapCase{
		"topologySpreadConstraints": {{
			nodes: nodes, running: []mapRun{on("a", "app=web"), grouped("b")},
			request: ruled(p.Across(even.Counting(web)), "app=web"), fits: []string{"b"},
		}, {
			nodes: nodes, running: []mapRun{on("a", "app=web"), grouped("b")},
			request: ruled(p.Across(even), "app=web"), fits: []string{"a"},
		}},
		"minDomains: 3": {{
			nodes: nodes, running: []mapRun{grouped("a"), grouped("b")},
			request: ruled(p.Across(even.Needing(3)), ""),
		}, {
			nodes: nodes, running: []mapRun{grouped("a"), grouped("b")},
			request: ruled(p.Across(even.Needing(2)), ""), fits: []string{"a", "b"},
		}},
		"whenUnsatisfiable: ScheduleAnyway": {{
			nodes: nodes[:2], running: []mapRun{grouped("a")},
			request: ruled(p.Across(even.Weighing(100)), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
		"nodeAffinityPolicy, nodeTaintsPolicy": {{
			nodes: []placement.Node{
				marked("a", "zone=A pool=old"), marked("b", "zone=A pool=new"), marked("c", "zone=B pool=new"),
				marked("d", "zone=C pool=old"), fouled,
			},
			running: []mapRun{grouped("a"), grouped("a"), grouped("c")},
			request: ruled(p.Require(placement.Equal("pool", "new")).Across(even), ""), fits: []string{"c"},
		}},
	}
}

func kubernetesTaints() map[string][]mapCase {
	var p placement.Preferences
	bare := testNode("bare", 8)
	gpu := tainted("gpu", placement.Taint{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule})
	other := tainted("other", placement.Taint{Key: "dedicated", Value: "db", Effect: placement.NoSchedule})
	out := tainted("out", placement.Taint{Key: "down", Effect: placement.NoExecute})
	nodes := []placement.Node{bare, gpu, other, out}
	tolerating := func(to placement.Toleration, fits ...string) mapCase {
		return mapCase{nodes: nodes, request: ruled(p.Tolerate(to), ""), fits: fits}
	}
	limited := tolerating(placement.TolerateExists("down").AtMost(300), "bare", "out")
	limited.also = func(t *testing.T, _ *Scheduler) {
		t.Helper()
		delay, ends := placement.EvictionDelay(out.Taints[0], []placement.Toleration{placement.TolerateExists("down").AtMost(300)})
		require.True(t, ends)
		require.Equal(t, 300*time.Second, delay)
		_, ends = placement.EvictionDelay(out.Taints[0], []placement.Toleration{placement.TolerateExists("down").AtMost(0)})
		require.False(t, ends)
	}
	return map[string][]mapCase{
		"taint key=value:NoSchedule": {{nodes: nodes, request: ruled(p, ""), fits: []string{"bare"}}},
		"toleration, operator Equal": {tolerating(placement.TolerateEqual("dedicated", "gpu"), "bare", "gpu")},
		"toleration, operator Exists": {
			tolerating(placement.TolerateExists("dedicated"), "bare", "gpu", "other"),
			tolerating(placement.TolerateExists(""), "bare", "gpu", "other", "out"),
		},
		"effect: NoExecute":      {tolerating(placement.TolerateExists("").OnlyFor(placement.NoExecute), "bare", "out")},
		"tolerationSeconds: 300": {limited},
	}
}
