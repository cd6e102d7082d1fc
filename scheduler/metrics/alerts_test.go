package metrics_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/metrics"
)

// alert is one rule of alerts.yml: left, over right unless that is empty, compared with a
// bound.
type alert struct {
	name        string
	left, right operand
	above       bool
	bound       float64
	holds       time.Duration
}

// operand is what the rules have on a side: an aggregate of the series of one name, or of how
// much they have grown in a time.
type operand struct {
	aggregate, name, label, value string
	rate                          bool // growth per second
	over                          time.Duration
}

// alerts reads the rules that the example has.
func alerts(t *testing.T) []alert {
	t.Helper()
	data, err := os.ReadFile("../../examples/service/alerts.yml")
	require.NoError(t, err)
	rule := regexp.MustCompile(`- alert: (\w+)\n +expr: (.+?)(?: / (.+))? ([<>]) ([\d.]+)\n +for: (\w+)\n`)
	var all []alert
	for _, m := range rule.FindAllStringSubmatch(string(data), -1) {
		a := alert{name: m[1], left: operandOf(t, m[2]), above: m[4] == ">"}
		if m[3] != "" {
			a.right = operandOf(t, m[3])
		}
		a.bound, err = strconv.ParseFloat(m[5], 64)
		require.NoError(t, err)
		a.holds, err = time.ParseDuration(m[6])
		require.NoError(t, err)
		all = append(all, a)
	}
	require.Equal(t, strings.Count(string(data), "- alert:"), len(all), "a rule that the test cannot read")
	return all
}

func operandOf(t *testing.T, text string) operand {
	t.Helper()
	shape := regexp.MustCompile(`^(sum|max)\((?:(rate|increase)\()?(\w+)(?:\{(\w+)="(\w+)"\})?(?:\[(\w+)\]\))?\)$`)
	m := shape.FindStringSubmatch(text)
	require.NotNil(t, m, "an expression that the test cannot evaluate: %s", text)
	o := operand{aggregate: m[1], name: m[3], label: m[4], value: m[5], rate: m[2] == "rate"}
	if m[6] != "" {
		var err error
		o.over, err = time.ParseDuration(m[6])
		require.NoError(t, err)
	}
	return o
}

// scrape is what was read at one instant: values by the name of a sample and its labels.
type scrape struct {
	at     time.Time
	values map[string]map[string]float64
}

func scrapeOf(ctx context.Context, at time.Time, set *metrics.Set) scrape {
	s := scrape{at, make(map[string]map[string]float64)}
	for _, m := range set.Read(ctx) {
		name := m.Name
		if m.Kind == metrics.Counter {
			name += "_total"
		}
		s.values[name] = make(map[string]float64)
		for _, sample := range m.Samples {
			labels := ""
			for i, label := range m.Labels {
				labels += label + "=" + sample.Labels[i] + ";"
			}
			s.values[name][labels] = sample.Value
		}
	}
	return s
}

// evaluate evaluates an operand after the last scrape, and reports whether there is anything.
// Growth is from the first scrape in the time to the last, where a counter that has begun
// anew grows from zero.
func (o operand) evaluate(scrapes []scrape) (result float64, ok bool) {
	last := scrapes[len(scrapes)-1]
	for labels, value := range last.values[o.name] {
		if o.label != "" && !strings.Contains(labels, o.label+"="+o.value+";") {
			continue
		}
		if o.over > 0 {
			value = o.growth(scrapes, labels)
		}
		switch {
		case o.aggregate == "sum":
			result += value
		case !ok || value > result:
			result = value
		}
		ok = true
	}
	return result, ok
}

func (o operand) growth(scrapes []scrape, labels string) float64 {
	since := scrapes[len(scrapes)-1].at.Add(-o.over)
	first := slices.IndexFunc(scrapes, func(s scrape) bool { return !s.at.Before(since) })
	grown, before := 0.0, scrapes[first].values[o.name][labels]
	for _, s := range scrapes[first+1:] {
		now := s.values[o.name][labels]
		if now < before {
			before = 0
		}
		grown, before = grown+now-before, now
	}
	if o.rate {
		grown /= o.over.Seconds()
	}
	return grown
}

