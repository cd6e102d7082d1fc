package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/rads-project/constellation/placement"
)

// summary is what a strategy came to: means over the seeds, and the latencies
// of all their decisions together.
type summary struct {
	Strategy             placement.Strategy `json:"strategy"`
	Nodes                int                `json:"nodes"`
	Tasks                float64            `json:"tasks"`
	Placed               float64            `json:"placed"`
	Refused              float64            `json:"refused"`
	RefusedByReason      map[string]float64 `json:"refused_by_reason"`
	GPUAllocationPercent float64            `json:"gpu_allocation_percent"`
	CPUAllocationPercent float64            `json:"cpu_allocation_percent"`
	AllocationPercent    share              `json:"allocation_percent"`
	DecisionsPerSecond   float64            `json:"decisions_per_second"`
	P50                  time.Duration      `json:"p50_ns"`
	P99                  time.Duration      `json:"p99_ns"`

	curve curve
}

// summarize takes the results of one strategy with each seed, at least one.
func summarize(strategy placement.Strategy, nodes int, results []runResult) summary {
	s := summary{Strategy: strategy, Nodes: nodes, RefusedByReason: make(map[string]float64), AllocationPercent: make(share)}
	n := float64(len(results))
	var latencies []time.Duration
	var curves []curve
	for _, r := range results {
		s.Tasks += float64(r.tasks) / n
		s.Placed += float64(r.placed) / n
		s.Refused += float64(r.tasks-r.placed) / n
		for reason, count := range r.refused {
			s.RefusedByReason[reason] += float64(count) / n
		}
		s.AllocationPercent.add(r.curve.end(), len(results))
		latencies = append(latencies, r.latencies...)
		curves = append(curves, r.curve)
	}
	s.GPUAllocationPercent = s.AllocationPercent[placement.NameGPU]
	s.CPUAllocationPercent = s.AllocationPercent[placement.NameCPU]
	s.curve = merge(curves)
	s.DecisionsPerSecond = rate(latencies)
	slices.Sort(latencies)
	s.P50, s.P99 = quantile(latencies, 50), quantile(latencies, 99)
	return s
}

// rate returns how many decisions a second allows that take so long each.
func rate(latencies []time.Duration) float64 {
	var total time.Duration
	for _, l := range latencies {
		total += l
	}
	if total == 0 {
		return 0
	}
	return math.Round(float64(len(latencies)) / total.Seconds())
}

// quantile returns the smallest of the sorted latencies that percent of them
// do not exceed; 0 if there are none.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}

// writeJSON prints one object, or an array of several.
func writeJSON(w io.Writer, summaries []summary) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if len(summaries) == 1 {
		return encoder.Encode(summaries[0])
	}
	return encoder.Encode(summaries)
}

// writeTable prints one line for each strategy.
func writeTable(w io.Writer, summaries []summary) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	dimensions := slices.SortedFunc(maps.Keys(summaries[0].AllocationPercent), placement.CompareNames)
	header := table.Row{"strategy", "tasks", "placed", "refused"}
	for _, name := range dimensions {
		header = append(header, inWords(name)+" %")
	}
	header = append(header, "decisions/s", "p50", "p99")
	t.AppendHeader(header)
	var numbers []table.ColumnConfig
	for column := 2; column <= len(header); column++ {
		numbers = append(numbers, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(numbers)
	for _, s := range summaries {
		row := table.Row{s.Strategy, count(s.Tasks), count(s.Placed), count(s.Refused) + reasons(s.RefusedByReason)}
		for _, name := range dimensions {
			row = append(row, fmt.Sprintf("%.2f", s.AllocationPercent[name]))
		}
		t.AppendRow(append(row, count(s.DecisionsPerSecond), s.P50, s.P99))
	}
	_, err := fmt.Fprintf(w, "%d nodes\n%s\n", summaries[0].Nodes, t.Render())
	return err
}

// inWords returns the name of a dimension as a text has it.
func inWords(name placement.ResourceName) string {
	if name == placement.NameCPU || name == placement.NameGPU {
		return strings.ToUpper(string(name))
	}
	return string(name)
}

// count formats a mean of counts, with one decimal where it needs one.
func count(mean float64) string {
	return strconv.FormatFloat(math.Round(mean*10)/10, 'f', -1, 64)
}

// reasons formats refusals by reason, the most frequent first.
func reasons(counts map[string]float64) string {
	if len(counts) == 0 {
		return ""
	}
	order := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, reason := range order {
		order[i] = reason + " " + count(counts[reason])
	}
	return " (" + strings.Join(order, ", ") + ")"
}
