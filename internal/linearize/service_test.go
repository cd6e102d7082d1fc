package linearize

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
)

// service is three replicas that run in a bubble.
type service struct {
	network *transport.Memory
	disks   map[string]*disk
	began   time.Time

	mu       sync.Mutex
	replicas map[string]*running // those that run
}

// disk is what a replica finds when it starts again.
type disk struct {
	store raft.MemoryStore
	log   raft.MemoryLog
}

// running is a replica, and how it is stopped.
type running struct {
	replica *replica.Replica
	stop    func()
}

func ids() []string { return []string{"a", "b", "c"} }

func newService(t *testing.T, seed uint64) *service {
	t.Helper()
	network, err := transport.NewMemory(transport.MemoryConfig{Seed: seed, Faults: transport.Faults{
		LatencyMin: time.Millisecond, LatencyMax: 5 * time.Millisecond, Loss: 10, Duplication: 5, Reordering: 20,
	}})
	require.NoError(t, err)
	s := &service{
		network: network, disks: make(map[string]*disk), replicas: make(map[string]*running),
		began: time.Now().Add(-time.Hour),
	}
	for _, id := range ids() {
		s.disks[id] = new(disk)
		s.start(t, id)
	}
	return s
}

// start runs a replica, with what its disk has.
func (s *service) start(t *testing.T, id string) {
	t.Helper()
	endpoint, err := s.network.Join(id)
	require.NoError(t, err)
	var members []raft.Member
	for _, id := range ids() {
		members = append(members, raft.Member{ID: id, Voter: true})
	}
	machine := new(raftjournal.Machine)
	node, err := raft.NewWithClock(raft.Config{
		Cluster: "service", ID: id, Start: raft.Bootstrap(0, members...), Rand: rand.NewPCG(1, uint64(id[0])),
		Store: &s.disks[id].store, Log: &s.disks[id].log, Machine: machine, Transport: endpoint,
	}, func() time.Duration { return time.Since(s.began) })
	require.NoError(t, err)
	r, err := replica.New(replica.Config{Elector: node, Leads: raft.Leads, Journal: raftjournal.New(node, machine)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = node.Run(ctx) })
	parts.Go(func() { _ = r.Run(ctx) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas[id] = &running{r, func() { cancel(); parts.Wait() }}
}

// kill ends a replica, which has no time for a last word.
func (s *service) kill(id string) {
	s.mu.Lock()
	r := s.replicas[id]
	delete(s.replicas, id)
	s.mu.Unlock()
	s.network.Partition([]string{id})
	r.stop()
	s.network.Heal()
}

// leader returns one that leads.
func (s *service) leader() (id string, leader *scheduler.Scheduler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids() {
		if r := s.replicas[id]; r != nil {
			if leader, leads := r.replica.Leader(); leads {
				return id, leader
			}
		}
	}
	return "", nil
}

// view returns what a replica shows, whether it leads or not; nil if it shows nothing.
func (s *service) view(id string) *scheduler.Follower {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.replicas[id]; r != nil {
		return r.replica.View()
	}
	return nil
}

// awaitLeader waits until one leads.
func (s *service) awaitLeader() *scheduler.Scheduler {
	for {
		if _, leader := s.leader(); leader != nil {
			return leader
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// trouble kills leaders and followers, and cuts them off, until ctx ends.
func (s *service) trouble(ctx context.Context, t *testing.T, dice *rand.Rand) {
	t.Helper()
	for ctx.Err() == nil {
		time.Sleep(time.Duration(50+dice.IntN(800)) * time.Millisecond)
		id, _ := s.leader()
		if id == "" || dice.IntN(3) == 0 {
			id = ids()[dice.IntN(3)]
		}
		lasts := time.Duration(50+dice.IntN(1500)) * time.Millisecond
		switch dice.IntN(3) {
		case 0:
			s.kill(id)
			time.Sleep(lasts)
			s.start(t, id)
		case 1: // from the others, in both directions
			s.network.Partition([]string{id})
			time.Sleep(lasts)
			s.network.Heal()
		default: // what it sends to one of them
			to := ids()[dice.IntN(3)]
			if to != id {
				s.network.Cut(id, to)
				time.Sleep(lasts)
				s.network.Mend(id, to)
			}
		}
	}
}

// do asks the leader, and returns what it answers.
func do(ctx context.Context, leader *scheduler.Scheduler, q question) answer {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch q.verb {
	case place:
		d, err := leader.Place(ctx, placement.Request{
			ID: q.id, Resources: placement.Resources{CPU: placement.Core}, Preferences: placement.Use(placement.Random),
		})
		return answer{lost: err != nil, node: d.NodeID}
	case release:
		err := leader.Release(ctx, q.id)
		if errors.Is(err, scheduler.ErrNotFound) {
			return answer{}
		}
		return answer{lost: err != nil, node: somewhere}
	default:
		return shown(ctx, leader, q.id)
	}
}

// reader is a scheduler, or what follows one.
type reader interface {
	Allocation(ctx context.Context, id string) (scheduler.Allocation, error)
}

func shown(ctx context.Context, r reader, id string) answer {
	a, err := r.Allocation(ctx, id)
	if errors.Is(err, scheduler.ErrNotFound) {
		return answer{}
	}
	return answer{lost: err != nil, node: a.NodeID}
}

// stop ends all that run.
func (s *service) stop() {
	for _, id := range slices.Clone(ids()) {
		if r := s.replicas[id]; r != nil {
			r.stop()
		}
	}
}
