package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// A query can leave one instance of its class out of account, as if it had gone. The
// rules on domains then ask copies of the counters, see overlay.go. All else that goes
// with an instance belongs to one node: its amounts are copied into an index of that
// node alone, where the instance is taken out of them, and its ports are subtracted
// where the node is asked for them.

// Own is the instance that a query leaves out of account, on the books of a node and
// joined.
type Own struct {
	Row Row
	Absent
}

// without returns an index that holds in row 0 the amounts of the node of an instance,
// without that. It has the dimensions of x and measures as x does; what changes with
// the amounts is its own, and it knows neither rules nor ports.
func (x *Index) without(own *Own) *Index {
	row := own.Row
	y := &Index{
		cfg: x.cfg, thresholds: x.thresholds, dims: x.dims, named: x.named, fragmentation: x.fragmentation.unmeasured(),
		nodes: []node{x.nodes[row]}, key: []int64{x.key[row]}, packed: make([]uint64, 1),
		most: make([]int32, 1), whole: make([]int32, 1), full: make(bitset, 1), overused: make(bitset, 1),
	}
	for d := range x.dims {
		y.free = append(y.free, []int64{x.free[d][row]})
	}
	n := &y.nodes[0]
	if n.gpus != nil {
		n.gpus = &gpus{used: slices.Clone(n.gpus.used)}
	}
	if n.hold != nil {
		held := *n.hold
		n.hold = &held
	}
	y.measureGPUs(0)
	y.bookAmounts(0, own.Resources, own.Devices, -1)
	y.changed(0)
	return y
}

// books returns where the amounts of a node stand for a query, and in which row.
func (x *Index) books(p *probe, row Row) (*Index, Row) {
	if p.alone != nil && row == p.query.Own.Row {
		return p.alone, 0
	}
	return x, row
}

// ownOn returns the instance that the query leaves out of account if it is on this
// node, else nil.
func (p *probe) ownOn(row Row) *Own {
	if p.alone != nil && row == p.query.Own.Row {
		return p.query.Own
	}
	return nil
}

// withOwn returns the instances that are gone from a node with that one.
func (p *probe) withOwn(row Row, gone []Absent) []Absent {
	if own := p.ownOn(row); own != nil {
		return append(slices.Clip(gone), own.Absent)
	}
	return gone
}

// booksRule asks a rule on amounts where they stand for the query.
type booksRule struct {
	rule
	p *probe
}

func (r booksRule) mark(x *Index, among, fail bitset) (from, to int) {
	from, to = r.rule.mark(x, among, fail)
	_, fails := r.fails(x, r.p.query.Own.Row)
	fail.put(r.p.query.Own.Row, fails)
	return from, to
}

func (r booksRule) fails(x *Index, row Row) (int64, bool) {
	x, row = x.books(r.p, row)
	return r.rule.fails(x, row)
}

// claims returns how often an instance has a port.
func (a *Absent) claims(port placement.Port) int32 {
	claims := int32(0)
	if slices.Contains(a.Class.request.Ports, port) {
		claims++
	}
	if slices.Contains(a.Ports, port.Number) {
		claims++
	}
	return claims
}
