package raft

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Run takes part in the cluster until ctx ends and returns nil then. A leader
// first hands over (rule 23): it ends the contexts of its leaderships, keeps its
// lease until all are released and a successor can win, but no longer than
// Config.ReleaseTimeout, and waits for the successor for at most the maximal
// election timeout.
//
// Any other end is an error: the store's own (ErrNoState, ErrCorrupt,
// ErrForeign, ErrStale, ErrLocked), ErrSaveFailed, ErrTransport, or one of the
// next paragraph. Then there is no hand-over. It may be called once.
//
// A call-out that hangs does not keep Run. The reign ends in time, and Run
// returns ErrSaveStalled if Store.Save, and a StalledError if Healthy,
// Transport.Send, Log.Append or the Logger's handler takes longer than the maximal
// election timeout; also if Store.Open, Store.Close, Log.Open, Log.Close, or, after
// the end of its ctx, Transport.Serve or Machine.Apply takes longer than ten seconds.
// Each such call leaves its one goroutine
// behind, which ends when the call returns, and changes nothing then but to close
// the store or the log if it is that which hangs: until then it stays open. Otherwise
// Run leaves no goroutine behind. A call-out that panics makes Run panic with a
// PanicError.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	begun := n.begun
	n.begun = true
	n.mu.Unlock()
	if begun {
		return ErrRunning
	}
	defer n.end()
	return n.run(ctx)
}

// run opens the store and runs the loop, which serves the transport. However the
// loop ends or hangs, what is around it is taken down here.
func (n *Node) run(ctx context.Context) (err error) {
	record, err := n.openStore()
	if err != nil {
		return err
	}
	l := &loop{
		node:       n,
		background: context.WithoutCancel(ctx),
		stalled:    make(chan error, 1),
		timer:      time.NewTimer(Never),
		warned:     make(map[string]time.Duration),
		done:       ctx.Done(),
	}
	defer func() {
		l.timer.Stop()
		if !errors.Is(err, ErrSaveStalled) { // Then the save closes the store.
			err = errors.Join(err, n.closeStore())
		}
	}()
	serving, stop := context.WithCancel(l.background)
	defer func() {
		stop()
		err = errors.Join(err, l.awaitTransport())
	}()
	// The loop may be waiting for a call-out when ctx ends.
	defer context.AfterFunc(ctx, func() { n.yield(ErrStopped) })()
	defer func() {
		l.endReign(cmp.Or(err, ErrStopped))
		l.publishTraffic()
	}()
	defer func() { err = errors.Join(err, l.replica.end(err)) }()
	return l.await(begin(func() error { return l.main(serving, record) }))
}

// openStore opens the store. If that comes back too late, it closes it again.
func (n *Node) openStore() (StoredState, error) {
	var record StoredState
	opened := begin(func() (err error) {
		record, err = n.cfg.Store.Open()
		return err
	})
	err := opened.within("Store.Open")
	if errors.Is(err, ErrStalled) {
		go func() {
			<-opened.ended
			if opened.returned && opened.err == nil {
				_ = n.cfg.Store.Close()
			}
		}()
		return StoredState{}, err
	}
	return record, err
}

func (n *Node) closeStore() error {
	err := begin(n.cfg.Store.Close).within("Store.Close")
	if err != nil && !errors.Is(err, ErrStalled) {
		err = fmt.Errorf("raft: close store: %w", err)
	}
	return err
}

// main makes what the store holds durable as a new incarnation, and then serves
// the transport and runs.
func (l *loop) main(serving context.Context, record StoredState) (err error) {
	n := l.node
	if record.Damage != nil {
		l.log(slog.LevelWarn, "raft: repairing a damaged copy of the state", "error", record.Damage)
	}
	var fresh StoreID
	_, _ = cryptorand.Read(fresh[:]) // It never fails, see crypto/rand.
	state, err := StartState(n.cfg, record, fresh)
	if err != nil {
		return err
	}
	if err := l.save(state); err != nil {
		return err
	}
	stored, err := l.beginLog(&state)
	if err != nil {
		return err
	}
	if n.cfg.Log == nil {
		l.core, err = NewCore(n.cfg, state, randomUint64(), n.now())
	} else {
		l.core, err = NewCoreWithLog(n.cfg, state, stored, randomUint64(), n.now())
	}
	if err != nil {
		return err
	}
	n.inbox.open()
	l.transport = begin(func() error { return n.cfg.Transport.Serve(serving, n.Receive) })
	err = l.run()
	l.endReign(cmp.Or(err, ErrStopped))
	l.logEnds()
	return err
}

// awaitTransport waits until Serve, whose ctx has ended, has returned. What it
// returns then is of no account.
func (l *loop) awaitTransport() error {
	l.node.inbox.close()
	if l.transport == nil {
		return nil
	}
	if err := l.transport.within("Transport.Serve"); errors.Is(err, ErrStalled) {
		return err
	}
	return nil
}

// end tells everybody that the node has stopped.
func (n *Node) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.status.Stopped, n.status.Role, n.status.Leader = true, Follower, ""
	close(n.stopped)
	n.notifyLocked()
}
