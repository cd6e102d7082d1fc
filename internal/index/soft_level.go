package index

import (
	"cmp"
	"slices"
)

// maxSoftSets bounds the soft terms whose combinations are tried one by one.
const maxSoftSets = 6

// softSets reports whether the soft terms are few and each holds for a node or not.
func (p *probe) softSets() bool {
	return len(p.soft) <= maxSoftSets &&
		!slices.ContainsFunc(p.soft, func(t softTest) bool { return t.rule != nil || t.set.kind == scaled })
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

// levelNodes returns those of the eligible nodes for which just this combination of
// the soft terms holds. The result is scratch.
func (x *Index) levelNodes(p *probe, eligible bitset, level setLevel) bitset {
	x.left = append(x.left[:0], eligible...)
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
