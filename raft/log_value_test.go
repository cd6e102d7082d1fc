package raft_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

func TestStatusReadsInWords(t *testing.T) {
	status := raft.Status{Cluster: "c", ID: "a", Term: 7}
	require.Equal(t, "a is a follower in term 7, no leader is known", status.String())
	status.Leader = "b"
	require.Equal(t, "a is a follower of b in term 7", status.String())
	status.Role, status.Leader, status.Leading = raft.Leader, "a", true
	require.Equal(t, "a is the leader of term 7", status.String())
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "election", status)
	require.Contains(t, log.String(), "election.cluster=c election.id=a election.role=leader election.term=7 election.leader=a election.leading=true election.members=0")
	status.Stopped, status.Leading = true, false
	require.Equal(t, "a has stopped in term 7", status.String())
}
