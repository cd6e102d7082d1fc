package scheduler

import (
	"context"
	"sync"
	"time"
)

// Run does what a scheduler has to do in time: it sweeps when a deadline falls due,
// and with a journal it appends a checkpoint whenever Config.CheckpointEntries or
// CheckpointBytes have been appended since the last one. It returns nil when ctx
// ends, and otherwise what has ended the scheduler: ErrClosed, or what every
// call returns then. It does not close the scheduler.
//
// A checkpoint that fails without ending the scheduler is tried again once as
// much has been appended again; Stats.Checkpoint has its error.
func (s *Scheduler) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var beside sync.WaitGroup
	if s.cfg.Journal != nil {
		beside.Go(func() { s.checkpointInTime(ctx) })
	}
	err := s.sweepInTime(ctx)
	end()
	beside.Wait()
	return err
}

// sweepInTime sweeps whenever a deadline falls due.
func (s *Scheduler) sweepInTime(ctx context.Context) error {
	for {
		changed := s.DeadlineChanged()
		pause, sleeps := s.untilDeadline()
		var due <-chan time.Time
		if sleeps {
			due = time.After(pause)
		}
		select {
		case <-due:
			if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		case <-changed:
		case <-s.done:
			return s.Stats().Closed
		case <-ctx.Done():
			return nil
		}
	}
}

// shortestSweep is the least time between sweeps: where state time runs slower than
// the timer does, the timer comes early.
const shortestSweep = time.Millisecond

// untilDeadline returns for how long nothing falls due, and false forever.
func (s *Scheduler) untilDeadline() (time.Duration, bool) {
	reading := s.reading()
	s.mu.RLock()
	defer s.mu.RUnlock()
	next, ok := s.state.nextDeadline()
	clock := s.clock // which stays as it is
	return max(next.Sub(clock.Advance(reading)), shortestSweep), ok
}

// CheckpointStats tell how much of the journal a replay has to read, and how
// checkpoints fare.
type CheckpointStats struct {
	// Entries were appended since the last checkpoint, with so many Bytes. A
	// follower that was promoted does not know of checkpoints that it did not have
	// to read, and counts from the last one that it knows.
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
	// Snapshot is how many bytes the last checkpoint has.
	Snapshot int64 `json:"snapshot"`
	// Written are the checkpoints that succeeded, and Failures those that did not,
	// by this scheduler.
	Written  uint64 `json:"written"`
	Failures uint64 `json:"failures"`
	// Failed is the error of the last checkpoint of Run; nil if it succeeded.
	Failed error `json:"-"` // see MarshalJSON
}

// leastCheckpoint is what has to be appended before a checkpoint is worth it,
// however small the state is.
const leastCheckpoint = 4 << 20

// checkpointDueLocked reports whether Run is to append a checkpoint. By default it
// is as soon as the entries are longer than the snapshot before them: a replay
// reads no more than twice what it has to, and a byte of an entry costs no more
// than one of a snapshot, however large the state is.
func (s *view) checkpointDueLocked() bool {
	since, skipped := s.outbox.checkpoint, s.outbox.skipped
	entries, bytes := since.Entries-skipped.Entries, since.Bytes-skipped.Bytes
	if limit := int64(s.cfg.CheckpointEntries); limit > 0 && entries >= limit {
		return true
	}
	if limit := s.cfg.CheckpointBytes; limit > 0 {
		return bytes >= limit
	}
	return bytes >= max(since.Snapshot, leastCheckpoint)
}

// checkpointInTime appends a checkpoint whenever it is due, until ctx ends. That
// the scheduler has ended the one who sweeps learns.
func (s *Scheduler) checkpointInTime(ctx context.Context) {
	for s.awaitCheckpointDue(ctx) {
		err := s.Checkpoint(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.noteCheckpoint(err) && err != nil && s.cfg.Logger != nil {
			warn("scheduler: checkpoint failed", "error", err).log(s.cfg.Logger)
		}
	}
}

func (s *Scheduler) awaitCheckpointDue(ctx context.Context) bool {
	for {
		s.mu.RLock()
		due := s.checkpointDueLocked()
		s.mu.RUnlock()
		if due {
			return true
		}
		select {
		case <-s.overdue:
		case <-s.done:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// noteCheckpoint notes how a checkpoint of Run went, and reports whether the
// scheduler goes on. After one that failed as much again has to come before the next.
func (s *Scheduler) noteCheckpoint(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outbox.checkpoint.Failed = err
	if err != nil {
		s.outbox.skipped = s.outbox.checkpoint
	}
	return s.failure == nil
}

// countEntriesLocked counts what was appended, and wakes who waits for a checkpoint
// to be due.
func (s *view) countEntriesLocked(entries, bytes int) {
	s.outbox.checkpoint.Entries += int64(entries)
	s.outbox.checkpoint.Bytes += int64(bytes)
	if s.checkpointDueLocked() {
		select {
		case s.overdue <- struct{}{}:
		default:
		}
	}
}

// countSnapshotLocked counts a snapshot of so many bytes, after so much was
// appended.
func (s *view) countSnapshotLocked(before CheckpointStats, bytes int64) {
	c := &s.outbox.checkpoint
	c.Entries, c.Bytes, c.Snapshot = c.Entries-before.Entries, c.Bytes-before.Bytes, bytes
	c.Written++
	s.outbox.skipped = CheckpointStats{}
}
