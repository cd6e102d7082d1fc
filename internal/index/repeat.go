package index

import "slices"

// repeat is the answer of the last search, from which the next one can go on.
//
// Invariant: while version is that of the index, no node that comes before row in the
// order of packing fits the query of this class and these amounts. An instance of the
// class that is put on row itself keeps that so: the row only moves to the front, and
// all others stay as they are. While prepared is that of the index too, its probe is
// still the one of that query, in which nothing depends on where such instances run.
type repeat struct {
	class    *Class
	asks     []ask
	row      Row
	version  uint64
	prepared uint64
}

// again returns the node of the last search, if that is the answer of this one too.
func (x *Index) again(q *Query) (Choice, bool) {
	r := &x.repeat
	if r.version != x.version || r.prepared != x.prepared || r.class != q.Class || q.thinks() {
		return Choice{}, false
	}
	x.scratchAsks = x.asksOf(q.Resources, x.scratchAsks[:0])
	if !slices.Equal(r.asks, x.scratchAsks) || !x.fits(&x.probe, r.row) {
		return Choice{}, false
	}
	x.stats.Repeats++
	return Choice{Row: r.row, Terms: x.terms(&x.probe, r.row)}, true
}

// keepAnswer keeps the answer of a search. With rules about instances or ports, all
// nodes would have to be looked at again.
func (x *Index) keepAnswer(p *probe, row Row) {
	if p.query.thinks() || !p.packing() || len(p.tests)+p.dynamic > 0 || len(p.query.Class.request.Ports) > 0 {
		return
	}
	x.repeat = repeat{p.query.Class, append(x.repeat.asks[:0], p.asks...), row, x.version, x.prepared}
}

// continues reports whether putting an instance on a node keeps the last answer.
func (x *Index) continues(row Row, c *Class, delta int64) bool {
	return delta > 0 && row == x.repeat.row && c == x.repeat.class && x.repeat.version == x.version
}
