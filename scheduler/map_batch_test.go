package scheduler

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func slurmSpellings() map[string][]mapCase {
	all := slurmResources()
	maps.Copy(all, slurmNodeRules())
	maps.Copy(all, slurmSharing())
	maps.Copy(all, slurmTimes())
	return all
}

func slurmResources() map[string][]mapCase {
	asked := placement.Resources{CPU: 2 * placement.Core, Memory: 4 * placement.GiB}
	reserving := offering("a", placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB})
	reserving.Reserved = placement.Resources{CPU: placement.Core, Memory: placement.GiB}
	doubled := testNode("doubled", 2)
	doubled.Overcommit = map[placement.ResourceName]placement.Ratio{placement.NameCPU: {Numerator: 2, Denominator: 1}}
	quarter := needing(placement.Resources{GPU: placement.Device / 4})
	return map[string][]mapCase{
		"--cpus-per-task=2 --mem=4G": {{
			nodes: []placement.Node{
				offering("both", asked),
				offering("cpu", placement.Resources{CPU: 1999, Memory: 8 * placement.GiB}),
				offering("memory", placement.Resources{CPU: 8000, Memory: 4*placement.GiB - 1}),
			},
			request: needing(asked), fits: []string{"both"},
		}},
		"--gpus-per-node=2, --gres=gpu:2": {{
			nodes:   []placement.Node{gpus("one", 1, ""), gpus("two", 2, "")},
			request: needing(placement.Resources{GPU: 2 * placement.Device}), fits: []string{"two"},
		}, {
			nodes: []placement.Node{gpus("one", 1, ""), gpus("two", 1, "")}, running: []mapRun{using("one", placement.Resources{GPU: placement.Device})},
			request: needing(placement.Resources{GPU: placement.Device}), fits: []string{"two"},
		}},
		"--gres=gpu:a100:1": {modelCase("a100")},
		"--gres=shard:1, of 4 a GPU": {{
			nodes: []placement.Node{gpus("full", 2, ""), gpus("shared", 1, "")},
			running: []mapRun{
				using("full", placement.Resources{GPU: 800}), using("full", placement.Resources{GPU: 800}),
				using("shared", quarter.Resources), using("shared", quarter.Resources), using("shared", quarter.Resources),
			},
			request: quarter, fits: []string{"shared"},
		}},
		"CoreSpecCount=1, MemSpecLimit": {
			{nodes: []placement.Node{reserving}, request: needing(placement.Resources{CPU: 3 * placement.Core, Memory: 7 * placement.GiB}), fits: []string{"a"}},
			{nodes: []placement.Node{reserving}, request: needing(placement.Resources{CPU: 3*placement.Core + 1})},
			{nodes: []placement.Node{reserving}, request: needing(placement.Resources{Memory: 7*placement.GiB + 1})},
		},
		"OverSubscribe=FORCE:2": {{
			nodes:   []placement.Node{testNode("once", 2), doubled},
			running: []mapRun{using("once", placement.Resources{CPU: 2 * placement.Core}), using("doubled", placement.Resources{CPU: 2 * placement.Core})},
			request: needing(placement.Resources{CPU: 2 * placement.Core}), fits: []string{"doubled"},
		}},
	}
}

func slurmNodeRules() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{
		marked("a", "ssd host=a rack=r1"), marked("b", "ssd fast host=b rack=r2"),
		marked("c", "host=c rack=r2"), marked("d", "fast host=d rack=r3"),
	}
	required := func(p placement.Preferences, fits ...string) mapCase {
		return mapCase{nodes: nodes, request: ruled(p, "job=7"), fits: fits}
	}
	oneRack := p.Require(placement.In("rack", "r1", "r2")).Near(placement.Attract(placement.Equal("job", "7")).Within("rack"))
	preferring := required(p.Prefer(placement.Exists("fast"), 100), "a", "b", "c", "d")
	preferring.chosen = "b"
	drained := required(p, "a", "b", "c", "d")
	drained.also = func(t *testing.T, s *Scheduler) {
		t.Helper()
		allocate(t, s, "a", testRequest("stays", 1))
		require.NoError(t, s.Cordon(t.Context(), "a"))
		require.Equal(t, []string{"b", "c", "d"}, fits(t, s, drained.request))
		stays, err := s.Allocation(t.Context(), "stays")
		require.NoError(t, err)
		require.Equal(t, "a", stays.NodeID)
	}
	return map[string][]mapCase{
		`--constraint="ssd&fast"`: {required(p.Require(placement.Exists("ssd"), placement.Exists("fast")), "b")},
		`--constraint="ssd|fast"`: {required(p.Require(placement.Or(placement.Exists("ssd"), placement.Exists("fast"))), "a", "b", "d")},
		`--constraint="[r1|r2]"`: {
			required(oneRack, "a", "b", "c"),
			{nodes: nodes, running: []mapRun{on("b", "job=7")}, request: ruled(oneRack, "job=7"), fits: []string{"b", "c"}},
		},
		"--prefer=fast": {preferring},
		"Weight=10 of a node": {{
			nodes:   []placement.Node{marked("a", "weight=12"), marked("b", "weight=11"), marked("c", "weight=10")},
			running: []mapRun{on("a", ""), on("b", ""), on("b", "")},
			request: ruled(placement.Use(placement.Affinity).PreferScaled("weight", -1), ""), fits: []string{"a", "b", "c"}, chosen: "c",
		}},
		"--nodelist=a, --exclude=a": {
			required(p.Require(placement.In("host", "a")), "a"),
			required(p.Require(placement.NotIn("host", "a")), "b", "c", "d"),
		},
		"State=DRAIN": {drained},
	}
}

