package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Best returns the first node in the order of the query's strategy among those
// that fit: the one that looking at every node finds.
func (x *Index) Best(q *Query) (Choice, bool) {
	p := x.prepare(q)
	row, ok := x.bestRow(p)
	if !ok {
		return Choice{}, false
	}
	return Choice{Row: row, Terms: x.terms(p, row)}, true
}

func (x *Index) bestRow(p *probe) (Row, bool) {
	switch {
	case p.strategy == placement.Random:
		return x.draw(p)
	case x.cfg.Engine == Auto && p.strategy == placement.LeastFragmentation:
		return x.searchGradients(p)
	case x.cfg.Engine == Auto && len(x.byJoin) >= x.thresholds.gridNodes:
		return x.newSearch(p).first()
	case p.packing():
		x.stats.Scans++
		return x.scanPacked(p)
	default:
		x.stats.Scans++
		return x.scan(p)
	}
}

// packing reports whether the order of the query is by key alone.
func (p *probe) packing() bool {
	return len(p.soft) == 0 && (p.strategy == placement.BinPack || p.strategy == placement.Affinity)
}

// Top returns the first k nodes in the order of the query's strategy; for
// Random in join order among those of the greatest soft score. It looks at
// every node, and keeps no more than a few times k.
func (x *Index) Top(q *Query, k int) []Choice {
	p := x.prepare(q)
	type ranked struct {
		row  Row
		rank rank
	}
	k = max(k, 0)
	var all []ranked
	keep := func() {
		slices.SortFunc(all, func(a, b ranked) int {
			if x.before(a.row, a.rank, b.row, b.rank) {
				return -1
			}
			return 1
		})
		all = all[:min(k, len(all))]
	}
	for row := range x.candidates(p).each {
		if all = append(all, ranked{row, x.rankOf(p, row)}); len(all) >= 4*k+64 {
			keep()
		}
	}
	keep()
	choices := make([]Choice, len(all))
	for i, r := range all {
		choices[i] = Choice{Row: r.row, Terms: x.terms(p, r.row)}
	}
	return choices
}
