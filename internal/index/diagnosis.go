package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// Failure is one rule that a node fails.
type Failure struct {
	Reason placement.Reason
	// Shortfall is what is missing, for instances, resources and holds.
	Shortfall int64
}

// To add a kind of soft rule:
//
//   - here, its PartKind;
//   - the field of Preferences that asks for it, as one that refuses nodes has it (see
//     placement.ReasonKind); Preferences.softRules counts it;
//   - compiled_rules.go: what it compiles to, and the bounds of G;
//   - soft.go: its value on a node, in prepareSoft and softTest.value; level.go: which
//     values nodes have; ordering.go: whether an order can hold it;
//   - scheduler/explain.go: its words, in softRule;
//   - reservation/book_nodes.go: firstFitOnly refuses it;
//   - TestDominance and TestSoftRulesHaveNames of package scheduler: a case.

// PartKind is the sort of rule that a Part of the score comes from.
type PartKind uint8

// The kinds of parts.
const (
	// PartPreferred is a preferred constraint.
	PartPreferred PartKind = iota + 1
	// PartScaled is a scaled label.
	PartScaled
	// PartTaint is an untolerated PreferNoSchedule taint.
	PartTaint
	// PartAffinity is a weighted affinity term.
	PartAffinity
	// PartSpread is a soft spread rule.
	PartSpread
)

// Part is one soft term of the score.
type Part struct {
	Kind PartKind
	// Index is the rule's place in Preferences.Preferred, Scaled, Affinity or Spread.
	Index int
	// Weight of the rule, negative to avoid.
	Weight int64
	// Value is t, from 0 to placement.Unit.
	Value int64
}

// Diagnosis is all that the index can say about one node for a query.
type Diagnosis struct {
	// Failures in filter order; none means that the query fits.
	Failures []Failure
	// Terms and Parts are the score that the node has, or would have without
	// its failures: Terms.Soft is the sum of Weight × Value over Parts.
	Terms placement.Terms
	Parts []Part
	// Group is how many instances of the request's namespace and group count
	// on the node; only strategy Spread asks.
	Group int64
	// Gradient is ΔF, what the cluster's GPUs lose of their use for the
	// typical mix of work, in steps of 0.04 of a GPU, rounded up; only
	// strategy LeastFragmentation asks.
	Gradient int64
}

// Diagnose says which rules the node fails, all of them, and how it scores.
func (x *Index) Diagnose(q *Query, row Row) Diagnosis { return x.diagnose(x.prepare(q), row) }

func (x *Index) diagnose(p *probe, row Row) Diagnosis {
	var failures []Failure
	for _, f := range x.filters(p) {
		if shortfall, fails := f.fails(x, row); fails {
			failures = append(failures, Failure{x.valued(f.reason, p, row), shortfall})
		}
	}
	d := Diagnosis{Failures: failures, Terms: x.terms(p, row)}
	for i := range p.soft {
		test := &p.soft[i]
		d.Parts = append(d.Parts, Part{test.part, test.index, test.weight, test.value(row)})
	}
	d.Group = p.compiled.groupOn(row)
	if p.strategy == placement.LeastFragmentation && len(failures) == 0 {
		books, at := x.books(p, row)
		d.Gradient = books.gradient(p, at)
	}
	return d
}

// valued names the value for which a node fails a constraint also where a survey of
// all nodes has too many of them.
func (x *Index) valued(r placement.Reason, p *probe, row Row) placement.Reason {
	if r.Kind == placement.ReasonConstraint && r.Value == "" {
		_, r.Value, _ = x.nodes[row].spec.Unreadable(p.query.Class.request.Preferences.Required[r.Index])
	}
	return r
}

// Group returns how many instances of the request's namespace and group count
// on the node; only strategy Spread asks, for others it is 0.
func (x *Index) Group(q *Query, row Row) int64 { return x.rulesOf(q).groupOn(row) }

func (p *compiledRules) groupOn(row Row) int64 {
	if p.group == nil {
		return 0
	}
	return int64(p.group.domains.at(int32(row)))
}

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
