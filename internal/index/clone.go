package index

import (
	"maps"
	"slices"

	"github.com/rads-project/constellation/internal/cow"
)

// A clone answers as its original does, whatever happens to either afterwards. What
// stands in a row per node is copied. What grows with instances and rules is shared:
// it has an owner, and who is not that copies it before it changes it for the first
// time. Cloning gives both indexes a new owner, so that neither is that of anything
// shared. What is only kept to be faster, and costs little to make again, the clone
// makes again: compiled sets of nodes, tops, and what is remembered of answers.

// ownRow makes what a row points to ready to be changed.
func (x *Index) ownRow(row Row) {
	if !x.shared.has(row) {
		return
	}
	x.shared.remove(row)
	n := &x.nodes[row]
	if n.gpus != nil {
		n.gpus = &gpus{used: slices.Clone(n.gpus.used)}
	}
	if n.hold != nil {
		held := *n.hold
		n.hold = &held
	}
	x.running[row] = slices.Clone(x.running[row])
}

// Clone returns an index that answers as x does, and shares its classes: those of
// either are classes of both, as long as they are known there. It takes time in
// proportion to the nodes, some 100 bytes of each, to the classes and counters, and to
// the grids, but neither to the instances nor to what rules count.
func (x *Index) Clone() *Index {
	x.owner = new(cow.Owner)
	copy(x.shared, x.present)
	y := &Index{
		cfg: x.cfg, thresholds: x.thresholds, owner: new(cow.Owner),
		dims: slices.Clone(x.dims), byName: slices.Clone(x.byName), named: x.named, unused: x.unused,
		bound: x.bound, byGPUs: slices.Clone(x.byGPUs), gpus: x.gpus,
		version: x.version, searches: x.searches, grids: x.grids,
		nodeLog: x.nodeLog.clone(), bookLog: x.bookLog.clone(),
	}
	x.copyColumns(y)
	x.copyLabels(y)
	c := cloner{x: x, y: y}
	c.sets()
	c.counters()
	c.classes()
	c.orders()
	for _, k := range x.counters.known {
		k.twin = nil
	}
	y.refusals.init()
	y.fragmentation = x.fragmentation.clone()
	return y
}

// copyColumns copies what stands in a row per node to y.
func (x *Index) copyColumns(y *Index) {
	y.nodes, y.key, y.packed = slices.Clone(x.nodes), slices.Clone(x.key), slices.Clone(x.packed)
	y.most, y.whole, y.running = slices.Clone(x.most), slices.Clone(x.whole), slices.Clone(x.running)
	y.present, y.ready, y.full = slices.Clone(x.present), slices.Clone(x.ready), slices.Clone(x.full)
	y.overused, y.held, y.shared = slices.Clone(x.overused), slices.Clone(x.held), slices.Clone(x.shared)
	y.vacant, y.byJoin = slices.Clone(x.vacant), slices.Clone(x.byJoin)
	for _, column := range x.free {
		y.free = append(y.free, slices.Clone(column))
	}
}

// copyLabels copies the tables of labels, taints and ports to y.
func (x *Index) copyLabels(y *Index) {
	y.labels = make(map[string]*labelKey, len(x.labels))
	for key, k := range x.labels {
		y.labels[key] = &labelKey{values: k.values.Clone()}
	}
	y.taints = taintLists{
		numbers: maps.Clone(x.taints.numbers), lists: slices.Clone(x.taints.lists),
		vacant: slices.Clone(x.taints.vacant), soft: x.taints.soft,
	}
	y.ports = portTable{fixed: copyPorts(x.ports.fixed), reserved: copyPorts(x.ports.reserved), dynamic: copyPorts(x.ports.dynamic)}
}

func copyPorts[K comparable](counts map[K]*domainCounts) map[K]*domainCounts {
	copied := make(map[K]*domainCounts, len(counts))
	for port, of := range counts {
		shared := *of
		copied[port] = &shared
	}
	return copied
}

func (l *changeLog) clone() changeLog { return changeLog{slices.Clone(l.rows), l.base} }

// cloner finds the copies of what others point to.
type cloner struct {
	x, y       *Index
	setOf      map[*nodeSet]*nodeSet
	gridOf     map[*grid]*grid
	topologyOf map[*topology]*topology
}

func (c *cloner) sets() {
	c.y.sets.init()
	c.y.sets.clock = c.x.sets.clock
	c.setOf = make(map[*nodeSet]*nodeSet, len(c.x.sets.known))
	for rules, set := range c.x.sets.known {
		copied := &nodeSet{setRules: set.setRules, rules: rules, users: set.users, n: set.n, edit: set.edit}
		c.setOf[set], c.y.sets.known[rules] = copied, copied
	}
}

func (c *cloner) counters() {
	x, y := c.x, c.y
	y.topologies = make(map[string]*topology, len(x.topologies))
	c.topologyOf = make(map[*topology]*topology, len(x.topologies))
	for key, t := range x.topologies {
		copied := *t
		copied.numbers, copied.users = t.numbers.Clone(), nil
		c.topologyOf[t], y.topologies[key] = &copied, &copied
	}
	y.counters.init()
	y.counters.known = make(map[string]*counter, len(x.counters.known))
	copies := make([]counter, 0, len(x.counters.known)) // in one piece
	for _, k := range x.counters.known {
		copies = append(copies, *k)
		copied := &copies[len(copies)-1]
		copied.topology, copied.bars = c.topologyOf[k.topology], nil
		k.twin, y.counters.known[k.rules] = copied, copied
	}
	for t, copied := range c.topologyOf {
		copied.users = listOfTwins(t.users)
	}
	y.counters.groups = make(map[pair][]*counter, len(x.counters.groups))
	for of, list := range x.counters.groups {
		y.counters.groups[of] = listOfTwins(list)
	}
	c.keys(&x.counters.selectors, &y.counters.selectors)
	c.keys(&x.counters.holders, &y.counters.holders)
}

