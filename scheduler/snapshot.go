package scheduler

import (
	"context"
	"errors"
	"io"
)

// WriteSnapshot writes the whole state to w, for Restore and ReadSnapshot: equal
// states give equal bytes, and so does a replay of the journal up to the same Seq.
// What was written is of use only if it returns nil.
//
// Decisions, and lists, go on meanwhile; another snapshot or Checkpoint waits. It
// takes time linear in the state. Of memory it takes half a megabyte, a few words
// for each node, quota, reservation and instance that leaves by itself, and copies
// of the nodes that change before they are written: where w is slow and all of
// them do, as much as they.
func (s *view) WriteSnapshot(ctx context.Context, w io.Writer) error {
	if err := s.read(ctx, func(*state) error { return nil }); err != nil {
		return err
	}
	err := s.stream(ctx, writing(func(r Record) error { return writePart(w, r) }))
	s.hooks.drain()
	return err
}

// Checkpoint appends a snapshot to the journal, which may then delete what
// came before, so that Open need not read it. A JournalError leaves the scheduler
// as it was, unless its token is fenced: that closes it. Decisions go on
// meanwhile; it takes the time and memory of WriteSnapshot.
func (s *Scheduler) Checkpoint(ctx context.Context) error {
	if s.cfg.Journal == nil {
		return errors.New("scheduler: Checkpoint needs a journal")
	}
	if err := s.read(ctx, func(*state) error { return nil }); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(s.lifetime, end)()
	before, err := s.beginCheckpoint()
	if err != nil {
		return err
	}
	seq, bytes := uint64(0), int64(0)
	err = s.stream(ctx, writing(func(r Record) error {
		seq, bytes = r.Seq, bytes+int64(len(r.Data))
		return s.appendRecords(ctx, []Record{r})
	}))
	s.endCheckpoint(before, bytes, err)
	s.hooks.drain()
	if err == nil && s.cfg.Logger != nil {
		info("scheduler: checkpoint written", "seq", seq, "bytes", bytes).log(s.cfg.Logger)
	}
	return err
}

// beginCheckpoint makes Close wait until endCheckpoint. It returns what a replay
// has to read without the checkpoint.
func (s *Scheduler) beginCheckpoint() (CheckpointStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil {
		s.outbox.snapshots++
	}
	return s.outbox.checkpoint, s.failure
}

// endCheckpoint closes the scheduler if it was fenced.
func (s *Scheduler) endCheckpoint(before CheckpointStats, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.countSnapshotLocked(before, bytes)
	} else {
		s.outbox.checkpoint.Failures++
	}
	if errors.Is(err, ErrFenced) {
		s.failLocked(err)
	}
	s.outbox.snapshots--
	s.wakeAppendedLocked()
}

// receiver gets a capture piece by piece, in the order of a snapshot: what stands
// before the nodes, each node with what is on its books, the rest, and the end once
// all of it is durable. What it is given of a node is its own.
type receiver interface {
	begin(*capture) error
	node(*nodeCopy) error
	rest(*capture) error
	end() error
}

// stream captures the present state and hands it to the receiver that to makes. It
// calls no hooks: they may want a snapshot, and there is one at a time.
func (s *view) stream(ctx context.Context, to func(*capture) receiver) error {
	select {
	case s.streaming <- struct{}{}:
		defer func() { <-s.streaming }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, seen, err := s.beginStream()
	if err != nil {
		return err
	}
	defer s.endCapture(c)
	w := to(c)
	if err := s.streamNodes(ctx, c, w); err != nil {
		return err
	}
	for more := true; more; {
		if err := s.turn(ctx, func() { more = c.of.captureSome(c, captureTurn) }); err != nil {
			return err
		}
	}
	if err := w.rest(c); err != nil {
		return err
	}
	if err := s.awaitDurable(ctx, seen); err != nil {
		return err
	}
	return w.end()
}

// beginStream also returns what has to be durable for others to see it.
func (s *view) beginStream() (c *capture, seen uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return nil, 0, s.failure
	}
	return s.state.capture(s.now, parts{whole: true, quotas: true, plan: true}), s.outbox.last, nil
}

func (s *view) endCapture(c *capture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.of.endCapture(c)
}

// streamNodes hands over what a capture begins with, and its nodes.
func (s *view) streamNodes(ctx context.Context, c *capture, w receiver) error {
	for more := true; more; {
		if err := s.turn(ctx, func() { more = c.of.listSome(c, captureTurn) }); err != nil {
			return err
		}
	}
	c.sort()
	if err := w.begin(c); err != nil {
		return err
	}
	var batch []*nodeCopy
	for {
		if err := s.turn(ctx, func() { batch = c.of.handOver(c, batch[:0], captureTurn) }); err != nil {
			return err
		}
		if len(batch) == 0 {
			return nil
		}
		for _, saved := range batch {
			if err := w.node(saved); err != nil {
				return err
			}
		}
	}
}

// turn takes something of the state under the lock, unless ctx has ended.
func (s *view) turn(ctx context.Context, take func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	take()
	return nil
}

// awaitDurable waits until everything up to seq is durable. Events of what it
// appends meanwhile wait for the next to call hooks.
func (s *view) awaitDurable(ctx context.Context, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settleLocked(ctx, seq, nil)
}

// captured returns parts of the present state, once that is durable.
func (s *view) captured(ctx context.Context, p parts) (*capture, error) {
	c, err := s.capture(ctx, p)
	if err != nil {
		return nil, err
	}
	// Not before others may begin one: a hook that is called here may do so.
	s.mu.Lock()
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// capture captures the present state, in turns, and waits for nothing but
// another capture.
func (s *view) capture(ctx context.Context, p parts) (*capture, error) {
	select {
	case s.capturing <- struct{}{}:
		defer func() { <-s.capturing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	c := s.state.capture(s.now, p)
	s.mu.Unlock()
	defer s.endCapture(c)
	for more := true; more; {
		if err := s.turn(ctx, func() { more = c.of.captureSome(c, captureTurn) }); err != nil {
			return nil, err
		}
	}
	return c, nil
}
