package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// A query can leave one instance of its class out of account, as if it had gone. The
// rules on domains then ask copies of the counters, see overlay. All else that goes
// with an instance belongs to one node: its amounts are copied into an index of that
// node alone, where the instance is taken out of them, and its ports are subtracted
// where the node is asked for them.

// Own is the instance that a query leaves out of account, on the books of a node and
// joined.
type Own struct {
	Row Row
	Absent
}

// without returns an index that holds in row 0 the amounts of the node of an instance,
// without that. It has the dimensions of x and measures as x does; what changes with
// the amounts is its own, and it knows neither rules nor ports.
func (x *Index) without(own *Own) *Index {
	row := own.Row
	y := &Index{
		cfg: x.cfg, thresholds: x.thresholds, dims: x.dims, named: x.named, fragmentation: x.fragmentation.unmeasured(),
		nodes: []node{x.nodes[row]}, key: []int64{x.key[row]}, packed: make([]uint64, 1),
		most: make([]int32, 1), whole: make([]int32, 1), full: make(bitset, 1), overused: make(bitset, 1),
	}
	for d := range x.dims {
		y.free = append(y.free, []int64{x.free[d][row]})
	}
	n := &y.nodes[0]
	if n.gpus != nil {
		n.gpus = &gpus{used: slices.Clone(n.gpus.used)}
	}
	if n.hold != nil {
		held := *n.hold
		n.hold = &held
	}
	y.measureGPUs(0)
	y.bookAmounts(0, own.Resources, own.Devices, -1)
	y.changed(0)
	return y
}

// books returns where the amounts of a node stand for a query, and in which row.
func (x *Index) books(p *probe, row Row) (*Index, Row) {
	if p.alone != nil && row == p.query.Own.Row {
		return p.alone, 0
	}
	return x, row
}

// ownOn returns the instance that the query leaves out of account if it is on this
// node, else nil.
func (p *probe) ownOn(row Row) *Own {
	if p.alone != nil && row == p.query.Own.Row {
		return p.query.Own
	}
	return nil
}

// withOwn returns the instances that are gone from a node with that one.
func (p *probe) withOwn(row Row, gone []Absent) []Absent {
	if own := p.ownOn(row); own != nil {
		return append(slices.Clip(gone), own.Absent)
	}
	return gone
}

// booksRule asks a rule on amounts where they stand for the query.
type booksRule struct {
	rule
	p *probe
}

func (r booksRule) mark(x *Index, among, fail bitset) (from, to int) {
	from, to = r.rule.mark(x, among, fail)
	_, fails := r.fails(x, r.p.query.Own.Row)
	fail.put(r.p.query.Own.Row, fails)
	return from, to
}

func (r booksRule) fails(x *Index, row Row) (int64, bool) {
	x, row = x.books(r.p, row)
	return r.rule.fails(x, row)
}

// claims returns how often an instance has a port.
func (a *Absent) claims(port placement.Port) int32 {
	claims := int32(0)
	if slices.Contains(a.Class.request.Ports, port) {
		claims++
	}
	if slices.Contains(a.Ports, port.Number) {
		claims++
	}
	return claims
}

// Absent is an instance on the books of a node, joined, that a question leaves out
// of account.
type Absent struct {
	Class     *Class
	Resources *placement.Resources
	Taken
	// Leaving says that it is being stopped, and joined as such.
	Leaving bool
}

// countedBy reports whether the state of an instance lets a counter that covers it
// count it.
func (a *Absent) countedBy(k *counter) bool { return !a.Leaving || k.of.countsLeaving() }

// FitsWithout reports whether the query that was surveyed would fit on a node
// without some of the instances that are there. It changes nothing, and takes time
// in proportion to these instances times the rules on domains, and to the node's
// GPUs if some are used by them.
func (x *Index) FitsWithout(s *Survey, row Row, gone []Absent) bool {
	p := s.probe
	if p.nowhere || !p.eligible.has(row) || !x.hasRoomWithout(p, row, p.withOwn(row, gone)) {
		return false
	}
	if !x.givesPortsWithout(p, row, gone) {
		return false
	}
	return p.passesWithout(row, func(k *counter) int32 {
		on := int32(0)
		for i := range gone {
			on += x.countedIn(&gone[i], k)
		}
		return on
	})
}

// hasRoomWithout reports whether a node takes another instance and has the amounts
// without some of the instances that are there.
func (x *Index) hasRoomWithout(p *probe, row Row, gone []Absent) bool {
	n := x.nodes[row] // a copy that the instances are taken out of
	n.instances -= int64(len(gone))
	var freed vector
	for i := range gone {
		for name, amount := range gone[i].Resources.All() {
			if d := x.lookup(name); d >= 0 {
				freed[d] += amount
			}
		}
		n.freeGPUs(&gone[i])
	}
	if n.full() || n.gpusOver() > 0 {
		return false
	}
	for d := range x.dims {
		if x.spare(row, d)+freed[d] < 0 {
			return false
		}
	}
	holds := x.deviceHolds(row, nil)
	for _, a := range p.asks {
		left := x.spare(row, a.dim) + freed[a.dim]
		if n.hold != nil {
			left = satSub(left, n.hold.amounts[a.dim])
		}
		if a.name == placement.NameGPU {
			if most, whole := n.gpusLeft(holds); gpuMissing(a.amount, most, whole) > 0 {
				return false
			}
		} else if left < a.amount {
			return false
		}
	}
	return true
}

