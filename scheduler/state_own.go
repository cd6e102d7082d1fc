package scheduler

import (
	"slices"

	"github.com/rads-project/constellation/internal/index"
)

// Records of nodes and instances are shared: by a scheduler and its forks, and by what
// a state was at its marks. Each record has an owner, and a state changes only those of
// its own owner in place; of another one it makes a copy first, and puts that in its
// tables. A state has a new owner once what it has is shared, so that a fork and a mark
// copy no record.
//
// Invariant: nothing that a record points to is ever changed, only replaced; and a
// record says by row, not by pointer, on which node an instance is.

// edit returns the node of a row to be changed: nothing of it, nor of what is on its
// books, is changed before edit was called in the same step. Captures under way, and
// the latest mark, get theirs first.
func (st *state) edit(row index.Row) *node {
	n := st.at(row)
	st.preserve(n)
	st.keepNode(row)
	if n.owner == st.owner {
		return n
	}
	own := *n
	own.owner, own.instances = st.owner, slices.Clone(n.instances)
	st.byRow.Set(int(row), &own)
	return &own
}

// own returns the record of an instance to be changed. It takes a look at those of its
// node.
func (st *state) own(a *allocation) *allocation {
	n := st.edit(a.row)
	if a.owner == st.owner {
		return a
	}
	at := n.place(a)
	if present := n.instances[at]; present != a {
		return present // which somebody has made since
	}
	own := *a
	own.owner = st.owner
	n.instances[at] = &own
	if st.allocations.At(a.id) == a {
		st.allocations.Set(a.id, &own)
	} else if at := slices.Index(st.stale[a.id], a); at >= 0 {
		st.stale[a.id][at] = &own
	}
	return &own
}

// place returns where an instance stands among those of its node.
func (record *nodeRecord) place(a *allocation) int {
	if at := slices.Index(record.instances, a); at >= 0 {
		return at
	}
	return slices.IndexFunc(record.instances, func(other *allocation) bool {
		return other.generation == a.generation && other.id == a.id
	})
}
