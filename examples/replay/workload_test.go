package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func perMille(n int64) placement.Ratio { return placement.Ratio{Numerator: n, Denominator: 1000} }

// gpuNodes is a cluster of single-device nodes.
func gpuNodes(count int) []placement.Node {
	var nodes []placement.Node
	for i := range count {
		nodes = append(nodes, placement.Node{
			ID:       fmt.Sprintf("n%d", i),
			Capacity: placement.Resources{CPU: 8 * placement.Core},
			Devices:  placement.Devices{Count: 1},
		}.Canonical())
	}
	return nodes
}

func tasksOf(resources ...placement.Resources) []placement.Request {
	var tasks []placement.Request
	for i, r := range resources {
		tasks = append(tasks, placement.Request{ID: fmt.Sprintf("t%d", i), Resources: r})
	}
	return tasks
}

func TestArrivalsStopRule(t *testing.T) {
	gpu := func(amount int64) placement.Resources { return placement.Resources{GPU: amount} }
	cpu := func(amount int64) placement.Resources { return placement.Resources{CPU: amount} }
	tests := []struct {
		name  string
		nodes int
		load  placement.Ratio
		tasks []placement.Request
		count int
	}{
		{"exactly full", 10, perMille(1000), tasksOf(gpu(1000)), 10},
		{"a draw that would pass the limit is left out", 10, perMille(1050), tasksOf(gpu(1000)), 10},
		{"only one device of a draw counts against the limit", 10, perMille(1300), tasksOf(gpu(8000)), 2},
		{"the one after it ends the list", 10, perMille(1700), tasksOf(gpu(8000)), 3},
		{"a list above the limit loses tasks", 10, perMille(250), tasksOf(gpu(1000), gpu(1000), gpu(1000), gpu(1000)), 2},
		{"no task fits", 1, perMille(500), tasksOf(gpu(1000)), 0},
		{"load in CPU where no task asks GPUs", 2, perMille(1000), tasksOf(cpu(4000)), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := measure(gpuNodes(tt.nodes), tt.tasks)
			require.NoError(t, err)
			arriving, err := arrivals(c, tt.tasks, tt.load, 1)
			require.NoError(t, err)
			require.Len(t, arriving, tt.count)
		})
	}
}

// The order follows from the names and the seed alone: the list sorted and
// shuffled, then draws from it.
func TestArrivalsOrder(t *testing.T) {
	tasks := generateTasks()
	c, err := measure(generateNodes(false), tasks)
	require.NoError(t, err)
	arriving, err := arrivals(c, tasks, perMille(1300), 42)
	require.NoError(t, err)

	list := make([]int, len(tasks)) // the names are numbered in order
	for i := range list {
		list[i] = i
	}
	draw := rand.New(rand.NewPCG(42, 0))
	draw.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for i, a := range arriving {
		at := i
		if i >= len(list) {
			at = draw.IntN(len(list))
		}
		require.Equal(t, fmt.Sprintf("task-%04d#%d", list[at], i), a.ID)
		require.Equal(t, tasks[list[at]].Resources, a.Resources)
	}

	slices.Reverse(tasks)
	again, err := arrivals(c, tasks, perMille(1300), 42)
	require.NoError(t, err)
	require.Equal(t, arriving, again, "the order in the file does not matter")
	require.True(t, strings.HasPrefix(tasks[0].ID, "task-") && !strings.Contains(tasks[0].ID, "#"), "the tasks are left alone")

	other, err := arrivals(c, tasks, perMille(1300), 43)
	require.NoError(t, err)
	require.NotEqual(t, arriving[0].ID, other[0].ID)
}

func TestArrivalsLoadOutOfRange(t *testing.T) {
	tasks := tasksOf(placement.Resources{GPU: 1000})
	c, err := measure(gpuNodes(1), tasks)
	require.NoError(t, err)
	_, err = arrivals(c, tasks, placement.Ratio{Numerator: 1 << 62, Denominator: 1}, 1)
	require.ErrorContains(t, err, "out of range")
}

func TestMeasure(t *testing.T) {
	_, err := measure(nil, generateTasks())
	require.ErrorContains(t, err, "nothing to replay")
	_, err = measure(gpuNodes(1), nil)
	require.ErrorContains(t, err, "nothing to replay")

	c, err := measure(gpuNodes(3), tasksOf(placement.Resources{CPU: 1, GPU: 1}))
	require.NoError(t, err)
	require.Equal(t, placement.Resources{CPU: 24 * placement.Core, GPU: 3 * placement.Device}, c.total)
	require.Equal(t, placement.NameGPU, c.load)
}

// The generated work has the published proportions.
func TestGenerate(t *testing.T) {
	nodes, tasks := generateNodes(false), generateTasks()
	c, err := measure(nodes, tasks)
	require.NoError(t, err)
	require.Len(t, nodes, 1213)
	require.Len(t, generateNodes(true), 1523)
	require.EqualValues(t, 6212*placement.Device, c.total.GPU)
	models := make(map[string]bool)
	for _, n := range nodes {
		require.NoError(t, n.Validate())
		models[n.Devices.Model] = true
	}
	require.Len(t, models, 7)

	kinds := make(map[string]int)
	var asked int64
	for _, task := range tasks {
		require.NoError(t, task.Validate())
		asked += task.Resources.GPU
		switch gpu := task.Resources.GPU; {
		case gpu == 0:
			kinds["none"]++
		case gpu < placement.Device:
			kinds["share"]++
		case gpu == placement.Device:
			kinds["one"]++
		default:
			kinds["several"]++
		}
	}
	require.Equal(t, map[string]int{"none": 1088, "share": 3078, "one": 3911, "several": 75}, kinds)
	require.InDelta(t, 98, percent(asked, c.total.GPU), 3)
}
