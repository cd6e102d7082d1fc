package scheduler

import (
	"maps"
	"slices"

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

// move moves an instance. What its namespace uses now, and since when that is above a
// limit, is the same before and after, and no ID is released.
func (m *machine) move(t *rapid.T) {
	id, to := drawID(t), rapid.SampledFrom([]string{"n1", "n2", "n3", ""}).Draw(t, "to")
	on, existed := m.model[id]
	var d Decision
	before := m.s.state.allocations[id]
	var usage any
	var generation uint64
	ok := m.attempt(t, func() (err error) {
		if existed {
			usage, generation = m.usage(t, before.namespace()), before.generation
		}
		d, err = m.s.Move(t.Context(), id, to)
		return err
	})
	if !ok {
		return
	}
	require.True(t, existed && !on.lost)
	require.Equal(t, usage, m.usage(t, before.namespace()))
	require.True(t, to == "" || to == d.NodeID)
	if d.NodeID == on.node {
		require.Equal(t, generation, d.Generation)
		return
	}
	require.Greater(t, d.Generation, generation)
	require.Equal(t, Running, m.s.state.allocations[id].publicState())
	require.Equal(t, Leaving, m.s.state.generation(id, generation).publicState())
	m.requireNotOver(t, d.NodeID)
	on.node = d.NodeID
	m.model[id] = on
}

// usage is what a namespace uses now, and which IDs are released.
func (m *machine) usage(t *rapid.T, namespace string) any {
	usage, err := m.s.QuotaUsage(t.Context(), namespace)
	require.NoError(t, err)
	return []any{usage, slices.Clone(m.s.state.released.all())}
}

// keep keeps the latest replaced generation of the first ID that has any.
func (m *machine) keep(t *rapid.T) {
	ids := slices.Sorted(maps.Keys(m.s.state.stale))
	if len(ids) == 0 {
		return
	}
	replaced := m.s.state.stale[ids[0]]
	a := replaced[len(replaced)-1]
	_, existed := m.model[a.id]
	var d Decision
	if m.attempt(t, func() (err error) {
		d, err = m.s.KeepGeneration(t.Context(), a.id, a.generation)
		return err
	}) {
		require.True(t, existed)
		require.Equal(t, a.generation, d.Generation)
		m.model[a.id] = modelInstance{node: d.NodeID, cpu: a.resources.CPU}
	}
}
