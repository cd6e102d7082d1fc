package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/transport"
)

// Source is what is read of a scheduler: scheduler.Scheduler and scheduler.Follower have
// it.
type Source interface {
	Stats() scheduler.Stats
	Inventory(ctx context.Context) (scheduler.Inventory, error)
	Nodes(ctx context.Context) ([]scheduler.NodeInfo, error)
	Quotas(ctx context.Context) ([]scheduler.QuotaInfo, error)
}

// Config says what a Set reads. One of State, Election and Transport is required.
type Config struct {
	// State returns the scheduler, or the follower that shows another, that there is now;
	// nil while there is none. With package replica it is that of replica.Replica.View.
	State func() Source
	// Election returns the status of the election: raft.Node.Status.
	Election func() raft.Status
	// Transport returns the counters of the transport of the election.
	Transport func() transport.Stats

	// PerNode adds series for each node, PerNamespace for each quota, and EveryResource
	// those of all dimensions, of which otherwise the five named ones and the first three
	// others by name have some.
	PerNode       bool
	PerNamespace  bool
	EveryResource bool
	// Now is the clock, that of the scheduler; nil is time.Now.
	Now func() time.Time
}

// Set is a set of metric families, and an http.Handler that serves them.
type Set struct {
	cfg      Config
	families []family
}

// New returns the families of what cfg names. It reads nothing.
func New(cfg Config) (*Set, error) {
	if cfg.State == nil && cfg.Election == nil && cfg.Transport == nil {
		return nil, &placement.InvalidError{Field: "state", Reason: "missing, and neither election nor transport"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Set{cfg: cfg}
	add := func(wanted bool, families []family) {
		if wanted {
			s.families = append(s.families, families...)
		}
	}
	add(cfg.State != nil, schedulerFamilies())
	add(cfg.State != nil, inventoryFamilies())
	add(cfg.State != nil && cfg.PerNode, nodeFamilies())
	add(cfg.State != nil && cfg.PerNamespace, namespaceFamilies())
	add(cfg.Election != nil, electionFamilies())
	add(cfg.Transport != nil, transportFamilies())
	return s, nil
}

// Families returns the families, in the order in which Read does.
func (s *Set) Families() []Family {
	all := make([]Family, len(s.families))
	for i := range s.families {
		all[i] = s.families[i].Family
	}
	return all
}

// patience is how long lists of nodes and quotas are waited for, which a journal that
// hangs holds up.
const patience = 2 * time.Second

// Read reads all families. What cannot be read has no samples; constellation_scheduler_up
// says so. It costs what [scheduler.Scheduler.Inventory] does, with PerNode also Nodes
// and with PerNamespace also Quotas, for which it waits 2 seconds at most; without these
// it waits for nothing.
func (s *Set) Read(ctx context.Context) []Metric {
	l := s.look(ctx)
	all := make([]Metric, 0, len(s.families))
	for i := range s.families {
		all = append(all, s.families[i].metric(l))
	}
	return all
}

func (s *Set) look(ctx context.Context) *look {
	l := &look{now: s.cfg.Now(), everything: s.cfg.EveryResource}
	if s.cfg.Election != nil {
		l.election = s.cfg.Election()
	}
	if s.cfg.Transport != nil {
		l.transport = s.cfg.Transport()
	}
	if s.cfg.State != nil {
		s.lookAtState(ctx, l)
	}
	return l
}

func (s *Set) lookAtState(ctx context.Context, l *look) {
	state := s.cfg.State()
	if state == nil {
		l.readable = scheduler.ErrClosed
		return
	}
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	l.stats = state.Stats()
	l.inventory, l.readable = state.Inventory(ctx)
	var err error
	if s.cfg.PerNode && l.readable == nil {
		if l.nodes, err = state.Nodes(ctx); err != nil {
			l.readable = err
		}
	}
	if s.cfg.PerNamespace && l.readable == nil {
		if l.quotas, err = state.Quotas(ctx); err != nil {
			l.readable = err
		}
	}
}

// ServeHTTP answers with OpenMetrics text, whatever the path and the query.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", ContentType)
	_ = Write(w, s.Read(r.Context())) // or whoever scrapes has gone
}
