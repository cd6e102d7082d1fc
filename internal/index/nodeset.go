package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// nodeSet is a set of nodes that rules on labels, taints and state define:
// compiled once from the nodes of each label value, then patched node by node
// from the log of nodes that were described again.
//
// Invariant: brought up to seen, bits holds exactly the present nodes for
// which the rules hold, and n their number; scale holds the numbers of a scaled
// label.
type nodeSet struct {
	setRules
	rules string // as a ruleWriter writes them
	users int

	bits   bitset // nil while not built
	n      int
	scale  labelScale
	seen   uint64
	used   uint64 // when it was last asked for
	edit   uint64 // counts changes of bits
	exists []existence
}

// setRules are what a set is defined by.
type setRules struct {
	kind        setKind
	required    []placement.Constraint
	tolerations []placement.Toleration
	label       string // of kind scaled
}

type setKind uint8

const (
	// eligible: ready nodes whose taints are tolerated and that meet all
	// constraints.
	eligible setKind = iota
	// preferred: nodes that meet the only constraint.
	preferred
	// unpreferred: nodes with a PreferNoSchedule taint that is not tolerated.
	unpreferred
	// described: those that would be eligible if they were ready.
	described
	// scaled: nodes whose label holds a number above 0; see label.go.
	scaled
)

// existence counts the nodes of a set per domain of a topology: the domains
// that exist for a spread rule.
type existence struct {
	topology *topology
	nodes    []int32
	n        int // domains with nodes
	setEdit  uint64
	topoEdit uint64
}

// setCache interns sets and bounds how many of them are built: an unused one
// costs only its rules.
type setCache struct {
	known   map[string]*nodeSet // by rules
	writer  ruleWriter
	built   []*nodeSet
	clock   uint64
	scratch bitset
}

func (s *setCache) init() { s.known = make(map[string]*nodeSet) }

// acquire returns the set of these rules for one more user.
func (s *setCache) acquire(of setRules) *nodeSet {
	rules := s.writer.nodeSet(&of)
	set := s.known[string(rules)]
	if set == nil {
		set = &nodeSet{setRules: of, rules: string(rules)}
		s.known[set.rules] = set
	}
	set.users++
	return set
}

// resign undoes acquire.
func (s *setCache) resign(set *nodeSet) {
	set.users--
	if set.users > 0 {
		return
	}
	delete(s.known, set.rules)
	if i := slices.Index(s.built, set); i >= 0 {
		s.built = slices.Delete(s.built, i, i+1)
	}
}

// current brings a set up to date, in time proportional to the nodes described
// since it was used last, or else to the number of nodes over 64.
func (x *Index) current(set *nodeSet) *nodeSet {
	x.sets.clock++
	set.used = x.sets.clock
	if set.bits == nil {
		x.sets.evict(x.thresholds.builtSets)
		x.sets.built = append(x.sets.built, set)
		x.compile(set)
		return set
	}
	pending, ok := x.nodeLog.since(set.seen)
	if !ok || len(pending) > 8+len(x.nodes)/1024 {
		x.compile(set)
		return set
	}
	set.bits = set.bits.resized(words(len(x.nodes)))
	if set.kind == scaled {
		set.scale.resize(len(x.nodes))
	}
	for _, row := range pending {
		if in := x.belongs(set, row); in != set.bits.has(row) {
			set.bits.put(row, in)
			set.edit++
			if in {
				set.n++
			} else {
				set.n--
			}
		}
		if set.kind == scaled {
			set.scale.put(row, scaledOf(x.nodes[row].spec, set.label))
		}
	}
	set.seen = x.nodeLog.end()
	return set
}

// evict makes room for one more built set among so many.
func (s *setCache) evict(most int) {
	if len(s.built) < most {
		return
	}
	oldest := 0
	for i, set := range s.built {
		if set.used < s.built[oldest].used {
			oldest = i
		}
	}
	s.built[oldest].bits, s.built[oldest].exists, s.built[oldest].scale = nil, nil, labelScale{}
	s.built = slices.Delete(s.built, oldest, oldest+1)
}

// compile builds a set from the nodes of label values and taint lists.
func (x *Index) compile(set *nodeSet) {
	n := words(len(x.nodes))
	if set.bits == nil {
		set.bits = bitset{} // built, even where there is no node
	}
	set.bits = set.bits.resized(n)
	copy(set.bits, x.present)
	if set.kind == eligible {
		copy(set.bits, x.ready)
	}
	if set.kind == eligible || set.kind == described {
		x.taints.each(func(list *taintList) {
			if list.refuses(set.tolerations) {
				list.nodes.leaveFrom(set.bits)
			}
		})
	}
	for _, c := range set.required {
		x.sets.scratch = x.sets.scratch.resized(n)
		x.meeting(c, x.sets.scratch)
		set.bits.intersect(x.sets.scratch)
	}
	if set.kind == unpreferred {
		clear(set.bits)
		x.taints.each(func(list *taintList) {
			if list.unpreferred(set.tolerations) {
				list.nodes.joinInto(set.bits)
			}
		})
	}
	if set.kind == scaled {
		x.compileScale(set)
	}
	set.n = set.bits.count()
	set.edit++
	set.seen = x.nodeLog.end()
}

// belongs reads the rules of a set for one node.
func (x *Index) belongs(set *nodeSet, row Row) bool {
	n := &x.nodes[row]
	if n.spec == nil {
		return false
	}
	list := x.taints.lists[n.taints]
	if set.kind == unpreferred {
		return list.unpreferred(set.tolerations)
	}
	if set.kind == scaled {
		return scaledOf(n.spec, set.label) > 0
	}
	if set.kind == eligible && n.state != Ready {
		return false
	}
	if (set.kind == eligible || set.kind == described) && list.refuses(set.tolerations) {
		return false
	}
	for _, c := range set.required {
		if !n.spec.Meets(c) {
			return false
		}
	}
	return true
}

// existing returns how the nodes of an up-to-date set are divided over the
// domains of a topology with a key.
func (x *Index) existing(set *nodeSet, t *topology) *existence {
	set.exists = slices.DeleteFunc(set.exists, func(e existence) bool { return len(e.topology.users) == 0 })
	i := slices.IndexFunc(set.exists, func(e existence) bool { return e.topology == t })
	if i < 0 {
		i = len(set.exists)
		set.exists = append(set.exists, existence{topology: t})
	}
	e := &set.exists[i]
	if e.setEdit == set.edit && e.topoEdit == t.edit && len(e.nodes) == len(t.names) {
		return e
	}
	e.nodes = append(e.nodes[:0], make([]int32, len(t.names))...)
	e.n, e.setEdit, e.topoEdit = 0, set.edit, t.edit
	for row := range set.bits.each {
		if domain := t.domains[row]; domain != noDomain {
			if e.nodes[domain] == 0 {
				e.n++
			}
			e.nodes[domain]++
		}
	}
	return e
}
