package index

import "math/bits"

// drawAttempts is how often Random draws among all nodes before it counts the
// feasible ones.
const drawAttempts = 16

// draw chooses uniformly among the feasible nodes of the greatest soft score.
// Draws are a hash of seed, request, state and attempt over the nodes in join
// order, so that they depend on nothing else: neither on rows nor on earlier
// draws. Rejected draws leave the rest uniform.
func (x *Index) draw(p *probe) (Row, bool) {
	if len(x.byJoin) == 0 {
		return 0, false
	}
	var fit bitset // the feasible nodes of the greatest soft score
	if len(p.soft) > 0 {
		fit = x.favourites(p)
	}
	for attempt := range uint64(drawAttempts) {
		row := x.byJoin[x.random(p.query, attempt, len(x.byJoin))]
		if fit == nil && x.fits(p, row) {
			x.stats.Draws++
			return row, true
		}
		if fit != nil && fit.has(row) {
			x.stats.Scans++
			return row, true
		}
	}
	x.stats.Scans++
	if fit == nil {
		fit = x.candidates(p)
	}
	n := fit.count()
	if n == 0 {
		return 0, false
	}
	nth := x.random(p.query, drawAttempts, n)
	for _, row := range x.byJoin {
		if fit.has(row) {
			if nth == 0 {
				return row, true
			}
			nth--
		}
	}
	return 0, false
}

// favourites returns the feasible nodes of the greatest soft score.
func (x *Index) favourites(p *probe) bitset {
	fit := x.candidates(p)
	best := int64(-1 << 63)
	for row := range fit.each {
		best = max(best, p.softScore(row))
	}
	for row := range fit.each {
		if p.softScore(row) < best {
			fit.remove(row)
		}
	}
	return fit
}

// random returns a number from 0 to n-1.
func (x *Index) random(q *Query, attempt uint64, n int) int {
	h := hashStart.word(x.cfg.Seed).text(q.ID).word(q.Seq).word(attempt)
	high, _ := bits.Mul64(uint64(h.word(0).word(attempt)), uint64(n))
	return int(high)
}

// hash is a running 64-bit hash. It is the same in every process: draws depend
// on it.
type hash uint64

const (
	hashStart  = hash(0x9E3779B97F4A7C15)
	hashFactor = 0xD6E8FEB86659FD93
)

func (h hash) word(v uint64) hash {
	high, low := bits.Mul64(uint64(h)^v, hashFactor)
	return hash(high^low^v>>32) + hashStart
}

func (h hash) text(s string) hash {
	h = h.word(uint64(len(s)))
	for len(s) >= 8 {
		h = h.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
		s = s[8:]
	}
	tail := uint64(0)
	for i := range len(s) {
		tail = tail<<8 | uint64(s[i])
	}
	return h.word(tail)
}
