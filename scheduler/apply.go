package scheduler

import "github.com/rads-project/constellation/quota"

// listener is told of every change of an entry in order, derived ones at
// their place. nil is nobody.
type listener func(Change)

func (l listener) tell(c Change) {
	if l != nil {
		l(c)
	}
}

// apply brings the state through one entry, and adds to it what its changes
// make necessary. Applying what is in the entry never searches, reads a clock
// or fails; only the consequences are decided here, once.
func (st *state) apply(e *entry, tell listener) {
	st.notePoor(e)
	st.begin(e, tell)
	for _, c := range e.changes {
		st.step(c, tell)
	}
	for c := st.consequence(); c != nil; c = st.consequence() {
		e.changes = append(e.changes, c)
		st.step(c, tell)
	}
	st.regains = regains{}
}

func (st *state) begin(e *entry, tell listener) {
	st.seq, st.token = e.seq, e.token
	st.advance(e.time, tell)
}

// step applies one change and what it has made due by itself.
func (st *state) step(c Change, tell listener) {
	tell.tell(c)
	st.change(c, tell)
	st.advance(st.now, tell)
}

func (st *state) change(c Change, tell listener) {
	switch c := c.(type) {
	case *NodeAdded:
		st.addNode(c)
	case *NodeUpdated:
		st.updateNode(c, tell)
	case *NodeMarked:
		st.markNode(c, tell)
	case *NodeRemoved:
		st.removeNode(c, tell)
	case *NodeAdopted:
		st.applyAdoption(c, tell)
	case *Placed:
		st.place(c, tell)
	case *Released:
		a := st.generation(c.ID, c.Generation)
		st.release(a, tell)
		if a.state != stale && !c.Unclaimed {
			st.released.add(a.id)
		}
	case *Resized:
		st.resize(c, tell)
	case *PlanChanged:
		st.applyPlan(c.Changes, tell)
	case *WorkloadChanged:
		st.setMix(cloneMix(c.Mix))
	case *QuotaCreated:
		over, _ := st.editSpec(c.Spec.Namespace, c.Spec).Create(st.now, c.Spec.Clone())
		st.declared(c.Spec.Namespace, over, tell)
	case *QuotaUpdated:
		over, _ := st.editSpec(c.Spec.Namespace, c.Spec).Update(st.now, c.Spec.Clone())
		st.declared(c.Spec.Namespace, over, tell)
	case *QuotaDeleted:
		_ = st.editSpec(c.Namespace, quota.Spec{}).Delete(c.Namespace)
		delete(st.quotaVersions, c.Namespace)
	}
}

// declared notes the change of a quota, which was tried before it was
// recorded.
func (st *state) declared(namespace string, over []quota.Usage, tell listener) {
	st.quotaVersions[namespace], st.over = st.seq, over
	if len(over) > 0 {
		tell.tell(&QuotaOver{Usage: over})
	}
}
