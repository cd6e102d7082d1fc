package scheduler

import (
	"bytes"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A fork of the machine's scheduler gets every call that the scheduler gets, each twice:
// once to be rolled back.

func (m *machine) forkAnew(t *rapid.T) {
	if m.fork != nil && rapid.Bool().Draw(t, "roll back") {
		m.fork.state.rollBack()
		require.Equal(t, m.forked, unswept(t, m.fork), "nothing is left of what was tried")
		m.fork.state.mark()
	}
	var err error
	m.fork, err = m.s.forked(t.Context())
	require.NoError(t, err)
	m.forked = unswept(t, m.fork)
	m.fork.state.mark()
}

// unswept returns the snapshot of a scheduler without letting time pass.
func unswept(t testHelper, s *Scheduler) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, s.stream(t.Context(), writing(func(r Record) error { return writePart(&b, r) })))
	return b.String()
}

// onFork repeats a call on the fork, and asserts that it answers and changes the same.
func (m *machine) onFork(t *rapid.T, want error, call func() error) {
	if m.fork == nil {
		return
	}
	before := unswept(t, m.fork)
	m.fork.state.mark()
	_, err := m.fork.Sweep(t.Context()) // as the scheduler has
	require.NoError(t, err)
	m.tryOnFork(t, want, call)
	m.fork.state.rollBack()
	require.Equal(t, before, unswept(t, m.fork), "nothing is left of what was rolled back")
	require.NoError(t, m.fork.state.verifyQuota())

	_, err = m.fork.Sweep(t.Context())
	require.NoError(t, err)
	if rapid.Bool().Draw(t, "marked") {
		m.fork.state.mark()
		m.tryOnFork(t, want, call)
		m.fork.state.forget()
	} else {
		m.tryOnFork(t, want, call)
	}
	require.Equal(t, snapshot(t, m.s), snapshot(t, m.fork), "a fork decides the same")
}

func (m *machine) tryOnFork(t *rapid.T, want error, call func() error) {
	m.s, m.fork = m.fork, m.s
	err := call()
	m.s, m.fork = m.fork, m.s
	if want == nil {
		require.NoError(t, err)
	} else {
		require.EqualError(t, err, want.Error())
	}
}
