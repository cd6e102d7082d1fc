package scheduler

import (
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// A request that says when it leaves does not go where maintenance would interrupt
// it. The index knows only which nodes are closed now: for such a request those that
// are to be closed before it will have left are closed too.

// interrupted reports whether a node is to be closed for maintenance before a
// request that says when it leaves will have left.
func (st *state) interrupted(now time.Time, req *placement.Request, n *node) bool {
	w, bounded := ownWindow(now, req)
	return bounded && !req.Yield && st.plan.ClosedDuring(n.ID, w)
}

// uninterrupted returns the best of those nodes on which a query fits and that stay
// open for as long. It looks at every node.
func (st *state) uninterrupted(now time.Time, q *index.Query) (index.Choice, bool) {
	st.around += len(st.nodes)
	for row := range st.index.Ranked(q) {
		terms, fits := st.index.Evaluate(q, row, nil)
		if fits && !st.interrupted(now, q.Class.Request(), st.byRow[row]) {
			return index.Choice{Row: row, Terms: terms}, true
		}
	}
	return index.Choice{}, false
}

// closing returns the nodes that would interrupt a request. It looks at every node on
// which something is reserved or leaves by itself.
func (st *state) closing(now time.Time, req *placement.Request) (nodes []*node) {
	w, bounded := ownWindow(now, req)
	if !bounded || req.Yield {
		return nil
	}
	for _, id := range st.plan.ClosedNodes(w) {
		if n, ok := st.nodes[id]; ok && !n.lost && !n.unreported {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// asClosed shows the index nodes as closed while something looks at it.
func (st *state) asClosed(nodes []*node, look func()) {
	for _, n := range nodes {
		st.index.SetState(n.row, index.Closed)
	}
	look()
	for _, n := range nodes {
		st.index.SetState(n.row, n.indexState())
	}
}

// failures says what a query fails on a node, and its value there.
func (st *state) failures(now time.Time, q *index.Query, n *node) (found index.Diagnosis) {
	var closing []*node
	if !n.lost && !n.unreported && st.interrupted(now, q.Class.Request(), n) {
		closing = []*node{n}
	}
	st.asClosed(closing, func() { found = st.index.Diagnose(q, n.row) })
	return found
}

// interruption is why a node does not take what maintenance would interrupt.
func interruption() placement.Reason {
	return placement.Reason{Kind: placement.ReasonState, Detail: index.Closed.String()}
}
