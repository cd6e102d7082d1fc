package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/rads-project/constellation/placement"
)

// enter locks the scheduler for one call and brings it to the present. A
// caller whose context has ended, or of a closed scheduler, gets an error and
// no lock.
func (s *Scheduler) enter(ctx context.Context) error {
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
func (s *Scheduler) change(ctx context.Context, decide func(*state) (decided, error)) error {
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
func (s *Scheduler) read(ctx context.Context, look func(*state) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.unlockAndWait(ctx, look(s.state))
}

// listeningLocked reports whether entries must be kept for anybody.
func (s *Scheduler) listeningLocked() bool {
	return s.cfg.Journal != nil || s.cfg.Hooks.Event != nil || s.history.watched
}

// commitLocked applies a change as one entry at the present. What it returns
// is valid until the next call.
func (s *Scheduler) commitLocked(c decided) *outcome {
	e := &s.scratch.entry
	if s.listeningLocked() {
		e = new(entry)
	}
	*e = entry{seq: s.state.seq + 1, time: s.now, token: s.token, changes: append(e.changes[:0], c)}
	s.applyLocked(e, false)
	return &s.scratch.outcome
}

// applyLocked applies an entry and queues it if anybody listens. It returns
// the events then, or if the caller wants them.
func (s *Scheduler) applyLocked(e *entry, wanted bool) []Event {
	defer s.signalLocked()
	listening := s.listeningLocked()
	out := &s.scratch.outcome
	*out = outcome{}
	if !listening && !wanted {
		s.breakLocked(e, s.state.commit(e, out))
		return nil
	}
	var events []Event
	out.tell = func(c Change) {
		events = append(events, Event{Seq: e.seq, Time: s.state.now, Token: e.token, Change: c})
	}
	if err := s.state.commit(e, out); err != nil {
		s.breakLocked(e, err)
		return nil
	}
	if listening {
		s.outbox.pending = append(s.outbox.pending, e)
		s.outbox.events = append(s.outbox.events, events)
		s.outbox.last = e.seq
	}
	return events
}

// breakLocked closes the scheduler if an entry could not be carried out. Nobody
// sees what came of it: the entry counts as one that never becomes durable.
func (s *Scheduler) breakLocked(e *entry, err error) {
	if err != nil {
		s.outbox.last = e.seq
		s.failLocked(err)
	}
}

// lastSecond is that of the year 9999, beyond which no record can tell a time.
const lastSecond = 253402300799

// advanceLocked brings the state to where a reading of the host's clock brings
// it. If something falls due on the way, that is an entry of its own, whose
// events it returns.
func (s *Scheduler) advanceLocked(reading time.Time, wanted bool) ([]Event, error) {
	if s.failure != nil {
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
		events = s.applyLocked(&entry{seq: s.state.seq + 1, time: s.now, token: s.token}, wanted)
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
func (s *Scheduler) unlockAndWait(ctx context.Context, err error) error {
	defer s.mu.Unlock()
	seq := s.outbox.last
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
	s.deliverLocked()
	return err
}

// outbox is what has been applied and not yet delivered: entries for the journal,
// then events for hooks and watchers.
type outbox struct {
	pending   []*entry      // to be appended, in order
	events    [][]Event     // of each pending entry
	last      uint64        // Seq of the last entry that ever was pending
	durable   uint64        // Seq up to which pending entries are durable
	appending bool          // somebody writes the journal
	since     time.Time     // by the host's clock; zero while nobody does
	snapshots int           // checkpoints that are being written
	appended  chan struct{} // closed when either of them ends; nil while nobody waits
	waiting   int           // who waits for that
	calls     int           // that wait until what they saw is durable
	abandoned bool          // Close has given up waiting for that

	deliver    []Event // durable, waiting for hooks
	delivering bool    // somebody calls the hooks
}

// appendLeftLocked appends what callers have left that gave up: it must not
// wait for the next call.
func (s *Scheduler) appendLeftLocked(ctx context.Context) {
	for s.failure == nil && !s.outbox.appending && s.outbox.waiting == 0 && len(s.outbox.pending) > 0 {
		s.appendLocked(ctx)
	}
}

// awaitLocked returns when everything up to seq is durable or never will be by
// this scheduler, and the error of ctx if that ended first. The lock is not
// held meanwhile.
func (s *Scheduler) awaitLocked(ctx context.Context, seq uint64) error {
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
func (s *Scheduler) awaitAppendLocked(ctx context.Context) error {
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
func (s *Scheduler) appendLocked(ctx context.Context) {
	switch {
	case s.cfg.Journal == nil:
		entries, events := s.takePendingLocked()
		s.appendedLocked(entries, events)
	case ctx.Done() == nil:
		s.appendPendingLocked()
	default:
		s.outbox.appending = true
		go s.appendInBackground()
	}
}

// appendInBackground appends for a caller whose ctx may end first, and finishes
// the follow-up work if nobody else waits any more.
func (s *Scheduler) appendInBackground() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appendPendingLocked()
	if s.outbox.waiting == 0 {
		s.appendLeftLocked(context.Background())
		s.deliverLocked()
	}
}

func (s *Scheduler) takePendingLocked() ([]*entry, [][]Event) {
	entries, events := s.outbox.pending, s.outbox.events
	s.outbox.pending, s.outbox.events = nil, nil
	return entries, events
}

// appendedLocked notes what is durable now, for those who listen.
func (s *Scheduler) appendedLocked(entries []*entry, events [][]Event) {
	s.outbox.durable = max(s.outbox.durable, entries[len(entries)-1].seq)
	for _, e := range events {
		s.history.record(e)
		if s.cfg.Hooks.Event != nil {
			s.outbox.deliver = append(s.outbox.deliver, e...)
		}
	}
}

// appendPendingLocked appends everything pending to the journal.
func (s *Scheduler) appendPendingLocked() {
	s.outbox.appending = true
	defer func() {
		s.outbox.appending, s.outbox.since = false, time.Time{}
		s.wakeAppendedLocked()
	}()
	s.outbox.since = s.yieldLocked()
	if s.failure != nil {
		return
	}
	entries, events := s.takePendingLocked()
	if s.writeLocked(entries) && !s.outbox.abandoned {
		s.appendedLocked(entries, events)
	}
}

// writeLocked appends entries to the journal with the lock let go of
// meanwhile. It reports false if that failed, and with it the scheduler.
func (s *Scheduler) writeLocked(entries []*entry) bool {
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
func (s *Scheduler) yieldLocked() time.Time {
	s.mu.Unlock()
	defer s.mu.Lock()
	runtime.Gosched()
	return s.reading().UTC().Round(0)
}

func (s *Scheduler) wakeAppendedLocked() {
	if s.outbox.appended != nil {
		close(s.outbox.appended)
		s.outbox.appended = nil
	}
}

func (s *Scheduler) encodeAndAppend(entries []*entry) error {
	records := make([]Record, len(entries))
	for i, e := range entries {
		data, err := e.encode()
		if err != nil {
			return &JournalError{Cause: err}
		}
		records[i] = Record{Seq: e.seq, Kind: RecordEntry, Data: data}
	}
	return s.appendRecords(s.lifetime, records)
}

// appendRecords calls the journal, which is the host's code: a panic there is
// an append that failed.
func (s *Scheduler) appendRecords(ctx context.Context, records []Record) (err error) {
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
func (s *Scheduler) failLocked(err error) {
	switch {
	case s.failure == nil:
		s.closeLocked(err)
	case !errors.Is(s.failure, ErrClosed):
		s.failure = err
	}
}

// deliverLocked calls hooks for all durable events, unless another caller is
// at it; that one then takes ours along. The lock is not held meanwhile. A
// hook that panics costs no other event its hooks: they are called while the
// panic goes on.
func (s *Scheduler) deliverLocked() {
	if s.outbox.delivering || len(s.outbox.deliver) == 0 {
		return
	}
	s.outbox.delivering = true
	defer func() {
		s.outbox.delivering = false
		s.deliverLocked() // what a panic has left
	}()
	for len(s.outbox.deliver) > 0 {
		e := s.outbox.deliver[0]
		if s.outbox.deliver = s.outbox.deliver[1:]; len(s.outbox.deliver) == 0 {
			s.outbox.deliver = nil // and with it what the events point to
		}
		s.callHooksLocked(e)
	}
}

// callHooksLocked calls the hooks with the lock let go of meanwhile.
func (s *Scheduler) callHooksLocked(e Event) {
	s.mu.Unlock()
	defer s.mu.Lock()
	s.cfg.Hooks.Event(e)
}
