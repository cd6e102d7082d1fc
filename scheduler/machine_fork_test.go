package scheduler

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A fork of the machine's scheduler gets every call that the scheduler gets.

func (m *machine) forkAnew(t *rapid.T) {
	var err error
	m.fork, err = m.s.forked(t.Context())
	require.NoError(t, err)
}

// onFork repeats a call on the fork, and asserts that it answers and changes the same.
func (m *machine) onFork(t *rapid.T, want error, call func() error) {
	if m.fork == nil {
		return
	}
	_, err := m.fork.Sweep(t.Context()) // as the scheduler has
	require.NoError(t, err)
	m.s, m.fork = m.fork, m.s
	err = call()
	m.s, m.fork = m.fork, m.s
	if want == nil {
		require.NoError(t, err)
	} else {
		require.EqualError(t, err, want.Error())
	}
	require.Equal(t, snapshot(t, m.s), snapshot(t, m.fork), "a fork decides the same")
}
