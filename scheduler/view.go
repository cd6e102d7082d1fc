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
