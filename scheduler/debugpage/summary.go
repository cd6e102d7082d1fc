package debugpage

import (
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// Summary is how things stand, as summary.json and stream have it.
type Summary struct {
	// At is when the page looked.
	At time.Time `json:"at"`
	// Problems are what is wrong now, in words; none if nothing is known to be.
	Problems []string `json:"problems,omitempty"`
	// Role is "leader" or "follower" of a replica, empty of what is none. Leader
	// and Term are those of the election, as far as this host knows.
	Role   string `json:"role,omitempty"`
	Leader string `json:"leader,omitempty"`
	Term   uint64 `json:"term,omitempty"`
	// Age is how old what a follower shows may be, in milliseconds.
	AgeMS int64 `json:"ageMS,omitempty"`
	// Stats of the scheduler.
	Stats scheduler.Stats `json:"stats"`
	// Nodes by their state.
	Nodes map[scheduler.NodeState]int `json:"nodes,omitempty"`
	// Supplies are the dimensions of all nodes.
	Supplies []scheduler.Supply `json:"supplies,omitempty"`
	// Liveness of the nodes, where somebody watches them.
	Liveness *replica.LivenessStats `json:"liveness,omitempty"`
}

// situation is what problems are told from.
type situation struct {
	now      time.Time
	lists    *lists
	position *scheduler.Position // of a follower
	leads    bool
	healthy  error // of a replica
	election *raft.Status
	liveness *replica.LivenessStats
}

func (p *Page) summary(l *lists) Summary {
	s := situation{now: p.cfg.Now(), lists: l, election: p.election()}
	if f, ok := l.of.(*scheduler.Follower); ok {
		position := f.Position()
		s.position = &position
	}
	if p.cfg.Liveness != nil {
		stats := p.cfg.Liveness.Stats()
		s.liveness = &stats
	}
	sum := Summary{At: s.now.UTC(), Stats: l.stats, Nodes: l.inventory.Nodes, Supplies: l.inventory.Supplies, Liveness: s.liveness}
	if p.cfg.Replica != nil {
		_, s.leads = p.cfg.Replica.Leader()
		s.healthy = p.cfg.Replica.Healthy()
		sum.Role = map[bool]string{true: "leader", false: "follower"}[s.leads]
	}
	if s.election != nil {
		sum.Leader, sum.Term = s.election.Leader, s.election.Term
	}
	if s.position != nil {
		sum.AgeMS = s.position.Age(s.now).Milliseconds()
	}
	sum.Problems = s.problems()
	return sum
}

// What takes longer than this is a problem.
const (
	slowAppend = time.Second
	oldView    = 10 * time.Second
)

// problems tells what is wrong, the worst first.
func (s situation) problems() []string {
	var all []string
	say := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	stats := s.lists.stats
	say(stats.Closed != nil, "The scheduler has ended: %v.", stats.Closed)
	say(s.lists.err != nil && stats.Closed == nil, "The state cannot be read: %v.", s.lists.err)
	say(s.healthy != nil, "This replica cannot lead: %v.", s.healthy)
	if !stats.Appending.IsZero() {
		hangs := s.now.Sub(stats.Appending)
		say(hangs > slowAppend, "The journal has not answered for %s; %d calls wait.", hangs.Round(time.Second), stats.Waiting)
	}
	if s.position != nil {
		age := s.position.Age(s.now)
		say(age > oldView, "What is shown may be %s old.", age.Round(time.Second))
	}
	say(stats.Checkpoint.Failed != nil, "The last checkpoint has failed: %v.", stats.Checkpoint.Failed)
	all = append(all, s.ofElection()...)
	if s.liveness != nil && s.liveness.Halt != nil {
		say(true, "%d nodes are silent, more than the %d that may be lost in a minute: none is marked until a person gives them up.",
			len(s.liveness.Halt.Silent), s.liveness.Halt.Limit)
	}
	return append(all, s.lists.cluster...)
}

func (s situation) ofElection() (all []string) {
	e := s.election
	if e == nil {
		return nil
	}
	if e.Leader == "" {
		all = append(all, "No leader is known: nothing can be decided.")
	}
	if e.Stopped {
		all = append(all, "This replica takes no part in the election any more.")
	}
	if e.Refused != 0 {
		all = append(all, fmt.Sprintf("Another member refuses this one: %s.", e.Refused))
	}
	if e.Abstains != 0 {
		all = append(all, fmt.Sprintf("This member does not stand for election: %s.", e.Abstains))
	}
	if e.Unreleased.Count > 0 {
		all = append(all, fmt.Sprintf("Work of the reign in term %d has not ended for %s.", e.Unreleased.Term, e.Unreleased.For.Round(time.Second)))
	}
	return all
}

// ofCluster is what of the problems follows from the lists alone.
func (l *lists) ofCluster() (all []string) {
	lost, over := 0, 0
	for i := range l.nodes {
		if l.nodes[i].State == scheduler.NodeLost {
			lost++
		}
		if len(l.nodes[i].Over()) > 0 {
			over++
		}
	}
	if lost > 0 {
		all = append(all, fmt.Sprintf("Lost nodes: %d of %d.", lost, len(l.nodes)))
	}
	if over > 0 {
		all = append(all, fmt.Sprintf("Nodes with more allocated than they have: %d.", over))
	}
	for i := range l.reservations {
		r := &l.reservations[i]
		if state := r.State(); state == reservation.Degraded || state == reservation.Displaced {
			all = append(all, fmt.Sprintf("Reservation %s is %s: %d of %d slots are missing.", r.Spec.ID, state, r.Missing(), r.Params.Count))
		}
	}
	for _, u := range usageOver(l.quotas) {
		all = append(all, fmt.Sprintf("Namespace %s uses more %s than its quota: %s of %s.", u.Namespace, u.Resource,
			placement.FormatQuantity(u.Resource, u.Used), placement.FormatQuantity(u.Resource, u.Soft)))
	}
	return all
}
