package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

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
