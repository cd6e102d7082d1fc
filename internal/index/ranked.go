package index

import (
	"container/heap"
	"iter"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Ranked yields the nodes that meet the rules of a query in the order of its
// strategy, for Random in join order among those of the greatest soft score,
// whatever is free there now: amounts, ports and the number of instances do not
// count. The index may be asked, but not changed, while it yields. It looks at
// every node, and puts in order only those that it yields, O(log n) each.
func (x *Index) Ranked(q *Query) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		p := x.prepareRules(q)
		r := ranking{index: x}
		for row := range p.eligible.each {
			if x.meets(p, row) {
				r.nodes = append(r.nodes, ranked{row, x.rankOf(p, row)})
			}
		}
		heap.Init(&r)
		for len(r.nodes) > 0 {
			if !yield(heap.Pop(&r).(ranked).row) {
				return
			}
		}
	}
}

// Meets reports whether a node meets the rules of a query, whatever is free
// there now; see Ranked.
func (x *Index) Meets(q *Query, row Row) bool { return x.meets(x.prepareRules(q), row) }

// Overused reports whether instances use more of something than the node has.
func (x *Index) Overused(row Row) bool { return x.overused.has(row) }

// Overheld reports whether reservations hold more of a node than instances
// leave of it, in some dimension, of some GPU or in instances.
func (x *Index) Overheld(row Row) bool {
	n := &x.nodes[row]
	if n.hold == nil {
		return false
	}
	for d := range x.dims {
		if n.hold.amounts[d] > 0 && x.free[d][row] < 0 {
			return true
		}
	}
	for i, held := range n.hold.devices {
		if held > 0 && (i >= n.spec.Devices.Count || held > n.deviceLeft(i, nil)) {
			return true
		}
	}
	return n.hold.instances > 0 && n.spec.MaxInstances > 0 && n.instances > n.spec.MaxInstances-n.hold.instances
}

// Top returns the first k nodes in the order of the query's strategy; for
// Random in join order among those of the greatest soft score. It looks at
// every node, and takes up to k steps more for one that is among the first k so far.
func (x *Index) Top(q *Query, k int) []Choice {
	p := x.prepare(q)
	if k <= 0 {
		return nil
	}
	first := ranking{index: x}
	for row := range x.candidates(p).each {
		first.keep(ranked{row, x.rankOf(p, row)}, k)
	}
	choices := make([]Choice, len(first.nodes))
	for i, r := range first.nodes {
		choices[i] = Choice{Row: r.row, Terms: x.terms(p, r.row)}
	}
	return choices
}

// prepareRules makes the query ready without its amounts and ports.
func (x *Index) prepareRules(q *Query) *probe {
	rules := *q
	rules.Resources = new(placement.Resources)
	p := x.prepare(&rules)
	q.overlay = rules.overlay
	p.ports, p.dynamic = p.ports[:0], 0
	return p
}

func (x *Index) meets(p *probe, row Row) bool { return p.eligible.has(row) && x.admits(p, row) }

// ranking is a heap of nodes, the first in order on top.
type ranking struct {
	index *Index
	nodes []ranked
}

// keep puts a node in its place among the first k, which are in order, if it is one of
// them.
func (r *ranking) keep(n ranked, k int) {
	at := len(r.nodes)
	for at > 0 && r.index.before(n.row, n.rank, r.nodes[at-1].row, r.nodes[at-1].rank) {
		at--
	}
	switch {
	case at == k:
		return
	case len(r.nodes) == k:
		r.nodes = r.nodes[:k-1]
	}
	r.nodes = slices.Insert(r.nodes, at, n)
}

type ranked struct {
	row  Row
	rank rank
}

// Len is part of heap.Interface.
func (r *ranking) Len() int { return len(r.nodes) }

// Less is part of heap.Interface.
func (r *ranking) Less(i, j int) bool {
	a, b := &r.nodes[i], &r.nodes[j]
	return r.index.before(a.row, a.rank, b.row, b.rank)
}

// Swap is part of heap.Interface.
func (r *ranking) Swap(i, j int) { r.nodes[i], r.nodes[j] = r.nodes[j], r.nodes[i] }

// Push is part of heap.Interface.
func (r *ranking) Push(n any) { r.nodes = append(r.nodes, n.(ranked)) }

// Pop is part of heap.Interface.
func (r *ranking) Pop() any {
	last := len(r.nodes) - 1
	n := r.nodes[last]
	r.nodes = r.nodes[:last]
	return n
}
