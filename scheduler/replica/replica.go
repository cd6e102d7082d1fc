package replica

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Elector runs fn while this process leads: only on the leader, and only while it
// leads. The ctx of fn ends with the reign; token is greater than that of every
// reign before, on whatever host. When the reign ends it waits for fn to return,
// and then for the next reign. If fn returns before, it steps down and returns what
// fn returned. Otherwise it ends with ctx, or with an error after which it cannot
// lead any more. raft.Node is one.
type Elector interface {
	WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error
}

// Config of a replica. Elector and Journal are required.
type Config struct {
	// Elector says when this replica leads.
	Elector Elector
	// Journal is the store that all replicas share.
	Journal scheduler.Journal
	// Scheduler is the configuration of the scheduler, without Journal and Token.
	Scheduler scheduler.Config
	// Serve runs beside the scheduler while this replica leads, and returns when ctx
	// ends: it is for what only a leader does, such as Liveness.Run. If it returns
	// before, the replica steps down; an error counts as a failure. Nil is nothing.
	Serve func(ctx context.Context, s *scheduler.Scheduler) error

	// Leader returns the URL of another replica that leads as far as this one knows,
	// such as "https://10.0.0.2:8080", for Forward and Status. With package raft it
	// is the Data of raft.Node.Leader, or made of its ID. Nil: none is ever known.
	Leader func() (url string, known bool)
	// Leads looks whether the reign that ctx belongs to goes on at this instant; nil:
	// whether ctx has not ended. With package raft it is raft.Leads, which is exact
	// even right after this process was paused.
	Leads func(ctx context.Context) bool
	// Redirect has Forward answer with a redirect to the leader, for clients that
	// reach all replicas. Otherwise it passes requests on.
	Redirect bool
	// Transport carries what Forward passes on; nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Logger gets, at level Info, when reigns begin and end, and at Warn what has
	// failed and is tried again. Nil: nothing is logged.
	Logger *slog.Logger
}

// The pause after a failure: it doubles with each one that follows at once.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 10 * time.Second
)

// Replica is one of several copies of a service that keep one state. It is safe for
// concurrent use.
type Replica struct {
	cfg Config

	mu      sync.Mutex // guards all below
	view    *scheduler.Follower
	reign   *reign        // nil while another leads
	failed  error         // of the latest attempt to follow; nil if that goes well
	warned  time.Time     // by the scheduler's clock, that it fails; zero if it never did
	changed chan struct{} // closed when any of them changes
}

// reign is the time in which this replica leads.
type reign struct {
	ctx       context.Context // the one that outlives a call: it says when the reign ends
	scheduler *scheduler.Scheduler
}

// New returns a replica that does nothing before Run. It reports every mistake in the
// configuration at once, except those in Scheduler, which Run reports. It takes
// constant time.
func New(cfg Config) (*Replica, error) {
	var errs []error
	bad := func(field, reason string) {
		errs = append(errs, &placement.InvalidError{Field: field, Reason: reason})
	}
	if cfg.Elector == nil {
		bad("elector", "missing")
	}
	if cfg.Journal == nil {
		bad("journal", "missing")
	}
	if cfg.Scheduler.Journal != nil {
		bad("scheduler.journal", "belongs in Config.Journal")
	}
	if cfg.Scheduler.Token != 0 {
		bad("scheduler.token", "is the elector's")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Leads == nil {
		cfg.Leads = func(context.Context) bool { return true } // as far as its context says
	}
	if cfg.Leader == nil {
		cfg.Leader = func() (string, bool) { return "", false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Scheduler.Journal = cfg.Journal
	return &Replica{cfg: cfg, changed: make(chan struct{})}, nil
}

// Run takes part in the service: it follows the journal, and each time that it is
// elected it promotes the follower, runs the scheduler and Serve, and steps down
// when the reign ends or anything of it fails. Then it follows anew, which takes
// time in proportion to the state, and until then its View answers with errors.
// After a failure it pauses, for 100 ms and each time twice as long, up to 10 s,
// until it does not fail at once.
//
// It returns nil when ctx has ended, once the scheduler is closed, and otherwise
// what is wrong with Config.Scheduler, or the error with which the elector ended.
func (r *Replica) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := r.follow(ctx); err != nil {
			end(err)
		}
	})
	err := r.elect(ctx)
	end(nil)
	beside.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, scheduler.ErrInvalid) {
		return cause
	}
	return err
}

// elect leads whenever this replica is elected.
func (r *Replica) elect(ctx context.Context) error {
	var pause pause
	for {
		var failed error
		reigned := uint64(0)
		returned := false // by itself, and not because its reign had ended
		err := r.cfg.Elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			pause.begin(time.Now())
			failed, reigned = r.lead(ctx, token), token
			returned = ctx.Err() == nil
			return failed
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !returned || !errors.Is(err, failed):
			return errors.Join(errElectorEnded, err)
		}
		if failed != nil {
			r.cfg.Logger.Warn("replica: a reign has failed", "token", reigned, "error", failed)
		}
		pause.sleep(ctx)
	}
}

var errElectorEnded = errors.New("replica: the elector has ended")

