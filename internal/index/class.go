package index

import (
	"iter"
	"slices"
	"unsafe"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/placement"
)

// Class is everything of a request but its ID and amounts, interned: requests
// with the same rules share one. It never changes, and clones of an index share it.
type Class struct {
	request placement.Request
	rules   string // the request as its ruleWriter writes it
	number  int32  // its place in classTable.states, while it is known
}

// classState is what an index knows of a class: what is compiled from the rules hangs
// there.
type classState struct {
	*Class
	refs int
	// Neighbours in the list of unused classes.
	newer, older *classState
	// places counts the instances that joined, by node, and leaving those that
	// are being stopped; counted are the counters that count them, keeps those
	// that hold their anti-affinities.
	places  sparseCounts
	leaving sparseCounts
	owner   *cow.Owner // who may change places and leaving; see clone.go
	counted []*counter
	keeps   []*counter

	compiled *compiledRules // nil until the first query
	refusals map[builtinAmounts]*refusal
}

// Request returns the rules as a request without ID and Resources. It is
// shared and must not be changed.
func (c *Class) Request() *placement.Request { return &c.request }

// Bytes returns about how much memory the class takes once the index has forgotten
// it: the rules, as they were given and as text, and the structs in between.
func (c *Class) Bytes() int { return int(unsafe.Sizeof(*c)) + 3*len(c.rules) }

// classTable interns classes.
//
// Invariant: those of the known classes that have no reference are in the ring
// that starts at idle, from the newest to the oldest.
type classTable struct {
	known      map[string]*classState // by rules
	states     []*classState          // by number; nil where there is none
	spare      []int32                // numbers without a state
	idle       classState             // its newer and older are the ends of the ring
	unused     int
	writer     ruleWriter
	unlisted   bool                           // the lists that follow are still to be made
	alive      classSet                       // classes with instances that joined
	priorities map[int32]int                  // how many of alive there are of each
	groups     map[pair]classSet              // none is empty
	labels     map[string]map[string]classSet // by key and value; none is empty
}

func (t *classTable) init() {
	t.known = make(map[string]*classState)
	t.alive, t.groups, t.labels = make(classSet), make(map[pair]classSet), make(map[string]map[string]classSet)
	t.priorities = make(map[int32]int)
	t.idle.newer, t.idle.older = &t.idle, &t.idle
}

// Class returns the class of a valid request, in time proportional to the size
// of its rules, however many other classes there are. It allocates nothing when
// the class is known. A class without references is forgotten once a few hundred
// newer classes have been requested.
func (x *Index) Class(req *placement.Request) *Class {
	t := &x.classes
	rules := t.writer.request(req)
	if c := t.known[string(rules)]; c != nil {
		return x.used(c).Class
	}
	shared := *req
	shared.ID, shared.Resources = "", placement.Resources{}
	c := Class{request: shared.Clone(), rules: string(rules)}
	slices.SortFunc(c.request.Ports, placement.Port.Compare)
	return x.learn(c).Class
}

// Known returns the class of the same rules that is known now: the class itself,
// unless it was forgotten since Class returned it. It takes constant time for a class
// that is known.
func (x *Index) Known(c *Class) *Class { return x.known(c).Class }

func (x *Index) known(c *Class) *classState {
	if known := x.stateOf(c); known != nil {
		return x.used(known)
	}
	if again := x.classes.known[c.rules]; again != nil {
		return x.used(again)
	}
	return x.learn(*c)
}

// stateOf returns what the index knows of a class, nil if it is forgotten.
func (x *Index) stateOf(c *Class) *classState {
	if known := x.classes.states[c.number]; known != nil && known.Class == c {
		return known
	}
	return nil
}

// own makes places and leaving ready to be changed.
func (c *classState) own(of *cow.Owner) {
	if c.owner != of {
		c.owner = of
		c.places.slots, c.leaving.slots = slices.Clone(c.places.slots), slices.Clone(c.leaving.slots)
	}
}

// used makes a class without references the newest of these.
func (x *Index) used(c *classState) *classState {
	if c.refs == 0 {
		c.unlink()
		c.link(&x.classes.idle)
	}
	return c
}

func (c *classState) link(idle *classState) {
	c.newer, c.older = idle, idle.older
	c.newer.older, c.older.newer = c, c
}

func (c *classState) unlink() {
	c.newer.older, c.older.newer = c.older, c.newer
	c.newer, c.older = nil, nil
}

// learn puts an unused class into the table, under a number of its own, and forgets
// the one that was not used for longest if there are too many.
func (x *Index) learn(class Class) *classState {
	t := &x.classes
	class.number = int32(len(t.states))
	if last := len(t.spare) - 1; last >= 0 {
		class.number, t.spare = t.spare[last], t.spare[:last]
	} else {
		t.states = append(t.states, nil)
	}
	c := &classState{Class: &class, owner: x.owner}
	t.states[c.number], t.known[c.rules] = c, c
	c.link(&t.idle)
	t.unused++
	if t.unused > x.thresholds.unusedClasses {
		x.forget(t.idle.newer)
	}
	return c
}

