package scheduler

import (
	"context"
	"errors"
	"maps"
	"math"
	"time"
)

// Scheduler decides which node runs which instance and keeps the books. It is
// safe for concurrent use.
type Scheduler struct {
	calls // on its state, which it alone changes
}

// New returns an empty scheduler without a journal. It starts nothing and needs
// no Close. It reports every mistake in the configuration at once. It takes
// constant time.
func New(cfg Config) (*Scheduler, error) {
	if err := errors.Join(cfg.validate(), cfg.validateJournal(false)); err != nil {
		return nil, err
	}
	s := newScheduler(cfg)
	s.token = cfg.Token
	return s, nil
}

func newScheduler(cfg Config) *Scheduler {
	cfg.Weights = maps.Clone(cfg.Weights)
	lifetime, end := context.WithCancel(context.Background())
	return &Scheduler{calls{view{
		cfg: cfg, lifetime: lifetime, end: end,
		done: make(chan struct{}), overdue: make(chan struct{}, 1),
		capturing: make(chan struct{}, 1), streaming: make(chan struct{}, 1),
		state: newState(cfg), hooks: hookQueue{hook: cfg.Hooks.Event, logger: cfg.Logger},
		history: history{watched: cfg.Hooks.Event != nil},
	}}}
}

// Open acquires the journal under Config.Token, replays it, and returns a
// scheduler that continues where the journal ends and appends to it. It returns
// a FencedError if a token at least as high has acquired the journal before,
// and a FormatError for a record that it cannot read. A token serves one call
// of Open, even one that failed after it had acquired the journal: the next
// call needs a higher token. It takes time and memory in proportion to the
// records.
func Open(ctx context.Context, cfg Config) (*Scheduler, error) {
	if err := errors.Join(cfg.validate(), cfg.validateJournal(true)); err != nil {
		return nil, err
	}
	mix := cfg.Workload
	cfg.Workload = nil // in the journal, if anywhere
	s := newScheduler(cfg)
	var err error
	if s.token, err = acquire(ctx, cfg.Journal, cfg.Token); err != nil {
		return nil, err
	}
	if err := s.replay(ctx); err != nil {
		return nil, err
	}
	if len(mix) > 0 && s.state.seq == 0 {
		if err := s.SetWorkload(ctx, mix); err != nil {
			_ = s.Close() // so that nothing is written after this; it returns nil
			return nil, err
		}
	}
	return s, nil
}

// replay brings a new scheduler to where its journal ends.
func (s *Scheduler) replay(ctx context.Context) error {
	// Without the lock: the journal is the host's, and nobody else knows of s.
	p := replayer{cfg: s.cfg, st: s.state}
	for record, err := range s.cfg.Journal.Records(ctx) {
		if err != nil {
			return err
		}
		if err := p.replay(record); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err // which the journal may have taken for its end
	}
	if err := p.end(); err != nil {
		return err
	}
	s.begin(&p)
	return nil
}

// acquire takes a journal under a token, or for token 0 under the highest that it
// has seen plus one, and returns that.
func acquire(ctx context.Context, j Journal, token uint64) (uint64, error) {
	if token != 0 {
		return token, j.Acquire(ctx, token)
	}
	for {
		token++
		err := j.Acquire(ctx, token)
		var fenced *FencedError
		if !errors.As(err, &fenced) || fenced.Highest == math.MaxUint64 {
			return token, err
		}
		token = max(token, fenced.Highest)
	}
}

// closeWait is how long Close waits for a journal whose context has ended.
const closeWait = 10 * time.Second

// Close ends the scheduler: later calls return ErrClosed, and watchers and
// waiters end. It ends the context of an append in progress and waits for it to
// return; nothing is written after that. Callers still waiting get a
// JournalError if their append did not complete; a host that wants to hear of
// every outcome lets its calls return first. A scheduler without a journal does
// not need Close. Closing again returns nil.
//
// If the journal ignores its context, Close gives up after 10 seconds and
// returns a JournalError with Unknown set: the append may still succeed, and
// nobody is told. The goroutine in it, that of a caller whose context cannot
// end or else one of the scheduler's own, stays until the journal returns.
// Close takes time in proportion to the callers, waiters and watchers that it
// wakes.
func (s *Scheduler) Close() error {
	defer s.hooks.drain() // of what nobody else has waited for
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.closeLocked(ErrClosed)
	}
	ctx, end := context.WithTimeout(context.Background(), closeWait)
	defer end()
	for s.outbox.appending || s.outbox.snapshots > 0 {
		if s.awaitAppendLocked(ctx) != nil {
			s.outbox.abandoned = true
			s.wakeAppendedLocked()
			return &JournalError{Unknown: true, Cause: errors.New("it goes on after its context has ended")}
		}
	}
	return nil
}

// Token returns the token under which the scheduler writes, in constant time.
func (s *Scheduler) Token() uint64 { return s.token }
