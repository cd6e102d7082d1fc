package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Standing tells how instances of one class stand where they are. It is valid until
// the index changes or is asked something else.
type Standing struct {
	index *Index
	probe *probe
	rules []filter
	own   Own // that is asked about
}

// Standing makes a class ready for asking about its instances, in the time that it
// takes to make a query ready.
func (x *Index) Standing(c *Class) *Standing {
	s := &Standing{index: x, probe: x.prepareFilters(&Query{Class: c, Resources: new(placement.Resources)})}
	for i := range s.probe.ports {
		s.probe.ports[i].own = &s.own
	}
	s.rules = slices.DeleteFunc(x.ruleFilters(s.probe), func(f filter) bool {
		_, dynamic := f.rule.(dynamicPortRule) // which it has
		return dynamic
	})
	sortFilters(s.rules)
	return s
}

// Broken returns the rules of the class that the node of an instance fails, as if the
// instance came to it now and were not there yet, in filter order: those on labels,
// taints, ports and other instances. It takes time in proportion to the rules.
func (s *Standing) Broken(row Row, of Absent) []placement.Reason {
	s.own = Own{Row: row, Absent: of}
	var broken []placement.Reason
	for i := range s.rules {
		if s.fails(s.rules[i].rule, row) {
			broken = append(broken, s.index.valued(s.rules[i].reason, s.probe, row))
		}
	}
	return broken
}

func (s *Standing) fails(r rule, row Row) bool {
	tests, ok := r.(domainTests)
	if !ok {
		_, fails := r.fails(s.index, row)
		return fails
	}
	for _, test := range tests {
		if !test.passesWithout(row, s.index.countedIn(&s.own.Absent, test.counter)) {
			return true
		}
	}
	return false
}

// countedIn returns how often a counter has counted an instance: once or not at all.
func (x *Index) countedIn(a *Absent, k *counter) int32 {
	if a.countedBy(k) && x.stateOf(a.Class).counts(k) {
		return 1
	}
	return 0
}
