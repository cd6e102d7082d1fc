package index

import (
	"math"
	"slices"
)

// gradients are ΔF of one shape of request on every node, and a tournament
// between them. ΔF is not linear in what is free, so no order of nodes serves
// all requests; but it changes only where something was placed or freed, so a
// shape that is asked for again plays few matches again.
//
// Invariant: by[row] is current, unknown, or unfit where the shape finds no
// room, once outdated by bookLog. heads[w] is the first of the 64 nodes from
// row 64·w on unless w is stale, tops[t] the first of the 64 heads from 64·t
// on unless one of them is.
type gradients struct {
	asks    []ask
	by      []int64
	heads   []Row
	tops    []Row
	stale   bitset // of heads
	seen    uint64 // position in Index.bookLog
	lastUse uint64
}

const (
	// unknown stands for a value that is computed when it is asked for.
	unknown = math.MinInt64
	// unfit stands for the gradient of a node without room for the shape.
	unfit = math.MaxInt64
	// nobody is the winner among nodes without room.
	nobody = Row(-1)
)

// gradientBytes bounds what is remembered of gradients.
const gradientBytes = 64 << 20

// gradient returns ΔF of the query on a node that it fits on.
func (x *Index) gradient(p *probe, row Row) int64 {
	by := x.gradientsOf(p).by
	if by[row] == unknown {
		by[row] = x.measureGradient(p, row)
	}
	return by[row]
}

// measureGradient returns ΔF of the query on a node, or unfit.
func (x *Index) measureGradient(p *probe, row Row) int64 {
	f := &x.fragmentation
	if !x.present.has(row) || !x.hasRoom(p, row) {
		return unfit
	}
	if f.base[row] == unknown {
		f.base[row] = x.measureFragments(row, nil)
	}
	return ceilDiv(x.measureFragments(row, p.asks)-f.base[row], f.unit)
}

// ceilDiv returns ⌈a / b⌉ for positive b.
func ceilDiv(a, b int64) int64 {
	if a > 0 {
		return (a + b - 1) / b
	}
	return a / b
}

// gradientsOf returns what is remembered of the query's shape, with what
// changed since made unknown.
func (x *Index) gradientsOf(p *probe) *gradients {
	if p.gradients != nil {
		return p.gradients
	}
	f := &x.fragmentation
	f.base = x.outdate(f.base, f.seen)
	f.seen = x.bookLog.end()
	h := hashStart
	for _, a := range p.asks {
		h = h.word(uint64(a.dim)).word(uint64(a.amount))
	}
	g := f.shapes[h]
	if g == nil || !slices.Equal(g.asks, p.asks) {
		f.evict(len(x.nodes))
		g = &gradients{asks: slices.Clone(p.asks)}
		f.shapes[h] = g
	}
	x.follow(g)
	f.clock++
	g.lastUse = f.clock
	p.gradients = g
	return g
}

// follow makes gradients unknown, and heads stale, of nodes that changed since
// the last time.
func (x *Index) follow(g *gradients) {
	changed, ok := x.bookLog.since(g.seen)
	kept := len(g.by)
	if !ok {
		kept = 0
	}
	g.by = x.outdate(g.by, g.seen)
	g.seen = x.bookLog.end()
	g.stale = g.stale.resized(words(words(len(x.nodes))))
	for len(g.heads) < words(len(x.nodes)) {
		g.heads = append(g.heads, nobody)
	}
	for len(g.tops) < words(len(g.heads)) {
		g.tops = append(g.tops, nobody)
	}
	for w := kept >> 6; w < len(g.heads); w++ {
		g.stale.set(Row(w))
	}
	for _, row := range changed {
		g.stale.set(row >> 6)
	}
}

// outdate makes the values unknown of nodes that changed since a position in
// the log, of all if that is no longer known.
func (x *Index) outdate(values []int64, seen uint64) []int64 {
	changed, ok := x.bookLog.since(seen)
	if !ok {
		values = values[:0]
	}
	for len(values) < len(x.nodes) {
		values = append(values, unknown)
	}
	for _, row := range changed {
		values[row] = unknown
	}
	return values
}

// evict forgets the shape that was not used for longest when there are too
// many for gradientBytes.
func (f *fragmentation) evict(nodes int) {
	if len(f.shapes) < max(1, gradientBytes/(8*max(1, nodes))) {
		return
	}
	var oldest hash
	least := uint64(math.MaxUint64)
	for h, g := range f.shapes {
		if g.lastUse < least {
			oldest, least = h, g.lastUse
		}
	}
	delete(f.shapes, oldest)
}
