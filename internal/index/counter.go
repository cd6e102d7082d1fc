package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// counter counts instances that a rule looks at, by domain of a topology.
// Rules that look at the same instances share one.
//
// Invariant: domains holds, per domain, the instances of all classes that the
// counter covers, wherever they joined; all counts those without a domain too.
type counter struct {
	of       selectorTarget
	rules    string     // of and topology as a ruleWriter writes them
	keys     []indexKey // of a selector
	round    uint64     // of keyTable in which it was compared last
	topology *topology
	domains  domainCounts
	all      int64
	edit     uint64         // counts changes of domains and all
	bars     []*barredNodes // of single nodes, see bar.go
	users    int            // compiled rules or joined classes that use it
	original *counter       // of a copy that an overlay made
	twin     *counter       // in the clone of the index, while that is made
	dead     bool           // nobody uses it; classes forget it when they meet it
}

// counterTable interns counters, and finds those that cover a class without
// asking each: by group, or by an index key of the selector.
type counterTable struct {
	known     map[string]*counter // by target and topology
	writer    ruleWriter
	groups    map[pair][]*counter
	selectors keyTable
	holders   keyTable
	edit      uint64 // counts arrivals and departures of holders
}

func (t *counterTable) init() {
	t.known = make(map[string]*counter)
	t.groups = make(map[pair][]*counter)
	t.selectors.init()
	t.holders.init()
	t.edit = 1
}

// enter puts a new counter where classes find it.
func (t *counterTable) enter(k *counter) {
	t.known[k.rules] = k
	switch k.of.kind {
	case ofGroup:
		t.groups[k.of.pair()] = append(t.groups[k.of.pair()], k)
	case ofSelector, ofRepelled:
		t.selectors.add(k)
	case ofHolders:
		t.holders.add(k)
		t.edit++
	}
}

// leave undoes enter.
func (t *counterTable) leave(k *counter) {
	delete(t.known, k.rules)
	switch k.of.kind {
	case ofGroup:
		if list := without(t.groups[k.of.pair()], k); len(list) > 0 {
			t.groups[k.of.pair()] = list
		} else {
			delete(t.groups, k.of.pair())
		}
	case ofSelector, ofRepelled:
		t.selectors.remove(k)
	case ofHolders:
		t.holders.remove(k)
		t.edit++
	}
}

// acquire returns the counter of a target over a topology for one more user.
// A new one counts what runs: in time proportional to the instances counted,
// and to the live classes that have one of its index keys.
func (x *Index) acquire(s selectorTarget, topologyKey string) *counter {
	t := &x.counters
	rules := t.writer.counter(s, topologyKey)
	k := t.known[string(rules)]
	if k == nil {
		k = &counter{of: s, rules: string(rules), topology: x.topology(topologyKey)}
		if s.kind != ofGroup {
			k.keys = s.indexKeys()
		}
		k.topology.users = append(k.topology.users, k)
		t.enter(k)
	}
	k.users++
	if k.users > 1 {
		return k
	}
	if s.kind == ofHolders {
		return k
	}
	for c := range x.classes.liveUnder(k) {
		t.selectors.compared++
		counted := len(c.counted) > 0 && c.counted[len(c.counted)-1] == k // met under another label
		if counted || !s.covers(c.Class) {
			continue
		}
		c.counted = append(c.counted, k)
		for row, count := range c.places.each {
			x.count(k, Row(row), count)
		}
		if s.countsLeaving() {
			for row, count := range c.leaving.each {
				x.count(k, Row(row), count)
			}
		}
	}
	return k
}

// resign undoes acquire.
func (x *Index) resign(k *counter) {
	k.users--
	if k.users > 0 {
		return
	}
	k.dead = true
	x.counters.leave(k)
	k.topology.users = without(k.topology.users, k)
	x.drop(k.topology)
}

func without[T comparable](list []T, member T) []T {
	i := slices.Index(list, member)
	return slices.Delete(list, i, i+1)
}

// count adds to what the counter counts on a node.
func (x *Index) count(k *counter, row Row, delta int32) {
	k.all += int64(delta)
	k.edit++
	if domain := k.topology.of(row); domain != noDomain {
		k.domains.add(domain, delta, x.size(k.topology), x.thresholds.denseDomains, x.owner)
		if len(k.bars) > 0 {
			x.putBars(k, Row(domain))
		}
	}
}

// covering returns the counters that count instances of the class.
func (t *counterTable) covering(c *Class) []*counter {
	found := slices.Clone(t.groups[pair{c.request.Namespace, c.request.Group}])
	return t.selectors.covering(found, c)
}

// repelling returns the holders that keep the class out, in a fixed order.
func (t *counterTable) repelling(c *Class) []*counter {
	found := t.holders.covering(nil, c)
	sortByReason(found)
	return found
}

// reason is why holders refuse a node.
func (k *counter) reason() placement.Reason {
	return placement.Reason{Kind: placement.ReasonAntiAffinity, Index: -1, Detail: k.topology.key}
}

// Join counts an instance of the class on the node for affinity, anti-affinity,
// spread rules and strategy Spread: in time proportional to the counters that
// count the class, and once more to those that it is compared with if no other
// instance of the class runs.
func (x *Index) Join(row Row, class *Class) {
	c := x.enter(row, class)
	c.places.add(int32(row), 1)
	x.joined(row, c, 1, false)
}

