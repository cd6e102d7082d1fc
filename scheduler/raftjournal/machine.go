package raftjournal

import (
	"context"
	"io"
	"slices"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/raft"
)

// machine applies the log to a journal: the same on every member.
type machine struct{ *Journal }

var _ raft.Machine = machine{}

// Apply implements raft.Machine. A node that runs again begins with what the
// journal has already.
func (m machine) Apply(e raft.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Index <= m.applied {
		return
	}
	m.applied = e.Index
	var c command
	if e.Kind != raft.EntryCommand || codec.Read(new(codec.Coder), e.Data, &c, commandFields) != nil {
		return // no command of this package
	}
	over, outcome := m.applyLocked(&c)
	if waiting, found := m.waiting[c.call]; over && found && c.caller == m.self {
		waiting <- outcome
		delete(m.waiting, c.call)
	}
}

// applyLocked applies a command. It reports whether its call is over with it, and the
// outcome of that.
func (j *Journal) applyLocked(c *command) (over bool, outcome error) {
	ctx := context.Background() // in memory nothing waits
	if c.batch == nil {
		return true, j.records.Acquire(ctx, c.token)
	}
	if c.batch.first {
		j.pending = nil
	}
	j.pending = append(j.pending, c.batch.data...)
	if !c.batch.last {
		return false, nil
	}
	var b batch
	err := codec.Read(new(codec.Coder), j.pending, &b, batchFields)
	j.pending = nil
	if err != nil {
		return true, err
	}
	return true, j.records.Append(ctx, c.token, b.records)
}

// Snapshot implements raft.Machine.
func (m machine) Snapshot() io.WriterTo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &snapshot{applied: m.applied, pending: slices.Clip(m.pending), contents: m.records.Contents()}
}

// Restore implements raft.Machine.
func (m machine) Restore(r io.Reader) error {
	s, err := readSnapshot(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.applied <= m.applied {
		return nil // the node runs again
	}
	if err := m.records.Replace(s.contents); err != nil {
		return err
	}
	m.applied, m.pending = s.applied, s.pending
	return nil
}
