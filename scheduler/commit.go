package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
)

// enter locks the scheduler for one call and brings it to the present. A
// caller whose context has ended, or of a closed scheduler, gets an error and
// no lock.
func (s *view) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	reading := s.reading()
	s.mu.Lock()
	if _, err := s.advanceLocked(reading, false); err != nil {
		s.mu.Unlock()
		return err
	}
	return nil
}

// change runs one call that may change the state: decide looks and returns
// what to change, or the refusal.
func (s *calls) change(ctx context.Context, decide func(*state) (decided, error)) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	c, err := decide(s.state)
	if err == nil && c != nil {
		s.commitLocked(c)
	}
	return s.unlockAndWait(ctx, err)
}

// read runs one call that looks at the state and changes nothing.
func (s *view) read(ctx context.Context, look func(*state) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.unlockAndWait(ctx, look(s.state))
}

// look is read for what neither depends on the time nor keeps anything, such as an
// interned request. Where nothing has to be written or to fall due first, callers
// look side by side.
func (s *view) look(ctx context.Context, look func(*state) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if done, err := s.lookShared(look); done {
		return err
	}
	return s.read(ctx, look)
}

func (s *view) lookShared(look func(*state) error) (done bool, err error) {
	reading := s.reading()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.failure != nil || s.outbox.durable < s.outbox.last || s.dueLocked(reading) {
		return false, nil
	}
	return true, look(s.state)
}

// dueLocked reports whether something falls due by a reading of the host's clock.
func (s *view) dueLocked(reading time.Time) bool {
	due, ok := s.state.nextDeadline()
	if !ok || s.follows {
		return false
	}
	clock := s.clock // which stays as it is
	return !due.After(clock.Advance(reading))
}

// listeningLocked reports whether events must be made for anybody.
func (s *view) listeningLocked() bool { return s.hearingLocked() || s.cfg.Logger != nil }

// hearingLocked reports whether anybody hears of every event. The log keeps none that
// tells of a placement.
func (s *view) hearingLocked() bool {
	return s.cfg.Journal != nil || s.hooks.hook != nil || s.history.watched
}

// keepingLocked reports whether anybody keeps the changes of an entry.
func (s *view) keepingLocked() bool { return s.hearingLocked() || s.tried != nil }

// commitLocked applies a change as one entry at the present. What it returns
// is valid until the next call.
func (s *view) commitLocked(c decided) *outcome {
	s.applyLocked(false, c)
	return &s.scratch.outcome
}

// applyLocked applies an entry at the present, and has its events told if anybody
// listens. It returns them if the caller wants them.
func (s *view) applyLocked(wanted bool, changes ...decided) []Event {
	if s.tried != nil {
		for _, c := range changes {
			s.tried.note(s.state, c)
		}
	}
	e, out := s.beginLocked(wanted, changes...)
	return s.endLocked(e, out, s.state.commit(e, out), wanted)
}

// beginLocked returns an entry to be applied at the present, and where to tell
// what comes of it.
func (s *view) beginLocked(wanted bool, changes ...decided) (*entry, *outcome) {
	e := &s.scratch.entry
	if s.cfg.Journal != nil {
		*e = entry{} // whose changes are kept
	}
	e.seq, e.time, e.token, e.derived = s.state.seq+1, s.now, s.token, nil
	e.changes = append(e.changes[:0], changes...)
	out := &s.scratch.outcome
	*out = outcome{telling: wanted || s.listeningLocked(), events: s.outbox.events}
	return e, out
}

// endLocked has the events of an entry told that was applied, if anybody listens, and
// wakes who waits for a change. It returns the events if the caller wants them.
func (s *view) endLocked(e *entry, out *outcome, err error, wanted bool) []Event {
	told := s.tellLocked(e, out, err, wanted)
	out.events = nil
	s.signalLocked()
	return told
}

func (s *view) tellLocked(e *entry, out *outcome, err error, wanted bool) []Event {
	before := len(s.outbox.events)
	if err != nil {
		clear(out.events[before:])
		s.breakLocked(e, err)
		return nil
	}
	var told []Event
	if wanted {
		told = slices.Clone(out.events[before:])
	}
	if s.cfg.Journal != nil {
		e.noteDerived(out.events[before:])
		s.outbox.pending, s.outbox.events, s.outbox.last = append(s.outbox.pending, *e), out.events, e.seq
	} else { // it is as durable as it will ever be
		s.publishLocked(out.events)
		s.outbox.events = reusable(out.events)
	}
	return told
}

// breakLocked closes the scheduler if an entry could not be carried out. Nobody
// sees what came of it: the entry counts as one that never becomes durable.
func (s *view) breakLocked(e *entry, err error) {
	if err != nil {
		s.outbox.last = e.seq
		s.failLocked(err)
	}
}

