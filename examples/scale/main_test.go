package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRunStatus(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		status int
		stderr []string
	}{
		{"unknown flag", []string{"-node", "10"}, 2, []string{"-node", "scale -help"}},
		{"argument", []string{"full"}, 2, []string{`unexpected argument "full"`}},
		{"no number", []string{"-nodes", "many"}, 2, []string{"-nodes"}},
		{"too few nodes", []string{"-nodes", "9"}, 2, []string{"-nodes 9: want 10 to 1000000"}},
		{"too many nodes", []string{"-nodes", "1000001"}, 2, []string{"-nodes 1000001"}},
		{"no tasks", []string{"-tasks", "0"}, 2, []string{"-tasks 0: want 1 to 100000"}},
		{"too many tasks", []string{"-nodes", "10", "-tasks", "101"}, 2, []string{"-tasks 101: want 1 to 100"}},
		{"full and a size", []string{"-full", "-nodes", "10"}, 2, []string{"-full and -nodes contradict"}},
		{"plot of another format", []string{"-plot", "x.pdf"}, 2, []string{"-plot x.pdf: want a .svg or .png"}},
		{"several mistakes", []string{"-nodes", "0", "-plot", "x.pdf"}, 2, []string{"-nodes 0", "-plot x.pdf"}},
		{"no folder for the plot", []string{"-nodes", "10", "-tasks", "1", "-plot", filepath.Join(t.TempDir(), "none", "x.svg")}, 1, []string{"x.svg"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, tt.status, run(t.Context(), tt.args, &stdout, &stderr))
			require.True(t, strings.HasPrefix(stderr.String(), "scale: "), stderr.String())
			for _, want := range tt.stderr {
				require.Contains(t, stderr.String(), want)
			}
		})
	}
}

func TestFullIsAMillion(t *testing.T) {
	opts, err := parseOptions([]string{"-full"}, os.Stderr)
	require.NoError(t, err)
	require.Equal(t, options{nodes: 100_000, tasks: 1_000_000}, opts)
}

func TestRunHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-help"}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "-plot file")
	require.Empty(t, stderr.String())
}

func TestRunCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(ctx, nil, &stdout, &stderr))
	require.Equal(t, "scale: context canceled\n", stderr.String())
}

func TestRunReport(t *testing.T) {
	dir := t.TempDir()
	for name, magic := range map[string]string{"plot.svg": "<?xml", "plot.png": "\x89PNG"} {
		path := filepath.Join(dir, name)
		var stdout, stderr bytes.Buffer
		args := []string{"-nodes", "1000", "-tasks", "10000", "-plot", path}
		require.Equal(t, 0, run(t.Context(), args, &stdout, &stderr), stderr.String())
		require.Empty(t, stderr.String(), "no bar but on a terminal")
		for _, want := range []string{"10,000", "bytes a node", "bytes an instance", "p99", "│ 10 ", "│ 100 ", "│ 1,000 "} {
			require.Contains(t, stdout.String(), want)
		}
		picture, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(picture, []byte(magic)))
		if magic == "<?xml" {
			for _, want := range []string{"scan of all nodes", "scheduler", "nodes", "median"} {
				require.Contains(t, string(picture), want)
			}
		}
	}
}

func TestFillTakesWhatTheFlagsAllow(t *testing.T) {
	for _, nodes := range []int{minNodes, 11, 39, 400, 1500} {
		f, err := fill(t.Context(), nodes, nodes*maxPerNode, &bytes.Buffer{})
		require.NoError(t, err)
		require.Equal(t, nodes, f.stats.Nodes)
		require.Equal(t, nodes*maxPerNode, f.stats.Allocations)
		require.LessOrEqual(t, f.p50, f.p99)

		c, err := compare(t.Context(), f)
		require.NoError(t, err)
		require.Equal(t, nodes, c.nodes)
		require.Equal(t, nodes*maxPerNode, f.scheduler.Stats().Allocations, "what was compared has left")
	}
}

func TestFillMeasuresTheHeap(t *testing.T) {
	f, err := fill(t.Context(), 2000, 20_000, &bytes.Buffer{})
	require.NoError(t, err)
	require.Greater(t, f.bytesPerNode, 100)
	require.Greater(t, f.bytesPerTask, 100)
	require.GreaterOrEqual(t, f.heap, 2000*f.bytesPerNode+20_000*f.bytesPerTask)
}

func TestNaiveTakesTheFullestThatFits(t *testing.T) {
	f, err := fill(t.Context(), 20, 20, &bytes.Buffer{})
	require.NoError(t, err)
	scan, err := newNaive(t.Context(), f.scheduler)
	require.NoError(t, err)
	task := makeTask(20)
	scan.nodes[19].Available = task.Resources
	require.Equal(t, "node-19", scan.best(task))
	scan.nodes[19].Available.CPU--
	require.NotEqual(t, "node-19", scan.best(task))
	scan.nodes = nil
	require.Empty(t, scan.best(task))
}

func TestTasksDiffer(t *testing.T) {
	seen := make(map[int64]bool)
	for i := range 100_000 {
		task := makeTask(i)
		require.NoError(t, task.Validate())
		require.False(t, seen[task.Resources.Memory])
		seen[task.Resources.Memory] = true
	}
}

func TestSizes(t *testing.T) {
	require.Equal(t, []int{10}, sizes(10))
	require.Equal(t, []int{10, 100, 1000}, sizes(1000))
	require.Equal(t, []int{10, 100, 1000, 1001}, sizes(1001))
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	var sorted []time.Duration
	for i := range 200 {
		sorted = append(sorted, time.Duration(i+1))
	}
	require.EqualValues(t, 100, quantile(sorted, 50))
	require.EqualValues(t, 198, quantile(sorted, 99))
	require.EqualValues(t, 1, quantile(sorted[:1], 99))
}

func TestThousands(t *testing.T) {
	require.Equal(t, "0", thousands(0))
	require.Equal(t, "999", thousands(999))
	require.Equal(t, "1,000", thousands(1000))
	require.Equal(t, "12,345,678", thousands(12_345_678))
}
