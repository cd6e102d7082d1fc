package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// lines joins a header, which ends in a line break, and lines.
func lines(header string, rest ...string) io.Reader {
	return strings.NewReader(header + strings.Join(rest, "\n") + "\n")
}

// small writes a cluster and tasks to files and returns the flags for them.
func small(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	nodes, tasks := filepath.Join(dir, "nodes.csv"), filepath.Join(dir, "tasks.csv")
	require.NoError(t, os.WriteFile(nodes, []byte(nodeHeader+"a,8000,8192,2,T4\nb,8000,8192,2,P100\n"), 0o600))
	require.NoError(t, os.WriteFile(tasks, []byte(taskHeader+"x,1000,1024,1,500,,\ny,1000,1024,1,1000,T4,\n"), 0o600))
	return []string{"-nodes", nodes, "-tasks", tasks}
}

func TestRunStatus(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.csv")
	require.NoError(t, os.WriteFile(bad, []byte(nodeHeader+"a,8000,-1,2,T4\n"), 0o600))
	tests := []struct {
		name   string
		args   []string
		status int
		stderr []string
	}{
		{"unknown strategy", []string{"-strategy", "best"}, 2, []string{`strategy "best"`, "binpack"}},
		{"one unknown strategy of two", []string{"-strategy", "binpack,best"}, 2, []string{`"best"`}},
		{"strategy given twice", []string{"-strategy", "binpack,binpack"}, 2, []string{"twice"}},
		{"no strategy", []string{"-strategy", ""}, 2, []string{"-strategy"}},
		{"unknown flag", []string{"-stragety", "binpack"}, 2, []string{"-stragety", "replay -help"}},
		{"argument", []string{"binpack"}, 2, []string{`unexpected argument "binpack"`}},
		{"load of NaN", []string{"-load", "NaN"}, 2, []string{"-load", "0.001 to 10"}},
		{"load of zero", []string{"-load", "0"}, 2, []string{"-load", "0.001 to 10"}},
		{"load without end", []string{"-load", "Inf"}, 2, []string{"-load", "0.001 to 10"}},
		{"negative seed", []string{"-seed", "-1"}, 2, []string{"-seed"}},
		{"no seeds", []string{"-seeds", "0"}, 2, []string{"-seeds 0: want 1 to 1000"}},
		{"plot of another format", []string{"-plot", "x.pdf"}, 2, []string{"-plot x.pdf: want a .svg or .png"}},
		{"list without trace", []string{"-list", "cpu050"}, 2, []string{"-list", "-trace"}},
		{"all nodes of one file", []string{"-all-nodes", "-nodes", "x"}, 2, []string{"contradict"}},
		{"several mistakes", []string{"-seeds", "0", "-plot", "x.pdf"}, 2, []string{"-seeds", "-plot"}},
		{"no such trace", []string{"-trace", filepath.Join(dir, "none")}, 1, []string{"openb_node_list_gpu_node.csv"}},
		{"no such file", []string{"-nodes", filepath.Join(dir, "none.csv")}, 1, []string{"none.csv"}},
		{"malformed line", []string{"-nodes", bad}, 1, []string{bad + `:2: memory_mib "-1"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Equal(t, tt.status, run(t.Context(), tt.args, &stdout, &stderr))
			require.Empty(t, stdout.String())
			require.True(t, strings.HasPrefix(stderr.String(), "replay: "), stderr.String())
			for _, want := range tt.stderr {
				require.Contains(t, stderr.String(), want)
			}
		})
	}
}

// A picture that cannot be written takes no figures with it.
func TestRunReportsBeforeItDraws(t *testing.T) {
	var stdout, stderr bytes.Buffer
	path := filepath.Join(t.TempDir(), "none", "x.svg")
	require.Equal(t, 1, run(t.Context(), append(small(t), "-json", "-plot", path), &stdout, &stderr))
	require.Contains(t, stderr.String(), "replay: open "+path)
	var s map[string]any
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &s))
	require.EqualValues(t, 2, s["nodes"])
}

func TestRunHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-help"}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "-strategy names")
	require.Empty(t, stderr.String())
}

func TestRunCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(ctx, small(t), &stdout, &stderr))
	require.Equal(t, "replay: context canceled\n", stderr.String())
}

func TestRunJSON(t *testing.T) {
	decode := func(into any, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, 0, run(t.Context(), append(small(t), args...), &stdout, &stderr), stderr.String())
		require.Empty(t, stderr.String(), "no bar but on a terminal")
		require.NoError(t, json.Unmarshal(stdout.Bytes(), into))
	}
	var one map[string]any
	decode(&one, "-json", "-load", "1.5")
	require.Equal(t, []string{
		"allocation_percent", "cpu_allocation_percent", "decisions_per_second", "gpu_allocation_percent", "nodes",
		"p50_ns", "p99_ns", "placed", "refused", "refused_by_reason", "strategy", "tasks",
	}, slices.Sorted(maps.Keys(one)))
	allocation := one["allocation_percent"].(map[string]any)
	require.Equal(t, []string{"cpu", "gpu", "memory"}, slices.Sorted(maps.Keys(allocation)))
	require.Equal(t, one["gpu_allocation_percent"], allocation["gpu"])
	require.Equal(t, map[string]any{"gpu.model": one["refused"]}, one["refused_by_reason"])
	require.Equal(t, "binpack", one["strategy"])
	require.EqualValues(t, 2, one["nodes"])
	require.Equal(t, one["tasks"], one["placed"].(float64)+one["refused"].(float64))
	require.Positive(t, one["decisions_per_second"])
	require.LessOrEqual(t, one["p50_ns"], one["p99_ns"])

	var several []map[string]any
	decode(&several, "-json", "-strategy", "random,binpack,spread", "-seeds", "3")
	require.Len(t, several, 3)
	require.Equal(t, "random", several[0]["strategy"])
	require.Equal(t, "spread", several[2]["strategy"])
}

func TestRunTable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := append(small(t), "-strategy", "binpack,affinity", "-load", "3", "-reverse")
	require.Equal(t, 0, run(t.Context(), args, &stdout, &stderr), stderr.String())
	for _, want := range []string{"2 nodes", "binpack", "affinity", "GPU %", "CPU %", "decisions/s", "p99", " (gpu"} {
		require.Contains(t, stdout.String(), want)
	}
}

func TestRunPlot(t *testing.T) {
	dir := t.TempDir()
	for name, magic := range map[string]string{"plot.svg": "<?xml", "plot.png": "\x89PNG"} {
		path := filepath.Join(dir, name)
		var stdout, stderr bytes.Buffer
		args := append(small(t), "-strategy", "binpack,spread", "-plot", path)
		require.Equal(t, 0, run(t.Context(), args, &stdout, &stderr), stderr.String())
		picture, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(picture, []byte(magic)))
		if magic == "<?xml" {
			for _, want := range []string{"binpack", "spread", "everything placed", "arrived", "allocated"} {
				require.Equal(t, 2, strings.Count(string(picture), want), "%s, above and in the close-up", want)
			}
		}
	}
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	var sorted []time.Duration
	require.Zero(t, quantile(sorted, 50))
	for i := range 200 {
		sorted = append(sorted, time.Duration(i+1))
	}
	require.EqualValues(t, 100, quantile(sorted, 50))
	require.EqualValues(t, 198, quantile(sorted, 99))
	require.EqualValues(t, 1, quantile(sorted[:1], 99))
}

func shareGPU(gpu, cpu float64) share {
	return share{placement.NameGPU: gpu, placement.NameCPU: cpu}
}

func TestMergeMeansCurves(t *testing.T) {
	var a, b curve
	a.add(1, shareGPU(10, 1))
	a.add(1, shareGPU(20, 3))
	b.add(1, shareGPU(35, 4))
	b.add(3, shareGPU(50, 5))
	merged := merge([]curve{a, b})
	require.Equal(t, shareGPU(25, 3), merged[1].value())
	require.Zero(t, merged[2].count)
	require.Equal(t, shareGPU(50, 5), merged.end())
	require.Zero(t, curve(nil).end())
}

func TestRoundedPercent(t *testing.T) {
	require.Equal(t, 0, roundedPercent(4, 1000))
	require.Equal(t, 1, roundedPercent(5, 1000), "halves go up")
	require.Equal(t, 130, roundedPercent(1304, 1000))
	require.Equal(t, 131, roundedPercent(1305, 1000))
}