// freeGPUs takes what an instance uses of GPUs out of a copy of a node.
func (n *node) freeGPUs(gone *Absent) {
	if len(gone.Devices) == 0 {
		return
	}
	used := slices.Clone(n.gpus.used)
	for _, device := range gone.Devices {
		used[device] -= min(gone.Resources.GPU, placement.Device)
	}
	n.gpus = &gpus{used: used}
}

// counts reports whether a counter counts the instances of a class that runs.
func (c *classState) counts(k *counter) bool {
	if k.original != nil {
		k = k.original
	}
	return slices.Contains(c.counted, k) || slices.Contains(c.keeps, k)
}

// passesWithout reports whether a node passes the rules on domains without some of
// what is counted there, which on says of each counter.
func (p *probe) passesWithout(row Row, on func(*counter) int32) bool {
	for i := range p.tests {
		if test := &p.tests[i]; !test.passesWithout(row, on(test.counter)) {
			return false
		}
	}
	return true
}

// passesWithout reports whether a node passes without so many of those counted there.
//
// What goes may be what attracts: then the request's own instance is the first.
// It lowers no bound of a spread rule below what is left in the domain.
func (t *domainTest) passesWithout(row Row, gone int32) bool {
	k := t.counter
	domain := k.topology.of(row)
	if domain == noDomain {
		return !t.keyed
	}
	left, first := k.domains.at(domain)-gone, t.self > 0 && k.all == int64(gone)
	return left <= t.high && (left >= t.low || first)
}

// overlay makes the rules of a query that thinks instances of its class on nodes, or
// one of them gone: the counters that would count them are replaced by copies that
// do. The query keeps it, and it grows with the list of them.
type overlay struct {
	x       *Index
	class   *Class
	version uint64 // of the index
	own     *Own   // the instance that is not counted
	alone   *Index // the amounts of its node
	joined  []Row  // the instances that are counted
	rules   compiledRules
	copies  map[string]*counter // by what they count
}

// rulesOf returns the compiled rules of a query, with what it thinks on nodes.
func (x *Index) rulesOf(q *Query) *compiledRules {
	rules := x.compiledOf(q.Class)
	if len(q.Joined) == 0 && q.Own == nil {
		return rules
	}
	o := q.overlay
	if !o.serves(x, q) {
		o = &overlay{x: x, class: q.Class, version: x.version, rules: *rules, copies: make(map[string]*counter)}
		o.rules.hard, o.rules.soft = o.domainRules(rules.hard), o.domainRules(rules.soft)
		o.rules.tops, o.rules.thought = nil, true
		o.rules.repellers = o.repellers(rules.repellers)
		if rules.group != nil {
			o.rules.group = o.counter(rules.group)
		}
		if o.own = q.Own; o.own != nil {
			o.alone = x.without(o.own)
			for _, k := range o.copies {
				if o.own.countedBy(k) {
					x.count(k, o.own.Row, -1)
				}
			}
		}
		q.overlay = o
	}
	for _, row := range q.Joined[len(o.joined):] {
		for _, k := range o.copies {
			x.count(k, row, 1)
		}
		o.joined = append(o.joined, row)
	}
	return &o.rules
}

// thinks reports whether a query is about something else than what is there.
func (q *Query) thinks() bool { return len(q.Joined) > 0 || q.Own != nil || len(q.Closed) > 0 }

// serves reports whether an overlay is of the present and counts no instances but
// the first of those that the query has now.
func (o *overlay) serves(x *Index, q *Query) bool {
	return o != nil && o.class == q.Class && o.version == x.version && o.own == q.Own &&
		len(o.joined) <= len(q.Joined) && slices.Equal(o.joined, q.Joined[:len(o.joined)])
}

func (o *overlay) domainRules(rules []domainRule) []domainRule {
	rules = slices.Clone(rules)
	for i := range rules {
		if rules[i].self > 0 {
			rules[i].counter = o.counter(rules[i].counter)
		}
	}
	return rules
}

// repellers replaces those holders that instances of the class would be, and adds
// those that nobody is yet.
func (o *overlay) repellers(holders []*counter) []*counter {
	holders = slices.Clone(holders)
	class := o.class
	for _, term := range class.request.Preferences.Affinity {
		target := class.affinityTarget(term, ofHolders)
		if !term.Repel || !term.Required() || !target.covers(class) {
			continue
		}
		rules := string(o.x.counters.writer.counter(target, term.Topology))
		i := slices.IndexFunc(holders, func(k *counter) bool { return k.rules == rules })
		if i >= 0 {
			holders[i] = o.counter(holders[i])
			continue
		}
		holders = append(holders, o.counter(&counter{of: target, rules: rules, topology: o.x.topology(term.Topology)}))
	}
	sortByReason(holders)
	return holders
}

// counter returns the copy of a counter in which the instances will be counted.
func (o *overlay) counter(k *counter) *counter {
	if known := o.copies[k.rules]; known != nil {
		return known
	}
	copied := *k
	copied.original = k
	copied.domains, copied.bars = k.domains.clone(o.x.owner), nil
	o.copies[k.rules] = &copied
	return &copied
}

// joinedOn returns how many more instances of its class a query thinks on a node than
// a counter has of those that are there.
func (q *Query) joinedOn(k *counter, row Row) int32 {
	n := int32(0)
	if q.Own != nil && q.Own.Row == row && q.Own.countedBy(k) {
		n--
	}
	for _, joined := range q.Joined {
		if joined == row {
			n++
		}
	}
	return n
}

// sortByReason brings holders into a fixed order.
func sortByReason(holders []*counter) {
	slices.SortStableFunc(holders, func(a, b *counter) int {
		return placement.CompareReasons(a.reason(), b.reason())
	})
}
