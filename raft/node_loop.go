package raft

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"
)

// loop is the one goroutine that steps the core (rule 21). Everything in it
// belongs to that goroutine.
type loop struct {
	node       *Node
	background context.Context // of the values that Run's ctx carries, never ends
	core       *Core
	transport  *routine   // nil until it is served
	stalled    chan error // to Run: a call-out has not come back
	timer      *time.Timer
	done       <-chan struct{} // nil once its closing has been noticed
	frame      []byte          // of the message being sent, reused

	reign    *reign           // the last one, which may have ended
	stopping bool             // the node is to end
	handover *handover        // nil if nothing is being given up
	changes  []*pendingChange // membership changes that wait

	replica   *replica    // nil without a log
	proposals []*proposal // that wait, in the order of their entries

	asked      time.Duration            // the round of heartbeats that Healthy was asked for
	askedAt    time.Duration            // when it was asked last
	unwell     bool                     // what it has said then
	abstains   Abstention               // why the core does not stand, 0: it does
	refusedFor RefusalReason            // why another member refused this node
	refusedAt  time.Duration            // when it last did
	warned     map[string]time.Duration // when which dropped messages were last logged
	traffic    Traffic
}

// run steps the core until the node has stopped, or cannot go on.
func (l *loop) run() error {
	saver, applier, bulk, stalled := l.replica.ended()
	for {
		if err := l.reconcile(); err != nil {
			return err
		}
		if l.stopping && l.handover == nil {
			return nil
		}
		l.arm()
		select {
		case <-l.node.inbox.ready:
		case <-l.node.nudge:
		case <-l.timer.C:
		case <-l.done:
			l.stop()
		case op := <-l.node.calls:
			if err := op(l); err != nil {
				return err
			}
		case <-l.transport.ended:
			return l.transportEnded(l.transport.err)
		case <-saver:
			return l.replica.saver.err
		case <-applier: // If it has panicked, the end of Run sees to that.
			return cmp.Or(l.replica.applier.err, ErrStopped)
		case <-bulk:
			return cmp.Or(l.replica.bulk.err, ErrStopped)
		case err := <-stalled:
			return err
		}
		if err := l.propose(l.node.queue.take()); err != nil {
			return err
		}
		if err := l.step(); err != nil {
			return err
		}
	}
}

// step gives the core the next message, or else the time. The clock is read
// after the message was taken (rule 2).
func (l *loop) step() error {
	if err := l.advanceReplica(); err != nil {
		return err
	}
	if m, ok := l.node.inbox.take(); ok {
		l.traffic.Received++
		before := l.core.Counters().Dropped
		now := l.node.now()
		l.consider(now, l.core.standsAt(now) || m.Kind == TimeoutNow)
		effects := l.core.Step(l.node.now(), m)
		l.warnDropped(m.From, before)
		return l.apply(effects)
	}
	now := l.node.now()
	l.consider(now, l.core.standsAt(now))
	return l.apply(l.core.Tick(l.node.now()))
}

// reconcile brings everything around the core in line with it.
func (l *loop) reconcile() error {
	if !l.renewed() {
		// The reign's own timer or the watchdog was first: the core follows.
		if err := l.apply(l.core.StepDown(l.node.now())); err != nil {
			return err
		}
	}
	if err := l.advanceHandover(); err != nil {
		return err
	}
	if err := l.advanceChanges(); err != nil {
		return err
	}
	l.advanceProposals()
	l.publish()
	l.logEnds()
	return nil
}

// logEnds logs the reigns that have ended. Their own timers may have ended them,
// but only the loop calls the Logger.
func (l *loop) logEnds() {
	n := l.node
	n.mu.Lock()
	ends := n.ends
	n.ends = nil
	n.mu.Unlock()
	for _, end := range ends {
		l.log(slog.LevelInfo, "raft: reign ended", "term", end.term, "cause", end.cause)
	}
}

// arm sets the timer to what is due next.
func (l *loop) arm() {
	due := l.core.Deadline()
	if l.handover != nil {
		due = min(due, l.handover.deadline)
	}
	wait := Never
	if due != Never {
		wait = due - l.node.now()
	}
	l.timer.Reset(wait)
}

