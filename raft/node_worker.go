package raft

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// entryWorker does something with entries on a goroutine of its own, in order, so
// that the loop goes on meanwhile. What waits is done at once.
type entryWorker struct {
	do   func([]Entry) error
	wake func() // called when something is done
	*routine
	quit  chan struct{}
	ready chan struct{} // holds a token while something may wait

	mu      sync.Mutex
	waiting []Entry
	done    Position // the last entry that is done and not yet told of
}

func beginWorker(wake func(), do func([]Entry) error) *entryWorker {
	w := &entryWorker{do: do, wake: wake, quit: make(chan struct{}), ready: make(chan struct{}, 1)}
	w.routine = begin(w.run)
	return w
}

func (w *entryWorker) run() error {
	for {
		select {
		case <-w.quit:
			return nil
		case <-w.ready:
		}
		w.mu.Lock()
		entries := w.waiting
		w.waiting = nil
		w.mu.Unlock()
		switch {
		case isClosed(w.quit): // What waits is nobody's any more.
			return nil
		case len(entries) == 0:
			continue
		}
		if err := w.do(entries); err != nil {
			return err
		}
		w.mu.Lock()
		w.done = entries[len(entries)-1].position()
		w.mu.Unlock()
		w.wake()
	}
}

// put gives it entries. They take the place of those that wait from the index of
// the first on.
func (w *entryWorker) put(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch first := entries[0].Index; {
	case len(w.waiting) == 0 || first <= w.waiting[0].Index:
		w.waiting = entries // Nobody changes them: whoever appends to them copies.
	default:
		keep := first - w.waiting[0].Index
		w.waiting = append(w.waiting[:keep:keep], entries...)
	}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// take returns the last entry that is done, if it has not returned that before.
func (w *entryWorker) take() (Position, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.done
	w.done = Position{}
	return done, done != Position{}
}

// replica is the log of a node that runs, and its machine. Nil without a log.
type replica struct {
	node    *Node
	saver   *entryWorker
	applier *entryWorker
	applied uint64     // up to where the applier was given entries
	stalled chan error // holds an error once an append takes too long
}

// openLog opens the log. If that comes back too late, it closes it again.
func (n *Node) openLog() ([]Entry, error) {
	var entries []Entry
	opened := begin(func() (err error) {
		entries, err = n.cfg.Log.Open()
		return err
	})
	err := opened.within("Log.Open")
	if errors.Is(err, ErrStalled) {
		go func() {
			<-opened.ended
			if opened.returned && opened.err == nil {
				_ = n.cfg.Log.Close()
			}
		}()
		return nil, err
	}
	return entries, err
}

// beginReplica begins to keep the log, which is open.
func (n *Node) beginReplica() *replica {
	r := &replica{node: n, stalled: make(chan error, 1)}
	r.saver = beginWorker(n.wake, r.save)
	r.applier = beginWorker(n.wake, func(entries []Entry) error {
		for _, e := range entries {
			n.cfg.Machine.Apply(e)
		}
		return nil
	})
	return r
}

// save makes entries durable. Rule 13: one that takes longer than the watchdog ends
// the reign, one that takes longer than the maximal election timeout ends the node.
func (r *replica) save(entries []Entry) error {
	n := r.node
	watchdog := time.AfterFunc(n.cfg.ElectionTimeoutMin/2, func() {
		n.slowSaves.Add(1)
		n.mu.Lock()
		reign := n.reign
		n.mu.Unlock()
		n.endReign(reign, ErrSaveStalled)
	})
	defer watchdog.Stop()
	patience := time.AfterFunc(n.cfg.ElectionTimeoutMax, func() {
		r.stalled <- &StalledError{Call: "Log.Append", Patience: n.cfg.ElectionTimeoutMax}
	})
	defer patience.Stop()
	if err := n.cfg.Log.Append(entries); err != nil {
		return fmt.Errorf("%w: %w", ErrSaveFailed, err)
	}
	return nil
}

// end stops both workers once they have done what they are about, and closes the
// log. What has stalled is left behind, and closes the log when it comes back.
func (r *replica) end(cause error) error {
	close(r.saver.quit)
	close(r.applier.quit)
	err := r.applier.within("Machine.Apply")
	if errors.Is(cause, ErrStalled) && !isClosed(r.saver.ended) {
		go r.closeLate()
		return err
	}
	saving := r.saver.within("Log.Append")
	if errors.Is(saving, ErrStalled) {
		go r.closeLate()
		return errors.Join(err, saving)
	}
	return errors.Join(err, begin(r.node.cfg.Log.Close).within("Log.Close"))
}

func (r *replica) closeLate() {
	<-r.saver.ended
	_ = r.node.cfg.Log.Close()
}

// ended returns what the loop waits for; without a log nothing comes.
func (r *replica) ended() (saver, applier <-chan struct{}, stalled <-chan error) {
	if r == nil {
		return nil, nil, nil
	}
	return r.saver.ended, r.applier.ended, r.stalled
}
