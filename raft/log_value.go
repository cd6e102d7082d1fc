package raft

import (
	"fmt"
	"log/slog"
)

// String reads like "a is the leader of term 7", "b is a follower of a in term 7" or "c
// is a follower in term 7, no leader is known".
func (s Status) String() string {
	switch {
	case s.Stopped:
		return fmt.Sprintf("%s has stopped in term %d", s.ID, s.Term)
	case s.Leading:
		return fmt.Sprintf("%s is the leader of term %d", s.ID, s.Term)
	case s.Leader != "":
		return fmt.Sprintf("%s is a %s of %s in term %d", s.ID, s.Role, s.Leader, s.Term)
	default:
		return fmt.Sprintf("%s is a %s in term %d, no leader is known", s.ID, s.Role, s.Term)
	}
}

// LogValue implements slog.LogValuer: a group of cluster, id, role, term, leader, leading
// and the number of members.
func (s Status) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("cluster", s.Cluster), slog.String("id", s.ID), slog.String("role", s.Role.String()),
		slog.Uint64("term", s.Term), slog.String("leader", s.Leader), slog.Bool("leading", s.Leading),
		slog.Int("members", len(s.Configuration.Members)),
	)
}
