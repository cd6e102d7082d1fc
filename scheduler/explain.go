package scheduler

import (
	"context"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// explainedCandidates is how many of the best nodes an Explanation shows.
const explainedCandidates = 5

// Explanation says where a request could go and why not elsewhere.
type Explanation struct {
	// ID of the request and Version of the state that was looked at.
	ID      string `json:"id"`
	Version uint64 `json:"version"`
	// Total nodes, and how many of them fit. One that is to be closed for maintenance
	// before the request's Duration is over does not.
	Total int `json:"total"`
	Fit   int `json:"fit"`
	// First counts nodes by the rule that they fail first, in filter order.
	First []ReasonCount `json:"first,omitempty"`
	// Failed counts, for each rule, all nodes that fail it.
	Failed []ReasonCount `json:"failed,omitempty"`
	// Nearest names, for each resource and hold in Failed, the node with the
	// smallest shortfall among those that fail it first, or if none does among
	// all.
	Nearest []Miss `json:"nearest,omitempty"`
	// Causes say, for each reason in First, what stands behind it on one node.
	Causes []Cause `json:"causes,omitempty"`
	// NearestMiss is the node that fails the fewest rules, among those the
	// one whose largest shortfall, relative to what is asked, is the
	// smallest, then the one that joined first. Empty if a node fits.
	NearestMiss *NodeVerdict `json:"nearestMiss,omitempty"`
	// Exceeded are the violations of the quota of its namespace, whether a node
	// fits or not; none if it is placed.
	Exceeded []quota.Violation `json:"exceeded,omitempty"`
	// Help says what would make room. Empty if a node fits.
	Help Help `json:"help,omitzero"`
	// Candidates are the best nodes that fit, at most five, in the order of
	// the request's strategy: the first is what Schedule chooses. For
	// placement.Random that one is drawn and the others are in join order.
	Candidates []NodeVerdict `json:"candidates,omitempty"`
}

// Miss is the node with the smallest shortfall of one resource.
type Miss struct {
	// Reason is a ReasonResource or a ReasonHold.
	Reason placement.Reason `json:"reason"`
	// NodeID is the node with the smallest shortfall; ties go to the node that
	// joined first.
	NodeID string `json:"nodeID"`
	// Shortfall is how much it lacks, in the units of the dimension.
	Shortfall int64 `json:"shortfall"`
	// Broken are the indices of its broken devices, where GPUs are lacking.
	Broken []int `json:"broken,omitempty"`
}

// Help names a node for each remedy that would help, or nothing.
type Help struct {
	// Uncordon helps on this node, which fails nothing but that it is cordoned.
	Uncordon string `json:"uncordon,omitempty"`
	// Tolerate helps on this node, which fails nothing but Taints.
	Tolerate string            `json:"tolerate,omitempty"`
	Taints   []placement.Taint `json:"taints,omitempty"`
	// Waiting helps on this node: without the instances and the holds that are
	// there the request would fit. Nothing is named where instances on several
	// nodes of a domain are in the way.
	Waiting string `json:"waiting,omitempty"`
	// Frees are the amounts that have to come free there.
	Frees []Failure `json:"frees,omitempty"`
	// Preemption helps on this node: without Victims, which are instances of lower
	// priority, the request would fit. Of several nodes it is the one whose most
	// important victim is least important, then the one with fewest victims. The
	// search ends after it has looked at 4096 instances on nodes where some have a
	// lower priority; a node beyond that is not found.
	Preemption string   `json:"preemption,omitempty"`
	Victims    []string `json:"victims,omitempty"`
	// MoreNodes helps: another node with the description of this one, new and
	// ready, would take the request.
	MoreNodes string `json:"moreNodes,omitempty"`
	// Larger helps where MoreNodes does not: another node with the description of
	// this one, new and ready, would take the request if it gave at least Shape.
	Larger string              `json:"larger,omitempty"`
	Shape  placement.Resources `json:"shape,omitzero"`
}

// NodeVerdict says why one node fits or does not.
type NodeVerdict struct {
	// NodeID of the node, and whether the request fits there now.
	NodeID string `json:"nodeID"`
	Fits   bool   `json:"fits"`
	// Failures in filter order, all of them.
	Failures []Failure `json:"failures,omitempty"`
	// Broken are the indices of the node's broken devices, where GPUs are lacking.
	Broken []int `json:"broken,omitempty"`
	// Score from 0 to 1000, and the terms that it is made of; zero where the
	// node does not fit.
	Score int             `json:"score"`
	Terms placement.Terms `json:"terms,omitzero"`
	// Soft are the parts of Terms.Soft.
	Soft []SoftTerm `json:"soft,omitempty"`
	// Group is how many instances of the request's namespace and group run
	// there, which the Spread strategy looks at first.
	Group int64 `json:"group,omitempty"`
	// Fragmentation is what the cluster's GPUs would lose of their use for
	// the typical mix of work, in steps of 0.04 of a GPU, rounded up, which
	// the LeastFragmentation strategy looks at after soft rules.
	Fragmentation int64 `json:"fragmentation,omitempty"`
}

// Failure is a rule that a node fails.
type Failure struct {
	Reason placement.Reason `json:"reason"`
	// Shortfall is how much is missing of an instance cap, a resource or a
	// hold, in the units of the dimension.
	Shortfall int64 `json:"shortfall,omitempty"`
}

// SoftTerm is the value of one soft rule on one node: preferred constraints
// first, then scaled labels, taints, affinity, anti-affinity and spread rules.
type SoftTerm struct {
	// Rule as text, for people.
	Rule string `json:"rule"`
	// Weight from 1 to 100, or from -1 to -100 to avoid.
	Weight int64 `json:"weight"`
	// Value t from 0 to placement.Unit.
	Value int64 `json:"value"`
	// Unread is the value of the node's label if a scaled label cannot read it, and
	// Value is 0 therefore: it is no integer from 0 to placement.MaxScaled.
	Unread string `json:"unread,omitempty"`
}

// Explain says where the request could go now and why not elsewhere, whether or
// not it could be placed. A request that is already placed is explained as if
// it came now and its own instance were not there, so that the first candidate
// is where it runs unless something has changed. (An instance that occupies
// reserved capacity is not removed for this.) A different request under the ID
// of a placed one is explained like any other.
//
// It looks at every rule and dimension on every node, 64 nodes at a time. It takes
// time in proportion to the rules of the request and the dimensions, times the
// nodes over 64, and to the nodes with too little of some amount; of a request with
// a Duration or Yield also to those on which something is reserved. The search for
// whom to preempt looks at 4096 instances at most.
func (s *view) Explain(ctx context.Context, req placement.Request) (Explanation, error) {
	var e Explanation
	err := s.explain(ctx, &req, func(st *state, q *index.Query) error {
		made := st.made(&req, q)
		st.leaveOut(made, q)
		e = st.explain(s.now, q)
		if made != nil {
			return nil
		}
		verdict, err := st.quotaVerdict(s.now, &req)
		e.Exceeded = verdict.Violations
		return err
	})
	if err != nil {
		return Explanation{}, err
	}
	return e, nil
}

// ExplainNode says which rules one node fails for the request, all of them, or
// how it scores, as Explain does. An unknown node is ErrNotFound. It takes time
// in proportion to the rules of the request and the dimensions, and to the domains
// in which these count something.
func (s *view) ExplainNode(ctx context.Context, req placement.Request, nodeID string) (NodeVerdict, error) {
	var v NodeVerdict
	err := s.explain(ctx, &req, func(st *state, q *index.Query) error {
		n, err := st.node(nodeID)
		if err == nil {
			st.leaveOut(st.made(&req, q), q)
			q.Closed = st.closingOn(s.now, &req, n)
			v = st.nodeVerdict(s.now, q, n)
		}
		return err
	})
	if err != nil {
		return NodeVerdict{}, err
	}
	return v, nil
}

func (s *view) explain(ctx context.Context, req *placement.Request, look func(*state, *index.Query) error) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	q := s.state.query(req)
	return s.unlockAndWait(ctx, look(s.state, &q))
}

