package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

const (
	gpuNodeHeader  = "gpu_model,gpu_capacity_num,cpu_num,node_name\n"
	instanceHeader = "instance_sn,role,app_name,cpu_request,gpu_request,rdma_request,memory_request,disk_request,max_instance_per_node\n"
)

func TestParseDLRMNodes(t *testing.T) {
	nodes, err := parseDLRMNodes("n.csv", lines(gpuNodeHeader, "A10,1,128,7", "H800,8,192,8"))
	require.NoError(t, err)
	require.Equal(t, []placement.Node{
		{
			ID: "7",
			Capacity: placement.Resources{
				CPU: 128 * placement.Core, Memory: placement.TiB, Disk: 2 * placement.TiB, GPU: placement.Device,
				Custom: map[string]int64{"rdma": 100},
			},
			Devices: placement.Devices{Count: 1, Model: "A10"},
		},
		{
			ID: "8",
			Capacity: placement.Resources{
				CPU: 192 * placement.Core, Memory: 1536 * placement.GiB, Disk: (8192 + 1536) * placement.GiB, GPU: 8 * placement.Device,
				Custom: map[string]int64{"rdma": 200},
			},
			Devices: placement.Devices{Count: 8, Model: "H800"},
		},
	}, nodes)
}

func TestParseDLRMTasks(t *testing.T) {
	tasks, err := parseDLRMTasks("t.csv", lines(instanceHeader, "a,HN,app,12,1,25,120.0,640.5,2", "b,CN,app,64,0,0,320,255,-1"))
	require.NoError(t, err)
	require.Len(t, tasks, 2)
	require.True(t, placement.Request{
		ID: "a", Group: "app",
		Resources: placement.Resources{
			CPU: 12 * placement.Core, Memory: 120 * placement.GiB, Disk: 640*placement.GiB + 512*placement.MiB, GPU: placement.Device,
			Custom: map[string]int64{"rdma": 25},
		},
		Preferences: placement.Preferences{}.Across(placement.AtMostPer("", 2)),
	}.Equal(tasks[0]), "%+v", tasks[0])
	require.True(t, placement.Request{
		ID: "b", Group: "app",
		Resources: placement.Resources{CPU: 64 * placement.Core, Memory: 320 * placement.GiB, Disk: 255 * placement.GiB},
	}.Equal(tasks[1]), "%+v", tasks[1])
}

func TestParseDLRMNamesFileAndLine(t *testing.T) {
	nodes := func(r io.Reader) error { _, err := parseDLRMNodes("f.csv", r); return err }
	tasks := func(r io.Reader) error { _, err := parseDLRMTasks("f.csv", r); return err }
	tests := []struct {
		name  string
		parse func(io.Reader) error
		text  string
		want  string
	}{
		{"missing column", nodes, "node_name,gpu_model,cpu_num\n", "f.csv:1: no column gpu_capacity_num"},
		{"too many cores", nodes, gpuNodeHeader + "A10,1,1000001,0\n", `f.csv:2: cpu_num "1000001"`},
		{"same node twice", nodes, gpuNodeHeader + "A10,1,8,0\nA10,1,8,0\n", "f.csv:3: node_name 0 is on line 2"},
		{"NaN", tasks, instanceHeader + "a,CN,app,1,0,1,NaN,1,-1\n", `f.csv:2: memory_request "NaN"`},
		{"negative", tasks, instanceHeader + "a,CN,app,1,0,1,1,-1,-1\n", `f.csv:2: disk_request "-1"`},
		{"no instance per node", tasks, instanceHeader + "a,CN,app,1,0,1,1,1,0\n", "f.csv:2: "},
		{"a limit without an app", tasks, instanceHeader + "a,CN,,1,0,1,1,1,2\n", "f.csv:2: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.parse(strings.NewReader(tt.text))
			var at *lineError
			require.ErrorAs(t, err, &at)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Nodes without GPUs bring as many cores as the instances ask for each GPU, and are
// the same for the same seed.
func TestGenerateCPUNodes(t *testing.T) {
	gpus := []placement.Node{dlrmNode("0", 100, 8, placement.Devices{Count: 2, Model: "A10"})}
	ask := placement.Resources{CPU: 600 * placement.Core, GPU: placement.Device}
	nodes, err := generateCPUNodes(gpus, tasksOf(ask), 1)
	require.NoError(t, err)
	cores := int64(100)
	for i, n := range nodes {
		require.NoError(t, n.Validate())
		require.Zero(t, n.Capacity.GPU)
		require.Less(t, cores, int64(1200), "node %d is one too many", i)
		cores += n.Capacity.CPU / placement.Core
	}
	require.GreaterOrEqual(t, cores, int64(1200))

	again, err := generateCPUNodes(gpus, tasksOf(ask), 1)
	require.NoError(t, err)
	require.Equal(t, nodes, again)
	other, err := generateCPUNodes(gpus, tasksOf(ask), 2)
	require.NoError(t, err)
	require.NotEqual(t, nodes, other)

	none, err := generateCPUNodes(gpus, tasksOf(placement.Resources{CPU: 1}), 1)
	require.NoError(t, err)
	require.Empty(t, none, "nobody asks for GPUs")
	_, err = generateCPUNodes(gpus, tasksOf(placement.Resources{CPU: placement.Core << 30, GPU: 1}), 1)
	require.ErrorContains(t, err, "more than 100000 nodes")
}

// TestRunDLRM: two instances of an app share no node where their app says so, and the
// report has every dimension and why the rest was refused.
func TestRunDLRM(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("gpu_nodes_2026.csv", gpuNodeHeader+"A10,4,128,0\nA10,4,128,1\n")
	write("dlrm_instances.csv", instanceHeader+
		"a,HN,app,8,1,25,16.0,1,1\nb,HN,app,8,1,25,16.0,1,1\nc,HN,app,8,1,25,16.0,1,1\nd,CN,app,8,0,0,8.0,1,-1\n")
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-trace", dir, "-list", "dlrm_instances", "-load", "0.375", "-json"}, &stdout, &stderr), stderr.String())
	var s summary
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &s))
	require.Equal(t, 2, s.Nodes, "the GPU nodes have cores enough")
	require.EqualValues(t, 1, s.Tasks-s.Placed)
	require.Equal(t, map[string]float64{"spread": 1}, s.RefusedByReason)
	require.Equal(t, []placement.ResourceName{"cpu", "disk", "gpu", "memory", "rdma"}, slices.Sorted(maps.Keys(s.AllocationPercent)))
	require.InDelta(t, 25, s.AllocationPercent["gpu"], 0, "two of eight")
	require.InDelta(t, 25, s.AllocationPercent["rdma"], 0, "50 of 200 %")
}

func TestDLRMHasNodesOfItsOwn(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run(t.Context(), []string{"-trace", "x", "-list", dlrmList, "-all-nodes"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "-all-nodes")
}
