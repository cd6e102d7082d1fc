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
	of       subject
	topology *topology
	domains  tally
	all      int64
	users    int  // plans or joined classes that use it
	dead     bool // nobody uses it; classes forget it when they meet it
}

// counterTable finds the counters that cover a class without asking each: by
// group, or by the label that anchors the selector. What has no anchor is in a
// list that is searched.
type counterTable struct {
	groups  map[pair][]*counter
	labels  map[pair][]*counter
	others  []*counter
	holders struct {
		labels map[pair][]*counter
		others []*counter
		edit   uint64 // counts arrivals and departures
	}
	n int
}

func (t *counterTable) init() {
	t.groups = make(map[pair][]*counter)
	t.labels = make(map[pair][]*counter)
	t.holders.labels = make(map[pair][]*counter)
	t.holders.edit = 1
}

// bucket applies edit to the list that counters of a subject are in.
func (t *counterTable) bucket(s subject, edit func([]*counter) []*counter) {
	labels, others := t.labels, &t.others
	switch s.kind {
	case ofGroup:
		editBucket(t.groups, pair{s.namespaces[0], s.group}, edit)
		return
	case ofHolders:
		labels, others = t.holders.labels, &t.holders.others
	case ofSelector:
	}
	if anchor, ok := s.anchor(); ok {
		editBucket(labels, anchor, edit)
		return
	}
	*others = edit(*others)
}

func editBucket(buckets map[pair][]*counter, key pair, edit func([]*counter) []*counter) {
	if list := edit(buckets[key]); len(list) > 0 {
		buckets[key] = list
	} else {
		delete(buckets, key)
	}
}

// acquire returns the counter of a subject over a topology for one more user.
// A new one counts what runs: in time proportional to the instances counted,
// and to the live classes that its anchor leaves.
func (x *Index) acquire(s subject, topologyKey string) *counter {
	var k *counter
	x.counters.bucket(s, func(list []*counter) []*counter {
		for _, known := range list {
			if known.topology.key == topologyKey && known.of.equal(s) {
				k = known
				return list
			}
		}
		k = &counter{of: s, topology: x.topology(topologyKey)}
		k.topology.users = append(k.topology.users, k)
		x.counters.n++
		return append(list, k)
	})
	k.users++
	if k.users > 1 {
		return k
	}
	if s.kind == ofHolders {
		x.counters.holders.edit++
		return k
	}
	for c := range x.classes.liveUnder(s) {
		if !s.covers(c) {
			continue
		}
		c.counted = append(c.counted, k)
		for slot, count := range c.places {
			x.count(k, slot, count)
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
	x.counters.n--
	x.counters.bucket(k.of, func(list []*counter) []*counter { return without(list, k) })
	k.topology.users = without(k.topology.users, k)
	x.drop(k.topology)
	if k.of.kind == ofHolders {
		x.counters.holders.edit++
	}
}

func without[T comparable](list []T, member T) []T {
	i := slices.Index(list, member)
	return slices.Delete(list, i, i+1)
}

// count adds to what the counter counts on a node.
func (x *Index) count(k *counter, slot Slot, delta int32) {
	k.all += int64(delta)
	if domain := k.topology.of(slot); domain != noDomain {
		k.domains.add(domain, delta, x.size(k.topology), x.limits.denseTally)
	}
}

// covering returns the counters that count instances of the class.
func (t *counterTable) covering(c *Class) []*counter {
	found := slices.Clone(t.groups[pair{c.request.Namespace, c.request.Group}])
	found = appendCovering(found, t.others, c)
	for key, value := range c.request.Labels {
		found = appendCovering(found, t.labels[pair{key, value}], c)
	}
	return found
}

// repelling returns the holders that keep the class out, in a fixed order.
func (t *counterTable) repelling(c *Class) []*counter {
	found := appendCovering(nil, t.holders.others, c)
	for key, value := range c.request.Labels {
		found = appendCovering(found, t.holders.labels[pair{key, value}], c)
	}
	slices.SortStableFunc(found, func(a, b *counter) int {
		return placement.CompareReasons(a.reason(), b.reason())
	})
	return found
}

// reason is why holders refuse a node.
func (k *counter) reason() placement.Reason {
	return placement.Reason{Kind: placement.ReasonRepulsion, Index: -1, Detail: k.topology.key}
}

func appendCovering(found, list []*counter, c *Class) []*counter {
	for _, k := range list {
		if k.of.covers(c) {
			found = append(found, k)
		}
	}
	return found
}

// Join counts an instance of the class on the node for affinity, repulsion,
// spread rules and strategy Spread: in time proportional to the counters that
// count the class, and once more to those that it is compared with if no other
// instance of the class runs.
func (x *Index) Join(slot Slot, c *Class) {
	if len(c.places) == 0 {
		x.Retain(c)
		x.classes.enliven(c)
		c.counted = x.counters.covering(c)
		for _, term := range c.request.Preferences.Affinity {
			if term.Repel && term.Required() {
				x.keep(c, x.acquire(c.subject(term, ofHolders), term.Topology))
			}
		}
	}
	if c.places[slot]++; c.places[slot] == 1 {
		x.running[slot] = append(x.running[slot], c)
	}
	x.joined(slot, c, 1)
}

// keep adds holders to those of a class, each once.
func (x *Index) keep(c *Class, k *counter) {
	if slices.Contains(c.keeps, k) {
		x.resign(k)
		return
	}
	c.keeps = append(c.keeps, k)
}

// Leave undoes Join. The last instance of the class on the node costs a look
// at the classes there.
func (x *Index) Leave(slot Slot, c *Class) {
	x.joined(slot, c, -1)
	if c.places[slot]--; c.places[slot] == 0 {
		delete(c.places, slot)
		x.running[slot] = without(x.running[slot], c)
	}
	if len(c.places) > 0 {
		return
	}
	for _, k := range c.keeps {
		x.resign(k)
	}
	c.counted, c.keeps = nil, nil
	x.classes.entomb(c)
	x.Release(c)
}

func (x *Index) joined(slot Slot, c *Class, delta int32) {
	c.counted = slices.DeleteFunc(c.counted, func(k *counter) bool { return k.dead })
	for _, k := range c.counted {
		x.count(k, slot, delta)
	}
	for _, k := range c.keeps {
		x.count(k, slot, delta)
	}
	x.version++
}
