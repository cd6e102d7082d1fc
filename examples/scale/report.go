package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// writeReport prints what it took to fill the cluster, and what decisions
// cost on it and on smaller ones.
func writeReport(w io.Writer, f filling, costs []cost) error {
	_, err := fmt.Fprintf(w, "%s\n\na decision, median of %d; both chose the same node every time\n%s\n",
		filled(f), compared, costTable(costs))
	return err
}

// filled has a line for each figure.
func filled(f filling) string {
	search := f.stats.Search
	t := newTable(2)
	t.AppendRows([]table.Row{
		{"nodes", thousands(f.stats.Nodes)},
		{"  joined in", f.joined.Round(time.Millisecond)},
		{"tasks placed", thousands(f.stats.Allocations)},
		{"  in", f.took.Round(time.Millisecond)},
		{"  a second", thousands(int(float64(f.tasks) / f.took.Seconds()))},
		{"  p50 of one", decimal(microseconds(f.p50)) + " µs"},
		{"  p99 of one", decimal(microseconds(f.p99)) + " µs"},
		{"  found by the index", thousands(int(search.Walks + search.Lists))},
		{"  found by a scan", thousands(int(search.Scans))},
		{"live heap", decimal(float64(f.heap)/1e6) + " MB"},
		{"  bytes a node", thousands(f.bytesPerNode)},
		{"  bytes an instance", thousands(f.bytesPerTask)},
	})
	return t.Render()
}

// costTable has a line for each size of cluster.
func costTable(costs []cost) string {
	t := newTable(4)
	t.AppendHeader(table.Row{"nodes", "scheduler, µs", "scan of all nodes, µs", "ratio"})
	for _, c := range costs {
		indexed, scan := microseconds(c.indexed), microseconds(c.scan)
		t.AppendRow(table.Row{thousands(c.nodes), decimal(indexed), decimal(scan), decimal(scan / indexed)})
	}
	return t.Render()
}

// newTable returns a table whose columns are numbers from the second on.
func newTable(columns int) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	var numbers []table.ColumnConfig
	for column := 2; column <= columns; column++ {
		numbers = append(numbers, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(numbers)
	return t
}

// microseconds returns d, but never 0, which a clock may show for a decision
// and which has neither a ratio nor a logarithm.
func microseconds(d time.Duration) float64 {
	return float64(max(d, 1)) / float64(time.Microsecond)
}

func decimal(x float64) string { return fmt.Sprintf("%.1f", x) }

// thousands formats a number that is not negative in groups of three digits.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
