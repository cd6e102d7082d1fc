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
func (st *state) step(c decided, tell listener) {
	tell.tell(c)
	c.apply(st, tell)
	st.advance(st.now, tell)
}

func (c *QuotaCreated) check(st *state) error { return st.quota.CheckCreate(c.Spec) }

func (c *QuotaCreated) apply(st *state, tell listener) {
	over, _ := st.editSpec(c.Spec.Namespace, c.Spec).Create(st.now, c.Spec.Clone())
	st.declared(c.Spec.Namespace, over, tell)
}

func (c *QuotaUpdated) check(st *state) error { return st.quota.CheckUpdate(c.Spec) }

func (c *QuotaUpdated) apply(st *state, tell listener) {
	over, _ := st.editSpec(c.Spec.Namespace, c.Spec).Update(st.now, c.Spec.Clone())
	st.declared(c.Spec.Namespace, over, tell)
}

func (c *QuotaDeleted) check(st *state) error { return st.quota.CheckDelete(c.Namespace) }

func (c *QuotaDeleted) apply(st *state, _ listener) {
	_ = st.editSpec(c.Namespace, quota.Spec{}).Delete(c.Namespace)
	delete(st.quotaVersions, c.Namespace)
}

// declared notes the change of a quota, which was tried before it was
// recorded.
func (st *state) declared(namespace string, over []quota.Usage, tell listener) {
	st.quotaVersions[namespace], st.over = st.seq, over
	if len(over) > 0 {
		tell.tell(&QuotaOver{Usage: over})
	}
}
