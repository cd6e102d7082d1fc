package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// traceDir is where the trace's files lie on machines that have them.
const traceDir = "../../../shared/data"

// readInput reads what the options name, as the program does. It skips the
// test if that is the trace and the trace is not there.
func readInput(t *testing.T, opts options) ([]placement.Node, []placement.Request) {
	t.Helper()
	if _, err := os.Stat(traceDir); err != nil && opts.trace == traceDir {
		t.Skipf("the folder %s with the files of the traces is not there", traceDir)
	}
	nodes, tasks, err := input(opts)
	require.NoError(t, err)
	return nodes, tasks
}

// world draws the arrivals of the published load. Of the inference instances and
// their nodes it takes every eighth, but for CONSTELLATION_LONG: an oracle that looks
// at 12,000 nodes for each of 40,000 arrivals takes minutes.
func world(t *testing.T, opts options, seed uint64) (inventory, []placement.Request) {
	t.Helper()
	nodes, tasks := readInput(t, opts)
	if opts.list == dlrmList && os.Getenv("CONSTELLATION_LONG") == "" {
		nodes, tasks = everyEighth(nodes), everyEighth(tasks)
	}
	c, err := measure(joinOrder(nodes, opts), tasks)
	require.NoError(t, err)
	arriving, err := arrivals(c, tasks, perMille(1300), seed)
	require.NoError(t, err)
	return c, arriving
}

func everyEighth[T any](all []T) []T {
	var some []T
	for i := 0; i < len(all); i += 8 {
		some = append(some, all[i])
	}
	return some
}

// Every task goes to the node and the devices that a naive bin-packer over
// all nodes chooses, or is refused by both.
func TestBinPackIsTheOracle(t *testing.T) {
	tests := []struct {
		name string
		opts options
		seed uint64
	}{
		{"generated", options{}, 42},
		{"generated, all nodes", options{allNodes: true}, 1},
		{"generated, reversed", options{reverse: true}, 3},
		{"default list", options{trace: traceDir, list: "default"}, 42},
		{"list with models", options{trace: traceDir, list: "gpuspec10"}, 43},
		{"list with many devices", options{trace: traceDir, list: "multigpu20"}, 44},
		{"five dimensions", options{trace: traceDir, list: dlrmList, seed: 45}, 45},
		{"five dimensions, reversed", options{trace: traceDir, list: dlrmList, seed: 46, reverse: true}, 46},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, arriving := world(t, tt.opts, tt.seed)
			o := newOracle(c.nodes)
			i := 0
			result, err := replay(t.Context(), c, arriving, policy{placement.BinPack, tt.seed}, func(d scheduler.Decision) {
				node, devices := o.place(arriving[i])
				require.Equal(t, node, d.NodeID, "task %d, %s", i, arriving[i].ID)
				require.Equal(t, devices, d.Devices, "task %d, %s", i, arriving[i].ID)
				i++
			})
			require.NoError(t, err)
			require.Equal(t, len(arriving), i)
			require.Equal(t, len(arriving), result.tasks)
			require.Less(t, result.placed, result.tasks, "a load of 130 % does not fit")
			require.Equal(t, result.tasks-result.placed, sum(result.refused))
			require.Len(t, result.latencies, result.tasks)
		})
	}
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// The figures that the score was designed for: the mean GPU allocation of ten
// seeds at 130 % load.
func TestPublishedExperiment(t *testing.T) {
	opts := options{trace: traceDir, list: "default", seed: 42, seeds: 10, load: perMille(1300)}
	nodes, tasks := readInput(t, opts)
	allocation := func(strategy placement.Strategy) float64 {
		c, err := measure(joinOrder(nodes, opts), tasks)
		require.NoError(t, err)
		s, err := opts.replay(t.Context(), c, tasks, strategy, nil)
		require.NoError(t, err)
		return s.GPUAllocationPercent
	}

	packed := allocation(placement.BinPack)
	require.GreaterOrEqual(t, packed, 93.6)
	drawn := allocation(placement.Random)
	require.GreaterOrEqual(t, drawn, 87.0)
	require.LessOrEqual(t, drawn, 88.5)

	require.GreaterOrEqual(t, allocation(placement.LeastFragmentation), 95.3)

	opts.reverse = true
	require.InDelta(t, packed, allocation(placement.BinPack), 0.2)
}