// Leave undoes Join. The last instance of the class on the node costs a look
// at the classes there.
func (x *Index) Leave(row Row, class *Class) {
	c := x.stateOf(class)
	c.own(x.owner)
	x.joined(row, c, -1, false)
	c.places.add(int32(row), -1)
	x.exit(row, c)
}

// JoinLeaving is Join of an instance that is being stopped: it counts for required
// anti-affinity alone.
func (x *Index) JoinLeaving(row Row, class *Class) {
	c := x.enter(row, class)
	c.leaving.add(int32(row), 1)
	x.joined(row, c, 1, true)
}

// LeaveLeaving undoes JoinLeaving.
func (x *Index) LeaveLeaving(row Row, class *Class) {
	c := x.stateOf(class)
	c.own(x.owner)
	x.joined(row, c, -1, true)
	c.leaving.add(int32(row), -1)
	x.exit(row, c)
}

// enter makes a class known where an instance of it is about to be counted.
func (x *Index) enter(row Row, class *Class) *classState {
	c := x.stateOf(class)
	if c.places.n+c.leaving.n == 0 {
		x.Retain(class)
		x.classes.activate(c)
		c.counted = x.counters.covering(class)
		for _, term := range c.request.Preferences.Affinity {
			if term.Repel && term.Required() {
				x.keep(c, x.acquire(c.affinityTarget(term, ofHolders), term.Topology))
			}
		}
	}
	c.own(x.owner)
	if c.on(row) == 0 {
		x.ownRow(row)
		x.running[row] = append(x.running[row], class)
	}
	return c
}

// exit undoes enter where an instance is not counted any more.
func (x *Index) exit(row Row, c *classState) {
	if c.on(row) == 0 {
		x.ownRow(row)
		x.running[row] = without(x.running[row], c.Class)
	}
	if c.places.n+c.leaving.n > 0 {
		return
	}
	for _, k := range c.keeps {
		x.resign(k)
	}
	c.counted, c.keeps = nil, nil
	x.classes.deactivate(c)
	x.Release(c.Class)
}

// on returns how many instances of a class are counted on a node for anything.
func (c *classState) on(row Row) int32 { return c.places.at(int32(row)) + c.leaving.at(int32(row)) }

// countedOn returns how many instances of a class a counter that covers it counts on
// a node.
func (c *classState) countedOn(k *counter, row Row) int32 {
	if k.of.countsLeaving() {
		return c.on(row)
	}
	return c.places.at(int32(row))
}

// keep adds holders to those of a class, each once.
func (x *Index) keep(c *classState, k *counter) {
	if slices.Contains(c.keeps, k) {
		x.resign(k)
		return
	}
	c.keeps = append(c.keeps, k)
}

func (x *Index) joined(row Row, c *classState, delta int32, leaving bool) {
	continues := x.continues(row, c.Class, int64(delta))
	c.counted = slices.DeleteFunc(c.counted, func(k *counter) bool { return k.dead })
	for _, k := range c.counted {
		if !leaving || k.of.countsLeaving() {
			x.count(k, row, delta)
		}
	}
	for _, k := range c.keeps {
		x.count(k, row, delta)
	}
	x.version++
	if continues {
		x.repeat.version = x.version
	}
}

// selectorTarget says which instances a counter counts.
type selectorTarget struct {
	kind       targetKind
	namespaces []string // sorted; placement.AllNamespaces alone for all
	group      string
	selector   placement.Constraint
}

type targetKind uint8

const (
	// ofGroup counts the instances of a group of one namespace.
	ofGroup targetKind = iota
	// ofSelector counts the instances of the namespaces that it selects.
	ofSelector
	// ofRepelled counts the instances that a required anti-affinity keeps away
	// from: those that it selects, also while they leave.
	ofRepelled
	// ofHolders counts the instances that have the selector as a required
	// anti-affinity: they keep out what it selects.
	ofHolders
)

// covers reports whether instances of the class are counted, or for holders
// whether they are kept out.
func (s selectorTarget) covers(c *Class) bool {
	if s.kind == ofGroup {
		return c.request.Namespace == s.namespaces[0] && c.request.Group == s.group
	}
	if s.namespaces[0] != placement.AllNamespaces && !slices.Contains(s.namespaces, c.request.Namespace) {
		return false
	}
	return s.selector.Match(c.request.Labels)
}

// countsLeaving reports whether instances that are being stopped are counted: they
// are still there for required anti-affinity, of theirs and of others, and for
// nothing else.
func (s selectorTarget) countsLeaving() bool { return s.kind == ofRepelled || s.kind == ofHolders }

// pair is a label or a group of a namespace.
type pair [2]string

// pair returns the group that is counted.
func (s selectorTarget) pair() pair { return pair{s.namespaces[0], s.group} }

// affinityTarget returns what an affinity term of the class looks at.
func (c *Class) affinityTarget(term placement.AffinityTerm, kind targetKind) selectorTarget {
	namespaces := slices.Sorted(slices.Values(term.Namespaces))
	if len(namespaces) == 0 {
		namespaces = []string{c.request.Namespace}
	}
	return selectorTarget{kind: kind, namespaces: slices.Compact(namespaces), selector: term.Selector}
}

// spreadTarget returns what a spread rule of the class counts.
func (c *Class) spreadTarget(selector placement.Constraint) selectorTarget {
	if selector.IsZero() {
		return selectorTarget{kind: ofGroup, namespaces: []string{c.request.Namespace}, group: c.request.Group}
	}
	return selectorTarget{kind: ofSelector, namespaces: []string{c.request.Namespace}, selector: selector}
}
