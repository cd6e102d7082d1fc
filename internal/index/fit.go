package index

import "github.com/rads-project/constellation/placement"

// fits reports whether a node passes all filters.
func (x *Index) fits(p *probe, slot Row) bool {
	return !p.nowhere && p.eligible.has(slot) && x.hasRoom(p, slot) && p.admits(slot)
}

// hasRoom reports whether a node takes another instance and has the amounts,
// which must be of dimensions that exist.
func (x *Index) hasRoom(p *probe, slot Row) bool {
	return !x.full.has(slot) && misses(x.packed[slot], p.need) == 0 && x.holdsAmounts(p, slot)
}

// fitsExactly reports whether an eligible node that is not full passes the
// other filters: amounts, ports and domains.
func (x *Index) fitsExactly(p *probe, slot Row) bool {
	return !p.nowhere && x.holdsAmounts(p, slot) && p.admits(slot)
}

// holdsAmounts reports whether a node has room for amounts of dimensions that
// exist.
func (x *Index) holdsAmounts(p *probe, slot Row) bool {
	for i := range p.asks {
		a := &p.asks[i]
		if a.name == placement.NameGPU {
			if gpuMissing(a.amount, int64(x.most[slot]), int64(x.whole[slot])) > 0 {
				return false
			}
		} else if x.free[a.dim][slot] < a.amount {
			return false
		}
	}
	return true
}

// admits reports whether a node passes the rules on ports and domains.
func (p *probe) admits(slot Row) bool {
	for i := range p.ports {
		if p.ports[i].claims.at(int32(slot)) > 0 {
			return false
		}
	}
	for i := range p.tests {
		if !p.tests[i].passes(slot) {
			return false
		}
	}
	return true
}

// Fits reports whether the query fits on the node.
func (x *Index) Fits(q *Query, slot Row) bool { return x.fits(x.prepareFilters(q), slot) }

// Evaluate reports whether the query fits on the node and how it scores there,
// with other held amounts in place of the node's own; nil means its own.
func (x *Index) Evaluate(q *Query, slot Row, held *Hold) (placement.Terms, bool) {
	p := x.prepare(q)
	terms := x.terms(p, slot)
	if held == nil {
		return terms, x.fits(p, slot)
	}
	ok := p.eligible.has(slot) && !x.full.has(slot) && !p.nowhere && p.admits(slot)
	for _, a := range p.asks {
		ok = ok && x.missing(slot, a, held) <= 0
	}
	terms.Strategy = 0
	for d := range x.dims {
		free := satSub(x.spare(slot, d), held.Resources.Amount(x.dims[d].name))
		terms.Strategy += x.dims[d].term(p.packs, d, free)
	}
	return terms, ok
}

// missing returns by how much an amount fails on a node beside given holds,
// not above zero if it fits.
func (x *Index) missing(slot Row, a ask, held *Hold) int64 {
	if a.name == placement.NameGPU {
		most, whole := x.nodes[slot].gpusLeft(held.Devices)
		return gpuMissing(a.amount, most, whole)
	}
	if a.dim < 0 {
		return a.amount
	}
	return shortfall(a.amount, satSub(x.spare(slot, a.dim), held.Resources.Amount(a.name)))
}

// shortfall returns asked − left, or the nearest int64.
func shortfall(asked, left int64) int64 {
	if left < 0 && asked > 1<<63-1+left {
		return 1<<63 - 1
	}
	return asked - left
}