// forget takes an unused class out of the table with all that it compiled.
func (x *Index) forget(c *classState) {
	t := &x.classes
	c.unlink()
	t.unused--
	t.states[c.number], t.spare = nil, append(t.spare, c.number)
	delete(t.known, c.rules)
	for _, r := range c.refusals {
		x.dropRefusal(r)
	}
	x.discard(c)
}

// Retain keeps a class known until as many calls of Release, and returns it. If
// it was forgotten since Class returned it, and asked for again, that is the one
// that is known now.
func (x *Index) Retain(class *Class) *Class {
	c := x.known(class)
	if c.refs == 0 {
		c.unlink()
		x.classes.unused--
	}
	c.refs++
	return c.Class
}

// Release undoes Retain.
func (x *Index) Release(class *Class) {
	c := x.stateOf(class)
	c.refs--
	if c.refs > 0 {
		return
	}
	c.link(&x.classes.idle)
	x.classes.unused++
	if x.classes.unused > x.thresholds.unusedClasses {
		x.forget(x.classes.idle.newer)
	}
}

// AnyBelow reports whether anything of a lower priority runs or leaves, in time
// proportional to the number of different priorities.
func (x *Index) AnyBelow(priority int32) bool {
	for lower := range x.classes.priorities {
		if lower < priority {
			return true
		}
	}
	return false
}

// RunsBelow reports whether anything of a lower priority runs on the node and is not
// leaving, in time proportional to the classes there.
func (x *Index) RunsBelow(row Row, priority int32) bool {
	return slices.ContainsFunc(x.running[row], func(c *Class) bool {
		return x.stateOf(c).places.at(int32(row)) > 0 && c.request.Priority < priority
	})
}

// activate enters a class whose first instance joins.
func (t *classTable) activate(c *classState) {
	t.list()
	t.priorities[c.request.Priority]++
	t.enlist(c)
}

// list makes the lists of classes with instances in a clone, when they are first needed.
func (t *classTable) list() {
	if !t.unlisted {
		return
	}
	t.unlisted = false
	for _, c := range t.states {
		if c != nil && c.places.n+c.leaving.n > 0 {
			t.enlist(c)
		}
	}
}

// live returns how many classes have instances.
func (t *classTable) live() (n int) {
	for _, of := range t.priorities {
		n += of
	}
	return n
}

// enlist enters a class where counters look for those that they cover.
func (t *classTable) enlist(c *classState) {
	t.alive[c] = struct{}{}
	addClass(t.groups, pair{c.request.Namespace, c.request.Group}, c)
	for key, value := range c.request.Labels {
		values := t.labels[key]
		if values == nil {
			values = make(map[string]classSet, 1)
			t.labels[key] = values
		}
		addClass(values, value, c)
	}
}

// deactivate takes out a class whose last instance left.
func (t *classTable) deactivate(c *classState) {
	t.list()
	c.places, c.leaving = sparseCounts{}, sparseCounts{}
	delete(t.alive, c)
	if t.priorities[c.request.Priority]--; t.priorities[c.request.Priority] == 0 {
		delete(t.priorities, c.request.Priority)
	}
	removeClass(t.groups, pair{c.request.Namespace, c.request.Group}, c)
	for key, value := range c.request.Labels {
		removeClass(t.labels[key], value, c)
		if len(t.labels[key]) == 0 {
			delete(t.labels, key)
		}
	}
}

// liveUnder yields live classes among which are all that a counter covers, some
// more than once. What is computed from them must not depend on their order.
func (t *classTable) liveUnder(k *counter) iter.Seq[*classState] {
	return func(yield func(*classState) bool) {
		t.list()
		each := func(set classSet) bool {
			for c := range set {
				if !yield(c) {
					return false
				}
			}
			return true
		}
		if k.of.kind == ofGroup {
			each(t.groups[k.of.pair()])
			return
		}
		if k.keys[0].kind == byNamespace {
			each(t.alive)
			return
		}
		for _, a := range k.keys {
			if a.namespace != k.keys[0].namespace {
				return // the same labels again
			}
			if a.kind == byLabel {
				if !each(t.labels[a.key][a.value]) {
					return
				}
				continue
			}
			for _, set := range t.labels[a.key] {
				if !each(set) {
					return
				}
			}
		}
	}
}

type classSet map[*classState]struct{}

func addClass[K comparable](sets map[K]classSet, key K, c *classState) {
	set := sets[key]
	if set == nil {
		set = make(classSet, 1)
		sets[key] = set
	}
	set[c] = struct{}{}
}

func removeClass[K comparable](sets map[K]classSet, key K, c *classState) {
	set := sets[key]
	delete(set, c)
	if len(set) == 0 {
		delete(sets, key)
	}
}
