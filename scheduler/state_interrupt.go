package scheduler

import (
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// A request that says when it leaves does not go where maintenance would interrupt
// it. The index knows only which nodes are closed now: such a request is asked with
// those that are to be closed before it will have left thought closed too.

// interrupted reports whether a node is to be closed for maintenance before a
// request that says when it leaves will have left.
func (st *state) interrupted(now time.Time, req *placement.Request, n *node) bool {
	w, bounded := ownWindow(now, req)
	return bounded && !req.Yield && st.plan.ClosedDuring(n.ID, w)
}

// closing returns the nodes that would interrupt a request. It looks at every node on
// which something is reserved or leaves by itself.
func (st *state) closing(now time.Time, req *placement.Request) (rows []index.Row) {
	w, bounded := ownWindow(now, req)
	if !bounded || req.Yield {
		return nil
	}
	for _, id := range st.plan.ClosedNodes(w) {
		if n := st.named(id); n != nil && !n.lost && !n.unreported {
			rows = append(rows, n.row)
		}
	}
	return rows
}

// closingOn is closing for one node.
func (st *state) closingOn(now time.Time, req *placement.Request, n *node) []index.Row {
	if n.lost || n.unreported || !st.interrupted(now, req, n) {
		return nil
	}
	return []index.Row{n.row}
}

// interruption is why a node does not take what maintenance would interrupt.
func interruption() placement.Reason {
	return placement.Reason{Kind: placement.ReasonState, Detail: index.Closed.String()}
}
