package scheduler

import (
	"iter"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/quota"
)

// copier makes a state of its own of a capture: what a replay of its snapshot makes,
// without the bytes between and without the checks of them.
//
// What never changes is shared: descriptions of nodes, amounts, and what is only
// replaced. Records of instances are those of the capture, whose only owner it is.
type copier struct {
	restorer
	classes map[*index.Class]*index.Class
	timed   []*allocation // those of which a charge begins or ends at a known time
}

func newCopier(cfg Config, c *capture) *copier {
	return &copier{
		restorer: restorer{st: newState(cfg), seq: c.head.Seq},
		classes:  make(map[*index.Class]*index.Class),
	}
}

func (k *copier) begin(c *capture) error {
	if err := c.head.restore(&k.restorer); err != nil {
		return err
	}
	for _, id := range c.stream.released {
		k.st.released.add(id)
	}
	return nil
}

func (k *copier) node(saved *nodeCopy) error {
	st := k.st
	n := st.insertCanonical(saved.node.Node, saved.node.join)
	record := st.edit(n)
	record.version, record.tainted = saved.node.version, saved.node.tainted
	record.cordoned, record.lost, record.unreported = saved.node.cordoned, saved.node.lost, saved.node.unreported
	if state := n.indexState(); state != index.Ready {
		st.index.SetState(n.row, state)
	}
	for i := range saved.allocations {
		k.instance(&saved.allocations[i], n)
	}
	return nil
}

func (k *copier) instance(a *allocation, n *node) {
	st := k.st
	class, known := k.classes[a.class]
	if !known {
		class = st.index.Class(a.class.Request())
	}
	was := a.class
	a.class, a.prev, a.next, a.eviction, a.covered = class, nil, nil, nil, nil
	if a.state == stale {
		st.keepStale(a)
	} else {
		st.allocations[a.id] = a
	}
	st.addToNode(a, n)
	if !known {
		k.classes[was] = a.class
	}
	if a.class.Request().Duration > 0 {
		k.timed = append(k.timed, a)
	}
}

func (k *copier) rest(c *capture) error {
	state, versions := c.quotas()
	for i, spec := range state.Specs {
		k.st.quotaVersions[spec.Namespace] = versions[i]
	}
	k.quotas = state
	k.plan.Series, k.plan.Unsettled, k.plan.Past = c.stream.plan.Series, c.stream.plan.Unsettled, c.stream.plan.Past
	k.plan.Reservations, k.plan.Stays = values(c.reservations.all()), values(c.stays.all())
	return nil
}

func (k *copier) end() error { return k.books(k.charges()) }

// charges yields those charges of which quotas know more than a sum.
func (k *copier) charges() iter.Seq2[string, quota.Timed] {
	return func(yield func(string, quota.Timed) bool) {
		for _, a := range k.timed {
			if a.state == running && !yield(a.namespace(), a.charge()) {
				return
			}
		}
		for r := range k.st.plan.Reservations() {
			for owes := range bills(&r) {
				if !yield(r.Spec.Namespace, owes) {
					return
				}
			}
		}
	}
}
