package index

import "math/bits"

// candidates writes the nodes on which the query fits into Index.left. Words
// of 64 nodes without an eligible one are skipped; the rest costs one packed
// comparison per node and an exact check for those that pass it.
func (x *Index) candidates(p *probe) bitset {
	x.left = x.left.resized(words(len(x.nodes)))
	if p.nowhere {
		clear(x.left)
		return x.left
	}
	for w := range x.left {
		word := p.eligible[w] &^ x.full[w]
		if word != 0 {
			word &= x.passing(w, p.need)
		}
		for rest := word; rest != 0; rest &= rest - 1 {
			bit := bits.TrailingZeros64(rest)
			if !x.fitsExactly(p, Row(w<<6+bit)) {
				word &^= 1 << bit
			}
		}
		x.left[w] = word
	}
	if p.alone != nil {
		x.left.put(p.query.Own.Row, x.fits(p, p.query.Own.Row))
	}
	return x.left
}

// passing returns a bit for every node of a word whose packed amounts reach
// need, without a branch per node.
func (x *Index) passing(w int, need uint64) uint64 {
	packed := x.packed[w<<6:]
	packed = packed[:min(64, len(packed))]
	failing := uint64(0)
	for i, p := range packed {
		missed := misses(p, need)
		failing |= (missed | -missed) >> 63 << i // 1 unless missed is 0
	}
	return ^failing
}

// scan returns the first node in the order of the strategy by looking at all.
func (x *Index) scan(p *probe) (Row, bool) {
	var (
		best     Row
		bestRank rank
		found    bool
		group    *domainCounts
	)
	if p.compiled.group != nil {
		group = &p.compiled.group.domains
	}
	for row := range x.candidates(p).each {
		// The group comes before all else: no need to score what is behind.
		if group != nil && found && -int64(group.at(int32(row))) < bestRank[0] {
			continue
		}
		r := x.rankOf(p, row)
		if !found || x.before(row, r, best, bestRank) {
			best, bestRank, found = row, r, true
		}
	}
	return best, found
}

// scanPacked is scan for queries that take the fullest node that fits: those
// of BinPack and Affinity without a soft term. It costs one comparison of
// packed words and keys per node, free of branches but for the nodes that pass
// both.
func (x *Index) scanPacked(p *probe) (Row, bool) {
	var (
		best    Row
		found   bool
		bestKey = int64(1<<63 - 1)
	)
	if p.nowhere {
		return 0, false
	}
	for w, word := range p.eligible {
		word &^= x.full[w]
		if word == 0 {
			continue
		}
		base := w << 6
		packed := x.packed[base:min(base+64, len(x.packed))]
		keys := x.key[base:min(base+64, len(x.key))]
		keys = keys[:len(packed)]
		for i, pack := range packed {
			missed := int64(misses(pack, p.need))
			// Negative if the key is too large, a lane misses, or the bit is 0.
			if (bestKey-keys[i])|-missed|(int64(word>>i&1)-1) < 0 {
				continue
			}
			row, key := Row(base+i), keys[i]
			if found && key == bestKey && x.nodes[row].join > x.nodes[best].join {
				continue
			}
			if x.fitsExactly(p, row) {
				best, bestKey, found = row, key, true
			}
		}
	}
	return best, found
}
