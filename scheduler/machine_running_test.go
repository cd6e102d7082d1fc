package scheduler

import (
	"maps"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
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
	before := m.s.state.allocations.At(id)
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
	require.Equal(t, Running, m.s.state.allocations.At(id).publicState())
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

// amend gives an instance another request, which mostly has the amounts and the
// namespace of the present one. Nothing else of it changes but what follows from that.
func (m *machine) amend(t *rapid.T) {
	req := drawRequest(t)
	on, existed := m.model[req.ID]
	a := m.s.state.allocations.At(req.ID)
	if existed && rapid.IntRange(0, 9).Draw(t, "other amounts") > 0 {
		req.Namespace, req.Resources = a.namespace(), a.resources
		if rapid.Bool().Draw(t, "same duration") {
			req.Duration = a.class.Request().Duration
		}
	}
	var done Amendment
	var before Allocation
	ok := m.attempt(t, func() (err error) {
		if existed {
			before = m.s.state.allocations.At(req.ID).info("")
		}
		done, err = m.s.Amend(t.Context(), req.ID, req)
		return err
	})
	if !ok {
		return
	}
	require.True(t, existed)
	after := m.s.state.allocations.At(req.ID).info("")
	req.Resources = before.Request.Resources
	require.True(t, after.Request.Equal(req))
	require.Equal(t, on.node, done.Decision.NodeID)
	require.Equal(t, after.DynamicPorts, done.Decision.DynamicPorts)
	require.Equal(t, before.Devices, after.Devices)
	require.Equal(t, before.Generation, after.Generation)
	require.Equal(t, before.Placed, after.Placed)
	require.Equal(t, brokenBy(m.s.state, m.s.state.allocations.At(req.ID)), done.Broken)
	if before.State != Running || after.State != Leaving { // which was due at once
		require.Equal(t, before.State, after.State)
	}
}

// checkViolations asserts that what breaks its rules is what an explanation would say.
func (m *machine) checkViolations(t *rapid.T) {
	var want []BrokenRules
	for _, a := range listed(t, m.s.Allocations) {
		if at := m.s.state.allocations.At(a.Request.ID); at != nil && at.generation == a.Generation {
			if broken := brokenBy(m.s.state, at); broken != nil {
				want = append(want, BrokenRules{ID: at.id, Generation: at.generation, NodeID: m.s.state.on(at).ID, Broken: broken})
			}
		}
	}
	require.Equal(t, want, listed(t, m.s.Violations))
}

// brokenBy returns which rules of a running instance an explanation of its node names
// that are about what is there and not about how much.
func brokenBy(st *state, a *allocation) (broken []Failure) {
	if a.publicState() != Running {
		return nil
	}
	req := a.request()
	q := st.queryOf(&req, a.class)
	q.Own = &index.Own{Row: a.row, Absent: a.absent()}
	for _, f := range st.index.Diagnose(&q, a.row).Failures {
		about := f.Reason.Kind == placement.ReasonPort && f.Reason.Detail != "dynamic" ||
			slices.Contains([]placement.ReasonKind{
				placement.ReasonTaint, placement.ReasonConstraint, placement.ReasonAffinity, placement.ReasonAntiAffinity, placement.ReasonSpread,
			}, f.Reason.Kind)
		if about {
			broken = append(broken, Failure{Reason: f.Reason})
		}
	}
	return broken
}
