package index

import "github.com/rads-project/constellation/placement"

// Whether a node takes a query is asked in several ways, which differ in what they
// look at:
//
//	                  eligible  full  packed  amounts  ports, domains
//	fits                 x       x      x        x           x
//	hasRoom                      x      x        x
//	fitsExactly                                  x           x
//	holdsAmounts                                 x
//	admits                                                   x
//	meets, MeetsPorts    x                                   x
//	Evaluate             x       x            other holds    x
//	FitsWithout          x       x            other use      x
//
// Eligible nodes are ready, have tolerated taints and meet the constraints; the
// packed comparison says early of most nodes that the exact amounts do not fit.

// fits reports whether a node passes all filters.
func (x *Index) fits(p *probe, row Row) bool {
	return !p.nowhere && p.eligible.has(row) && x.hasRoom(p, row) && x.admits(p, row)
}

// hasRoom reports whether a node takes another instance and has the amounts,
// which must be of dimensions that exist.
func (x *Index) hasRoom(p *probe, row Row) bool {
	x, row = x.books(p, row)
	return !x.full.has(row) && misses(x.packed[row], p.need) == 0 && x.holdsAmounts(p, row)
}

// fitsExactly reports whether an eligible node that is not full passes the
// other filters: amounts, ports and domains.
func (x *Index) fitsExactly(p *probe, row Row) bool {
	return !p.nowhere && x.holdsAmounts(p, row) && x.admits(p, row)
}

// holdsAmounts reports whether a node has room for amounts of dimensions that
// exist.
func (x *Index) holdsAmounts(p *probe, row Row) bool {
	for i := range p.asks {
		a := &p.asks[i]
		if a.name == placement.NameGPU {
			if gpuMissing(a.amount, int64(x.most[row]), int64(x.whole[row])) > 0 {
				return false
			}
		} else if x.free[a.dim][row] < a.amount {
			return false
		}
	}
	return true
}

// admits reports whether a node passes the rules on ports and domains.
func (x *Index) admits(p *probe, row Row) bool {
	if !x.givesPorts(p, row) {
		return false
	}
	for i := range p.tests {
		if !p.tests[i].passes(row) {
			return false
		}
	}
	return true
}

// Fits reports whether the query fits on the node.
func (x *Index) Fits(q *Query, row Row) bool { return x.fits(x.prepareFilters(q), row) }

// MeetsPorts reports whether a node passes all rules of the query but those on amounts
// and on the number of instances.
func (x *Index) MeetsPorts(q *Query, row Row) bool { return x.meets(x.prepareFilters(q), row) }

// Evaluate reports whether the query fits on the node and how it scores there,
// with other held amounts in place of the node's own; nil means its own.
func (x *Index) Evaluate(q *Query, row Row, held *Hold) (placement.Terms, bool) {
	p := x.prepare(q)
	terms := x.terms(p, row)
	if held == nil {
		return terms, x.fits(p, row)
	}
	ok := p.eligible.has(row) && !p.nowhere && x.admits(p, row)
	x, row = x.books(p, row)
	ok = ok && !x.overused.has(row) && !x.nodes[row].fullBeside(held.Instances)
	for _, a := range p.asks {
		ok = ok && x.missing(row, a, held) <= 0
	}
	terms.Strategy = p.packed
	for d := range x.dims {
		free := satSub(x.spare(row, d), held.Resources.Amount(x.dims[d].name))
		if x.dims[d].name == placement.NameGPU {
			free = x.nodes[row].gpusFree(held.Devices)
		}
		weighted := x.weighted(d, free, x.total(row, d))
		if p.packs>>d&1 == 1 {
			weighted = -weighted
		}
		terms.Strategy += weighted
	}
	return terms, ok
}

// missing returns by how much an amount fails on a node beside given holds,
// not above zero if it fits.
func (x *Index) missing(row Row, a ask, held *Hold) int64 {
	if a.name == placement.NameGPU {
		most, whole := x.nodes[row].gpusLeft(held.Devices)
		return gpuMissing(a.amount, most, whole)
	}
	if a.dim < 0 {
		return a.amount
	}
	return shortfall(a.amount, satSub(x.spare(row, a.dim), held.Resources.Amount(a.name)))
}

// shortfall returns asked − left, or the nearest int64.
func shortfall(asked, left int64) int64 {
	if left < 0 && asked > 1<<63-1+left {
		return 1<<63 - 1
	}
	return asked - left
}
