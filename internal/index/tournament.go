package index

import (
	"cmp"
	"math/bits"
	"slices"
)

// searchGradients searches for strategy LeastFragmentation: the soft score
// comes before all else, so among the nodes of its greatest level the winner
// of the tournament is the best.
func (x *Index) searchGradients(p *probe) (Row, bool) {
	if s := x.newSearch(p); s.list() {
		x.stats.Lists++
		return s.best, s.found
	}
	if !p.softSets() {
		x.stats.Scans++
		return x.scan(p)
	}
	x.stats.Gradients++
	if p.nowhere {
		return 0, false
	}
	g := x.gradientsOf(p)
	x.elect(p, g)
	best, score := nobody, int64(0)
	for _, level := range x.setLevels(p) {
		if best != nobody && level.score < score {
			break
		}
		score = level.score
		best = x.winner(g, best, x.leastGradient(p, g, x.levelNodes(p, level)))
	}
	return max(best, 0), best != nobody
}

// maxSoftSets bounds the soft terms whose combinations are tried one by one.
const maxSoftSets = 6

// softSets reports whether the soft terms are few and none is about domains.
func (p *probe) softSets() bool {
	return len(p.soft) <= maxSoftSets && !slices.ContainsFunc(p.soft, func(t softTest) bool { return t.rule != nil })
}

// setLevel is a combination of soft terms, by their places, and its score.
type setLevel struct {
	in    int
	score int64
}

// setLevels returns every combination of the soft terms, greatest score first.
// The result is scratch.
func (x *Index) setLevels(p *probe) []setLevel {
	levels := x.scratchLevels[:0]
	for in := range 1 << len(p.soft) {
		level := setLevel{in: in}
		for i := range p.soft {
			level.score += int64(in>>i&1) * p.soft[i].weight
		}
		levels = append(levels, level)
	}
	x.scratchLevels = levels
	slices.SortStableFunc(levels, func(a, b setLevel) int { return cmp.Compare(b.score, a.score) })
	return levels
}

// levelNodes returns the eligible nodes for which just this combination of the
// soft terms holds. The result is scratch.
func (x *Index) levelNodes(p *probe, level setLevel) bitset {
	x.left = append(x.left[:0], p.eligible...)
	for i := range p.soft {
		set := p.soft[i].set.bits
		for w := range x.left {
			if level.in>>i&1 == 1 {
				x.left[w] &= set[w]
			} else {
				x.left[w] &^= set[w]
			}
		}
	}
	return x.left
}

// leastGradient returns the first of the allowed nodes on which the query
// fits, or nobody. Often that is the winner among all nodes with room; where
// it is not, only those parts of the tournament are looked at whose winners
// come before the best so far.
func (x *Index) leastGradient(p *probe, g *gradients, allowed bitset) Row {
	best := nobody
	for _, top := range g.tops {
		best = x.winner(g, best, top)
	}
	if best == nobody || allowed.has(best) && x.admits(p, best) {
		return best
	}
	best = nobody
	for t, top := range g.tops {
		if x.winner(g, best, top) == best {
			continue
		}
		for w := t << 6; w < min(len(g.heads), (t+1)<<6); w++ {
			if allowed[w] != 0 && x.winner(g, best, g.heads[w]) != best {
				best = x.winnerOf(p, g, allowed, w, best)
			}
		}
	}
	return best
}

// winnerOf returns the first among best and those of 64 allowed nodes on which
// the query fits.
func (x *Index) winnerOf(p *probe, g *gradients, allowed bitset, w int, best Row) Row {
	for word := allowed[w]; word != 0; word &= word - 1 {
		row := Row(w<<6 + bits.TrailingZeros64(word))
		if g.by[row] != unfit && x.winner(g, best, row) == row && x.admits(p, row) {
			best = row
		}
	}
	return best
}

// winner returns the one of two nodes with room that comes first, or nobody.
func (x *Index) winner(g *gradients, a, b Row) Row {
	switch {
	case b == nobody:
		return a
	case a == nobody:
		return b
	case g.by[a] != g.by[b]:
		if g.by[a] < g.by[b] {
			return a
		}
		return b
	case x.key[a] != x.key[b]:
		if x.key[a] < x.key[b] {
			return a
		}
		return b
	case x.nodes[a].join < x.nodes[b].join:
		return a
	default:
		return b
	}
}

// elect plays the matches of stale heads again.
func (x *Index) elect(p *probe, g *gradients) {
	played := -1 // the last top that is not stale any more
	for w := range g.stale.each {
		head := nobody
		for row := w << 6; row < min(Row(len(g.by)), (w+1)<<6); row++ {
			if g.by[row] == unknown {
				g.by[row] = x.measureGradient(p, row)
			}
			if g.by[row] != unfit {
				head = x.winner(g, head, row)
			}
		}
		g.heads[w] = head
	}
	for w := range g.stale.each {
		t := int(w >> 6)
		if t == played {
			continue
		}
		played = t
		g.tops[t] = nobody
		for _, head := range g.heads[t<<6 : min(len(g.heads), (t+1)<<6)] {
			g.tops[t] = x.winner(g, g.tops[t], head)
		}
	}
	clear(g.stale)
}
