package index

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/rads-project/constellation/placement"
)

// refusal remembers by node why a request was refused, so that the same request is
// answered again by looking at those nodes alone that have changed. A change cures the
// refusal if it lets the request fit on such a node: room that came up, an instance or
// a hold that went. What may change the answer of any other node makes an end of it:
// a node that comes, goes or is described in another way, and whatever is counted by
// one of the rules on domains that the request has.
//
// Invariant: with what bookLog holds up to seen, first is for every node by row the
// number of the filter that it fails first, counted from 1 and 0 for none, and failing
// how many nodes fail each first; failing[0] is of those that fit.
type refusal struct {
	class     *classState
	amounts   builtinAmounts
	custom    map[string]int64   // asked as well: of those that differ in them, one is remembered
	reasons   []placement.Reason // of the filters, in their order
	first     []uint8
	failing   []int
	tests     []domainTest
	edits     []uint64 // of the counters of tests
	version   uint64   // of the index
	seen      uint64   // position in Index.bookLog
	described uint64   // position in Index.nodeLog
	bytes     int
	// Neighbours in the ring of refusalMemory.
	newer, older *refusal
}

// builtinAmounts are what a request asks of the dimensions that have names of their own.
type builtinAmounts struct{ cpu, memory, disk, network, gpu int64 }

func amountsOf(r *placement.Resources) builtinAmounts {
	return builtinAmounts{r.CPU, r.Memory, r.Disk, r.Network, r.GPU}
}

// refusalMemory holds the refusals of all classes, each of which knows its own, and
// forgets those that were not asked for longest.
type refusalMemory struct {
	ring  refusal // its newer and older are the ends
	bytes int
}

func (m *refusalMemory) init() { m.ring.newer, m.ring.older = &m.ring, &m.ring }

// recall returns what is remembered of a query, brought up to date in time
// proportional to the nodes that have changed since it was asked last, times the
// rules; and nil if nothing is, or what is has come to an end.
func (x *Index) recall(p *probe) *refusal {
	class := x.stateOf(p.query.Class)
	if len(class.refusals) == 0 || p.query.thinks() {
		return nil
	}
	r := class.refusals[amountsOf(p.query.Resources)]
	if r == nil || !maps.Equal(r.custom, p.query.Resources.Custom) {
		return nil
	}
	if r.version != x.version && !x.catchUp(r, p) {
		x.dropRefusal(r)
		return nil
	}
	r.unlink()
	r.link(&x.refusals.ring)
	return r
}

// catchUp looks again at the nodes that have changed. It reports false if others may
// answer differently too, or if looking at all of them takes no longer.
func (x *Index) catchUp(r *refusal, p *probe) bool {
	changed, ok := x.bookLog.since(r.seen)
	if !ok || len(changed) > 8+words(len(x.nodes)) || r.described != x.nodeLog.end() || !r.same(p.tests) {
		return false
	}
	if len(changed) > 0 {
		filters := x.filters(p)
		if !slices.EqualFunc(r.reasons, filters, func(a placement.Reason, b filter) bool { return a == b.reason }) {
			return false // a port or an amount that nobody had, or has any more
		}
		for _, row := range changed {
			r.put(row, firstFailure(x, filters, row))
		}
		x.stats.Rechecked += uint64(len(changed))
	}
	r.version, r.seen = x.version, x.bookLog.end()
	return true
}

// same reports whether the rules on domains pass the same nodes as when the refusal
// was made.
func (r *refusal) same(tests []domainTest) bool {
	if len(r.tests) != len(tests) {
		return false
	}
	for i := range tests {
		was, is := &r.tests[i], &tests[i]
		if was.counter != is.counter || was.low != is.low || was.high != is.high || r.edits[i] != is.counter.edit {
			return false
		}
	}
	return true
}

func firstFailure(x *Index, filters []filter, row Row) uint8 {
	for i := range filters {
		if _, fails := filters[i].fails(x, row); fails {
			return uint8(i + 1)
		}
	}
	return 0
}

// put notes what a node fails first now.
func (r *refusal) put(row Row, first uint8) {
	r.failing[r.first[row]]--
	r.failing[first]++
	r.first[row] = first
}

// note notes of the nodes of a word what they fail first.
func (r *refusal) note(w int, failed uint64, first uint8) {
	for ; failed != 0; failed &= failed - 1 {
		r.first[w<<6+bits.TrailingZeros64(failed)] = first
	}
}

// counts lists the filters that some node fails first.
func (r *refusal) counts() []ReasonCount {
	var counts []ReasonCount
	for i, reason := range r.reasons {
		if n := r.failing[i+1]; n > 0 {
			counts = append(counts, ReasonCount{reason, n})
		}
	}
	return counts
}

// customBytes is about what a custom amount takes.
const customBytes = 64

// newRefusal returns what is to be remembered of a query, none of whose nodes has
// failed anything so far, or nil if nothing is.
func (x *Index) newRefusal(p *probe, filters []filter) *refusal {
	most := x.thresholds.refusalBytes * max(len(x.nodes), x.thresholds.gridNodes)
	r := &refusal{
		class: x.stateOf(p.query.Class), amounts: amountsOf(p.query.Resources), custom: maps.Clone(p.query.Resources.Custom),
		version: x.version, seen: x.bookLog.end(), described: x.nodeLog.end(),
	}
	r.bytes = int(unsafe.Sizeof(*r)) + len(x.nodes) + len(filters)*int(unsafe.Sizeof(placement.Reason{})+unsafe.Sizeof(0)) +
		len(p.tests)*int(unsafe.Sizeof(domainTest{})+unsafe.Sizeof(r.version)) + customBytes*len(r.custom)
	if r.bytes > most || len(filters) > math.MaxUint8 || p.query.thinks() || x.cfg.Engine == Columns {
		return nil
	}
	for x.refusals.bytes+r.bytes > most {
		x.dropRefusal(x.refusals.ring.newer)
	}
	r.reasons, r.failing = make([]placement.Reason, len(filters)), make([]int, len(filters)+1)
	for i := range filters {
		r.reasons[i] = filters[i].reason
	}
	for _, test := range p.tests {
		r.tests, r.edits = append(r.tests, test), append(r.edits, test.counter.edit)
	}
	r.first, r.failing[0] = make([]uint8, len(x.nodes)), len(x.byJoin)
	return r
}

// keepRefusal remembers a refusal, in place of what was remembered of the same
// request.
func (x *Index) keepRefusal(r *refusal) {
	if before := r.class.refusals[r.amounts]; before != nil {
		x.dropRefusal(before)
	}
	if r.class.refusals == nil {
		r.class.refusals = make(map[builtinAmounts]*refusal, 1)
	}
	r.class.refusals[r.amounts] = r
	r.link(&x.refusals.ring)
	x.refusals.bytes += r.bytes
}

func (x *Index) dropRefusal(r *refusal) {
	delete(r.class.refusals, r.amounts)
	r.unlink()
	x.refusals.bytes -= r.bytes
}

func (r *refusal) link(ring *refusal) {
	r.newer, r.older = ring, ring.older
	r.newer.older, r.older.newer = r, r
}

func (r *refusal) unlink() {
	r.newer.older, r.older.newer = r.older, r.newer
	r.newer, r.older = nil, nil
}