// apply carries out the effects in their order (rule 12). After an error
// nothing may be sent any more, and the loop ends.
func (l *loop) apply(effects Effects) error {
	if effects.Lost != 0 {
		l.endReign(l.whyLost(effects.Lost))
	}
	if effects.Diverged != 0 {
		return &DivergedError{Index: effects.Diverged}
	}
	if effects.Save {
		if err := l.save(effects.State); err != nil {
			return err
		}
	}
	if l.replica != nil {
		l.replica.perform(effects)
	}
	if effects.Proven {
		l.replica.saver.order(func() error {
			l.node.cfg.Log.Prove()
			return nil
		})
	}
	if effects.Commit != 0 {
		l.commit(effects.Commit)
	}
	if effects.Refused != 0 {
		l.refused(effects.Refused)
	}
	if cause := l.unfit(); cause != nil {
		return l.abandon(cause)
	}
	if effects.Led != 0 {
		l.lead(effects.Led)
	}
	l.send(effects.Messages)
	return nil
}

// whyLost says why the reign of a term has ended. Without a later term it is the
// lease that has.
func (l *loop) whyLost(term uint64) error {
	if l.core.Term() == term {
		return l.reign.leaseExpired()
	}
	return &NotLeaderError{Leader: l.core.Leader(), Term: l.core.Term()}
}

func (r *reign) leaseExpired() error {
	return &LeaseExpiredError{Term: r.term, Silence: r.silence()}
}

// renewed passes the core's lease on to the reign, and reports whether the two
// agree that it runs.
func (l *loop) renewed() bool {
	end, running := l.core.Reign()
	return !running || l.reign.renew(end)
}

// lead begins a reign. If the same call of the core has ended it, it is over
// from the start.
func (l *loop) lead(term uint64) {
	n := l.node
	end, _ := l.core.Reign()
	l.reign = newReign(term, end, l.core.lease, n.now, func(r *reign) { n.endReign(r, r.leaseExpired()) })
	n.beginReign(l.reign)
	l.log(slog.LevelInfo, "raft: reign began", "term", term)
}

func (l *loop) endReign(cause error) { l.node.endReign(l.reign, cause) }

// send gives messages to the transport.
func (l *loop) send(messages []Message) {
	for i := range messages {
		m := &messages[i]
		if m.Kind == InstallSnapshot { // It lacks its chunk.
			late := *m
			l.replica.bulk.order(func() error { return l.replica.bulk.fill(late) })
			continue
		}
		l.transmit(m)
	}
}

// transmit gives a message to the transport.
func (l *loop) transmit(m *Message) {
	var err error
	if l.frame, err = m.AppendBinary(l.frame[:0]); err == nil {
		l.callOut("Transport.Send", func() { err = l.node.cfg.Transport.Send(m.To, l.frame) })
	}
	if err != nil {
		l.traffic.Unsent++
		return
	}
	l.traffic.Sent++
}

// unfit asks the application before a round of heartbeats leaves, and returns
// why the node should not lead. A lone node has rounds, too, but no messages.
func (l *loop) unfit() error {
	round := l.core.reign.heartbeatAt
	if l.core.Role() != Leader || round == l.asked {
		return nil
	}
	l.asked = round
	return l.ask()
}

// abandon gives up the lead without waiting for anybody.
func (l *loop) abandon(cause error) error {
	l.endReign(fmt.Errorf("%w: %w", ErrUnhealthy, cause))
	effects, _ := l.core.Resign(l.node.now()) // It fails if there is no reign to end.
	return l.apply(effects)
}

// refused notes that another member drops this node's messages.
func (l *loop) refused(why RefusalReason) {
	if l.refusal() != why {
		l.log(slog.LevelWarn, "raft: another member refuses this node", "reason", why.String())
	}
	l.refusedFor, l.refusedAt = why, l.node.now()
}

// refusal returns why this node was refused lately.
func (l *loop) refusal() RefusalReason {
	if l.node.now()-l.refusedAt > l.node.cfg.ElectionTimeoutMax {
		return 0
	}
	return l.refusedFor
}

// transportEnded ends a node that nobody can reach any more.
func (l *loop) transportEnded(err error) error {
	if err == nil {
		return fmt.Errorf("%w: Serve has returned", ErrTransport)
	}
	return fmt.Errorf("%w: %w", ErrTransport, err)
}
