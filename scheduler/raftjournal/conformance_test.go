package raftjournal_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/journaltest"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/transport"
)

// disk is what a member that runs again finds.
type disk struct {
	store raft.MemoryStore
	log   raft.MemoryLog
}

// start runs a member until stop is called.
// It has the clock of a bubble, if the test runs in one.
func start(tb testing.TB, network *transport.Memory, id string, d *disk, founders ...string) (_ *raftjournal.Journal, _ *raft.Node, stop func()) {
	tb.Helper()
	endpoint, err := network.Join(id)
	require.NoError(tb, err)
	began := time.Now().Add(-time.Hour)
	var members []raft.Member
	for _, id := range founders {
		members = append(members, raft.Member{ID: id, Voter: true})
	}
	machine := new(raftjournal.Machine)
	cfg := raft.Config{
		Cluster: "test", ID: id, Start: raft.Bootstrap(0, members...),
		Store: &d.store, Log: &d.log, Machine: machine, Transport: endpoint,
	}
	if len(founders) == 1 { // It competes with nobody, but the machine is shared.
		cfg.ElectionTimeoutMin, cfg.ElectionTimeoutMax = 250*time.Millisecond, 260*time.Millisecond
	}
	node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(began) })
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			tb.Errorf("%s: %v", id, err)
		}
	}
	return raftjournal.New(node, machine), node, stop
}

// alone returns hosts of a cluster of one member, of which a later one takes the
// place of that before.
func alone(tb testing.TB) (open func() scheduler.Journal) {
	tb.Helper()
	network, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(tb, err)
	d, stop := new(disk), func() {}
	tb.Cleanup(func() { stop() })
	return func() scheduler.Journal {
		stop()
		var journal *raftjournal.Journal
		var node *raft.Node
		journal, node, stop = start(tb, network, "a", d, "a")
		ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
		defer cancel()
		leadership, err := node.Lead(ctx)
		require.NoError(tb, err)
		leadership.Release()
		return journal
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, journaltest.Config{New: alone, Light: raceEnabled})
}
