package index

// Stats tells how decisions were found since New, and how large things are.
type Stats struct {
	// Scans are decisions that looked at every node.
	Scans uint64
	// Walks are decisions found by walking a grid, Lists those found by
	// looking at a few nodes that the rules leave over.
	Walks, Lists uint64
	// Repeats are those that the node of the last decision answered.
	Repeats uint64
	// Grids is how many grids were built, in Slices pieces of work that did not
	// bring one up to date, and Dropped how many made room for others.
	Grids, Slices, Dropped uint64
	// Shut is how many blocks of nodes searches passed over since rules over single
	// nodes keep the request from all that have room there.
	Shut uint64
	// Gradients are decisions of LeastFragmentation, found by classes of nodes, of
	// which Measured were looked at.
	Gradients, Measured uint64
	// Draws are Random decisions that a draw among all nodes found.
	Draws uint64
	// Counts are refusals counted; those answered from memory are Recalls, for
	// which Rechecked nodes that had changed were looked at again.
	Counts, Recalls, Rechecked uint64
	// Moved is how often a class of instances was looked at because a node
	// that they run on came into another domain of a rule.
	Moved uint64
	// Compared is how often a class was compared with the selector of a
	// counter or of an anti-affinity, since it might be what that looks at.
	Compared uint64

	// Nodes, Classes (of which Live have instances) and Counters in the index.
	Nodes, Classes, Live, Counters int
	// Whole is how many grids there are, Building how many more are being built,
	// and GridBytes about how much memory all of them take.
	Whole, Building, GridBytes int
	// Tops is for how many rule sets blocks of nodes are known that keep them out.
	Tops int
	// Unkeyed are the counters and anti-affinities that every class of their
	// namespaces is compared with when it comes, and when a required
	// anti-affinity comes or goes, because their selectors also choose instances
	// without labels.
	Unkeyed int
}

// Stats returns counters and sizes.
func (x *Index) Stats() Stats {
	s := x.stats
	s.Nodes = len(x.byJoin)
	s.Classes, s.Live = len(x.classes.known), x.classes.live()
	s.Counters = len(x.counters.known)
	for _, o := range x.orders {
		switch {
		case o.grid == nil:
		case o.grid.build.whole:
			s.Whole++
		default:
			s.Building++
		}
	}
	s.GridBytes = x.gridBytes()
	s.Compared = x.counters.selectors.compared + x.counters.holders.compared
	s.Unkeyed = x.counters.selectors.unkeyed + x.counters.holders.unkeyed
	return s
}

// Passes counts how often a decision or a refusal looked at every node.
func (x *Index) Passes() int { return int(x.stats.Scans + x.stats.Counts) }

// Version counts what was done to the index: while it stays, answers stay. It
// takes constant time.
func (x *Index) Version() uint64 { return x.version }