// cloned returns the copy of a counter, while the index is cloned; nil of none, and of one
// that is dead.
func (k *counter) cloned() *counter {
	if k == nil {
		return nil
	}
	return k.twin
}

// listOfTwins returns the copies of counters. Those that are dead have none.
func listOfTwins(list []*counter) []*counter {
	if len(list) == 0 {
		return nil
	}
	copied := make([]*counter, 0, len(list))
	for _, k := range list {
		if k.twin != nil {
			copied = append(copied, k.twin)
		}
	}
	return copied
}

func (c *cloner) keys(from, to *keyTable) {
	to.used, to.unkeyed, to.round = from.used, from.unkeyed, from.round
	to.lists = make(map[indexKey][]*counter, len(from.lists))
	for key, list := range from.lists {
		to.lists[key] = listOfTwins(list)
	}
}

func (c *cloner) classes() {
	from, to := &c.x.classes, &c.y.classes
	to.init()
	to.known = make(map[string]*classState, len(from.known))
	to.states, to.spare, to.unused = make([]*classState, len(from.states)), slices.Clone(from.spare), from.unused
	to.priorities = maps.Clone(from.priorities)
	copies := make([]classState, len(from.states))
	for number, class := range from.states {
		if class == nil {
			continue
		}
		copied := &copies[number]
		*copied = classState{
			Class: class.Class, refs: class.refs, places: class.places, leaving: class.leaving, owner: class.owner,
			counted: listOfTwins(class.counted), keeps: listOfTwins(class.keeps), compiled: c.compiled(class.compiled),
		}
		to.states[number], to.known[class.rules] = copied, copied
	}
	for class := from.idle.newer; class != &from.idle; class = class.newer {
		to.states[class.number].link(&to.idle)
	}
	to.unlisted = true
}

func (c *cloner) compiled(rules *compiledRules) *compiledRules {
	if rules == nil {
		return nil
	}
	copied := *rules
	copied.eligible, copied.unpreferred, copied.described = c.setOf[rules.eligible], c.setOf[rules.unpreferred], c.setOf[rules.described]
	copied.hard, copied.soft = c.rules(rules.hard), c.rules(rules.soft)
	copied.preferred, copied.scaled = c.terms(rules.preferred), c.terms(rules.scaled)
	copied.group, copied.repellers = rules.group.cloned(), nil
	copied.edit, copied.tops, copied.barred = 0, nil, 0
	return &copied
}

func (c *cloner) rules(rules []domainRule) []domainRule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].counter = rules[i].counter.cloned()
		rules[i].targets, rules[i].located = nil, 0
	}
	return rules
}

func (c *cloner) terms(terms []labelTerm) []labelTerm {
	terms = slices.Clone(terms)
	for i := range terms {
		terms[i].set = c.setOf[terms[i].set]
	}
	return terms
}

// orders copies the orders whose rules are still in use.
func (c *cloner) orders() {
	c.gridOf = make(map[*grid]*grid)
	for _, o := range c.x.orders {
		if o.grid != nil {
			c.gridOf[o.grid] = o.grid.clone()
		}
	}
	for _, o := range c.x.orders {
		if o.abandoned() {
			continue
		}
		copied := *o
		copied.set, copied.terms, copied.topology = c.setOf[o.set], c.terms(o.terms), c.topologyOf[o.topology]
		if copied.grid = c.gridOf[o.grid]; copied.grid != nil {
			copied.grid.build.from = c.gridOf[o.grid.build.from]
		}
		c.y.orders = append(c.y.orders, &copied)
	}
}

// clone returns a grid of the same nodes that shares the entries of blocks.
func (g *grid) clone() *grid {
	copied := *g
	g.owner, copied.owner = new(cow.Owner), new(cow.Owner)
	copied.at, copied.blocks, copied.spare = slices.Clone(g.at), slices.Clone(g.blocks), slices.Clone(g.spare)
	copied.parts = slices.Clone(g.parts)
	for i := range copied.parts {
		part := &copied.parts[i]
		part.known, part.spare, part.cells = maps.Clone(part.known), slices.Clone(part.spare), slices.Clone(part.cells)
		for j := range part.cells {
			part.cells[j].blocks = slices.Clone(part.cells[j].blocks)
		}
	}
	return &copied
}

// own returns a block whose entries may be changed.
func (g *grid) own(number int32) *block {
	b := &g.blocks[number]
	if b.owner != g.owner {
		b.owner = g.owner
		b.entries = append(make([]gridEntry, 0, cap(b.entries)), b.entries...)
	}
	return b
}

// clone returns the same measure with scratch of its own.
func (f *fragmentation) clone() fragmentation {
	copied := *f
	copied.bounds = slices.Clone(f.bounds)
	copied.states, copied.profiles, copied.classes = f.states.clone(), f.profiles.clone(), f.classes.clone()
	copied.shelves = slices.Clone(f.shelves)
	for i := range copied.shelves {
		copied.shelves[i] = slices.Clone(copied.shelves[i])
	}
	copied.before, copied.after = gpuState{}, gpuState{}
	copied.offered, copied.loss, copied.lefts, copied.ranks, copied.text = nil, nil, nil, nil, nil
	return copied
}

func (i *interned[T]) clone() interned[T] {
	return interned[T]{maps.Clone(i.numbers), slices.Clone(i.all), slices.Clone(i.texts), slices.Clone(i.spare)}
}