// nodeVerdict says why the query fits on a node or does not.
func (st *state) nodeVerdict(now time.Time, q *index.Query, n *node) NodeVerdict {
	found := st.index.Diagnose(q, n.row)
	return st.verdict(now, q, n, &found)
}

// amounts returns the failures that are about amounts.
func (v NodeVerdict) amounts() []Failure {
	var amounts []Failure
	for _, f := range v.Failures {
		if f.Shortfall > 0 {
			amounts = append(amounts, f)
		}
	}
	return amounts
}

// verdict says of a node what the index has found, and whether holds that end
// the query's own window let it in all the same.
func (st *state) verdict(now time.Time, q *index.Query, n *node, found *index.Diagnosis) NodeVerdict {
	v := NodeVerdict{NodeID: n.ID}
	terms := found.Terms
	if len(found.Failures) > 0 {
		to, fits := st.backfilled(now, q, n)
		if !fits {
			for _, f := range found.Failures {
				v.Failures = append(v.Failures, Failure(f))
				if f.Reason.Name == placement.NameGPU {
					v.Broken = slices.Clone(n.Devices.Broken)
				}
			}
			return v
		}
		terms = to.Terms
	}
	v.Fits, v.Score, v.Terms = true, terms.Normalized(), terms
	v.Group, v.Fragmentation = found.Group, found.Gradient
	for _, part := range found.Parts {
		v.Soft = append(v.Soft, softTerm(q, n, part))
	}
	return v
}

