package replica

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// LivenessConfig says when the silence of a node means that it is lost. The zero
// value works.
type LivenessConfig struct {
	// TTL is how long a node may be silent. 0: 15 s. Workers send a heartbeat three
	// times as often, or more.
	TTL time.Duration
	// Grace is for how long no node is judged after a reign has begun, and after this
	// process or its machine was paused or its clock was set: nobody was listening
	// before. At least TTL, and so with 0: within that workers find the new leader.
	Grace time.Duration
	// MaxLost is how many nodes may be lost in a minute. If more fall silent, none of
	// them is marked: the network to them has failed more likely than so many workers.
	// 0: by MaxLostPercent.
	MaxLost int
	// MaxLostPercent is the same as a share of the nodes that are not lost, but at
	// least one. 0: 10.
	MaxLostPercent int
	// Now is the clock; nil: time.Now. It is read for every heartbeat.
	Now func() time.Time
	// Logger gets, at level Error, that no node is marked because too many are silent,
	// at Warn that the watcher was paused, and at Info that nodes are marked again. Nil:
	// nothing is logged. That a node is lost the scheduler logs, see
	// scheduler.Config.Logger.
	Logger *slog.Logger
}

func (c LivenessConfig) withDefaults() (LivenessConfig, error) {
	var errs []error
	for _, field := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"ttl", int64(c.TTL), int64(maxTTL)},
		{"grace", int64(c.Grace), int64(maxTTL)},
		{"maxLost", int64(c.MaxLost), 1 << 30},
		{"maxLostPercent", int64(c.MaxLostPercent), 100},
	} {
		if field.value < 0 || field.value > field.most {
			errs = append(errs, &placement.InvalidError{
				Field: field.name, Value: fmt.Sprint(field.value), Reason: fmt.Sprintf("want 0 to %d", field.most),
			})
		}
	}
	c.TTL = cmp.Or(c.TTL, 15*time.Second)
	c.Grace = max(c.Grace, c.TTL)
	c.MaxLostPercent = cmp.Or(c.MaxLostPercent, 10)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// maxTTL bounds how long nodes may be silent.
const maxTTL = 365 * 24 * time.Hour

// Halt says that no node is marked as lost, since more are silent than may be lost
// in a minute. It ends when enough of them are heard again, or with
// Liveness.GiveUp.
type Halt struct {
	// Since is when that began.
	Since time.Time `json:"since"`
	// Silent are the nodes that would be lost, by ID.
	Silent []string `json:"silent"`
	// Limit is how many nodes may be lost in a minute.
	Limit int `json:"limit"`
}

// Liveness turns the heartbeats of workers into MarkLost and MarkReady. One of it
// serves all reigns of a replica: Run watches during a reign, Beat takes the
// heartbeats. It is safe for concurrent use.
type Liveness struct {
	cfg LivenessConfig

	mu    sync.Mutex // guards all below; not held during calls of a scheduler
	watch *watch
	stats LivenessStats
}

// LivenessStats tell what a Liveness has seen.
type LivenessStats struct {
	// Watching reports that Run is under way.
	Watching bool `json:"watching"`
	// Nodes that are judged.
	Nodes int `json:"nodes"`
	// Silent nodes among them, that are over their TTL.
	Silent int `json:"silent"`
	// Lost is how many times a node was marked as lost, and Returned how many times as
	// ready again.
	Lost     int `json:"lost"`
	Returned int `json:"returned"`
	// Pauses is how often the watcher was paused, or looked too late to judge.
	Pauses int `json:"pauses"`
	// Halt says why no node is marked; nil while nodes are marked.
	Halt *Halt `json:"halt,omitempty"`
}

// NewLiveness returns a Liveness that has heard nobody. It reports every mistake in
// the configuration at once.
func NewLiveness(cfg LivenessConfig) (*Liveness, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Liveness{cfg: cfg, watch: newWatch(cfg)}, nil
}

// Run watches the nodes of the scheduler for one reign: it marks those as lost that
// were silent for too long. It returns nil when ctx ends, or the error of the
// scheduler. It is for Config.Serve; one reign follows the other.
//
// It looks ten times per TTL, in time proportional to the nodes that are ready, and
// lists the nodes once per TTL to know of those that were added and never heard.
func (l *Liveness) Run(ctx context.Context, s *scheduler.Scheduler) error {
	ready, err := readyNodes(ctx, s)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	l.begin(ready)
	defer l.end()
	ticker := time.NewTicker(l.cfg.interval())
	defer ticker.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if looks%10 == 0 {
			ready, err := readyNodes(ctx, s)
			if err != nil {
				return unlessEnded(ctx, err)
			}
			l.expect(ready)
		}
		for _, id := range l.look() {
			if err := l.markLost(ctx, s, id); err != nil {
				return unlessEnded(ctx, err)
			}
		}
	}
}

