package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/rads-project/constellation/placement"
)

// listeningLocked reports whether entries must be kept for anybody.
func (s *Scheduler) listeningLocked() bool {
	return s.cfg.Journal != nil || s.hooked || s.history.watched
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
		s.state.commit(e, out)
		return nil
	}
	var events []Event
	out.tell = func(c Change) {
		events = append(events, Event{Seq: e.seq, Time: s.state.now, Token: e.token, Change: c})
	}
	s.state.commit(e, out)
	if listening {
		s.outbox.pending = append(s.outbox.pending, e)
		s.outbox.events = append(s.outbox.events, events)
		s.outbox.last = e.seq
	}
	return events
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
