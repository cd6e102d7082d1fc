package index

import "slices"

// repeat is the answer of the last search, from which the next one can go on.
//
// Invariant: while version is that of the index, no node that comes before row in the
// order of packing fits the query of this class and these amounts. What is put on row
// itself keeps that so: the row only moves to the front, and all others stay as they
// are.
type repeat struct {
	class   *Class
	asks    []ask
	row     Row
	version uint64
}

// again returns the node of the last search, if that is the answer of this one too.
// Rules about instances would have to be looked at on all nodes again.
func (x *Index) again(p *probe) (Row, bool) {
	r := &x.repeat
	same := p.alone == nil && r.version == x.version && r.class == p.query.Class && p.packing() && len(p.tests) == 0 &&
		slices.Equal(r.asks, p.asks) && x.fits(p, r.row)
	return r.row, same
}

// keepAnswer keeps the answer of a search. Those with rules about instances are not
// asked for again.
func (x *Index) keepAnswer(p *probe, row Row) {
	x.repeat = repeat{p.query.Class, append(x.repeat.asks[:0], p.asks...), row, x.version}
}

// continues reports whether putting something on a node keeps the last answer.
func (x *Index) continues(row Row, delta int64) bool {
	return delta > 0 && row == x.repeat.row && x.repeat.version == x.version
}
