package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/rads-project/constellation/scheduler"
)

// raftJournal keeps the journal in the state machine of hashicorp/raft. Its
// methods work on the leader of the group; elsewhere they fail with
// raft.ErrNotLeader.
type raftJournal struct {
	raft    *raft.Raft
	machine *raftMachine
}

// raftCommand is an entry of raft's log.
type raftCommand struct {
	Acquire bool // or append
	Token   uint64
	Records []scheduler.Record
	Parts   []scheduler.Record `json:",omitempty"` // of a snapshot of the machine: see raftMachine
}

// Acquire implements scheduler.Journal.
func (j raftJournal) Acquire(ctx context.Context, token uint64) error {
	return j.apply(ctx, raftCommand{Acquire: true, Token: token})
}

// Append implements scheduler.Journal.
func (j raftJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	return j.apply(ctx, raftCommand{Token: token, Records: records})
}

// apply has the group agree on a command. One that has timed out may still be
// applied: the scheduler takes any error as that.
func (j raftJournal) apply(ctx context.Context, c raftCommand) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	future := j.raft.Apply(encode(c), time.Minute)
	if err := future.Error(); err != nil {
		return err
	}
	err, _ := future.Response().(error)
	return err
}

// Records implements scheduler.Journal. The barrier makes sure that this is
// still the leader, and has applied all that was committed.
func (j raftJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if err := j.raft.Barrier(time.Minute).Error(); err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		j.machine.journal.Load().Records(ctx)(yield)
	}
}

// raftMachine is a raft.FSM around the journal in memory, which checks tokens
// in the order of the log, the same on every member, and forgets what a
// snapshot of the scheduler replaces. raft's own snapshots then shorten its log.
type raftMachine struct {
	journal atomic.Pointer[scheduler.MemoryJournal]
	// parts of a snapshot of the scheduler that is not complete. The journal gets
	// them with the last: it does not tell what it has of them, and a snapshot of
	// the machine must have all.
	parts []scheduler.Record
}

func newRaftMachine() *raftMachine {
	m := new(raftMachine)
	m.journal.Store(new(scheduler.MemoryJournal))
	return m
}

// Apply implements raft.FSM.
func (m *raftMachine) Apply(log *raft.Log) any {
	var c raftCommand
	if err := json.Unmarshal(log.Data, &c); err != nil {
		return err
	}
	if c.Acquire {
		return m.journal.Load().Acquire(context.Background(), c.Token)
	}
	return m.append(c.Token, c.Records)
}

// append gives the journal the parts of a snapshot with the last of them.
func (m *raftMachine) append(token uint64, records []scheduler.Record) error {
	journal := m.journal.Load()
	if err := journal.Append(context.Background(), token, nil); err != nil {
		return err // fenced, whatever the records are
	}
	var complete []scheduler.Record
	for _, r := range records {
		switch r.Kind {
		case scheduler.RecordEntry:
			complete = append(complete, r)
		case scheduler.RecordSnapshotPart:
			m.parts = append(m.parts[:min(r.Part, len(m.parts))], r)
		case scheduler.RecordSnapshot:
			complete = append(append(complete, m.parts[:min(r.Part, len(m.parts))]...), r)
			m.parts = nil
		case scheduler.RecordCurrent: // told by Follow, and never appended
		}
	}
	return journal.Append(context.Background(), token, complete)
}

// Snapshot implements raft.FSM: the command that makes the same journal again.
func (m *raftMachine) Snapshot() (raft.FSMSnapshot, error) {
	var fenced *scheduler.FencedError
	errors.As(m.journal.Load().Acquire(context.Background(), 0), &fenced) // always, and tells the token
	saved := raftCommand{Token: fenced.Highest, Parts: m.parts}
	for r, err := range m.journal.Load().Records(context.Background()) {
		if err != nil {
			return nil, err
		}
		saved.Records = append(saved.Records, r)
	}
	return raftSnapshot(encode(saved)), nil
}

// Restore implements raft.FSM.
func (m *raftMachine) Restore(from io.ReadCloser) error {
	var saved raftCommand
	if err := json.NewDecoder(from).Decode(&saved); err != nil {
		return err
	}
	restored := new(scheduler.MemoryJournal)
	if saved.Token > 0 {
		if err := restored.Acquire(context.Background(), saved.Token); err != nil {
			return err
		}
	}
	if err := restored.Append(context.Background(), saved.Token, saved.Records); err != nil {
		return err
	}
	m.journal.Store(restored)
	m.parts = saved.Parts
	return nil
}

type raftSnapshot []byte

// Persist implements raft.FSMSnapshot.
func (s raftSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (raftSnapshot) Release() {}
