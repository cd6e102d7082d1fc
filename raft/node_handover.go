package raft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"
)

// handover is a reign that is being given up (rule 22). First the application is
// told, and the lease is renewed until it has released all leaderships and the
// successor knows the configuration, for at most Config.ReleaseTimeout. Then the
// lease is ended and the successor asked to campaign; until its heartbeat
// arrives nothing else begins, for at most the maximal election timeout.
type handover struct {
	to       string // empty: whoever the core chooses
	term     uint64 // of the reign
	sent     bool   // the lease has ended
	deadline time.Duration
	reply    chan<- error // nil if nobody waits any more
}

// Transfer makes another voter the leader. It waits until that leads, or returns
// ErrTransferFailed after the maximal election timeout; then this node stands for
// election again. The contexts of its leaderships end at once; it keeps its lease until
// they are released and the voter can win, for which it must have the whole log if
// there is one, but no longer than Config.ReleaseTimeout. So a function under
// WhileLeader that calls this with another ctx than its own keeps itself waiting.
//
// It fails with ErrNotLeader, ErrTransferring, and, in a MemberError, with
// ErrSelf, ErrUnknownMember, ErrNotVoter, ErrWitness or, unless the voter has
// answered within the minimal election timeout, ErrMemberSilent. Then nothing has
// changed, and this node goes on leading. If the voter falls silent after that, or
// still lacks entries when ReleaseTimeout has passed, the lead goes to any other.
func (n *Node) Transfer(ctx context.Context, to string) error {
	return n.call(ctx, func(l *loop, reply chan<- error) error {
		err := l.core.mayTransfer(to)
		if errors.Is(err, ErrMemberBehind) {
			err = nil // It catches up once nothing is proposed any more.
		}
		if err == nil {
			err = l.handOver(to, ErrResigned, reply)
		}
		if err != nil {
			reply <- err
		}
		return nil
	})
}

// Resign gives up the lead in favour of the voter that answered last, of several
// the one of highest priority that has not just handed over itself. It is
// Transfer without waiting for the outcome: it returns when the lease has ended.
// It fails with ErrNotLeader or ErrTransferring.
//
// Inside WhileLeader return from the function instead: Resign waits for it.
func (n *Node) Resign(ctx context.Context) error { return n.resign(ctx, 0) }

// resign steps down from the reign of the given term, or from any if term is 0.
func (n *Node) resign(ctx context.Context, term uint64) error {
	return n.call(ctx, func(l *loop, reply chan<- error) error {
		if term != 0 && (l.reign.term != term || !l.reign.valid()) {
			reply <- nil
			return nil
		}
		if err := l.handOver("", ErrResigned, reply); err != nil {
			reply <- err
		}
		return nil
	})
}

// stop begins the end of the node, with a hand-over if it leads.
func (l *loop) stop() {
	l.done, l.stopping = nil, true
	_ = l.handOver("", ErrStopped, nil) // Without a reign there is nothing to do.
}

// handOver begins to give up the reign.
func (l *loop) handOver(to string, cause error, reply chan<- error) error {
	if l.handover != nil {
		return ErrTransferring
	}
	if !l.node.yield(cause) {
		s := l.node.snapshot()
		return &NotLeaderError{Leader: s.Leader, Term: s.Term}
	}
	now := l.node.now()
	l.handover = &handover{
		to: to, term: l.reign.term, reply: reply,
		deadline: now + min(l.node.cfg.ReleaseTimeout, math.MaxInt64-now), // forever, if asked
	}
	return nil
}

// advanceHandover does what has become possible.
func (l *loop) advanceHandover() error {
	h := l.handover
	if h == nil {
		return nil
	}
	now := l.node.now()
	leader := l.core.Leader()
	switch {
	case !h.sent && (now >= h.deadline || l.node.released() && !l.core.awaitsSuccessor(h.to)):
		return l.sendHandover(now)
	case !h.sent:
	case l.core.Term() > h.term && leader != "":
		var outcome error
		if h.to != "" && leader != h.to {
			outcome = fmt.Errorf("%w: %q leads", ErrTransferFailed, leader)
		}
		l.endHandover(outcome)
	case now >= h.deadline:
		l.endHandover(ErrTransferFailed)
	}
	return nil
}

// sendHandover ends the lease and asks the successor to campaign. If the lead was
// lost meanwhile, the core refuses.
func (l *loop) sendHandover(now time.Duration) error {
	h := l.handover
	if !l.node.released() {
		l.log(slog.LevelWarn, "raft: leadership was not released in time",
			"term", h.term, "timeout", l.node.cfg.ReleaseTimeout)
	}
	var effects Effects
	var refusal error
	if h.to == "" {
		effects, refusal = l.core.Resign(now)
	} else {
		effects, refusal = l.core.Transfer(now, h.to)
	}
	h.sent, h.deadline = true, now+l.node.cfg.ElectionTimeoutMax
	if errors.Is(refusal, ErrMemberSilent) || errors.Is(refusal, ErrMemberBehind) { // Since it was asked: too late to stay.
		if err := l.apply(effects); err != nil {
			return err
		}
		refusal = fmt.Errorf("%w: %w", ErrTransferFailed, refusal)
		effects, _ = l.core.Resign(now) // The refusal is what is told if that is in vain, too.
	}
	asked := slices.ContainsFunc(effects.Messages, func(m Message) bool { return m.Kind == TimeoutNow })
	if err := l.apply(effects); err != nil {
		return err
	}
	switch {
	case !asked: // Refused, or there is nobody to hand over to.
		l.endHandover(refusal)
	case h.to == "" && h.reply != nil:
		h.reply <- nil
		h.reply = nil
	}
	return nil
}

// endHandover tells who waits for it. Giving up a reign that is lost already is no
// failure for a caller that only resigns.
func (l *loop) endHandover(outcome error) {
	h := l.handover
	l.handover = nil
	if h.to == "" && errors.Is(outcome, ErrNotLeader) {
		outcome = nil
	}
	if h.reply != nil {
		h.reply <- outcome
	}
}
