package reservation

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Try does something between a mark and a rollback, of which nothing is left.
func (m *machine) Try(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "tries") > 0 {
		return
	}
	m.settle(t)
	before, books := m.plan.Snapshot(), m.clone()
	m.mark()
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		m.mark()
		inner, innerBooks := m.plan.Snapshot(), m.clone()
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			m.step(t)
		}
		if rapid.Bool().Draw(t, "forget") {
			m.plan.Forget()
			m.replica.Forget()
			continue
		}
		m.rollBack(t, inner)
		innerBooks.of(m)
	}
	m.rollBack(t, before)
	books.of(m)
}

func (m *machine) mark() {
	m.plan.Mark()
	m.replica.Mark()
}

func (m *machine) rollBack(t *rapid.T, want Snapshot) {
	m.plan.Rollback()
	m.replica.Rollback()
	m.plan.Touched()
	m.replica.Touched()
	require.Equal(t, want, m.plan.Snapshot(), "nothing is left of what was tried")
	requireSameTimelines(t, m.plan, Restore(want))
	fresh, _ := Restore(want).NextDeadline()
	next, _ := m.plan.NextDeadline()
	require.Equal(t, fresh, next)
}

// step does anything else, and what a host does after it.
func (m *machine) step(t *rapid.T) {
	actions := rapid.StateMachineActions(m)
	for _, other := range []string{"", "Room", "For", "Try"} {
		delete(actions, other)
	}
	actions[rapid.SampledFrom(slices.Sorted(maps.Keys(actions))).Draw(t, "step")](t)
	m.settle(t)
}

// books are what a machine knows beside its plans.
type books struct{ machine }

func (m *machine) clone() *books {
	b := &books{*m}
	b.rooms, b.lost, b.shrunk = maps.Clone(m.rooms), maps.Clone(m.lost), maps.Clone(m.shrunk)
	b.ledger, b.told, b.waiting, b.seen = maps.Clone(m.ledger), maps.Clone(m.told), maps.Clone(m.waiting), maps.Clone(m.seen)
	b.withRoom = slices.Clone(m.withRoom)
	return b
}

// of makes the books those of a machine.
func (b *books) of(m *machine) { *m = b.machine }
