package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kind says what a bar shows.
type kind int

const (
	held kind = iota
	running
	overstayed
)

// bar is something on a node over a time.
type bar struct {
	node, label string
	kind        kind
	from, to    time.Time
}

// timeline collects bars, in the order in which they began. As text it has a label
// at each step, and a character for each cell.
type timeline struct {
	from, to   time.Time
	step, cell time.Duration
	layout     string // of labels
	bars       []bar
}

// hold draws what a reservation holds, replacing what it held before.
func (t *timeline) hold(node, label string, from, to time.Time) {
	i := slices.IndexFunc(t.bars, func(b bar) bool { return b.kind == held && b.node == node && b.label == label })
	if i < 0 {
		i = len(t.bars)
		t.bars = append(t.bars, bar{})
	}
	t.bars[i] = bar{node, label, held, from, to}
}

func (t *timeline) begin(node, label string, now time.Time) {
	t.bars = append(t.bars, bar{node, label, running, now, t.to})
}

// end ends all that an instance has open.
func (t *timeline) end(label string, now time.Time) {
	for i := range t.bars {
		if b := &t.bars[i]; b.label == label && b.to.After(now) {
			b.to = now
		}
	}
}

// overstay goes on with an instance as one that should have gone.
func (t *timeline) overstay(label string, now time.Time) {
	for _, b := range t.bars {
		if b.label == label && b.kind == running {
			t.end(label, now)
			t.bars = append(t.bars, bar{b.node, label, overstayed, now, t.to})
			return
		}
	}
}

// rows groups the bars that are not empty: by node, then by label, in order of
// appearance.
func (t *timeline) rows() [][]bar {
	var rows [][]bar
	for _, b := range t.bars {
		if !b.to.After(b.from) {
			continue
		}
		i := slices.IndexFunc(rows, func(row []bar) bool { return row[0].node == b.node && row[0].label == b.label })
		if i < 0 {
			i = len(rows)
			rows = append(rows, nil)
		}
		rows[i] = append(rows[i], b)
	}
	slices.SortStableFunc(rows, func(a, b []bar) int { return strings.Compare(a[0].node, b[0].node) })
	return rows
}

// text returns the timeline as text.
func (t *timeline) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-13s", "")
	for at := t.from; at.Before(t.to); at = at.Add(t.step) {
		fmt.Fprintf(&b, "%-*s", int(t.step/t.cell), "|"+at.Format(t.layout))
	}
	fmt.Fprintln(&b)
	for _, row := range t.rows() {
		line := []rune(strings.Repeat(" ", int(t.to.Sub(t.from)/t.cell)))
		for _, bar := range row {
			for i := int(bar.from.Sub(t.from) / t.cell); i < min(len(line), int(bar.to.Sub(t.from)/t.cell)); i++ {
				line[i] = []rune("░█▒")[bar.kind]
			}
		}
		fmt.Fprintf(&b, "%-3s %-8s %s\n", row[0].node, row[0].label, strings.TrimRight("|"+string(line), " "))
	}
	fmt.Fprintln(&b, "\n░ held   █ running   ▒ overstayed   one character is", t.cell)
	return b.String()
}
