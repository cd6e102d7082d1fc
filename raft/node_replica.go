package raft

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"time"
)

// replica is the log of a node that runs, and its machine. Nil without a log.
type replica struct {
	node    *Node
	saver   *worker
	applier *worker
	bulk    *bulk
	applied uint64     // up to where the applier was given entries
	stalled chan error // holds an error once an append takes too long

	kept Snapshot // by the log; of the saver's goroutine

	// Of the applier's goroutine: up to where the machine is, and the running hash up to
	// there; how many bytes of entries that is behind its last snapshot, how large this
	// was, and whether one is being made.
	at     uint64
	hash   uint64
	grown  int64
	size   int64
	making bool
}

// openLog opens the log. If that comes back too late, it closes it again.
func (n *Node) openLog(store StoreID, begun bool) (StoredLog, error) {
	var stored StoredLog
	opened := begin(func() (err error) {
		stored, err = n.cfg.Log.Open(store, begun)
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
		return StoredLog{}, err
	}
	return stored, err
}

// beginLog opens the log, if the node keeps one, and begins to keep it. A log that
// begins is first made durable, under the name of the store, and then the store says
// that there is one.
func (l *loop) beginLog(state *HardState) (StoredLog, error) {
	if l.node.cfg.Log == nil {
		return StoredLog{}, nil
	}
	stored, err := l.node.openLog(state.StoreID, state.HasLog)
	if err != nil {
		return StoredLog{}, err
	}
	if stored.Unproven {
		log := newEntryLog(stored)
		l.log(slog.LevelWarn, "raft: the end of the log could not be read", "index", log.last().Index)
	}
	l.replica = l.node.beginReplica(stored.Snapshot)
	if state.HasLog {
		return stored, nil
	}
	state.HasLog = true
	return stored, l.save(*state)
}

// beginReplica begins to keep the log, which is open.
func (n *Node) beginReplica(snapshot Snapshot) *replica {
	r := &replica{node: n, stalled: make(chan error, 1), kept: snapshot}
	r.saver = beginWorker(n.wake, r.save)
	r.applier = beginWorker(n.wake, r.apply)
	r.bulk = &bulk{replica: r, worker: beginWorker(n.wake, nil)}
	if snapshot != (Snapshot{}) {
		r.restore(snapshot)
	}
	return r
}

// apply gives entries to the machine, and has a snapshot of it made once the entries
// behind the last one are as many bytes as that, and as Config.CompactAfter.
func (r *replica) apply(entries []Entry) error {
	for _, e := range entries {
		if e.Index <= r.at {
			continue // A later snapshot than was asked for had it.
		}
		r.node.cfg.Machine.Apply(e)
		r.at = e.Index
		r.grown += int64(e.size())
		r.hash = e.Chain(r.hash)
		if check := (Checkpoint{e.Index, r.hash}); e.Index%checkEvery == 0 {
			r.applier.tell(func(l *loop) error { return l.apply(l.core.Checked(l.node.now(), check)) })
		}
	}
	after := r.node.cfg.CompactAfter
	if after < 0 || r.making || r.grown < max(int64(after), r.size) {
		return nil
	}
	r.making, r.grown = true, 0
	state, of := r.node.cfg.Machine.Snapshot(), Snapshot{Last: entries[len(entries)-1].position(), Hash: r.hash}
	r.bulk.order(func() error { return r.bulk.make(state, of) })
	return nil
}

// restore has the machine take in the log's snapshot, and then entries from behind it.
func (r *replica) restore(snapshot Snapshot) {
	r.applied = snapshot.Last.Index
	r.applier.order(func() error {
		if r.at >= snapshot.Last.Index {
			return nil
		}
		if err := r.read(); err != nil {
			return fmt.Errorf("%w: %w", ErrRestoreFailed, err)
		}
		r.applier.tell(func(l *loop) error {
			return l.apply(l.core.Applied(l.node.now(), snapshot.Last.Index))
		})
		return nil
	})
}

// read gives the latest snapshot to the machine.
func (r *replica) read() error {
	contents, err := r.node.cfg.Log.OpenSnapshot()
	if err != nil {
		return err
	}
	s := contents.Snapshot()
	sum := crc32.New(castagnoli())
	all := io.TeeReader(io.NewSectionReader(contents, 0, s.Size), sum)
	err = r.node.cfg.Machine.Restore(all)
	if err == nil {
		_, err = io.Copy(io.Discard, all) // It may not need all of it.
	}
	if err == nil && sum.Sum32() != s.Checksum {
		err = &StoreError{Reason: ErrCorrupt, Detail: "the checksum of a snapshot is wrong"}
	}
	r.at, r.hash, r.grown, r.size = s.Last.Index, s.Hash, 0, s.Size
	return errors.Join(err, contents.Close())
}

// save makes entries durable. Rule 36, as rule 13 of saves: one that takes longer than
// the watchdog ends the reign, one that takes longer than the maximal election timeout
// ends the node.
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

// end stops the workers once they have done what they are about, and closes the
// log. What has stalled is left behind, and closes the log when it comes back.
func (r *replica) end(cause error) error {
	if r == nil {
		return nil
	}
	close(r.saver.quit)
	close(r.applier.quit)
	close(r.bulk.quit)
	err := r.applier.within("Machine.Apply")
	if !errors.Is(err, ErrStalled) {
		err = nil // The loop has seen it.
	}
	if moving := r.bulk.within("Snapshot"); errors.Is(moving, ErrStalled) {
		go r.closeLate()
		return errors.Join(err, moving)
	}
	if errors.Is(cause, ErrStalled) && !isClosed(r.saver.ended) {
		go r.closeLate()
		return err
	}
	saving := r.saver.within("Log.Append")
	if errors.Is(saving, ErrStalled) {
		go r.closeLate()
		return errors.Join(err, saving)
	}
	return errors.Join(err, begin(r.close).within("Log.Close"))
}

func (r *replica) close() error { return errors.Join(r.bulk.close(), r.node.cfg.Log.Close()) }

func (r *replica) closeLate() {
	<-r.saver.ended
	<-r.bulk.ended
	_ = r.close()
}

// ended returns what the loop waits for; without a log nothing comes.
func (r *replica) ended() (saver, applier, bulk <-chan struct{}, stalled <-chan error) {
	if r == nil {
		return nil, nil, nil, nil
	}
	return r.saver.ended, r.applier.ended, r.bulk.ended, r.stalled
}