// lead is one reign. It returns once nothing of it is left.
func (r *Replica) lead(ctx context.Context, token uint64) error {
	f, err := r.ready(ctx)
	if err != nil {
		return err
	}
	s, err := f.Promote(ctx, token)
	if err != nil {
		return err
	}
	r.cfg.Logger.Info("replica: leading", "token", token, "seq", s.Version())
	r.set(func() { r.reign = &reign{ctx, s} })
	err = r.serve(ctx, s)
	r.set(func() { r.reign = nil })
	err = unlessEnded(ctx, errors.Join(err, s.Close()))
	if err == nil { // or the one who is told logs it
		r.cfg.Logger.Info("replica: leading no more", "token", token, "cause", endOf(ctx))
	}
	return err
}

// endOf says in words why a reign has ended.
func endOf(ctx context.Context) string {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return "the work of the leader has returned"
	case errors.Is(cause, context.Canceled):
		return "the elector has ended it"
	default:
		return cause.Error()
	}
}

// serve runs the scheduler and what the host runs beside it, until the first of
// them ends.
func (r *Replica) serve(ctx context.Context, s *scheduler.Scheduler) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var beside sync.WaitGroup
	var served error
	if r.cfg.Serve != nil {
		beside.Go(func() {
			defer end()
			served = unlessEnded(ctx, r.cfg.Serve(ctx, s))
		})
	}
	err := s.Run(ctx)
	end()
	beside.Wait()
	return errors.Join(err, served)
}

// ready waits for a follower that can be promoted. It fails if there is none and
// the journal cannot be read: then another replica is to lead.
func (r *Replica) ready(ctx context.Context) (*scheduler.Follower, error) {
	for {
		r.mu.Lock()
		f, failed, changed := r.view, r.failed, r.changed
		r.mu.Unlock()
		switch {
		case f != nil && f.Stats().Closed == nil: // nor is it of a reign that has ended
			return f, nil
		case failed != nil:
			return nil, failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// follow keeps a follower up to date, and follows anew after each reign. It fails
// only if the configuration is wrong.
func (r *Replica) follow(ctx context.Context) error {
	var pause pause
	for ctx.Err() == nil {
		pause.begin(time.Now())
		f, err := scheduler.Follow(ctx, r.cfg.Scheduler)
		if errors.Is(err, scheduler.ErrInvalid) {
			return err
		}
		if err == nil {
			r.set(func() { r.view = f })
			pause.begin(time.Now())
			err = r.keepUp(ctx, f)
		}
		if err != nil && ctx.Err() == nil {
			r.failedToFollow(err)
			pause.sleep(ctx)
		}
	}
	return nil
}

// keepUp has a follower read on until a reign of its scheduler has ended, or until
// it cannot show its state any more.
func (r *Replica) keepUp(ctx context.Context, f *scheduler.Follower) error {
	var pause pause
	for ctx.Err() == nil {
		r.set(func() { r.failed = nil })
		pause.begin(time.Now())
		err := f.Run(ctx)
		if err == nil {
			_ = f.Wait(ctx, math.MaxUint64) // for the reign to end
			return nil
		}
		if f.Stats().Closed != nil {
			return err
		}
		r.failedToFollow(err)
		pause.sleep(ctx)
	}
	return nil
}

func (r *Replica) failedToFollow(err error) {
	if r.followedSince() {
		r.cfg.Logger.Warn("replica: the journal cannot be followed", "error", err)
	}
	r.set(func() { r.failed = err })
}

// followedSince reports whether the journal could be read since it was last called
// and reported true, so that one failure is logged once.
func (r *Replica) followedSince() bool {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.warned.IsZero() && (r.view == nil || !r.view.Position().Current.After(r.warned)) {
		return false
	}
	r.warned = now
	return true
}

func (r *Replica) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Leader returns the scheduler while this replica leads, and false as soon as it is
// known not to: its reign has ended, or its scheduler was fenced or has failed. It
// takes constant time.
func (r *Replica) Leader() (*scheduler.Scheduler, bool) {
	r.mu.Lock()
	reign := r.reign
	r.mu.Unlock()
	if reign == nil || reign.ctx.Err() != nil || !r.cfg.Leads(reign.ctx) || reign.scheduler.Stats().Closed != nil {
		return nil, false
	}
	return reign.scheduler, true
}

// View returns the state for reads anywhere: of the follower, which shows it as of
// Follower.Position, or of the scheduler while this replica leads. It is nil until
// the journal was read for the first time. After a reign the reads of the view
// return the error that has ended it, until the journal has been read anew and View
// returns another. It takes constant time.
func (r *Replica) View() *scheduler.Follower {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// Healthy returns why this replica cannot lead, and nil if it can: it has read the
// journal and follows it, or leads. It is for raft.Config.Healthy and takes constant
// time.
func (r *Replica) Healthy() error {
	r.mu.Lock()
	f, failed := r.view, r.failed
	r.mu.Unlock()
	switch {
	case failed != nil:
		return failed
	case f == nil:
		return errUnread
	}
	return f.Stats().Closed
}

var errUnread = errors.New("replica: the journal is being read")

// pause is how long to wait after failures.
type pause struct {
	next  time.Duration
	since time.Time
}

// begin notes that something is tried.
func (p *pause) begin(now time.Time) { p.since = now }

// sleep waits after what was tried has failed, unless ctx ends before. What went
// well for longer than the pause would be is as good as new.
func (p *pause) sleep(ctx context.Context) {
	if time.Since(p.since) > p.next {
		p.next = 0
	}
	p.next = min(max(2*p.next, shortestPause), longestPause)
	select {
	case <-time.After(p.next):
	case <-ctx.Done():
	}
}
