package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

const (
	nodeHeader = "sn,cpu_milli,memory_mib,gpu,model\n"
	taskHeader = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos\n"
)

func TestParseNodes(t *testing.T) {
	nodes, err := parseNodes("n.csv", strings.NewReader(nodeHeader+"a,64000,262144,2,P100\nb,32000,1024,0,\n"))
	require.NoError(t, err)
	require.Equal(t, []placement.Node{
		{
			ID:       "a",
			Capacity: placement.Resources{CPU: 64 * placement.Core, Memory: 256 * placement.GiB, GPU: 2 * placement.Device},
			Devices:  placement.Devices{Count: 2, Model: "P100"},
		},
		{ID: "b", Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: placement.GiB}},
	}, nodes)
}

func TestParseTasks(t *testing.T) {
	resources := func(gpu int64) placement.Resources {
		return placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB, GPU: gpu}
	}
	oneOf := func(models ...string) placement.Preferences {
		return placement.Preferences{}.Require(placement.In(placement.LabelGPUModel, models...))
	}
	tests := []struct {
		name string
		text string
		want placement.Request
	}{
		{"no GPU", taskHeader + "a,4000,8192,0,0,,LS\n", placement.Request{ID: "a", Resources: resources(0)}},
		{"a share of one", taskHeader + "a,4000,8192,1,460,,LS\n", placement.Request{ID: "a", Resources: resources(460)}},
		{"several", taskHeader + "a,4000,8192,8,1000,,LS\n", placement.Request{ID: "a", Resources: resources(8000)}},
		{"any of two models", taskHeader + "a,4000,8192,1,1000,T4|P100,BE\n", placement.Request{
			ID: "a", Resources: resources(1000), Preferences: oneOf("P100", "T4"),
		}},
		{"a model named twice", taskHeader + "a,4000,8192,1,1000,T4|T4,BE\n", placement.Request{
			ID: "a", Resources: resources(1000), Preferences: oneOf("T4"),
		}},
		{"a model without GPUs", taskHeader + "a,4000,8192,0,0,T4,BE\n", placement.Request{ID: "a", Resources: resources(0)}},
		{"no column for models", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,4000,8192,1,1000\n", placement.Request{
			ID: "a", Resources: resources(1000),
		}},
		{"columns in another order", "gpu_milli,num_gpu,memory_mib,cpu_milli,name\n1000,1,8192,4000,a\n", placement.Request{
			ID: "a", Resources: resources(1000),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tasks, err := parseTasks("t.csv", strings.NewReader(tt.text))
			require.NoError(t, err)
			require.Len(t, tasks, 1)
			require.True(t, tt.want.Equal(tasks[0]), "%+v", tasks[0])
		})
	}
}

