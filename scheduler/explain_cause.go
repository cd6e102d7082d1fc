package scheduler

import (
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// Cause says what stands behind a reason on one node: of the amounts the node with
// the smallest shortfall, of other rules the node that joined first of those that
// fail the rule first. What does not belong to the kind of reason is zero.
type Cause struct {
	// Reason as it stands in Explanation.First, and the node.
	Reason placement.Reason `json:"reason"`
	NodeID string           `json:"nodeID"`
	// Selector and Namespaces are whom an affinity looks for, whom an
	// anti-affinity keeps away from, or whom a spread rule counts, as text.
	Selector   string   `json:"selector,omitempty"`
	Namespaces []string `json:"namespaces,omitempty"`
	// Instance has a port that is asked for, or is in the way of an anti-affinity:
	// one that the request keeps away from, or if Reason.Index is -1 one that keeps
	// away from the request. Of an affinity it is a match somewhere else, or if Other
	// is set one that matches but for its namespace, which Other is. At is the node
	// that it runs on.
	Instance string `json:"instance,omitempty"`
	At       string `json:"at,omitempty"`
	// Leaving reports that Instance is being stopped.
	Leaving bool   `json:"leaving,omitempty"`
	Other   string `json:"other,omitempty"`
	// Value is what the node has under the label key of a constraint.
	Value string `json:"value,omitempty"`
	// Absent reports that this node has nothing of the dimension, or not the label,
	// Nowhere that no node has.
	Absent  bool `json:"absent,omitempty"`
	Nowhere bool `json:"nowhere,omitempty"`
	// Largest is the most that a node gives of a dimension, set where that is less
	// than what is asked, and LargestOn the node that does.
	Largest   int64  `json:"largest,omitempty"`
	LargestOn string `json:"largestOn,omitempty"`
	// Broken are the indices of the broken devices of LargestOn, of GPUs.
	Broken []int `json:"broken,omitempty"`
	// Reservation holds capacity of the node, the first of several by ID, until
	// Until, which is zero if that has no end.
	Reservation string    `json:"reservation,omitempty"`
	Until       time.Time `json:"until,omitzero"`
	// Domain is the node's by a spread rule, and Count how many count there. Least
	// is the smallest count that it is compared with, and Domains how many exist.
	Domain  string `json:"domain,omitempty"`
	Count   int64  `json:"count,omitempty"`
	Least   int64  `json:"least,omitempty"`
	Domains int    `json:"domains,omitempty"`
	// Limit is what the rule allows: the skew or the number per domain of a spread
	// rule, the instances of a node.
	Limit int64 `json:"limit,omitempty"`
	// MinDomains of the spread rule, if fewer exist.
	MinDomains int `json:"minDomains,omitempty"`
}

// causeLooks bounds how many instances are looked at to name one.
const causeLooks = 4096

// causes names what stands behind each reason that some node fails first.
func (st *state) causes(q *index.Query, survey *index.Survey) []Cause {
	nearest := make(map[placement.Reason]index.Row, len(survey.Lacks))
	for _, l := range survey.Lacks {
		nearest[l.Reason] = l.Row
	}
	looks := causeLooks
	var all []Cause
	for i, first := range survey.First {
		row := survey.Examples[i]
		if nearer, ok := nearest[first.Reason]; ok {
			row = nearer
		}
		b := causeBuilder{st: st, q: q, survey: survey, row: row, looks: &looks}
		b.Reason, b.NodeID = first.Reason, st.at(row).ID
		b.build()
		all = append(all, b.Cause)
	}
	return all
}

// causeBuilder fills in one cause.
type causeBuilder struct {
	Cause
	st     *state
	q      *index.Query
	survey *index.Survey
	row    index.Row
	looks  *int // at instances, that are left
}

func (b *causeBuilder) build() {
	rules := &b.q.Class.Request().Preferences
	switch b.Reason.Kind {
	case placement.ReasonConstraint:
		b.constraint(rules.Required[b.Reason.Index])
	case placement.ReasonInstances:
		n := b.st.at(b.row)
		b.Count, b.Limit = b.st.index.Instances(b.row), n.MaxInstances
		if b.q.Own != nil && b.q.Own.Row == b.row {
			b.Count--
		}
	case placement.ReasonPort:
		b.find(b.row, func(a *allocation) bool { return a.hasPort(b.Reason.Detail) })
	case placement.ReasonResource:
		b.resource()
	case placement.ReasonHold:
		b.hold()
	case placement.ReasonAffinity:
		b.affinity(rules.Affinity[b.Reason.Index])
	case placement.ReasonAntiAffinity:
		if b.Reason.Index < 0 {
			b.othersAntiAffinity()
		} else {
			b.antiAffinity(rules.Affinity[b.Reason.Index])
		}
	case placement.ReasonSpread:
		b.spread(&rules.Spread[b.Reason.Index])
	default: // the reason says all
	}
}

func (b *causeBuilder) constraint(c placement.Constraint) {
	key := c.Key()
	if key == "" {
		return
	}
	value, ok := b.st.at(b.row).Label(key)
	b.Value, b.Absent = value, !ok
	b.Nowhere = !ok && !b.st.index.HasLabel(key)
}

// hasPort reports whether an instance has a port, asked for or given.
func (a *allocation) hasPort(text string) bool {
	return slices.ContainsFunc(a.class.Request().Ports, func(p placement.Port) bool { return p.String() == text }) ||
		slices.ContainsFunc(a.taken().Ports, func(number uint16) bool {
			udp := placement.Port{Number: number, Protocol: placement.UDP}
			return placement.Port{Number: number}.String() == text || udp.String() == text
		})
}

func (b *causeBuilder) resource() {
	name, n := b.Reason.Name, b.st.at(b.row)
	row, most, ok := b.st.index.Largest(name)
	asked := b.q.Resources.Amount(name)
	b.Absent, b.Nowhere = n.AllocatableOf(name) <= 0, !ok
	if ok && most < asked {
		largest := b.st.at(row)
		b.Largest, b.LargestOn = most, largest.ID
		if name == placement.NameGPU {
			b.Broken = slices.Clone(largest.Devices.Broken)
		}
	}
}

func (b *causeBuilder) hold() {
	n := b.st.at(b.row)
	for _, h := range b.st.plan.Holders(n.ID, b.st.fromNow()) {
		if !h.Instance {
			b.Reservation, b.Until = h.ID, h.Window.End
			return
		}
	}
}

func (b *causeBuilder) affinity(term placement.AffinityTerm) {
	own := b.q.Class.Request().Namespace
	b.selects(term, own)
	other := "" // namespace of one that matches but for that
	for _, row := range b.st.index.ByJoin() {
		if b.find(row, func(a *allocation) bool {
			labels := a.class.Request().Labels
			if a.state != running || a.leaving {
				return false
			}
			if other == "" && term.Selector.Match(labels) {
				b.Instance, b.At, other = a.id, b.st.on(a).ID, a.namespace()
			}
			return term.Matches(own, a.namespace(), labels)
		}) {
			return
		}
	}
	b.Other = other
}

func (b *causeBuilder) antiAffinity(term placement.AffinityTerm) {
	own := b.q.Class.Request().Namespace
	b.selects(term, own)
	b.findInDomain(func(a *allocation) bool {
		return a.joined() && term.Matches(own, a.namespace(), a.class.Request().Labels)
	})
}

// othersAntiAffinity names an instance of the domain that keeps the request away.
func (b *causeBuilder) othersAntiAffinity() {
	req := b.q.Class.Request()
	b.findInDomain(func(a *allocation) bool {
		if !a.joined() {
			return false
		}
		for _, term := range a.class.Request().Preferences.Affinity {
			if term.Repel && term.Required() && term.Topology == b.Reason.Detail && term.Matches(a.namespace(), req.Namespace, req.Labels) {
				b.selects(term, a.namespace())
				return true
			}
		}
		return false
	})
}

// selects says whom a term of a request or an instance in a namespace is about.
func (b *causeBuilder) selects(term placement.AffinityTerm, own string) {
	if b.Namespaces = term.Namespaces; len(b.Namespaces) == 0 {
		b.Namespaces = []string{own}
	}
	if !term.Selector.IsZero() {
		b.Selector = term.Selector.String()
	}
}

func (b *causeBuilder) findInDomain(match func(*allocation) bool) {
	b.st.index.InDomain(b.row, b.Reason.Detail, func(row index.Row) bool { return !b.find(row, match) })
}

// find names the first instance on a node that matches. It reports
// whether the search is over.
func (b *causeBuilder) find(row index.Row, match func(*allocation) bool) bool {
	n := b.st.at(row)
	for _, a := range n.instances {
		if b.q.Own != nil && a.id == b.q.ID {
			continue
		}
		if *b.looks--; *b.looks < 0 {
			return true
		}
		if match(a) {
			b.Instance, b.At, b.Leaving = a.id, n.ID, a.leaving && a.state != lost
			return true
		}
	}
	return false
}

func (b *causeBuilder) spread(rule *placement.SpreadRule) {
	if !rule.Selector.IsZero() {
		b.Selector = rule.Selector.String()
	}
	c, _ := b.st.index.Counts(b.survey, b.Reason, b.row)
	b.Absent = !c.Has
	b.Nowhere = b.Absent && !b.st.index.HasLabel(rule.Topology)
	b.Domain, b.Count, b.Least, b.Domains = c.Domain, c.Count, c.Least, c.Domains
	if b.Limit = int64(rule.MaxPerDomain); b.Limit == 0 {
		b.Limit = int64(rule.MaxSkew)
	}
	if c.Domains < rule.MinDomains {
		b.MinDomains = rule.MinDomains
	}
}
