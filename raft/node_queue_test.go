package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What was withdrawn is not taken, and what was taken cannot be withdrawn.
func TestProposalIsWithdrawnOrTaken(t *testing.T) {
	var q proposalQueue
	first, second := new(proposal), new(proposal)
	q.put(first)
	q.put(second)
	require.True(t, q.withdraw(first))
	require.Equal(t, []*proposal{second}, q.take())
	require.False(t, q.withdraw(second))
	require.Empty(t, q.take())
}