func slurmSharing() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{marked("a", ""), marked("b", ""), marked("c", "")}
	alone := func(label, value string) placement.Preferences {
		return p.Near(placement.Repel(placement.NotEqual(label, value)).Among(placement.AllNamespaces))
	}
	foreign := on("a", "")
	foreign.request.Namespace = "other"
	exclusive := mapRun{"b", ruled(alone("job", "7"), "job=7 user=ann")}
	return map[string][]mapCase{
		"--ntasks=8": {{
			nodes: nodes[:2], request: ruled(p, ""), fits: []string{"a", "b"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				_, err := s.Reserve(t.Context(), holding("many", 3, 5))
				require.Error(t, err, "only four fit")
				reserve(t, s, holding("few", 3, 4))
				for i := range 4 {
					_, err := s.PlaceFromReservation(t.Context(), "few", onlyCPU(fmt.Sprint("task-", i), 3))
					require.NoError(t, err)
				}
			},
		}},
		"--ntasks-per-node=2": {{
			nodes: nodes, running: []mapRun{grouped("a"), grouped("a"), grouped("b")},
			request: ruled(p.Across(placement.AtMostPer("", 2)), ""), fits: []string{"b", "c"},
		}},
		"--exclusive": {
			{nodes: nodes, running: []mapRun{foreign, exclusive}, request: ruled(alone("job", "7"), "job=7"), fits: []string{"b", "c"}},
			{nodes: nodes, running: []mapRun{foreign, exclusive}, request: ruled(p, "job=8 user=ann"), fits: []string{"a", "c"}},
			{nodes: nodes, running: []mapRun{foreign, exclusive}, request: ruled(alone("job", "8"), "job=8"), fits: []string{"c"}},
		},
		"--exclusive=user": {{
			nodes: nodes, running: []mapRun{foreign, on("b", "user=ann job=1"), on("c", "user=bob")},
			request: ruled(alone("user", "ann"), "user=ann job=2"), fits: []string{"b"},
		}},
		"--spread-job": {{
			nodes: nodes[:2], running: []mapRun{grouped("a"), on("b", ""), on("b", "")},
			request: ruled(placement.Use(placement.Spread), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
		"CR_LLN, LLN=YES": {{
			nodes: nodes[:2], running: []mapRun{grouped("a"), on("b", ""), on("b", "")},
			request: func() placement.Request {
				req := ruled(placement.Use(placement.Spread), "")
				req.Group = ""
				return req
			}(), fits: []string{"a", "b"}, chosen: "a",
		}},
	}
}

func slurmTimes() map[string][]mapCase {
	node := []placement.Node{testNode("a", 8)}
	short := onlyCPU("new", 8)
	short.Duration = time.Hour
	return map[string][]mapCase{
		"--time=1:00:00": {{
			nodes: node, request: short, fits: []string{"a"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				later := holding("later", 8, 1)
				later.Start = newClock().Now().Add(time.Hour)
				reserve(t, s, later)
				require.Equal(t, []string{"a"}, fits(t, s, short))
				require.Empty(t, fits(t, s, onlyCPU("for-ever", 8)))
				place(t, s, short)
			},
		}},
		"scontrol create reservation": {{
			nodes: node, request: short, fits: []string{"a"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				reserve(t, s, holding("r", 8, 1))
				require.Empty(t, fits(t, s, short))
				d, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("owner", 8))
				require.NoError(t, err)
				require.Equal(t, "a", d.NodeID)
			},
		}},
	}
}

func volcanoSpellings() map[string][]mapCase {
	all := volcanoPlugins()
	maps.Copy(all, volcanoJobs())
	return all
}

func volcanoPlugins() map[string][]mapCase {
	var p placement.Preferences
	cpu, memory := offering("cpu", placement.Resources{CPU: 1000, Memory: 1000}), offering("memory", placement.Resources{CPU: 1000, Memory: 1000})
	filled := []mapRun{using("cpu", placement.Resources{CPU: 500}), using("memory", placement.Resources{Memory: 600})}
	one := needing(placement.Resources{CPU: 1})
	two := []placement.Node{marked("a", "zone=A"), marked("b", "zone=B")}
	refusing := []placement.Node{
		tainted("taint", placement.Taint{Key: "k", Effect: placement.NoSchedule}),
		marked("label", "zone=B"), marked("port", "zone=A"), marked("fits", "zone=A"),
	}
	porty := ruled(p.Require(placement.Equal("zone", "A")), "")
	porty.Ports = tcp(80)
	takesPort := mapRun{"port", ruled(p, "")}
	takesPort.request.Ports = tcp(80)
	return map[string][]mapCase{
		"binpack plugin": {{
			nodes: []placement.Node{cpu, memory}, running: filled,
			request: one, fits: []string{"cpu", "memory"}, chosen: "memory",
		}},
		"usage plugin": {{
			nodes:   []placement.Node{marked("a", "usage=800"), marked("b", "usage=799"), marked("c", "usage=20")},
			request: ruled(p.PreferScaled("usage", -10).Require(placement.Less("usage", 800)), ""), fits: []string{"b", "c"}, chosen: "c",
		}},
		"binpack.cpu: 5": {{
			nodes: []placement.Node{cpu, memory}, request: one, fits: []string{"cpu", "memory"},
			also: func(t *testing.T, _ *Scheduler) {
				t.Helper()
				s := newTestScheduler(t, Config{Weights: map[placement.ResourceName]int64{placement.NameCPU: 5}})
				addNodes(t, s, cpu, memory)
				for i, r := range filled {
					r.request.ID = fmt.Sprint("running-", i)
					allocate(t, s, r.node, r.request)
				}
				require.Equal(t, "cpu", place(t, s, one).NodeID)
			},
		}},
		"nodeorder: most-, leastrequested": {
			{nodes: two, running: []mapRun{on("b", "")}, request: ruled(placement.Use(placement.BinPack), ""), fits: []string{"a", "b"}, chosen: "b"},
			{nodes: two, running: []mapRun{on("a", "")}, request: ruled(placement.Use(placement.Spread), ""), fits: []string{"a", "b"}, chosen: "b"},
		},
		"nodeaffinity, podaffinity weight": {
			{nodes: two, running: []mapRun{on("a", "app=db")}, request: ruled(p.Prefer(placement.Equal("zone", "B"), 60).Near(placement.Attract(placement.Equal("app", "db")).Weighing(40)), ""), fits: []string{"a", "b"}, chosen: "b"},
			{nodes: two, running: []mapRun{on("a", ""), on("a", ""), on("b", "app=db")}, request: ruled(p.Prefer(placement.Equal("zone", "A"), 40).Near(placement.Attract(placement.Equal("app", "db")).Weighing(60)), ""), fits: []string{"a", "b"}, chosen: "b"},
		},
		"predicates plugin": {{nodes: refusing, running: []mapRun{takesPort}, request: porty, fits: []string{"fits"}}},
	}
}

func volcanoJobs() map[string][]mapCase {
	var p placement.Preferences
	two := []placement.Node{marked("a", ""), marked("b", "")}
	ps, worker := placement.Equal("task", "ps"), placement.Equal("task", "worker")
	return map[string][]mapCase{
		"volcano.sh/gpu-number: 2": {{
			nodes:   []placement.Node{gpus("one", 1, ""), gpus("two", 2, "")},
			request: needing(placement.Resources{GPU: 2 * placement.Device}), fits: []string{"two"},
		}},
		"volcano.sh/gpu-memory: 4096": {{
			nodes:   []placement.Node{gpus("split", 2, ""), gpus("room", 1, "")},
			running: []mapRun{using("split", placement.Resources{GPU: 800}), using("split", placement.Resources{GPU: 800}), using("room", placement.Resources{GPU: 750})},
			request: needing(placement.Resources{GPU: 250}), fits: []string{"room"},
		}},
		`task-topology-affinity: "ps,worker"`: {{
			nodes: two, running: []mapRun{on("a", ""), on("b", "task=worker")},
			request: ruled(p.Near(placement.Attract(worker).Weighing(50)), "task=ps"), fits: []string{"a", "b"}, chosen: "b",
		}, {
			nodes: two, running: []mapRun{on("a", ""), on("b", "task=ps")},
			request: ruled(p.Near(placement.Attract(ps).Weighing(50)), "task=worker"), fits: []string{"a", "b"}, chosen: "b",
		}},
		`task-topology-anti-affinity: "ps"`: {{
			nodes: two, running: []mapRun{on("a", "task=ps")},
			request: ruled(p.Near(placement.Repel(ps).Weighing(50)), "task=ps"), fits: []string{"a", "b"}, chosen: "b",
		}},
		"minAvailable: 3": {{
			nodes: two[:1], request: ruled(p, ""), fits: []string{"a"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				_, err := s.Reserve(t.Context(), holding("gang", 3, 3))
				require.Error(t, err, "no slot is held where not all fit")
				require.Equal(t, int64(8), availableCores(t, s, "a"))
				reserve(t, s, holding("gang", 2, 3))
				require.Equal(t, int64(2), availableCores(t, s, "a"))
			},
		}},
	}
}