func softTerm(q *index.Query, n *node, part index.Part) SoftTerm {
	term := SoftTerm{Rule: softRule(q, part), Weight: part.Weight, Value: part.Value}
	if part.Kind == index.PartScaled {
		value, _ := n.Label(q.Class.Request().Preferences.Scaled[part.Index].Label)
		if _, ok := placement.ScaledNumber(value); !ok {
			term.Unread = value
		}
	}
	return term
}

// softRule names the rule behind a part of the score.
func softRule(q *index.Query, part index.Part) string {
	rules := q.Class.Request().Preferences
	switch part.Kind {
	case index.PartPreferred:
		return rules.Preferred[part.Index].Constraint.String()
	case index.PartScaled:
		return "scaled " + rules.Scaled[part.Index].Label
	case index.PartAffinity:
		term := rules.Affinity[part.Index]
		verb, whom := "near ", "any"
		if term.Repel {
			verb = "apart from "
		}
		if !term.Selector.IsZero() {
			whom = term.Selector.String()
		}
		return verb + whom + over(term.Topology)
	case index.PartSpread:
		rule := rules.Spread[part.Index]
		if len(rule.Targets) > 0 {
			return "shares" + over(rule.Topology)
		}
		return "spread" + over(rule.Topology)
	default:
		return "PreferNoSchedule taint"
	}
}

func over(topology string) string {
	if topology == "" {
		return " over nodes"
	}
	return " over " + topology
}

func (st *state) explain(now time.Time, q *index.Query) Explanation {
	q.Closed = st.closing(now, q.Class.Request())
	e := Explanation{ID: q.ID, Version: st.seq, Total: st.nodes.Len()}
	e.survey(st, now, q)
	for _, n := range st.candidates(now, q) {
		e.Candidates = append(e.Candidates, st.nodeVerdict(now, q, n))
	}
	return e
}

// survey says on how many nodes a query fits, and why not on the others.
func (e *Explanation) survey(st *state, now time.Time, q *index.Query) {
	var backfilled []index.Row
	for to := range st.backfills(now, q) {
		backfilled = append(backfilled, to.Row)
	}
	survey := st.index.Survey(q, backfilled)
	e.Fit = survey.Fit
	e.First, e.Failed = reasonCounts(survey.First), reasonCounts(survey.Failed)
	for _, l := range survey.Lacks {
		n := st.at(l.Row)
		miss := Miss{Reason: l.Reason, NodeID: n.ID, Shortfall: l.Shortfall}
		if l.Reason.Name == placement.NameGPU {
			miss.Broken = slices.Clone(n.Devices.Broken)
		}
		e.Nearest = append(e.Nearest, miss)
	}
	if e.Fit > 0 {
		return
	}
	e.Causes = st.causes(q, &survey)
	e.Help = st.help(q, &survey)
	if e.Help.Waiting != "" {
		found := st.index.Diagnose(q, st.named(e.Help.Waiting).row)
		e.Help.Frees = st.verdict(now, q, st.named(e.Help.Waiting), &found).amounts()
	}
	if e.Total > 0 {
		found := st.index.Diagnose(q, survey.Nearest)
		nearest := st.verdict(now, q, st.at(survey.Nearest), &found)
		e.NearestMiss = &nearest
	}
}

// candidates returns the best nodes for a query, the best first.
func (st *state) candidates(now time.Time, q *index.Query) []*node {
	var spots []*candidate
	best, ok := st.index.Best(q)
	if ok {
		spots = append(spots, &candidate{Choice: best})
		for _, choice := range st.index.Top(q, explainedCandidates) {
			if choice.Row != best.Row { // Random has drawn the best from anywhere
				spots = append(spots, &candidate{Choice: choice})
			}
		}
	}
	for to := range st.backfills(now, q) {
		at := slices.IndexFunc(spots, func(other *candidate) bool { return st.better(q, to, other) })
		if at < 0 {
			at = len(spots)
		}
		spots = slices.Insert(spots, at, to)
	}
	var nodes []*node
	for _, to := range spots[:min(explainedCandidates, len(spots))] {
		nodes = append(nodes, st.at(to.Row))
	}
	return nodes
}

func reasonCounts(counts []index.ReasonCount) []ReasonCount {
	var list []ReasonCount
	for _, c := range counts {
		list = append(list, ReasonCount(c))
	}
	return list
}
