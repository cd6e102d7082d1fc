package index

import (
	"iter"
	"maps"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Class is everything of a request but its ID and amounts, interned: requests
// with the same rules share one, and what is compiled from the rules hangs
// there.
type Class struct {
	request placement.Request
	hash    hash
	refs    int
	known   bool // in the table
	// Neighbours in the list of unused classes.
	newer, older *Class
	// places counts the instances that joined, by node; counted are the
	// counters that count them, keeps those that hold their repulsions.
	places  map[Slot]int32
	counted []*counter
	keeps   []*counter
	live    int // place in classTable.alive while places is not empty

	plan *plan // nil until the first query
}

// Request returns the rules as a request without ID and Resources. It is
// shared and must not be changed.
func (c *Class) Request() *placement.Request { return &c.request }

// subject returns what an affinity term of the class looks at.
func (c *Class) subject(term placement.AffinityTerm, kind subjectKind) subject {
	namespaces := slices.Sorted(slices.Values(term.Namespaces))
	if len(namespaces) == 0 {
		namespaces = []string{c.request.Namespace}
	}
	return subject{kind: kind, namespaces: slices.Compact(namespaces), selector: term.Selector}
}

// spreadSubject returns what a spread rule of the class counts.
func (c *Class) spreadSubject(selector placement.Constraint) subject {
	if selector.IsZero() {
		return subject{kind: ofGroup, namespaces: []string{c.request.Namespace}, group: c.request.Group}
	}
	return subject{kind: ofSelector, namespaces: []string{c.request.Namespace}, selector: selector}
}

// sameRules reports whether two valid requests differ in nothing but ID and
// amounts.
func sameRules(a, b *placement.Request) bool {
	return a.Namespace == b.Namespace && a.Group == b.Group && a.Priority == b.Priority &&
		a.Duration == b.Duration && a.Yield == b.Yield && maps.Equal(a.Labels, b.Labels) &&
		placement.EqualPorts(a.Ports, b.Ports) && a.Preferences.Equal(b.Preferences)
}

// classTable interns classes.
//
// Invariant: every known class is in buckets; those with no reference are in
// the ring that starts at idle, from the newest to the oldest.
type classTable struct {
	buckets map[hash][]*Class
	idle    Class // its newer and older are the ends of the ring
	unused  int
	n       int
	alive   []*Class // classes with instances that joined
	groups  map[pair][]*Class
}

func (t *classTable) init() {
	t.buckets = make(map[hash][]*Class)
	t.groups = make(map[pair][]*Class)
	t.idle.newer, t.idle.older = &t.idle, &t.idle
}

// Class returns the class of a valid request. It allocates nothing when the
// class is known. A class that nobody retains may be forgotten after some
// hundred other
// ones were asked for; what runs keeps its class.
func (x *Index) Class(req *placement.Request) *Class {
	t := &x.classes
	h := hashRules(req)
	for _, c := range t.buckets[h] {
		if sameRules(&c.request, req) {
			if c.refs == 0 {
				c.unlink()
				c.link(&t.idle)
			}
			return c
		}
	}
	shared := *req
	shared.ID, shared.Resources = "", placement.Resources{}
	c := &Class{request: shared.Clone(), hash: h}
	slices.Sort(c.request.Ports)
	x.learn(c)
	return c
}

func (c *Class) link(idle *Class) {
	c.newer, c.older = idle, idle.older
	c.newer.older, c.older.newer = c, c
}

func (c *Class) unlink() {
	c.newer.older, c.older.newer = c.older, c.newer
	c.newer, c.older = nil, nil
}

// learn puts an unused class into the table and forgets the one that was not
// used for longest if there are too many.
func (x *Index) learn(c *Class) {
	t := &x.classes
	t.buckets[c.hash] = append(t.buckets[c.hash], c)
	c.known = true
	c.link(&t.idle)
	t.n++
	t.unused++
	if t.unused > x.limits.unusedClasses {
		x.forget(t.idle.newer)
	}
}

// forget takes an unused class out of the table with all that it compiled.
func (x *Index) forget(c *Class) {
	t := &x.classes
	c.unlink()
	c.known = false
	t.n--
	t.unused--
	bucket := t.buckets[c.hash]
	if len(bucket) == 1 {
		delete(t.buckets, c.hash)
	} else {
		i := slices.Index(bucket, c)
		t.buckets[c.hash] = slices.Delete(bucket, i, i+1)
	}
	x.discard(c)
}

// Retain keeps the class known until as many calls of Release.
func (x *Index) Retain(c *Class) {
	if !c.known {
		x.learn(c)
	}
	if c.refs == 0 {
		c.unlink()
		x.classes.unused--
	}
	c.refs++
}

// Release undoes Retain.
func (x *Index) Release(c *Class) {
	c.refs--
	if c.refs > 0 {
		return
	}
	c.link(&x.classes.idle)
	x.classes.unused++
	if x.classes.unused > x.limits.unusedClasses {
		x.forget(x.classes.idle.newer)
	}
}

// enliven enters a class whose first instance joins.
func (t *classTable) enliven(c *Class) {
	c.places = make(map[Slot]int32)
	c.live = len(t.alive)
	t.alive = append(t.alive, c)
	group := pair{c.request.Namespace, c.request.Group}
	t.groups[group] = append(t.groups[group], c)
}

// entomb takes out a class whose last instance left.
func (t *classTable) entomb(c *Class) {
	c.places = nil
	last := t.alive[len(t.alive)-1]
	t.alive[c.live], last.live = last, c.live
	t.alive[len(t.alive)-1] = nil
	t.alive = t.alive[:len(t.alive)-1]
	group := pair{c.request.Namespace, c.request.Group}
	list := t.groups[group]
	if len(list) == 1 {
		delete(t.groups, group)
		return
	}
	i := slices.Index(list, c)
	t.groups[group] = slices.Delete(list, i, i+1)
}

// liveUnder yields the live classes that a subject may cover.
func (t *classTable) liveUnder(s subject) iter.Seq[*Class] {
	if s.kind == ofGroup {
		return slices.Values(t.groups[pair{s.namespaces[0], s.group}])
	}
	return slices.Values(t.alive)
}
