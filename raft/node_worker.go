package raft

import "sync"

// worker does what is given to it on a goroutine of its own, in order, so that the loop
// goes on meanwhile. Entries that wait one behind the other are done at once.
type worker struct {
	do   func([]Entry) error
	wake func() // called when something is done
	*routine
	quit  chan struct{}
	ready chan struct{} // holds a token while something may wait

	mu      sync.Mutex
	waiting []task
	spare   []Entry  // for the next task
	done    Position // the last entry that is done and not yet told of
	told    []func(*loop) error
}

// task is entries, or else a call.
type task struct {
	entries []Entry
	call    func() error
}

func beginWorker(wake func(), do func([]Entry) error) *worker {
	w := &worker{do: do, wake: wake, quit: make(chan struct{}), ready: make(chan struct{}, 1)}
	w.routine = begin(w.run)
	return w
}

func (w *worker) run() error {
	var tasks []task
	for {
		select {
		case <-w.quit:
			return nil
		case <-w.ready:
		}
		w.mu.Lock()
		tasks, w.waiting = w.waiting, tasks[:0]
		w.mu.Unlock()
		for i := range tasks {
			if isClosed(w.quit) { // What waits is nobody's any more.
				return nil
			}
			if err := w.perform(tasks[i]); err != nil {
				return err
			}
			tasks[i] = task{}
		}
	}
}

func (w *worker) perform(t task) error {
	if t.call != nil {
		return t.call()
	}
	if err := w.do(t.entries); err != nil {
		return err
	}
	w.mu.Lock()
	w.done = t.entries[len(t.entries)-1].position()
	clear(t.entries)
	w.spare = t.entries[:0]
	w.mu.Unlock()
	w.wake()
	return nil
}

// put gives it entries. They take the place of those that wait from the index of
// the first on.
func (w *worker) put(entries []Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := entries[0].Index
	n := len(w.waiting) - 1
	switch {
	case n < 0 || w.waiting[n].call != nil:
		w.waiting = append(w.waiting, task{entries: append(w.spare, entries...)})
		w.spare = nil
	default:
		t := &w.waiting[n]
		keep := first - min(first, t.entries[0].Index)
		t.entries = append(t.entries[:keep], entries...)
	}
	w.signal()
}

// order gives it a call, to be made after all that was put before.
func (w *worker) order(call func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, task{call: call})
	w.signal()
}

func (w *worker) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// tell has the loop make a call.
func (w *worker) tell(call func(*loop) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, call)
	w.wake()
}

// take returns the last entry that is done, zero if it has returned that before, and
// what the loop is to call.
func (w *worker) take() (Position, []func(*loop) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done, told := w.done, w.told
	w.done, w.told = Position{}, nil
	return done, told
}
