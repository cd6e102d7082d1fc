package raft

import (
	"fmt"
	"log/slog"
	"time"
)

// save waits until the state is durable and steps nothing meanwhile (rule 13).
// A save that outlasts the watchdog costs the reign, one that outlasts the
// maximal election timeout ends the node.
func (l *loop) save(state HardState) error {
	n, reign := l.node, l.reign
	begun := n.now()
	patience := n.cfg.ElectionTimeoutMin / 2
	watchdog := time.AfterFunc(patience, func() {
		n.slowSaves.Add(1)
		n.endReign(reign, ErrSaveStalled)
	})
	defer watchdog.Stop() // for a panic
	var err error
	l.guard(ErrSaveStalled,
		func() { err = n.cfg.Store.Save(state) },
		func() { _ = n.cfg.Store.Close() })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSaveFailed, err)
	}
	l.traffic.Saves++
	l.traffic.LongestSave = max(l.traffic.LongestSave, n.now()-begun)
	if !watchdog.Stop() {
		l.log(slog.LevelWarn, "raft: the store is slow to save", "timeout", patience)
	}
	return nil
}
