package raftdiff

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// nodes is a logCluster of this project.
type nodes struct {
	leader  *raft.Node
	term    uint64
	counts  [3]*count
	end     context.CancelFunc
	running sync.WaitGroup
}

// count is a machine that counts the commands.
type count struct{ applied atomic.Uint64 }

func (c *count) Apply(e raft.Entry) {
	if e.Kind == raft.EntryCommand {
		c.applied.Add(1)
	}
}

func (*count) Snapshot() io.WriterTo   { return nothing{} }
func (*count) Restore(io.Reader) error { return nil }

type nothing struct{}

func (nothing) WriteTo(io.Writer) (int64, error) { return 0, nil }

func startNodes(tb testing.TB) logCluster {
	tb.Helper()
	network, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(tb, err)
	members := []raft.Member{{ID: "A", Voter: true}, {ID: "B", Voter: true}, {ID: "C", Voter: true}}
	c := new(nodes)
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	leads := make(chan *raft.Node, len(members))
	for i, m := range members {
		endpoint, err := network.Join(m.ID)
		require.NoError(tb, err)
		c.counts[i] = new(count)
		node, err := raft.New(raft.Config{
			Cluster: "bench", ID: m.ID, Start: raft.Bootstrap(0, members...),
			Store: new(raft.MemoryStore), Log: new(raft.MemoryLog), Machine: c.counts[i], Transport: endpoint,
			ElectionTimeoutMin: etMin * 4, ElectionTimeoutMax: etMax * 4,
		})
		require.NoError(tb, err)
		c.running.Go(func() { _ = node.Run(ctx) })
		c.running.Go(func() {
			if l, err := node.Lead(ctx); err == nil {
				leads <- node
				<-l.Context().Done()
			}
		})
	}
	c.leader = <-leads
	c.term = c.leader.Term()
	for { // until every member was heard
		if _, err := c.leader.ReadIndex(ctx); err == nil {
			break
		}
	}
	return c
}

func (c *nodes) propose(ctx context.Context, data []byte) error {
	for {
		_, err := c.leader.Propose(ctx, c.term, data)
		if !errors.Is(err, raft.ErrNoLog) && !errors.Is(err, raft.ErrFull) {
			return err
		}
	}
}

func (c *nodes) applied() (counts [3]uint64) {
	for i := range counts {
		counts[i] = c.counts[i].applied.Load()
	}
	return counts
}

func (c *nodes) stop() {
	c.end()
	c.running.Wait()
}
