package scheduler

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func nomadSpellings() map[string][]mapCase {
	all := nomadResources()
	maps.Copy(all, nomadConstraints())
	maps.Copy(all, nomadSpread())
	return all
}

func nomadResources() map[string][]mapCase {
	var p placement.Preferences
	asked := placement.Resources{CPU: 2 * placement.Core, Memory: 256 * placement.MiB}
	reserving := offering("a", placement.Resources{CPU: 2 * placement.Core})
	reserving.Reserved.CPU, reserving.ReservedPorts = placement.Core, tcp(22)
	static, dynamic := ruled(p, ""), ruled(p, "")
	static.Ports, dynamic.DynamicPorts = tcp(53), 2
	sameNumber, ssh := ruled(p, ""), needing(placement.Resources{})
	sameNumber.Ports, ssh.Ports = udp(53), tcp(22)
	ranged := testNode("b", 8)
	ranged.DynamicPorts = placement.PortRange{First: 20000, Last: 20001}
	two := []placement.Node{testNode("a", 8), testNode("b", 8)}
	return map[string][]mapCase{
		"cores = 2, memory = 256": {{
			nodes: []placement.Node{
				offering("both", asked),
				offering("cpu", placement.Resources{CPU: 1999, Memory: placement.GiB}),
				offering("memory", placement.Resources{CPU: 2000, Memory: 256*placement.MiB - 1}),
			},
			request: needing(asked), fits: []string{"both"},
		}},
		`device "nvidia/gpu" { count = 2 }`: {{
			nodes:   []placement.Node{gpus("one", 1, ""), gpus("two", 2, "")},
			request: needing(placement.Resources{GPU: 2 * placement.Device}), fits: []string{"two"},
		}},
		"${device.model}": {modelCase("T4")},
		"client reserved, reserved_ports": {
			{nodes: []placement.Node{reserving}, request: needing(placement.Resources{CPU: placement.Core + 1})},
			{nodes: []placement.Node{reserving}, request: needing(placement.Resources{CPU: placement.Core}), fits: []string{"a"}},
			{nodes: []placement.Node{reserving}, request: ssh},
		},
		"static port": {
			{nodes: two, running: []mapRun{{"a", static}}, request: static, fits: []string{"b"}},
			{nodes: two, running: []mapRun{{"a", static}}, request: sameNumber, fits: []string{"a", "b"}},
		},
		"dynamic port": {{
			nodes: []placement.Node{testNode("a", 8), ranged}, request: dynamic, fits: []string{"b"},
			also: func(t *testing.T, s *Scheduler) {
				t.Helper()
				require.Equal(t, []uint16{20000, 20001}, place(t, s, dynamic).DynamicPorts)
			},
		}},
		"scheduler_algorithm": {
			{nodes: two, running: []mapRun{on("b", "")}, request: ruled(placement.Use(placement.BinPack), ""), fits: []string{"a", "b"}, chosen: "b"},
			{nodes: two, running: []mapRun{on("a", "")}, request: ruled(placement.Use(placement.Spread), ""), fits: []string{"a", "b"}, chosen: "b"},
		},
	}
}

// modelCase asks for one GPU of a model.
func modelCase(model string) mapCase {
	req := needing(placement.Resources{GPU: placement.Device})
	req.Preferences = req.Preferences.Require(placement.Equal(placement.LabelGPUModel, model))
	return mapCase{nodes: []placement.Node{gpus("other", 1, "V100"), gpus("it", 1, model)}, request: req, fits: []string{"it"}}
}

