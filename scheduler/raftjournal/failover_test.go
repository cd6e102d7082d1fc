package raftjournal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/raftjournal"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
)

// service is three replicas on a log, and what they have acknowledged.
type service struct {
	network  *transport.Memory
	replicas map[string]*replica.Replica
	journals map[string]*raftjournal.Journal
	disks    map[string]*disk
	stop     map[string]func()
	placed   []string
}

func newService(t *testing.T) *service {
	t.Helper()
	network, err := transport.NewMemory(transport.MemoryConfig{})
	require.NoError(t, err)
	s := &service{
		network: network, replicas: make(map[string]*replica.Replica), journals: make(map[string]*raftjournal.Journal),
		disks: make(map[string]*disk), stop: make(map[string]func()),
	}
	for _, id := range []string{"a", "b", "c"} {
		s.disks[id] = new(disk)
		s.start(t, id)
	}
	t.Cleanup(func() {
		for _, stop := range s.stop {
			stop()
		}
	})
	return s
}

// start runs a replica, with what its disk has.
func (s *service) start(t *testing.T, id string) {
	t.Helper()
	journal, node, stop := start(t, s.network, id, s.disks[id], "a", "b", "c")
	r, err := replica.New(replica.Config{Elector: node, Leads: raft.Leads, Journal: journal})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	s.replicas[id], s.journals[id] = r, journal
	s.stop[id] = func() {
		cancel()
		require.NoError(t, <-ended)
		stop()
		delete(s.replicas, id)
		delete(s.stop, id)
	}
}

// leader waits for one that leads, of those that a test does not leave out.
func (s *service) leader(t *testing.T, without string) (string, *scheduler.Scheduler) {
	t.Helper()
	for range 100 {
		for id, r := range s.replicas {
			if leader, leads := r.Leader(); leads && id != without {
				return id, leader
			}
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
	}
	require.Fail(t, "nobody leads")
	return "", nil
}

func (s *service) place(t *testing.T, on *scheduler.Scheduler, count int) {
	t.Helper()
	for range count {
		id := fmt.Sprintf("web-%d", len(s.placed))
		_, err := on.Place(t.Context(), placement.Request{ID: id, Resources: placement.Resources{CPU: placement.Core}})
		require.NoError(t, err)
		s.placed = append(s.placed, id)
	}
}

// agrees checks that every replica shows what was acknowledged, and that the
// journals of all have the same records.
func (s *service) agrees(t *testing.T) {
	t.Helper()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	want := slices.Sorted(slices.Values(s.placed))
	var first []scheduler.Record
	for id, r := range s.replicas {
		all, err := r.View().Allocations(t.Context())
		require.NoError(t, err)
		var got []string
		for _, a := range all {
			got = append(got, a.Request.ID)
		}
		slices.Sort(got)
		require.Equal(t, want, got, id)
		var records []scheduler.Record
		for r, err := range s.journals[id].Records(t.Context()) {
			require.NoError(t, err)
			records = append(records, r)
		}
		if first == nil {
			first = records
		}
		require.Equal(t, first, records, id)
	}
}

// TestNothingAcknowledgedIsLost cuts off the leader, kills the next one, and has both
// come back.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		cut, leader := s.leader(t, "")
		require.NoError(t, leader.AddNode(t.Context(), placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 64 * placement.Core}}))
		s.place(t, leader, 10)

		var others []string
		for id := range s.replicas {
			if id != cut {
				others = append(others, id)
			}
		}
		s.network.Partition([]string{cut}, others)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := leader.Place(ctx, placement.Request{ID: "lost", Resources: placement.Resources{CPU: placement.Core}})
		require.Error(t, err, "a leader that is cut off cannot acknowledge")

		killed, next := s.leader(t, cut)
		s.place(t, next, 10)
		_, followed := s.replicas[cut].Leader()
		require.False(t, followed)
		s.network.Heal()
		s.agrees(t)

		s.stop[killed]()
		_, last := s.leader(t, killed)
		s.place(t, last, 10)
		s.start(t, killed)
		s.agrees(t)
	})
}

// TestOnlyTheLeaderWrites: another member says whose turn it is.
func TestOnlyTheLeaderWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		id, leader := s.leader(t, "")
		require.NoError(t, leader.AddNode(t.Context(), placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 64 * placement.Core}}))
		s.agrees(t)
		for other, journal := range s.journals {
			if other == id {
				continue
			}
			require.ErrorIs(t, journal.Acquire(t.Context(), 1<<40), raft.ErrNotLeader)
			var fenced *scheduler.FencedError
			require.True(t, errors.As(journal.Append(t.Context(), 0, nil), &fenced))
			require.NotZero(t, fenced.Highest)
		}
		s.place(t, leader, 1)
	})
}

// TestNoMajorityIsNotCurrent: what a member that hears no leader shows grows older.
func TestNoMajorityIsNotCurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		id, _ := s.leader(t, "")
		s.agrees(t)
		s.network.Partition([]string{"a"}, []string{"b"}, []string{"c"})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		for other, r := range s.replicas {
			if other != id {
				require.Greater(t, r.View().Position().Age(time.Now()), 25*time.Second)
			}
		}
		s.network.Heal()
		s.leader(t, "")
		s.agrees(t)
		for _, r := range s.replicas {
			require.Less(t, r.View().Position().Age(time.Now()), 5*time.Second)
		}
	})
}