// unlessEnded returns err, or nil if ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readyNodes returns the nodes that are not lost.
func readyNodes(ctx context.Context, s *scheduler.Scheduler) ([]string, error) {
	nodes, err := s.Nodes(ctx)
	var ready []string
	for _, n := range nodes {
		if n.State != scheduler.NodeLost {
			ready = append(ready, n.ID)
		}
	}
	return ready, err
}

func (l *Liveness) begin(ready []string) {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.begin(now, ready)
	l.stats.Watching = true
}

func (l *Liveness) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Watching = false
}

func (l *Liveness) expect(ready []string) {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.expect(now, ready)
}

// look returns the nodes to be marked, and says loudly what a person should know.
func (l *Liveness) look() []string {
	now := l.cfg.Now()
	l.mu.Lock()
	v := l.watch.look(now)
	if v.paused {
		l.stats.Pauses++
	}
	halt := l.watch.halt
	l.mu.Unlock()
	if v.paused {
		l.cfg.Logger.Warn("replica: the watcher of nodes was paused; nobody is judged by it", "grace", l.cfg.Grace)
	}
	if v.halted {
		l.cfg.Logger.Error("replica: too many nodes are silent at once; none of them is marked as lost "+
			"until they are heard or a person gives them up", "silent", len(halt.Silent), "limit", halt.Limit, "nodes", halt.Silent)
	}
	if v.resumed {
		l.cfg.Logger.Info("replica: nodes are marked as lost again")
	}
	return v.lost
}

// markLost marks a node, unless it was heard at last.
func (l *Liveness) markLost(ctx context.Context, s *scheduler.Scheduler, id string) error {
	l.mu.Lock()
	_, heard := l.watch.heard[id]
	l.mu.Unlock()
	if heard {
		return nil
	}
	err := s.MarkLost(ctx, id)
	switch {
	case errors.Is(err, scheduler.ErrNotFound): // it was removed
		return nil
	case err != nil:
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Lost++
	return nil
}

// Beat takes a heartbeat of a node and returns the replaced generations on it, which
// its worker is to stop and then to name to Scheduler.ReleaseGeneration: Stale ones,
// which were placed anew while the node was lost, and Leaving ones, which a Move or
// KeepGeneration has left behind and which may go on until the present generation
// serves. A node that was lost is ready again. Beat returns ErrNotFound for a node that
// the scheduler does not know, and its other errors. Give it the leader's scheduler
// (see Replica.Leader): the watcher does not see a heartbeat that another replica
// takes.
//
// It takes time in proportion to the instances on the node.
func (l *Liveness) Beat(ctx context.Context, s *scheduler.Scheduler, nodeID string) ([]scheduler.Allocation, error) {
	info, err := s.Node(ctx, nodeID)
	if err != nil {
		return nil, err
	}
	l.beat(nodeID)
	if info.State == scheduler.NodeLost {
		if err := s.MarkReady(ctx, nodeID); err != nil {
			return nil, err
		}
		l.mu.Lock()
		l.stats.Returned++
		l.mu.Unlock()
	}
	all, err := s.AllocationsOn(ctx, nodeID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a scheduler.Allocation) bool { return !a.Replaced }), nil
}

func (l *Liveness) beat(nodeID string) {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.beat(now, nodeID)
}

// GiveUp says on an operator's word that the silent nodes are lost, however many they
// are. They are marked at the next look, except those that are heard before it. GiveUp
// returns their IDs. It takes time in proportion to the nodes.
func (l *Liveness) GiveUp() []string {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watch.giveUp(now)
}

// Stats returns what was seen so far, in time proportional to the nodes.
func (l *Liveness) Stats() LivenessStats {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Nodes, stats.Silent = len(l.watch.heard), len(l.watch.silent(now))
	if halt := l.watch.halt; halt != nil {
		stats.Halt = &Halt{Since: halt.Since, Silent: slices.Clone(halt.Silent), Limit: halt.Limit}
	}
	return stats
}