func nomadConstraints() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{
		marked("a", "datacenter=dc1 pool=x n=8 v=1.4.9 list=aa,b"),
		marked("b", "datacenter=dc2 pool=y n=9 v=2.0.0-rc1 list=a,c"),
		marked("c", "n=ten"),
	}
	required := func(c placement.Constraint, fits ...string) mapCase {
		return mapCase{nodes: nodes, request: ruled(p.Require(c), ""), fits: fits}
	}
	contains := func(member string) placement.Constraint {
		return placement.Matches("list", `(^|,)\s*`+member+`\s*(,|$)`)
	}
	return map[string][]mapCase{
		"datacenters, node_pool": {
			required(placement.In("datacenter", "dc1", "dc3"), "a"),
			required(placement.Matches("datacenter", "^dc.*$"), "a", "b"),
			required(placement.In("pool", "y"), "b"),
		},
		"constraint =, !=":              {required(placement.Equal("pool", "x"), "a"), required(placement.NotEqual("pool", "x"), "b", "c")},
		"constraint >, <":               {required(placement.Greater("n", 8), "b"), required(placement.Less("n", 9), "a")},
		"constraint >=, <=":             {required(placement.Greater("n", 8-1), "a", "b"), required(placement.Less("n", 8+1), "a")},
		"constraint is_set, is_not_set": {required(placement.Exists("pool"), "a", "b"), required(placement.NotExists("pool"), "c")},
		"constraint regexp":             {required(placement.Matches("datacenter", "2"), "b")},
		"constraint version":            {required(placement.Version("v", ">= 1.4, < 2"), "a"), required(placement.Version("v", ">= 2"), "b")},
		"constraint semver":             {required(placement.SemVer("v", ">= 2.0.0")), required(placement.SemVer("v", ">= 2.0.0-rc1"), "b")},
		"constraint set_contains":       {required(placement.And(contains("a"), contains("c")), "b"), required(placement.Or(contains("a"), contains("b")), "a", "b")},
		"affinity, weight = -50": {{
			nodes: nodes[:2], running: []mapRun{on("a", "")},
			request: ruled(p.Prefer(placement.Equal("pool", "x"), -50), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
	}
}

func nomadSpread() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{marked("a", "rack=1 dc=x"), marked("b", "rack=1 dc=y"), marked("c", "rack=2 dc=y"), marked("d", "")}
	targets := p.Across(placement.ShareOver("dc", map[string]int{"y": 70}, 100))
	return map[string][]mapCase{
		"distinct_hosts = true": {{
			nodes: nodes, running: []mapRun{grouped("a"), on("b", "")},
			request: ruled(p.Across(placement.AtMostPer("", 1)), ""), fits: []string{"b", "c", "d"},
		}},
		"distinct_property, value = 2": {{
			nodes: nodes, running: []mapRun{grouped("a"), grouped("b"), grouped("c")},
			request: ruled(p.Across(placement.AtMostPer("rack", 2)), ""), fits: []string{"c"},
		}},
		"spread with targets": {{
			nodes: nodes[:2], running: []mapRun{grouped("a"), grouped("b")},
			request: ruled(targets, ""), fits: []string{"a", "b"}, chosen: "b",
		}, {
			nodes: nodes[:2], running: []mapRun{grouped("b"), grouped("b"), grouped("b")},
			request: ruled(targets, ""), fits: []string{"a", "b"}, chosen: "a",
		}},
		"spread without targets": {{
			nodes: nodes[:2], running: []mapRun{grouped("a")},
			request: ruled(p.Across(placement.EvenlyOver("dc", 1).Weighing(100)), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
	}
}

func swarmSpellings() map[string][]mapCase {
	var p placement.Preferences
	nodes := []placement.Node{marked("a", "disk=SSD"), marked("b", "disk=ssd")}
	return map[string][]mapCase{
		"node.labels.disk==ssd, !=": {
			{nodes: nodes, request: ruled(p.Require(placement.Equal("disk", "ssd")), ""), fits: []string{"b"}},
			{nodes: nodes, request: ruled(p.Require(placement.NotEqual("disk", "ssd")), ""), fits: []string{"a"}},
			{nodes: nodes, request: ruled(p.Require(placement.Matches("disk", "^(?i:ssd)$")), ""), fits: []string{"a", "b"}},
		},
		"--placement-pref spread=…": {{
			nodes: nodes, running: []mapRun{grouped("a")},
			request: ruled(p.Across(placement.EvenlyOver("disk", 1).Weighing(100)), ""), fits: []string{"a", "b"}, chosen: "b",
		}},
		"--replicas-max-per-node 2": {{
			nodes: nodes, running: []mapRun{grouped("a"), grouped("a"), grouped("b")},
			request: ruled(p.Across(placement.AtMostPer("", 2)), ""), fits: []string{"b"},
		}},
		"--generic-resource fpga=1": {{
			nodes:   []placement.Node{testNode("a", 8), offering("b", placement.Resources{Custom: map[string]int64{"fpga": 1}})},
			request: needing(placement.Resources{Custom: map[string]int64{"fpga": 1}}), fits: []string{"b"},
		}},
	}
}
