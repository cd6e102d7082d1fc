package raft

import (
	"fmt"
	"time"
)

// saver is the one goroutine that writes to the store, so that the loop can
// watch the clock meanwhile (rule 13).
type saver struct {
	work  chan HardState
	saved chan error    // has room for one: nobody may be waiting any more
	ended chan struct{} // closed when the store is closed
	err   error         // of closing the store
}

// startSaver starts the goroutine that owns the open store from now on.
func startSaver(store Store) *saver {
	s := &saver{work: make(chan HardState), saved: make(chan error, 1), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		for state := range s.work {
			s.saved <- store.Save(state)
		}
		s.err = store.Close()
	}()
	return s
}

// close ends the goroutine and closes the store. If a save hangs it does not
// wait for that: the goroutine closes the store when the save comes back.
func (s *saver) close(hangs bool) error {
	close(s.work)
	if hangs {
		return nil
	}
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("raft: close store: %w", s.err)
	}
	return nil
}

// save waits until the state is durable and steps nothing meanwhile (rule 13).
// A save that outlasts the watchdog costs the reign, one that outlasts the
// maximal election timeout ends the node.
func (l *loop) save(state HardState) error {
	begun := l.node.now()
	l.saver.work <- state
	patience := l.node.cfg.ElectionTimeoutMin / 2
	watchdog := time.NewTimer(patience)
	defer watchdog.Stop()
	for slow := false; ; {
		select {
		case err := <-l.saver.saved:
			if err != nil {
				return fmt.Errorf("%w: %w", ErrSaveFailed, err)
			}
			l.traffic.Saves++
			l.traffic.LongestSave = max(l.traffic.LongestSave, l.node.now()-begun)
			return nil
		case <-watchdog.C:
			if slow {
				return ErrSaveStalled
			}
			slow = true
			l.traffic.SlowSaves++
			l.node.logger.Warn("raft: the store is slow to save", "watchdog", patience)
			l.endReign(ErrSaveStalled)
			watchdog.Reset(l.node.cfg.ElectionTimeoutMax - patience)
		case <-l.done:
			l.stop()
		}
	}
}
