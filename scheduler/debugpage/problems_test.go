package debugpage

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

func TestEachProblemIsTold(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	fine := func() situation {
		return situation{
			now: now, lists: &lists{stats: scheduler.Stats{Appending: ago(time.Second)}},
			position: &scheduler.Position{Current: ago(10 * time.Second)},
			election: &raft.Status{Leader: "a"}, liveness: &replica.LivenessStats{},
		}
	}
	require.Empty(t, fine().problems())
	tests := []struct {
		damage func(*situation)
		want   string
	}{
		{func(s *situation) { s.lists.stats.Closed = scheduler.ErrClosed }, "The scheduler has ended: scheduler: closed."},
		{func(s *situation) { s.lists.err = errors.New("deadline") }, "The state cannot be read: deadline."},
		{func(s *situation) { s.healthy = errors.New("connection lost") }, "This replica cannot lead: connection lost."},
		{func(s *situation) { s.lists.stats.Appending, s.lists.stats.Waiting = ago(7*time.Second), 3 }, "The journal has not answered for 7s; 3 calls wait."},
		{func(s *situation) { s.position.Current = ago(time.Minute) }, "What is shown may be 1m0s old."},
		{func(s *situation) { s.lists.stats.Checkpoint.Failed = errors.New("disk full") }, "The last checkpoint has failed: disk full."},
		{func(s *situation) { s.election.Leader = "" }, "No leader is known: nothing can be decided."},
		{func(s *situation) { s.election.Stopped = true }, "This replica takes no part in the election any more."},
		{func(s *situation) { s.election.Unreleased = raft.Unreleased{Count: 1, Term: 4, For: time.Minute} }, "Work of the reign in term 4 has not ended for 1m0s."},
		{func(s *situation) { s.liveness.Halt = &replica.Halt{Silent: []string{"n1", "n2"}, Limit: 1} }, "2 nodes are silent, more than the 1 that may be lost in a minute: none is marked until a person gives them up."},
		{func(s *situation) {
			s.lists.nodes = []scheduler.NodeInfo{{State: scheduler.NodeLost}, {State: scheduler.NodeReady}}
		}, "Lost nodes: 1 of 2."},
		{func(s *situation) {
			s.lists.nodes = []scheduler.NodeInfo{{State: scheduler.NodeReady, Allocated: placement.Resources{CPU: 1}}}
		}, "Nodes with more allocated than they have: 1."},
		{func(s *situation) {
			s.lists.reservations = []reservation.Reservation{{
				Spec: reservation.Spec{ID: "r"}, Params: reservation.Params{Count: 1}, Phase: reservation.Active, Slots: make([]reservation.Slot, 1),
			}}
		}, "Reservation r is displaced: 1 of 1 slots are missing."},
		{func(s *situation) {
			s.lists.quotas = []scheduler.QuotaInfo{{Usage: []quota.Usage{{Namespace: "team", Resource: placement.NameCPU, Used: 3000, Soft: 2000, Ceiling: 2000}}}}
		}, "Namespace team uses more cpu than its quota: 3 of 2."},
	}
	for _, test := range tests {
		s := fine()
		test.damage(&s)
		s.lists.cluster = s.lists.ofCluster()
		require.Equal(t, []string{test.want}, s.problems())
	}
}

// TestHowLongTheLeaderLeads: the leader knows, and others have seen it for so long.
func TestHowLongTheLeaderLeads(t *testing.T) {
	var l leading
	now := time.Unix(1_000_000, 0)
	s := &raft.Status{Term: 3, Leader: "b"}
	require.Equal(t, "0s or longer", l.seen(now, s))
	require.Equal(t, "1m30s or longer", l.seen(now.Add(90*time.Second), s))
	s.Term = 4
	require.Equal(t, "0s or longer", l.seen(now.Add(90*time.Second), s), "it was elected anew")
	s.Reign = time.Hour
	require.Equal(t, "1h0m0s", l.seen(now.Add(91*time.Second), s))
	require.Empty(t, l.seen(now, &raft.Status{Term: 5}))
}
