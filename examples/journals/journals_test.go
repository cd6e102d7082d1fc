package main

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
)

func TestRun(t *testing.T) { require.NoError(t, run(t.Context())) }

func TestSQL(t *testing.T) {
	journaltest.Run(t, journaltest.Config{Shared: true, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		path := filepath.Join(tb.TempDir(), "journal.db")
		return func() scheduler.Journal {
			db, err := openSQLite(path)
			require.NoError(tb, err)
			tb.Cleanup(func() { require.NoError(tb, db.Close()) })
			return sqlJournal{db}
		}
	}})
}

// etcd runs a server in this process and returns a client of it.
func etcd(t *testing.T) *clientv3.Client {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.UnsafeNoFsync = t.TempDir(), "panic", true
	cfg.MaxRequestBytes = 16 << 20
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = anyPort, anyPort
	server, err := embed.StartEtcd(cfg)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	return v3client.New(server.Server)
}

func TestEtcd(t *testing.T) {
	client := etcd(t)
	journaltest.Run(t, journaltest.Config{Shared: true, New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		journal := etcdJournal{client, tb.Name() + "/"}
		return func() scheduler.Journal { return journal }
	}})
}

// group is three members of hashicorp/raft in one process.
type group struct {
	tb      testing.TB
	members []raftJournal
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
		cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = time.Second, time.Second, time.Second
		cfg.CommitTimeout = 5 * time.Millisecond
		store, machine := raft.NewInmemStore(), newRaftMachine()
		node, err := raft.NewRaft(cfg, machine, store, store, raft.NewInmemSnapshotStore(), transport)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, node.Shutdown().Error()) })
		g.members = append(g.members, raftJournal{node, machine})
	}
	require.NoError(tb, g.members[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error())
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

func TestRaft(t *testing.T) {
	journaltest.Run(t, journaltest.Config{New: func(tb testing.TB) func() scheduler.Journal {
		tb.Helper()
		g := newGroup(tb)
		return func() scheduler.Journal { return g.leader() }
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
	d, err := s.Allocation("web-1")
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
}

func TestRaftMachineRestores(t *testing.T) {
	m, sink := newRaftMachine(), raft.NewInmemSnapshotStore()
	require.NoError(t, m.current.Acquire(t.Context(), 7))
	m.token = 7
	record := scheduler.Record{Seq: 1, Kind: scheduler.RecordEntry, Data: []byte("entry")}
	require.NoError(t, m.current.Append(t.Context(), 7, []scheduler.Record{record}))
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
	require.Equal(t, m.token, restored.token)
	for r, err := range restored.current.Records(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, record, r)
	}
	require.ErrorIs(t, restored.current.Acquire(t.Context(), 7), scheduler.ErrFenced)
}
