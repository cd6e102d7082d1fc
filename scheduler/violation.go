package scheduler

import (
	"cmp"
	"context"
	"slices"

	"github.com/rads-project/constellation/internal/index"
)

// BrokenRules are the hard rules of a running instance that would not let it on its
// node again.
type BrokenRules struct {
	// ID and Generation of the instance, and the node that it is on.
	ID         string `json:"id"`
	Generation uint64 `json:"generation"`
	NodeID     string `json:"nodeID"`
	// Broken are its hard rules that the node fails, all of them, in filter order, as
	// if the instance came to it now and were not there yet: constraints, taints that
	// it does not tolerate, ports, affinity and anti-affinity, its own and that of
	// others, and spread rules. Whether the node takes work and has too much on it is
	// what NodeInfo tells.
	Broken []Failure `json:"broken"`
}

// Violations returns the instances that break hard rules of their own as things are
// now, by ID: since a node was described anew, others have come, moved or gone, or a
// request was amended. Instances that are lost, stale or leaving are not judged, and
// neither is what comes while the call lasts. Each is judged at its own moment then:
// decisions go on.
//
// It takes time and memory in proportion to nodes and instances, as Allocations does,
// times the rules of each instance; and for each set of rules, and again for every 64
// instances of it, time in proportion to the domains in which its spread rules count
// something.
func (s *view) Violations(ctx context.Context) ([]BrokenRules, error) {
	c, err := s.captured(ctx, parts{nodes: true})
	if err != nil {
		return nil, err
	}
	var found []BrokenRules
	for judged := range slices.Chunk(c.byRules(), captureTurn) {
		if err := s.turn(ctx, func() { found = s.state.violations(judged, found) }); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b BrokenRules) int { return cmp.Compare(a.ID, b.ID) })
	s.mu.Lock()
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return found, nil
}

// judged reports whether an instance is asked whether its rules hold.
func (a *allocation) judged() bool { return a.state == running && !a.leaving }

// byRules returns the IDs of the instances that are judged, those of one class one
// after the other.
func (c *capture) byRules() []string {
	order := make(map[*index.Class]int)
	var all []*allocation
	for _, a := range c.placed() {
		if a.judged() {
			all = append(all, a.allocation)
			if _, seen := order[a.class]; !seen {
				order[a.class] = len(order)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *allocation) int { return cmp.Compare(order[a.class], order[b.class]) })
	ids := make([]string, len(all))
	for i, a := range all {
		ids[i] = a.id
	}
	return ids
}

// violations adds the violations of some instances, as far as they are still there, to
// those found. It is quick if those of one class follow each other.
func (st *state) violations(ids []string, found []BrokenRules) []BrokenRules {
	var class *index.Class
	var standing *index.Standing
	for _, id := range ids {
		a := st.allocations.At(id)
		if a == nil || !a.judged() {
			continue
		}
		if a.class != class {
			class, standing = a.class, st.index.Standing(a.class)
		}
		v := BrokenRules{ID: id, Generation: a.generation, NodeID: st.on(a).ID}
		for _, reason := range standing.Broken(a.row, a.absent()) {
			v.Broken = append(v.Broken, Failure{Reason: reason})
		}
		if len(v.Broken) > 0 {
			found = append(found, v)
		}
	}
	return found
}

// broken returns the hard rules of an instance that do not hold where it is.
func (st *state) broken(a *allocation) []Failure {
	for _, v := range st.violations([]string{a.id}, nil) {
		return v.Broken
	}
	return nil
}
