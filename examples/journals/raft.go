package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"io"
	"iter"
	"sync"
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
}

// Acquire implements scheduler.Journal.
func (j raftJournal) Acquire(ctx context.Context, token uint64) error {
	return j.apply(ctx, raftCommand{Acquire: true, Token: token})
}

// Append implements scheduler.Journal.
func (j raftJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	return j.apply(ctx, raftCommand{Token: token, Records: records})
}

// Records implements scheduler.Journal. The barrier makes sure that this is
// still the leader, and has applied all that was committed.
func (j raftJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if err := j.raft.Barrier(time.Minute).Error(); err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		j.machine.journal().Records(ctx)(yield)
	}
}

// apply has the group agree on a command. A command that has timed out may
// still be applied: the scheduler takes any error as that.
func (j raftJournal) apply(ctx context.Context, c raftCommand) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var data bytes.Buffer
	if err := gob.NewEncoder(&data).Encode(c); err != nil {
		return err
	}
	future := j.raft.Apply(data.Bytes(), time.Minute)
	if err := future.Error(); err != nil {
		return err
	}
	err, _ := future.Response().(error)
	return err
}

// raftMachine is a raft.FSM around the journal in memory, which checks tokens
// in the order of the log, the same on every member.
type raftMachine struct {
	mu      sync.Mutex
	current *scheduler.MemoryJournal
	token   uint64
}

func newRaftMachine() *raftMachine { return &raftMachine{current: new(scheduler.MemoryJournal)} }

func (m *raftMachine) journal() *scheduler.MemoryJournal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// Apply implements raft.FSM.
func (m *raftMachine) Apply(log *raft.Log) any {
	var c raftCommand
	if err := gob.NewDecoder(bytes.NewReader(log.Data)).Decode(&c); err != nil {
		return err
	}
	if !c.Acquire {
		return m.journal().Append(context.Background(), c.Token, c.Records)
	}
	err := m.journal().Acquire(context.Background(), c.Token)
	if err == nil {
		m.token = c.Token
	}
	return err
}

// Snapshot implements raft.FSM: the commands that make the journal anew.
func (m *raftMachine) Snapshot() (raft.FSMSnapshot, error) {
	saved := raftCommand{Token: m.token}
	for r, err := range m.journal().Records(context.Background()) {
		if err != nil {
			return nil, err
		}
		saved.Records = append(saved.Records, r)
	}
	return raftSnapshot(saved), nil
}

// Restore implements raft.FSM.
func (m *raftMachine) Restore(from io.ReadCloser) error {
	var saved raftCommand
	if err := gob.NewDecoder(from).Decode(&saved); err != nil {
		return err
	}
	restored, ctx := new(scheduler.MemoryJournal), context.Background()
	if saved.Token > 0 {
		if err := restored.Acquire(ctx, saved.Token); err != nil {
			return err
		}
	}
	if err := restored.Append(ctx, saved.Token, saved.Records); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current, m.token = restored, saved.Token
	return nil
}

type raftSnapshot raftCommand

// Persist implements raft.FSMSnapshot.
func (s raftSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := gob.NewEncoder(sink).Encode(raftCommand(s)); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (raftSnapshot) Release() {}
