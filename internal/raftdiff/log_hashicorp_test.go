package raftdiff

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	hashicorp "github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// hashicorpNodes is a logCluster of hashicorp/raft.
type hashicorpNodes struct {
	rafts    [3]*hashicorp.Raft
	machines [3]*fsm
	leader   *hashicorp.Raft
}

// fsm counts the commands.
type fsm struct{ applied atomic.Uint64 }

func (f *fsm) Apply(*hashicorp.Log) any {
	f.applied.Add(1)
	return nil
}

func (*fsm) Snapshot() (hashicorp.FSMSnapshot, error) { return nil, hashicorp.ErrNothingNewToSnapshot }
func (*fsm) Restore(io.ReadCloser) error              { return nil }

func startHashicorp(tb testing.TB) logCluster {
	tb.Helper()
	c := new(hashicorpNodes)
	var transports [3]*hashicorp.InmemTransport
	var configuration hashicorp.Configuration
	for i := range transports {
		address := hashicorp.ServerAddress(name(uint64(i + 1)))
		_, transports[i] = hashicorp.NewInmemTransport(address)
		configuration.Servers = append(configuration.Servers, hashicorp.Server{ID: hashicorp.ServerID(address), Address: address})
	}
	for i, to := range transports {
		for j, from := range transports {
			if i != j {
				from.Connect(configuration.Servers[i].Address, to)
			}
		}
	}
	for i := range transports {
		config := hashicorp.DefaultConfig()
		config.LocalID = configuration.Servers[i].ID
		config.HeartbeatTimeout, config.ElectionTimeout, config.LeaderLeaseTimeout = etMax*4, etMax*4, etMax*2
		config.MaxAppendEntries, config.BatchApplyCh = 1024, true
		config.Logger = hclog.NewNullLogger()
		store := hashicorp.NewInmemStore()
		snapshots := hashicorp.NewDiscardSnapshotStore()
		require.NoError(tb, hashicorp.BootstrapCluster(config, store, store, snapshots, transports[i], configuration))
		c.machines[i] = new(fsm)
		var err error
		c.rafts[i], err = hashicorp.NewRaft(config, c.machines[i], store, store, snapshots, transports[i])
		require.NoError(tb, err)
	}
	select {
	case <-c.rafts[0].LeaderCh():
		c.leader = c.rafts[0]
	case <-c.rafts[1].LeaderCh():
		c.leader = c.rafts[1]
	case <-c.rafts[2].LeaderCh():
		c.leader = c.rafts[2]
	}
	return c
}

func (c *hashicorpNodes) propose(_ context.Context, data []byte) error {
	return c.leader.Apply(append([]byte(nil), data...), 0).Error()
}

func (c *hashicorpNodes) applied() (counts [3]uint64) {
	for i := range counts {
		counts[i] = c.machines[i].applied.Load()
	}
	return counts
}

func (c *hashicorpNodes) stop() {
	for _, r := range c.rafts {
		_ = r.Shutdown().Error()
	}
}
