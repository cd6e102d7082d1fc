package scheduler

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/rads-project/constellation/internal/statetime"
)

// Follower shows the state in a journal that another scheduler writes. It reads
// the journal without acquiring it, so it deposes nobody: it is the standby of a
// replicated service, and the way for a tool to look into a journal that is in use.
//
// It answers every read of Scheduler, as of the latest entry that it has read, and
// at the time of that entry: nothing falls due before the journal says so. Position
// tells how far it has read and how old that is. A Follower is safe for concurrent
// use and needs no Close.
type Follower struct {
	*view  // of writer, whose state nobody but the one who reads changes
	writer *Scheduler
	mix    []WorkloadClass // for a journal that is empty

	promoting chan struct{} // holds a value during Promote
	reads     chan struct{} // holds a value while the journal is read
	replayer  replayer      // of the one who reads

	// Guarded by the lock of view.
	position  Position
	interrupt context.CancelFunc // ends what Run reads; nil while it does not run
}

// Position is how far a Follower has read its journal.
type Position struct {
	// Seq of the latest entry that it has read.
	Seq uint64 `json:"seq"`
	// Time of the state, which is that of the entry.
	Time time.Time `json:"time"`
	// Current is the latest time, by Config.Now, at which the journal is known to
	// have had nothing beyond Seq: what is shown is the state as of then.
	Current time.Time `json:"current"`
	// Promoted reports that the follower has become a Scheduler, whose reads it
	// shows since.
	Promoted bool `json:"promoted,omitempty"`
}

// Age returns how old what is shown may be at a time by Config.Now: 0 once the
// follower was promoted.
func (p Position) Age(now time.Time) time.Duration {
	if p.Promoted {
		return 0
	}
	return max(0, now.Sub(p.Current))
}

// ErrPromoted is the error of Promote for a follower that was promoted before.
var ErrPromoted = errors.New("scheduler: follower was promoted")

// Follow returns a Follower that has read the journal of cfg to its end. Run keeps
// it up to date. Of cfg it uses what Open does, but Token; hooks are called from
// Promote on. It takes time and memory in proportion to the records, and returns
// the errors of the journal, or a FormatError for a record that it cannot read.
func Follow(ctx context.Context, cfg Config) (*Follower, error) {
	if err := errors.Join(cfg.validate(), cfg.validateJournal(true)); err != nil {
		return nil, err
	}
	mix := cloneMix(cfg.Workload)
	cfg.Workload = nil // in the journal, if anywhere
	s := newScheduler(cfg)
	s.follows, s.history.watched = true, false // of what is read now nobody is told
	f := &Follower{
		view: &s.view, writer: s, mix: mix,
		promoting: make(chan struct{}, 1), reads: make(chan struct{}, 1),
		replayer: replayer{cfg: s.cfg, st: s.state},
	}
	if err := f.readOn(ctx, true); err != nil {
		return nil, err
	}
	s.history.watched, s.history.lost = cfg.Hooks.Event != nil, s.state.seq
	return f, nil
}

// Run reads what is appended to the journal until ctx ends or the follower has been
// promoted, and returns nil then. A journal that is no FollowableJournal is read
// again and again from its snapshot on, with pauses nine times as long as that
// takes; a FollowableJournal costs what is appended.
//
// Where a checkpoint has deleted entries before they were read, the state is read
// from the snapshot, which takes the time and memory of Follow; until then reads
// show the state before. Watchers see a gap in Seq. Run returns an error of the
// journal, and a FormatError for a record that cannot be read or is not the next
// one. Reads go on to show the state before that, ever older, and Run can be called
// again. Only if the state cannot follow a record, every call returns the
// FormatError from then on, since part of the entry may have been applied.
//
// It is for one caller at a time.
func (f *Follower) Run(ctx context.Context) error {
	for {
		reading, err := f.beginRun(ctx)
		if reading == nil {
			return err
		}
		err = f.readOn(reading, false)
		interrupted := reading.Err() != nil && ctx.Err() == nil
		f.endRun()
		switch {
		case ctx.Err() != nil:
			return nil
		case !interrupted:
			return err
		}
	}
}

// beginRun waits for a Promote under way and begins to read, under a context that
// the next one ends. That is nil if there is nothing to read any more.
func (f *Follower) beginRun(ctx context.Context) (context.Context, error) {
	if err := take(ctx, f.promoting); err != nil {
		return nil, nil // ctx has ended
	}
	defer give(f.promoting)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.position.Promoted:
		return nil, nil
	case f.failure != nil:
		return nil, f.failure
	case f.interrupt != nil:
		return nil, errors.New("scheduler: Follower.Run is under way already")
	}
	reading, interrupt := context.WithCancel(ctx)
	f.interrupt = interrupt
	f.reads <- struct{}{} // nobody else reads but Promote
	return reading, nil
}

func (f *Follower) endRun() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interrupt()
	f.interrupt = nil
	give(f.reads)
}