func TestReplayIsDeterministic(t *testing.T) {
	c, arriving := world(t, options{}, 7)
	for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread, placement.Random, placement.Affinity, placement.LeastFragmentation} {
		run := func() (decisions []scheduler.Decision, r runResult) {
			r, err := replay(t.Context(), c, arriving[:2000], policy{strategy, 7}, func(d scheduler.Decision) {
				decisions = append(decisions, d)
			})
			require.NoError(t, err)
			r.latencies = nil
			return decisions, r
		}
		decisions, r := run()
		decisionsAgain, again := run()
		require.Equal(t, decisions, decisionsAgain, strategy)
		require.Equal(t, r, again, strategy)
	}
}

func TestReplayCountsRefusals(t *testing.T) {
	nodes, err := parseNodes("n.csv", lines(nodeHeader, "a,8000,8192,1,T4", "b,2000,57344,1,P100"))
	require.NoError(t, err)
	tasks, err := parseTasks("t.csv", lines(taskHeader,
		"1-fits-a,4000,4096,1,500,,", "2-no-cpu,9000,1,0,0,,", "3-no-memory,1000,57345,0,0,,",
		"4-no-gpu,1000,1024,2,1000,,", "5-no-model,1000,1024,1,100,G2,", "6-shares-a,1000,1024,1,500,T4,"))
	require.NoError(t, err)
	c, err := measure(nodes, tasks)
	require.NoError(t, err)

	var placed []string
	r, err := replay(t.Context(), c, tasks, policy{placement.BinPack, 1}, func(d scheduler.Decision) { placed = append(placed, d.NodeID) })
	require.NoError(t, err)
	require.Equal(t, []string{"a", "", "", "", "", "a"}, placed)
	require.Equal(t, 2, r.placed)
	require.Equal(t, map[string]int{"cpu": 1, "memory": 1, "gpu": 1, "gpu.model": 1}, r.refused)
	// Of 2 devices, 10 cores and 64 GiB, 500 m, 4 cores and 4 GiB are placed at 25 %
	// load, and 1 device, 5 cores and 5 GiB at the end.
	require.Equal(t, share{placement.NameGPU: 25, placement.NameCPU: 40, placement.NameMemory: 6.25}, r.curve[25].value())
	require.Equal(t, 3, r.curve[25].count)
	require.Equal(t, share{placement.NameGPU: 50, placement.NameCPU: 50, placement.NameMemory: 7.8125}, r.curve.end())
}

// Equal nodes are a tie, which goes to the first to join.
func TestReverse(t *testing.T) {
	nodes, tasks := gpuNodes(3), tasksOf(placement.Resources{GPU: 500})
	for reverse, want := range map[bool]string{false: "n0", true: "n2"} {
		c, err := measure(joinOrder(nodes, options{reverse: reverse}), tasks)
		require.NoError(t, err)
		_, err = replay(t.Context(), c, tasks, policy{placement.BinPack, 1}, func(d scheduler.Decision) {
			require.Equal(t, want, d.NodeID)
		})
		require.NoError(t, err)
	}
}

func TestReplayFailures(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tasks := tasksOf(placement.Resources{GPU: 1000})
	c, err := measure(gpuNodes(1), tasks)
	require.NoError(t, err)
	_, err = replay(ctx, c, tasks, policy{placement.BinPack, 1}, func(scheduler.Decision) {})
	require.ErrorIs(t, err, context.Canceled)
}
