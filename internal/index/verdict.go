package index

import (
	"slices"
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// Failure is one rule that a node fails.
type Failure struct {
	Reason placement.Reason
	// Shortfall is what is missing, for instances, resources and holds.
	Shortfall int64
}

// PartKind is the sort of rule that a Part of the score comes from.
type PartKind uint8

// The kinds of parts.
const (
	// PartPreferred is a preferred constraint.
	PartPreferred PartKind = iota + 1
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
	// Index is the rule's place in Preferences.Preferred, Affinity or Spread.
	Index int
	// Weight of the rule, negative to avoid.
	Weight int64
	// Value is t, from 0 to placement.Unit.
	Value int64
}

// Verdict is all that the index can say about one node for a query.
type Verdict struct {
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
	// typical mix of work, in tenths of a GPU; only strategy
	// LeastFragmentation asks.
	Gradient int64
}

// Verdict says which rules the node fails, all of them, and how it scores.
func (x *Index) Verdict(q *Query, slot Slot) Verdict { return x.verdict(x.prepare(q), slot) }

// Verdicts returns the verdict on every node, by slot, and zero for a slot
// without a node. It looks up once what the rules say about the cluster as a
// whole, which may take as long as a look at every node.
func (x *Index) Verdicts(q *Query) []Verdict {
	p := x.prepare(q)
	verdicts := make([]Verdict, len(x.nodes))
	for slot := range x.present.each {
		verdicts[slot] = x.verdict(p, slot)
	}
	return verdicts
}

func (x *Index) verdict(p *probe, slot Slot) Verdict {
	failures := x.descriptionFailures(p, slot)
	failures = append(failures, x.booksFailures(p, slot)...)
	for i := range p.tests {
		if test := &p.tests[i]; !test.passes(slot) {
			failures = append(failures, Failure{Reason: test.reason()})
		}
	}
	failures = append(failures, x.holdFailures(p, slot)...)
	slices.SortStableFunc(failures, func(a, b Failure) int { return placement.CompareReasons(a.Reason, b.Reason) })
	verdict := Verdict{Failures: slices.Compact(failures), Terms: x.terms(p, slot)}
	for i := range p.soft {
		test := &p.soft[i]
		verdict.Parts = append(verdict.Parts, Part{test.part, test.index, test.weight, test.value(slot)})
	}
	verdict.Group = p.plan.groupOn(slot)
	if p.strategy == placement.LeastFragmentation && len(failures) == 0 {
		verdict.Gradient = x.gradient(p, slot)
	}
	return verdict
}

// Group returns how many instances of the request's namespace and group count
// on the node; only strategy Spread asks, for others it is 0.
func (x *Index) Group(q *Query, slot Slot) int64 { return x.planOf(q.Class).groupOn(slot) }

func (p *plan) groupOn(slot Slot) int64 {
	if p.group == nil {
		return 0
	}
	return int64(p.group.domains.at(int32(slot)))
}

// descriptionFailures are those of a node's state, taints and labels.
func (x *Index) descriptionFailures(p *probe, slot Slot) []Failure {
	var failures []Failure
	n := &x.nodes[slot]
	preferences := &p.query.Class.request.Preferences
	if n.state != Ready {
		failures = append(failures, Failure{Reason: placement.Reason{Kind: placement.ReasonState, Detail: n.state.String()}})
	}
	for _, taint := range n.spec.Taints {
		if taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, preferences.Tolerations) {
			failures = append(failures, Failure{Reason: placement.Reason{Kind: placement.ReasonTaint, Detail: taint.String()}})
		}
	}
	for i, c := range preferences.Required {
		if !n.spec.Meets(c) {
			failures = append(failures, Failure{Reason: constraintReason(i, c)})
		}
	}
	return failures
}

// booksFailures are those of what is on a node's books.
func (x *Index) booksFailures(p *probe, slot Slot) []Failure {
	var failures []Failure
	n := &x.nodes[slot]
	if n.crowded() {
		failures = append(failures, Failure{
			Reason:    placement.Reason{Kind: placement.ReasonInstances},
			Shortfall: n.instances + 1 - n.spec.MaxInstances,
		})
	}
	for _, test := range p.ports {
		if test.claims.at(int32(slot)) > 0 {
			failures = append(failures, Failure{Reason: portReason(test.port)})
		}
	}
	for _, a := range x.withOverused(p.asks, x.overused.has(slot)) {
		if missing := x.missing(slot, a, &Held{}); missing > 0 {
			failures = append(failures, Failure{placement.Reason{Kind: placement.ReasonResource, Name: a.name}, missing})
		}
	}
	return failures
}

// holdFailures are those of amounts that would fit but for holds.
func (x *Index) holdFailures(p *probe, slot Slot) []Failure {
	if x.nodes[slot].hold == nil {
		return nil
	}
	var failures []Failure
	held := x.Held(slot)
	for _, a := range p.asks {
		if missing := x.missing(slot, a, &held); missing > 0 && x.missing(slot, a, &Held{}) <= 0 {
			failures = append(failures, Failure{placement.Reason{Kind: placement.ReasonHold, Name: a.name}, missing})
		}
	}
	return failures
}

func portReason(port uint16) placement.Reason {
	return placement.Reason{Kind: placement.ReasonPort, Detail: strconv.Itoa(int(port))}
}