// lastSecond is that of the year 9999, beyond which no record can tell a time.
const lastSecond = 253402300799

// advanceLocked brings the state to where a reading of the host's clock brings
// it. If something falls due on the way, that is an entry of its own, whose
// events it returns. A follower stays where its journal has brought it.
func (s *view) advanceLocked(reading time.Time, wanted bool) ([]Event, error) {
	if s.failure != nil || s.follows {
		return nil, s.failure
	}
	present := reading
	if reading.Unix() <= lastSecond {
		present = s.clock.Advance(reading)
	}
	if present.Unix() > lastSecond {
		return nil, &placement.InvalidError{Field: "now", Value: present.String(), Reason: "after the year 9999"}
	}
	s.now = present
	var events []Event
	if due, ok := s.state.nextDeadline(); ok && !due.After(s.now) {
		events = s.applyLocked(wanted)
	}
	if s.failure != nil {
		return nil, s.failure
	}
	s.state.plan.Advance(s.now) // nothing is due: only so that it decides at the present
	return events, nil
}

// unlockAndWait unlocks the scheduler and waits until all that the caller saw is
// durable. It returns err, or the reason why the answer may not be given: the
// scheduler failed, or ctx ended the wait. Events are delivered on the way.
func (s *view) unlockAndWait(ctx context.Context, err error) error {
	defer s.hooks.drain()
	defer s.mu.Unlock()
	return s.settleLocked(ctx, s.outbox.last, err)
}

// settleLocked waits until everything up to seq is durable, as unlockAndWait
// does. The lock is not held meanwhile.
func (s *view) settleLocked(ctx context.Context, seq uint64, err error) error {
	if s.outbox.durable >= s.outbox.last { // all there is
		return err
	}
	gaveUp := s.awaitLocked(ctx, seq)
	s.appendLeftLocked(ctx)
	switch {
	case s.outbox.durable >= seq:
	case gaveUp != nil:
		err = gaveUp
	case errors.Is(s.failure, ErrClosed): // by somebody, between the change and its append
		err = &JournalError{Unknown: true, Cause: s.failure}
	default:
		err = s.failure
	}
	return err
}

// outbox is what has been applied and is not durable yet: entries for the journal,
// and their events for hooks and watchers.
type outbox struct {
	pending    []entry   // to be appended, in order
	events     []Event   // of the pending entries, in order
	last       uint64    // Seq of the last entry that ever was pending
	durable    uint64    // Seq up to which pending entries are durable
	appending  bool      // somebody writes the journal
	since      time.Time // by the host's clock; zero while nobody does
	snapshots  int       // checkpoints that are being written
	stats      JournalStats
	checkpoint CheckpointStats
	skipped    CheckpointStats // when the last checkpoint failed
	appended   chan struct{}   // closed when either of them ends; nil while nobody waits
	waiting    int             // who waits for that
	calls      int             // that wait until what they saw is durable
	abandoned  bool            // Close has given up waiting for that
}

// appendLeftLocked appends what callers have left that gave up: it must not
// wait for the next call.
func (s *view) appendLeftLocked(ctx context.Context) {
	for s.failure == nil && !s.outbox.appending && s.outbox.waiting == 0 && len(s.outbox.pending) > 0 {
		s.appendLocked(ctx)
	}
}

// awaitLocked returns when everything up to seq is durable or never will be by
// this scheduler, and the error of ctx if that ended first. The lock is not
// held meanwhile.
func (s *view) awaitLocked(ctx context.Context, seq uint64) error {
	if s.outbox.durable >= seq {
		return nil
	}
	s.outbox.calls++
	defer func() { s.outbox.calls-- }()
	for s.outbox.durable < seq {
		switch {
		case s.outbox.abandoned:
			return nil
		case s.outbox.appending: // also if closed meanwhile: it may succeed
			if err := s.awaitAppendLocked(ctx); err != nil {
				return err
			}
		case s.failure != nil:
			return nil
		default:
			s.appendLocked(ctx)
		}
	}
	return nil
}

