package scheduler

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Moves of the machine that change what runs.

func (m *machine) leave(t *rapid.T) {
	id, leaving := drawID(t), rapid.Bool().Draw(t, "leaving")
	on, existed := m.model[id]
	before := m.s.Version()
	ok := m.attempt(t, func() error {
		before = m.s.Version()
		if leaving {
			return m.s.Leave(t.Context(), id)
		}
		return m.s.Stay(t.Context(), id)
	})
	require.Equal(t, existed && !on.lost, ok)
	if !ok {
		return
	}
	a, err := m.s.Allocation(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, leaving, a.State == Leaving)
	require.LessOrEqual(t, m.s.Version(), before+1, "one entry at most")
}