// Promote acquires the journal under a token, reads what is left of it, and returns
// the Scheduler that goes on from there, as Open does; token 0 is the highest that
// the journal has seen plus one. It takes the time of what was appended since
// the follower has read last, however large the state is.
//
// The follower is used up: Run returns, and its reads answer as those of the
// Scheduler, also after that has closed. A follower promoted before is
// ErrPromoted. Other errors are those of Open, and leave the follower as it was; the
// journal may have been acquired, and the next call needs a higher token.
func (f *Follower) Promote(ctx context.Context, token uint64) (*Scheduler, error) {
	if err := take(ctx, f.promoting); err != nil {
		return nil, err
	}
	defer give(f.promoting)
	f.interruptRun()
	if err := take(ctx, f.reads); err != nil {
		return nil, err
	}
	defer give(f.reads)
	if err := f.readOver(ctx, token); err != nil {
		return nil, err
	}
	s := f.writer
	if len(f.mix) > 0 && s.state.seq == 0 {
		if err := s.SetWorkload(ctx, f.mix); err != nil {
			_ = s.Close() // so that nothing is written after this; it returns nil
			return nil, err
		}
	}
	return s, nil
}

// readOver takes the journal over and reads the rest of it.
func (f *Follower) readOver(ctx context.Context, token uint64) error {
	if promoted := f.Position().Promoted; promoted {
		return ErrPromoted
	}
	if err := f.Stats().Closed; err != nil {
		return err
	}
	token, err := acquire(ctx, f.cfg.Journal, token)
	if err != nil {
		return err
	}
	if err := f.readOn(ctx, true); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.token > token { // of somebody who has acquired it since
		return &FencedError{Token: token, Highest: f.state.token}
	}
	f.follows, f.token = false, token
	f.clock = statetime.At(f.state.now)
	f.position.Promoted = true
	return nil
}

func (f *Follower) interruptRun() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.interrupt != nil {
		f.interrupt()
	}
}

// Position returns how far the follower has read, in constant time. It never waits
// for the journal.
func (f *Follower) Position() Position {
	f.mu.RLock()
	defer f.mu.RUnlock()
	p := f.position
	p.Seq, p.Time = f.durableLocked(), f.state.now
	return p
}

// readOn brings the state through what the journal has after it, once or until ctx
// ends.
func (f *Follower) readOn(ctx context.Context, once bool) error {
	f.replayer.restoring = nil // of a reading that was interrupted
	looked := f.reading()
	for r, err := range follow(ctx, f.cfg.Journal, f.state.seq) {
		if err != nil {
			return err
		}
		switch r.Kind {
		case RecordCurrent:
			if err := f.notePosition(r.Seq, looked); err != nil || once {
				return err
			}
			looked = f.reading()
		case RecordEntry:
			err = f.replayEntry(r)
		default:
			err = f.replaySnapshot(r)
		}
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("scheduler: the journal has ended its Follow without an error")
}

// notePosition notes that the journal had nothing after a Seq at a time.
func (f *Follower) notePosition(seq uint64, looked time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq != f.state.seq || f.replayer.restoring != nil {
		return &FormatError{seq, fmt.Sprintf("is the last one, and was not there after %d", f.state.seq)}
	}
	f.position.Current = looked.UTC().Round(0)
	return nil
}

// replayEntry brings the state through an entry and hands its events to watchers.
func (f *Follower) replayEntry(r Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.state.seq
	if err := f.replayer.replay(r); err != nil {
		if f.state.seq != before {
			f.failLocked(err)
		}
		return err
	}
	if f.history.watched {
		f.history.record(f.replayer.latest.events())
	}
	f.showLocked()
	return nil
}

// replaySnapshot reads a part of a snapshot into a state of its own, which is
// shown from the last part on.
func (f *Follower) replaySnapshot(r Record) error {
	if r.Part == 0 {
		f.replayer.restoring = nil // what came before will not be completed
	}
	if err := f.replayer.replay(r); err != nil || f.replayer.restoring != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.showLocked()
	return nil
}

// showLocked shows what was read, all of which is durable.
func (f *Follower) showLocked() {
	st := f.replayer.st
	f.state, f.now, f.token = st, st.now, st.token
	f.outbox.last, f.outbox.durable, f.outbox.checkpoint = st.seq, st.seq, f.replayer.read
	f.signalLocked()
}

// take takes the one place in a channel, and give gives it back.
func take(ctx context.Context, place chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case place <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func give(place chan struct{}) { <-place }

// The pauses between readings of a journal that cannot be followed: nine times as
// long as a reading takes, within these bounds.
const (
	shortestPoll = 20 * time.Millisecond
	longestPoll  = 5 * time.Second
)

// follow is Follow of a journal. One that has none is read again and again.
func follow(ctx context.Context, j Journal, after uint64) iter.Seq2[Record, error] {
	if j, ok := j.(FollowableJournal); ok {
		return j.Follow(ctx, after)
	}
	return func(yield func(Record, error) bool) {
		for {
			start := time.Now()
			for r, err := range recordsAfter(ctx, j, after) {
				if !yield(r, err) || err != nil {
					return
				}
				after = r.Seq
			}
			pause := time.NewTimer(min(max(9*time.Since(start), shortestPoll), longestPoll))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				yield(Record{}, ctx.Err())
				return
			}
		}
	}
}

// recordsAfter yields what a journal has after a Seq, as Follow would, up to the
// first RecordCurrent.
func recordsAfter(ctx context.Context, j Journal, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		last := uint64(0)
		for r, err := range j.Records(ctx) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if last = r.Seq; r.Seq > after && !yield(r, nil) {
				return
			}
		}
		switch err := ctx.Err(); {
		case err != nil: // which the journal may have taken for its end
			yield(Record{}, err)
		case last < after:
			yield(Record{}, ErrTruncated)
		default:
			yield(Record{Seq: last, Kind: RecordCurrent}, nil)
		}
	}
}
