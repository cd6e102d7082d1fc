package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/statetime"
	"github.com/rads-project/constellation/placement"
)

// view is a state with all that reads it, and with all that has to happen before
// somebody may see it: deadlines fall due and entries become durable. A Follower
// follows a journal.
type view struct {
	cfg      Config // copied, never written back
	token    uint64
	lifetime context.Context // of appends: ends with Close
	end      context.CancelFunc
	done     chan struct{} // closed by Close and by a failure

	capturing chan struct{} // holds a value while a capture is under way: there is one at a time
	writer    entryWriter   // of the one who appends entries
	streaming chan struct{} // holds a value while a snapshot is written, likewise

	overdue chan struct{} // gets a value when a checkpoint is due

	mu       mutex // guards all below
	follows  bool  // a journal that somebody else writes: nothing changes here
	state    *state
	scratch  scratch
	clock    statetime.Clock
	now      time.Time // that the clock shows, not before state.now
	outbox   outbox
	decided  decisionCounts
	tried    *tried        // nil unless this is a fork
	refused  refusedLately // and still waits
	history  history       // has a lock of its own
	hooks    hookQueue     // and so has this
	changed  chan struct{} // closed at the next change; nil while nobody waits
	earliest time.Time     // deadline last announced
	moved    chan struct{} // closed at the next other one; nil while nobody waits
	failure  error         // why the scheduler is closed
}

// calls are those that decide on a state and change it. A Scheduler adds what is about
// its journal, a Fork what is about trying.
type calls struct {
	view
}

// mutex is a sync.RWMutex that tells tests when it is let go of.
type mutex struct {
	sync.RWMutex
	letGo func() // by a test; called with the lock held
}

// Unlock implements sync.Locker.
func (m *mutex) Unlock() {
	if m.letGo != nil {
		m.letGo()
	}
	m.RWMutex.Unlock()
}

// scratch is reused by calls that nobody listens to, which keep nothing of it:
// placing and releasing then cost no garbage but the allocation's record.
type scratch struct {
	request  placement.Request
	placed   Placed
	released Released
	entry    entry
	outcome  outcome
}

func (s *view) closeLocked(reason error) {
	s.failure = reason
	s.end()
	close(s.done)
	s.wakeChangedLocked()
}

// reading returns what the host's clock shows.
func (s *view) reading() time.Time {
	if s.cfg.Now == nil {
		return time.Now()
	}
	return s.cfg.Now()
}

// Scale returns the scale of the score, for placement.ScoreBinPack and
// placement.ScoreSpread, in time proportional to the dimensions.
func (s *view) Scale() placement.Scale {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.index.Scale()
}

// signalLocked wakes who waits for a change, and who sleeps until the next
// deadline if that has moved.
func (s *view) signalLocked() {
	s.wakeChangedLocked()
	next, _ := s.state.nextDeadline()
	if next.Equal(s.earliest) {
		return
	}
	s.earliest = next
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

func (s *view) wakeChangedLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Version returns the sequence number of the last durable change. It never
// waits for the journal and takes constant time.
func (s *view) Version() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.durableLocked()
}

func (s *view) durableLocked() uint64 {
	if s.cfg.Journal != nil {
		return s.outbox.durable
	}
	return s.state.seq
}

// Wait returns when the state has changed since version, which a refusal
// carries, so that trying again may help. It returns at once if the state has
// changed already, so no change is missed between the refusal and the wait. It
// returns the error of ctx if that ends first, and ErrClosed or a JournalError
// if the scheduler is closed. It does not let time pass: run Sweep at
// NextDeadline for that.
//
// No state reaches version math.MaxUint64: with it Wait returns when the
// scheduler has closed, so that a leader learns at once that its journal has
// failed or belongs to another. Each change wakes everyone who waits, so that a
// change costs time in proportion to them.
func (s *view) Wait(ctx context.Context, version uint64) error {
	for {
		s.mu.Lock()
		if s.failure != nil {
			defer s.mu.Unlock()
			return s.failure
		}
		if s.state.seq > version {
			return s.unlockAndWait(ctx, nil)
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// NextDeadline returns the next instant at which something falls due by itself,
// and false if nothing will. It is a hint for timers: it never waits until what
// it depends on is durable. It takes constant time.
func (s *view) NextDeadline() (time.Time, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state.nextDeadline()
}

// DeadlineChanged returns a channel that is closed when NextDeadline changes,
// so that a sleeper can set its timer again. Take the channel before asking for
// NextDeadline, and no change is missed. It takes constant time.
func (s *view) DeadlineChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved == nil {
		s.moved = make(chan struct{})
	}
	return s.moved
}

// Sweep processes everything that is due by now and returns its events, in
// order. Every other call on the scheduler begins with the same; Sweep is for
// hosts that want events in time. It takes O(log n) for each deadline in those
// that are pending, and for the end of a reservation what ReleaseReservation
// does.
func (s *calls) Sweep(ctx context.Context) ([]Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reading := s.reading()
	s.mu.Lock()
	due, err := s.advanceLocked(reading, true)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return due, nil
}