func (a alert) holdsAt(scrapes []scrape) bool {
	value, ok := a.left.evaluate(scrapes)
	if a.right.name != "" {
		below, known := a.right.evaluate(scrapes)
		value, ok = value/below, ok && known
	}
	return ok && (a.above && value > a.bound || !a.above && value < a.bound)
}

// situation is a service as its metrics show it.
type situation struct {
	metrics.Source
	stats     scheduler.Stats
	inventory scheduler.Inventory
	status    raft.Status
}

func (s *situation) Stats() scheduler.Stats { return s.stats }

func (s *situation) Inventory(context.Context) (scheduler.Inventory, error) { return s.inventory, nil }

// TestEachAlertFiresInItsSituation: and no other, and none while all is well.
func TestEachAlertFiresInItsSituation(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	situations := map[string]func(s *situation, minute int){
		"":                   func(*situation, int) {},
		"NobodyLeads":        func(s *situation, _ int) { s.status.Leading = false },
		"LeaderChangesOften": func(s *situation, minute int) { s.status.Counters.Reigns = uint64(minute) },
		"MemberSilent":       func(s *situation, _ int) { s.status.Peers[0].Lag = time.Minute },
		"JournalHangs":       func(s *situation, _ int) { s.stats.Appending = start },
		"MostIsRefused":      func(s *situation, minute int) { s.stats.Decisions.Unschedulable = uint64(3 * minute) },
		"NodesLost":          func(s *situation, _ int) { s.inventory.Nodes[scheduler.NodeLost] = 2 },
	}
	all := alerts(t)
	require.Len(t, all, len(situations)-1)
	for name, arises := range situations {
		t.Run(name, func(t *testing.T) {
			fired := fire(t, all, start, arises)
			if name == "" {
				require.Empty(t, fired)
				return
			}
			require.Equal(t, []string{name}, fired)
		})
	}
}

// fire scrapes a situation every minute for an hour and returns which alerts fire.
func fire(t *testing.T, all []alert, start time.Time, arises func(s *situation, minute int)) []string {
	t.Helper()
	var scrapes []scrape
	since := make(map[string]time.Time)
	fired := make(map[string]bool)
	for minute := range 60 {
		now := start.Add(time.Duration(minute) * time.Minute)
		s := &situation{
			status:    raft.Status{Leading: true, Leader: "a", Peers: []raft.PeerStatus{{ID: "b", Heard: true, Lag: 40 * time.Millisecond}}},
			inventory: scheduler.Inventory{Nodes: map[scheduler.NodeState]int{scheduler.NodeReady: 9}},
		}
		s.status.Counters.Reigns = 1
		s.stats.Decisions.Placed = uint64(2 * minute)
		s.stats.Decisions.Unschedulable = uint64(minute) // one of three is refused, as happens
		arises(s, minute)
		set := newSet(t, metrics.Config{
			State: stateOf(s), Election: func() raft.Status { return s.status }, Now: func() time.Time { return now },
		})
		scrapes = append(scrapes, scrapeOf(t.Context(), now, set))
		for _, a := range all {
			if !a.holdsAt(scrapes) {
				delete(since, a.name)
				continue
			}
			if _, held := since[a.name]; !held {
				since[a.name] = now
			}
			if now.Sub(since[a.name]) >= a.holds {
				fired[a.name] = true
			}
		}
	}
	var names []string
	for _, a := range all {
		if fired[a.name] {
			names = append(names, a.name)
		}
	}
	return names
}

// TestBoardAndAlertsNameWhatThereIs: each metric that the files of the example ask for is
// one of the families.
func TestBoardAndAlertsNameWhatThereIs(t *testing.T) {
	known := make(map[string]bool)
	for _, f := range newSet(t, metrics.Config{State: stateOf(nil), Election: func() raft.Status { return raft.Status{} }}).Families() {
		switch f.Kind {
		case metrics.Counter:
			known[f.Name+"_total"] = true
		case metrics.Histogram:
			known[f.Name+"_bucket"] = true
		case metrics.Gauge:
			known[f.Name] = true
		}
	}
	for _, file := range []string{"alerts.yml", "board.json"} {
		data, err := os.ReadFile("../../examples/service/" + file)
		require.NoError(t, err)
		asked := regexp.MustCompile(`constellation_\w+`).FindAllString(string(data), -1)
		require.Greater(t, len(asked), 5)
		for _, name := range asked {
			require.True(t, known[name], "%s asks for %s", file, name)
		}
	}
}
