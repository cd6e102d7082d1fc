package index

import "github.com/rads-project/constellation/placement"

// Choice is a node and its score for a query.
type Choice struct {
	Row   Row
	Terms placement.Terms
}

// rank orders feasible nodes for a strategy: the greater first, field by
// field; equal ranks go to the node that joined first.
//
//	BinPack             0, S, 0
//	Spread              −instances of the group on the node, S, 0
//	Affinity            G, R, 0
//	LeastFragmentation  G, −ΔF, −K
//	Random              G, 0, 0
type rank [3]int64

// above reports whether r comes before other.
func (r rank) above(other rank) bool {
	switch {
	case r[0] != other[0]:
		return r[0] > other[0]
	case r[1] != other[1]:
		return r[1] > other[1]
	default:
		return r[2] > other[2]
	}
}

// strategyTerm returns R of a node.
func (x *Index) strategyTerm(p *probe, row Row) int64 {
	x, row = x.books(p, row)
	return p.packed - x.behind(p.packs, row)
}

// terms returns the parts of a node's score.
func (x *Index) terms(p *probe, row Row) placement.Terms {
	return placement.Terms{
		Strategy: x.strategyTerm(p, row), Bound: x.bound,
		Soft: p.softScore(row), SoftLow: p.low, SoftHigh: p.high,
	}
}

// rankOf returns where a node stands in the order of the strategy.
func (x *Index) rankOf(p *probe, row Row) rank {
	soft := int64(0)
	if len(p.soft) > 0 {
		soft = p.softScore(row)
	}
	switch p.strategy {
	case placement.Affinity:
		return rank{soft, x.strategyTerm(p, row)}
	case placement.LeastFragmentation:
		x, row = x.books(p, row)
		return rank{soft, -x.gradient(p, row), -x.key[row]}
	case placement.Random:
		return rank{soft}
	default:
	}
	score := placement.Score(placement.Terms{Strategy: x.strategyTerm(p, row), Bound: x.bound, Soft: soft})
	return rank{-p.compiled.groupOn(row), score}
}

// before reports whether row a with rank ra comes before b with rb.
func (x *Index) before(a Row, ra rank, b Row, rb rank) bool {
	return ra.above(rb) || ra == rb && x.nodes[a].join < x.nodes[b].join
}