// awaitAppendLocked waits for the journal, which somebody else is writing.
func (s *view) awaitAppendLocked(ctx context.Context) error {
	if s.outbox.appended == nil {
		s.outbox.appended = make(chan struct{})
	}
	appended := s.outbox.appended
	s.outbox.waiting++
	defer func() { s.outbox.waiting-- }()
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-appended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// appendLocked makes everything pending durable: one append, shared by all who
// wait, without holding the lock meanwhile. If ctx may end before the journal
// returns it only starts that, and the caller is to wait like all others.
func (s *view) appendLocked(ctx context.Context) {
	if ctx.Done() == nil {
		s.appendPendingLocked()
		return
	}
	s.outbox.appending = true
	go s.appendInBackground()
}

// appendInBackground appends for a caller whose ctx may end first, and finishes
// the follow-up work if nobody else waits any more.
func (s *view) appendInBackground() {
	if s.appendForNobody() {
		s.hooks.drain()
	}
}

// appendForNobody appends, and reports whether nobody waits for that any more.
func (s *view) appendForNobody() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appendPendingLocked()
	if s.outbox.waiting > 0 {
		return false
	}
	s.appendLeftLocked(context.Background())
	return true
}

// publishLocked hands durable events on to those who listen.
func (s *view) publishLocked(events []Event) {
	if s.history.watched {
		s.history.record(events)
	}
	s.hooks.add(events)
}

// appendPendingLocked appends everything pending to the journal.
func (s *view) appendPendingLocked() {
	s.outbox.appending = true
	defer func() {
		s.outbox.appending, s.outbox.since = false, time.Time{}
		s.wakeAppendedLocked()
	}()
	s.outbox.since = s.yieldLocked()
	if s.failure != nil {
		return
	}
	entries, events := s.outbox.pending, s.outbox.events
	s.outbox.pending, s.outbox.events = nil, nil
	began := time.Now() // of a real append, whatever Config.Now shows
	if s.writeLocked(entries) && !s.outbox.abandoned {
		s.outbox.durable = entries[len(entries)-1].seq
		s.outbox.stats.count(len(entries), s.writer.written, time.Since(began))
		s.countEntriesLocked(len(entries), s.writer.written)
		s.publishLocked(events)
	}
}

// writeLocked appends entries to the journal with the lock let go of
// meanwhile. It reports false if that failed, and with it the scheduler.
func (s *view) writeLocked(entries []entry) bool {
	s.mu.Unlock()
	err := error(&JournalError{Unknown: true, Cause: errors.New("it did not return")})
	defer func() {
		s.mu.Lock()
		if err != nil {
			s.failLocked(err)
		}
	}()
	err = s.encodeAndAppend(entries)
	return err == nil
}

// yieldLocked lets callers that are ready go first, and returns the time. Where
// the journal is fast, those that the last append has woken would else come one
// by one, each to an append of its own.
func (s *view) yieldLocked() time.Time {
	s.mu.Unlock()
	defer s.mu.Lock()
	runtime.Gosched()
	return s.reading().UTC().Round(0)
}

func (s *view) wakeAppendedLocked() {
	if s.outbox.appended != nil {
		close(s.outbox.appended)
		s.outbox.appended = nil
	}
}

func (s *view) encodeAndAppend(entries []entry) error {
	err := s.appendRecords(s.lifetime, s.writer.encode(entries))
	written := len(s.writer.data)
	s.writer.reset()
	s.writer.written = written
	return err
}

// entryWriter encodes entries into memory that is used again.
type entryWriter struct {
	coder   codec.Coder
	data    []byte
	records []Record
	written int // bytes of the latest append
}

// mostKept is how much memory waits for the next entries.
const mostKept = 64 << 10

// encode returns the records of entries, which are valid until reset.
func (w *entryWriter) encode(entries []entry) []Record {
	for i := range entries {
		from := len(w.data)
		w.data = entries[i].encode(&w.coder, w.data)
		// What grows later leaves this where it is.
		w.records = append(w.records, Record{Seq: entries[i].seq, Kind: RecordEntry, Data: w.data[from:len(w.data):len(w.data)]})
	}
	return w.records
}

func (w *entryWriter) reset() {
	clear(w.records)
	if w.data, w.records = w.data[:0], w.records[:0]; cap(w.data) > mostKept {
		*w = entryWriter{}
	}
}

// appendRecords calls the journal, which is the host's code: a panic there is
// an append that failed.
func (s *view) appendRecords(ctx context.Context, records []Record) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = &JournalError{Unknown: true, Cause: fmt.Errorf("it panicked: %v", panicked)}
		}
	}()
	if err := s.cfg.Journal.Append(ctx, s.token, records); err != nil {
		return &JournalError{Unknown: !errors.Is(err, ErrFenced), Cause: err}
	}
	return nil
}

// failLocked closes the scheduler after an append that failed: the state is
// ahead of the journal and may not be shown to anybody. The outcome of the
// last append is what callers get.
func (s *view) failLocked(err error) {
	switch {
	case s.failure == nil:
		s.closeLocked(err)
	case !errors.Is(s.failure, ErrClosed):
		s.failure = err
	}
}
