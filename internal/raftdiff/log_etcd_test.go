package raftdiff

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	etcd "go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// etcdNodes is a logCluster of etcd-io/raft. Messages are passed as they are, which is
// less work than to encode them.
type etcdNodes struct {
	members [3]*etcdMember
	leader  *etcdMember // once one was elected
	elected chan *etcdMember
	end     context.CancelFunc
	running sync.WaitGroup

	calls   atomic.Uint64
	waiting sync.Map // of the number of a call, its channel
}

type etcdMember struct {
	node    etcd.Node
	storage *etcd.MemoryStorage
	inbox   chan *raftpb.Message
	count   atomic.Uint64
}

func startEtcd(testing.TB) logCluster {
	c := &etcdNodes{elected: make(chan *etcdMember, 1)}
	var peers []etcd.Peer
	for i := range c.members {
		peers = append(peers, etcd.Peer{ID: uint64(i + 1)})
	}
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	for i := range c.members {
		m := &etcdMember{storage: etcd.NewMemoryStorage(), inbox: make(chan *raftpb.Message, 4096)}
		m.node = etcd.StartNode(&etcd.Config{
			ID: uint64(i + 1), Storage: m.storage, PreVote: true, CheckQuorum: true,
			ElectionTick: 12, HeartbeatTick: 1, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256,
			Logger: &etcd.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
		}, peers)
		c.members[i] = m
	}
	for _, m := range c.members {
		c.running.Go(func() { c.run(ctx, m) })
		c.running.Go(func() {
			for {
				select {
				case message := <-m.inbox:
					_ = m.node.Step(ctx, message)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	c.leader = <-c.elected
	return c
}

// run is the loop that the documentation of the package shows.
func (c *etcdNodes) run(ctx context.Context, m *etcdMember) {
	defer m.node.Stop()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.node.Tick()
		case r := <-m.node.Ready():
			if r.SoftState != nil && r.RaftState == etcd.StateLeader {
				select {
				case c.elected <- m:
				default:
				}
			}
			if !etcd.IsEmptyHardState(r.HardState) {
				_ = m.storage.SetHardState(r.HardState)
			}
			_ = m.storage.Append(r.Entries)
			for _, message := range r.Messages {
				select {
				case c.members[message.GetTo()-1].inbox <- message:
				default:
				}
			}
			for _, e := range r.CommittedEntries {
				c.apply(m, e)
			}
			m.node.Advance()
		case <-ctx.Done():
			return
		}
	}
}

func (c *etcdNodes) apply(m *etcdMember, e *raftpb.Entry) {
	switch {
	case e.GetType() == raftpb.EntryConfChange:
		change := new(raftpb.ConfChange)
		if proto.Unmarshal(e.GetData(), change) == nil {
			m.node.ApplyConfChange(change)
		}
	case len(e.GetData()) == entryBytes:
		m.count.Add(1)
		if m == c.leader {
			if done, found := c.waiting.LoadAndDelete(binary.LittleEndian.Uint64(e.GetData())); found {
				done.(chan struct{}) <- struct{}{}
			}
		}
	}
}

func (c *etcdNodes) propose(ctx context.Context, data []byte) error {
	call, done := c.calls.Add(1), make(chan struct{}, 1)
	c.waiting.Store(call, done)
	data = append([]byte(nil), data...)
	binary.LittleEndian.PutUint64(data, call)
	if err := c.leader.node.Propose(ctx, data); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *etcdNodes) applied() (counts [3]uint64) {
	for i := range counts {
		counts[i] = c.members[i].count.Load()
	}
	return counts
}

func (c *etcdNodes) stop() {
	c.end()
	c.running.Wait()
}