func TestParseNamesFileAndLine(t *testing.T) {
	nodes := func(r io.Reader) error { _, err := parseNodes("f.csv", r); return err }
	tasks := func(r io.Reader) error { _, err := parseTasks("f.csv", r); return err }
	tests := []struct {
		name  string
		parse func(io.Reader) error
		text  string
		want  []string
	}{
		{"empty", nodes, "", []string{"f.csv:1: empty"}},
		{"missing column", nodes, "sn,cpu_milli,memory_mib,gpu\n", []string{"f.csv:1: ", "model"}},
		{"cell missing", nodes, nodeHeader + "a,1,1,0,\nb,1,1,0\n", []string{"f.csv:3: wrong number of fields"}},
		{"open quote", nodes, nodeHeader + "a,\"1,1,0,\n", []string{"f.csv:", "quote"}},
		{"header with open quote", nodes, "\"sn\n", []string{"f.csv:", "quote"}},
		{"not a number", nodes, nodeHeader + "a,x,1,0,\n", []string{`f.csv:2: cpu_milli "x": want a whole number`}},
		{"NaN", nodes, nodeHeader + "a,NaN,1,0,\n", []string{`f.csv:2: cpu_milli "NaN"`}},
		{"negative", nodes, nodeHeader + "a,1,-1,0,\n", []string{`f.csv:2: memory_mib "-1"`}},
		{"overflow", nodes, nodeHeader + "a,1,9223372036854775807,0,\n", []string{`f.csv:2: memory_mib`}},
		{"too many devices", nodes, nodeHeader + "a,1,1,1025,T4\n", []string{`f.csv:2: gpu "1025"`}},
		{"model without devices", nodes, nodeHeader + "a,1,1,0,T4\n", []string{"f.csv:2: ", "devices.model"}},
		{"every mistake of a line", nodes, nodeHeader + ",x,y,0,\n", []string{"f.csv:2: ", "cpu_milli", "memory_mib", "id"}},
		{"no node ID", nodes, nodeHeader + ",1,1,0,\n", []string{"f.csv:2: ", "id"}},
		{"same node twice", nodes, nodeHeader + "a,1,1,0,\nb,1,1,0,\na,1,1,0,\n", []string{"f.csv:4: sn a is on line 2"}},
		{"same task twice", tasks, taskHeader + "a,1,1,0,0,,\na,1,1,0,0,,\n", []string{"f.csv:3: name a is on line 2"}},
		{"no task name", tasks, taskHeader + ",1,1,0,0,,\n", []string{"f.csv:2: ", "id"}},
		{"share of several", tasks, taskHeader + "a,1,1,2,500,,\n", []string{"f.csv:2: gpu_milli 500 of 2 GPUs"}},
		{"nothing of one", tasks, taskHeader + "a,1,1,1,0,,\n", []string{"f.csv:2: gpu_milli 0 of 1 GPUs"}},
		{"share of none", tasks, taskHeader + "a,1,1,0,500,,\n", []string{"f.csv:2: gpu_milli 500: want 0"}},
		{"more than one of one", tasks, taskHeader + "a,1,1,1,1001,,\n", []string{`f.csv:2: gpu_milli "1001"`}},
		{"empty model", tasks, taskHeader + "a,1,1,1,1000,T4|,\n", []string{`f.csv:2: gpu_spec "T4|": empty model`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.parse(strings.NewReader(tt.text))
			var at *lineError
			require.ErrorAs(t, err, &at)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestReadTraceZippedOrNot(t *testing.T) {
	text := nodeHeader + "a,1000,1024,0,\n"
	dir := t.TempDir()
	_, err := readTrace(dir, "list", parseNodes)
	require.ErrorContains(t, err, "there is no list.csv or list.csv.gz in "+dir)

	f, err := os.Create(filepath.Join(dir, "list.csv.gz"))
	require.NoError(t, err)
	zip := gzip.NewWriter(f)
	_, err = io.WriteString(zip, text)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	require.NoError(t, f.Close())
	zipped, err := readTrace(dir, "list", parseNodes)
	require.NoError(t, err)
	require.Len(t, zipped, 1)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "list.csv"), []byte(text+"b,1,x,0,\n"), 0o600))
	_, err = readTrace(dir, "list", parseNodes)
	require.ErrorContains(t, err, filepath.Join(dir, "list.csv")+":3: ", "the plain file comes first")

	broken := filepath.Join(dir, "broken.csv.gz")
	require.NoError(t, os.WriteFile(broken, []byte("\x1f\x8bbroken"), 0o600))
	_, err = readFile(broken, parseNodes)
	require.ErrorContains(t, err, broken)
}

// What a parser accepts is valid and unique, and what it refuses has a line.
func FuzzParse(f *testing.F) {
	f.Add(nodeHeader + "a,64000,262144,2,P100\nb,32000,1024,0,\n")
	f.Add(taskHeader + "a,4000,8192,1,1000,T4|P100,BE\nb,1,1,0,0,,\n")
	f.Add(taskHeader + "a,1,1,2,500,,\n")
	f.Add("\"")
	f.Fuzz(func(t *testing.T, text string) {
		var ids []string
		nodes, err := parseNodes("f.csv", strings.NewReader(text))
		if err == nil {
			for _, n := range nodes {
				require.NoError(t, n.Validate())
				ids = append(ids, n.ID)
			}
		} else {
			requireLine(t, err)
		}
		requireUnique(t, ids)

		ids = nil
		tasks, err := parseTasks("f.csv", strings.NewReader(text))
		if err == nil {
			for _, task := range tasks {
				require.NoError(t, task.Validate())
				ids = append(ids, task.ID)
			}
		} else {
			requireLine(t, err)
		}
		requireUnique(t, ids)
	})
}

func requireLine(t *testing.T, err error) {
	t.Helper()
	var at *lineError
	require.ErrorAs(t, err, &at)
	require.Positive(t, at.line)
}

func requireUnique(t *testing.T, ids []string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, id := range ids {
		require.False(t, seen[id], id)
		seen[id] = true
	}
}
