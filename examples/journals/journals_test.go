package main

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

func TestRun(t *testing.T) { require.NoError(t, run(t.Context())) }

func TestFile(t *testing.T) {
	journaltest.Run(t, journaltest.Config{Light: true, Rounds: 50, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		path := filepath.Join(tb.TempDir(), "journal")
		return func() scheduler.Journal { return &fileJournal{path: path} }
	}})
}

// patience is how long members wait before they depose a leader: longer than
// a slow machine ever stops.
const patience = 20 * time.Second

// group is three members of hashicorp/raft in one process.
type group struct {
	tb      testing.TB
	members []raftJournal
	applied []*atomic.Uint64 // by each of them, the last entry
}

func newGroup(tb testing.TB) *group {
	tb.Helper()
	g := &group{tb: tb}
	var (
		servers    []raft.Server
		transports []*raft.InmemTransport
	)
	for range 3 {
		address, transport := raft.NewInmemTransport("")
		servers = append(servers, raft.Server{ID: raft.ServerID(address), Address: address})
		transports = append(transports, transport)
	}
	for i, transport := range transports {
		for _, other := range transports {
			transport.Connect(other.LocalAddr(), other)
		}
		cfg := raft.DefaultConfig()
		cfg.LocalID, cfg.LogLevel = servers[i].ID, "OFF"
		cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = patience, patience, patience
		cfg.CommitTimeout = 5 * time.Millisecond
		store, machine, applied := raft.NewInmemStore(), newRaftMachine(), new(atomic.Uint64)
		node, err := raft.NewRaft(cfg, watchedMachine{machine, applied}, store, store, raft.NewInmemSnapshotStore(), transport)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, node.Shutdown().Error()) })
		g.members, g.applied = append(g.members, raftJournal{node, machine}), append(g.applied, applied)
	}
	require.NoError(tb, g.members[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error())
	// Somebody has to campaign before that.
	campaign := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
	require.NoError(tb, transports[1].TimeoutNow(servers[0].ID, servers[0].Address, &campaign, new(raft.TimeoutNowResponse)))
	return g
}

// leader waits until there is one.
func (g *group) leader() raftJournal {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		for _, member := range g.members {
			if member.raft.VerifyLeader().Error() == nil {
				return member
			}
		}
		<-poll.C
	}
}

// watchedMachine tells which entry it has applied last.
type watchedMachine struct {
	*raftMachine
	applied *atomic.Uint64
}

// Apply implements raft.FSM.
func (m watchedMachine) Apply(log *raft.Log) any {
	defer m.applied.Store(log.Index)
	return m.raftMachine.Apply(log)
}

// settled is leader once all members have applied what there is: they share the memory
// of this process, which the suite measures.
func (g *group) settled() raftJournal {
	leader := g.leader()
	require.NoError(g.tb, leader.raft.Barrier(time.Minute).Error())
	last := uint64(0)
	for _, applied := range g.applied {
		last = max(last, applied.Load())
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for _, applied := range g.applied {
		for applied.Load() < last {
			<-poll.C
		}
	}
	return leader
}

func TestRaft(t *testing.T) {
	journaltest.Run(t, journaltest.Config{New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		g := newGroup(tb)
		return func() scheduler.Journal { return g.settled() }
	}})
}

func TestRaftHandsOver(t *testing.T) {
	g := newGroup(t)
	first := g.leader()
	require.NoError(t, story(t.Context(), first))
	require.NoError(t, first.raft.Snapshot().Error())
	require.NoError(t, first.raft.LeadershipTransfer().Error())
	next := g.leader()
	require.NotSame(t, first.raft, next.raft)
	require.ErrorIs(t, first.Append(t.Context(), 2, nil), raft.ErrNotLeader)
	s, err := scheduler.Open(t.Context(), scheduler.Config{Journal: next})
	require.NoError(t, err)
	require.Equal(t, uint64(3), s.Token())
	d, err := s.Allocation(t.Context(), "web-1")
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
}

func TestRaftMachineRestores(t *testing.T) {
	m, sink := newRaftMachine(), raft.NewInmemSnapshotStore()
	record := scheduler.Record{Seq: 1, Kind: scheduler.RecordEntry, Data: []byte("entry")}
	first := scheduler.Record{Seq: 1, Kind: scheduler.RecordSnapshotPart, Data: []byte("first part")}
	for _, c := range []raftCommand{{Acquire: true, Token: 7}, {Token: 7, Records: []scheduler.Record{record, first}}} {
		require.Nil(t, m.Apply(&raft.Log{Data: encode(c)}))
	}
	saved, err := m.Snapshot()
	require.NoError(t, err)
	_, transport := raft.NewInmemTransport("")
	w, err := sink.Create(raft.SnapshotVersionMax, 1, 1, raft.Configuration{}, 1, transport)
	require.NoError(t, err)
	require.NoError(t, saved.Persist(w))
	_, from, err := sink.Open(w.ID())
	require.NoError(t, err)

	restored := newRaftMachine()
	require.NoError(t, restored.Restore(from))
	for r, err := range restored.journal.Load().Records(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, record, r)
	}
	require.ErrorIs(t, restored.journal.Load().Acquire(t.Context(), 7), scheduler.ErrFenced)
	last := scheduler.Record{Seq: 1, Part: 1, Kind: scheduler.RecordSnapshot, Data: []byte("last part")}
	require.Nil(t, restored.Apply(&raft.Log{Data: encode(raftCommand{Token: 7, Records: []scheduler.Record{last}})}))
	var parts []scheduler.Record
	for r, err := range restored.journal.Load().Records(t.Context()) {
		require.NoError(t, err)
		parts = append(parts, r)
	}
	require.Equal(t, []scheduler.Record{first, last}, parts)
}
