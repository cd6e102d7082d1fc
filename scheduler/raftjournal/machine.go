package raftjournal

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// Machine applies the log to the records of a journal: the same on every member. It is
// for raft.Config.Machine, and for New. The zero value is ready for the first node of a
// process; that may run several times.
type Machine struct {
	records scheduler.MemoryJournal // what is committed

	mu      sync.Mutex // guards all below
	applied uint64     // the last entry of the log
	pending []byte     // of a batch whose last piece has not come
	waiting map[ticket]chan<- error
}

// ticket says who waits for the outcome of a command: a journal, by a number that
// no other has, and which of its calls.
type ticket struct{ caller, call uint64 }

var _ raft.Machine = (*Machine)(nil)

// expect has the outcome of a call sent to a channel, which has room for it.
func (m *Machine) expect(of ticket, outcome chan<- error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting == nil {
		m.waiting = make(map[ticket]chan<- error)
	}
	m.waiting[of] = outcome
}

// forget says that nobody waits for a call any more.
func (m *Machine) forget(of ticket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.waiting, of)
}

// highest returns the highest token as far as this member knows.
func (m *Machine) highest() uint64 { return m.records.Contents().Token }

// Apply implements raft.Machine. A node that runs again begins with what the
// journal has already.
func (m *Machine) Apply(e raft.Entry) {
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
	of := ticket{c.caller, c.call}
	if waiting, found := m.waiting[of]; over && found {
		waiting <- outcome
		delete(m.waiting, of)
	}
}

// applyLocked applies a command. It reports whether its call is over with it, and the
// outcome of that.
func (m *Machine) applyLocked(c *command) (over bool, outcome error) {
	ctx := context.Background() // in memory nothing waits
	if c.batch == nil {
		return true, m.records.Acquire(ctx, c.token)
	}
	if c.batch.first {
		m.pending = nil
	}
	m.pending = append(m.pending, c.batch.data...)
	if !c.batch.last {
		return false, nil
	}
	var b batch
	err := codec.Read(new(codec.Coder), m.pending, &b, batchFields)
	m.pending = nil
	if err != nil {
		return true, err
	}
	return true, m.records.Append(ctx, c.token, b.records)
}

// Snapshot implements raft.Machine.
func (m *Machine) Snapshot() io.WriterTo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &snapshot{applied: m.applied, pending: slices.Clip(m.pending), contents: m.records.Contents()}
}

// Restore implements raft.Machine.
func (m *Machine) Restore(r io.Reader) error {
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
