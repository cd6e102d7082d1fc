package scheduler

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// mapCase shows what a row of the tables "Spellings elsewhere" of package placement
// means, on a cluster of its own.
type mapCase struct {
	nodes   []placement.Node
	running []mapRun
	request placement.Request
	fits    []string // The nodes that the request fits.
	chosen  string   // The node chosen, where the row is about an order.
	also    func(*testing.T, *Scheduler)
}

// mapRun is an instance that runs on a node already.
type mapRun struct {
	node    string
	request placement.Request
}

// TestEverySpellingElsewhere has at least one case for each row of the tables, and
// no other.
func TestEverySpellingElsewhere(t *testing.T) {
	cases := map[string]map[string][]mapCase{
		"Kubernetes": kubernetesSpellings(),
		"Nomad":      nomadSpellings(),
		"SwarmKit":   swarmSpellings(),
		"Slurm":      slurmSpellings(),
		"Volcano":    volcanoSpellings(),
	}
	documented := spellingsElsewhere(t)
	require.Len(t, documented, len(cases))
	for system, rows := range documented {
		for _, row := range rows {
			t.Run(system+"/"+row, func(t *testing.T) {
				require.NotEmpty(t, cases[system][row], "the row has no case")
				for _, c := range cases[system][row] {
					requireMeaning(t, c)
				}
			})
		}
		require.Len(t, cases[system], len(rows), "%s: a case of no row", system)
	}
}

// spellingsElsewhere returns the left column of each table: by system, its rows.
func spellingsElsewhere(t testHelper) map[string][]string {
	t.Helper()
	source, err := os.ReadFile("../placement/doc.go")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(source), "// # Spellings elsewhere\n")
	require.True(t, found)
	text, _, found = strings.Cut(text, "// # ")
	require.True(t, found)

	table := regexp.MustCompile(`^// (\w+)(?:, .*)?:$`)
	row := regexp.MustCompile(`^//\t(?:  )?(\S.*?) {2,}\S`)
	more := regexp.MustCompile(`^//\t {3,}\S`)
	rows := make(map[string][]string)
	system := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "//" || more.MatchString(line):
		case strings.HasPrefix(line, "//\t"):
			found := row.FindStringSubmatch(line)
			require.NotNil(t, found, "not a row: %s", line)
			require.NotContains(t, rows[system], found[1], "two rows of one name")
			rows[system] = append(rows[system], found[1])
		default:
			found := table.FindStringSubmatch(line)
			require.NotNil(t, found, "no name of a table: %s", line)
			system = found[1]
		}
	}
	return rows
}

func requireMeaning(t *testing.T, c mapCase) {
	t.Helper()
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, c.nodes...)
	for i, r := range c.running {
		r.request.ID = fmt.Sprint("running-", i)
		allocate(t, s, r.node, r.request)
	}
	require.Equal(t, c.fits, fits(t, s, c.request))
	if c.chosen != "" {
		d, err := s.Schedule(t.Context(), c.request)
		require.NoError(t, err)
		require.Equal(t, c.chosen, d.NodeID)
	}
	if c.also != nil {
		c.also(t, s)
	}
}

// marked returns a node with labels, written as "zone=A disk=ssd feature".
func marked(id, labels string) placement.Node {
	n := testNode(id, 8)
	n.Labels = marks(labels)
	return n
}

func marks(text string) map[string]string {
	labels := make(map[string]string)
	for label := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	return labels
}

func tainted(id string, taints ...placement.Taint) placement.Node {
	n := testNode(id, 8)
	n.Taints = taints
	return n
}

func offering(id string, r placement.Resources) placement.Node {
	return placement.Node{ID: id, Capacity: r}
}

// gpus returns a node with GPUs of one model and nothing else.
func gpus(id string, count int, model string) placement.Node {
	return placement.Node{ID: id, Devices: placement.Devices{Count: count, Model: model}}
}

func needing(r placement.Resources) placement.Request {
	return placement.Request{ID: "new", Namespace: "ns", Resources: r}
}

// ruled returns a request of group g and of these labels.
func ruled(p placement.Preferences, labels string) placement.Request {
	req := testRequest("new", 1)
	req.Labels, req.Preferences = marks(labels), p
	return req
}

// on returns an instance with labels and no group.
func on(node, labels string) mapRun {
	return mapRun{node, labelled("", marks(labels))}
}

// grouped returns an instance of the group of ruled.
func grouped(node string) mapRun { return mapRun{node, testRequest("", 1)} }

func using(node string, r placement.Resources) mapRun { return mapRun{node, needing(r)} }
