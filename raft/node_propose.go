package raft

import (
	"context"
	"fmt"
	"slices"
)

// proposal is what a caller of Propose waits for.
type proposal struct {
	first, last uint64 // its commands
	term        uint64
	reply       chan<- proposed
}

// proposed is the outcome of a proposal.
type proposed struct {
	index uint64
	err   error
}

// Propose appends commands to the log and waits until they are committed: a
// majority has them on disk, so that every Machine is given them, in this order and
// next to each other, however many of the rest fail. token is the Leadership.Term
// of the reign that they belong to. It returns the index of the first. The commands
// are copied.
//
// It fails with ErrNotLeader unless the node leads in that term, ErrTransferring
// while it gives up the lead, ErrNoLog while a member keeps no log, ErrTooLarge,
// ErrFull (see Config), and ErrStopped; then nothing was proposed. With
// ErrOutcomeUnknown, which comes together with the reason, the commands may become
// committed or not: the reign, the node or ctx has ended first. Nothing is tried
// again. It takes time in proportion to the commands, times the members, and a round
// trip and a sync of the disk, which proposals at one time share.
func (n *Node) Propose(ctx context.Context, token uint64, commands ...[]byte) (uint64, error) {
	if n.cfg.Log == nil {
		return 0, ErrNoLog
	}
	data := clone(commands)
	reply := make(chan proposed, 1)
	select {
	case n.calls <- func(l *loop) error { return l.propose(token, data, reply) }:
	case <-n.stopped:
		return 0, ErrStopped
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	var cause error
	select {
	case p := <-reply:
		return p.index, p.err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-n.stopped:
		cause = ErrStopped
	}
	select {
	case p := <-reply: // It came with the end.
		return p.index, p.err
	default:
		return 0, outcomeUnknown(cause)
	}
}

// clone copies commands, all into one piece of memory.
func clone(commands [][]byte) [][]byte {
	size := 0
	for _, c := range commands {
		size += len(c)
	}
	all := make([]byte, 0, size)
	clones := make([][]byte, len(commands))
	for i, c := range commands {
		all = append(all, c...)
		clones[i] = all[len(all)-len(c) : len(all) : len(all)]
	}
	return clones
}

func outcomeUnknown(cause error) error { return fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause) }

// MaxCommand is how long a command may be that Propose takes, in bytes: what
// Config.MaxAppend leaves for it.
func (n *Node) MaxCommand() int { return n.cfg.MaxAppend - appendOverhead - entryHeaderSize }

// ReadIndex returns up to which index a Machine must have applied the log to show
// all that was committed before the call, in whatever reign. A leader needs no
// message and no disk for it, since nobody else commits while its lease runs. It
// fails with ErrNotLeader, ErrNoLog and ErrStopped.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) {
	if n.cfg.Log == nil {
		return 0, ErrNoLog
	}
	var index uint64
	err := n.call(ctx, func(l *loop, reply chan<- error) error {
		index = l.core.log.commit
		reply <- l.leadsIn(l.core.Term())
		return nil
	})
	if err != nil {
		return 0, err
	}
	return index, nil
}

// leadsIn reports, as an error, that this node does not lead a term at this instant.
func (l *loop) leadsIn(term uint64) error {
	if _, running := l.core.Reign(); !running || l.core.Term() != term || !l.reign.valid() {
		return &NotLeaderError{Leader: l.core.Leader(), Term: l.core.Term()}
	}
	return nil
}

// propose gives commands to the core.
func (l *loop) propose(token uint64, data [][]byte, reply chan<- proposed) error {
	err := l.leadsIn(token)
	if err == nil && l.handover != nil {
		err = ErrTransferring
	}
	if err != nil {
		reply <- proposed{err: err}
		return nil
	}
	index, effects, err := l.core.Propose(l.node.now(), data...)
	if err != nil {
		reply <- proposed{err: err}
	} else {
		l.proposals = append(l.proposals, proposal{index, index + uint64(len(data)) - 1, token, reply})
	}
	return l.apply(effects)
}

// advanceProposals answers whoever waits for what is committed, or can learn no
// more of it here.
func (l *loop) advanceProposals() {
	for len(l.proposals) > 0 {
		p := l.proposals[0]
		term, _ := l.core.log.term(p.last)
		switch {
		case p.last <= l.core.log.commit && term == p.term:
			p.reply <- proposed{index: p.first}
		case l.core.Role() == Leader && l.core.Term() == p.term:
			return
		default:
			p.reply <- proposed{err: outcomeUnknown(&NotLeaderError{Leader: l.core.Leader(), Term: l.core.Term()})}
		}
		l.proposals = l.proposals[1:]
	}
}

// advanceReplica tells the core what the log and the machine have done.
func (l *loop) advanceReplica() error {
	if l.replica == nil {
		return nil
	}
	saved, kept := l.replica.saver.take()
	if saved != (Position{}) {
		if err := l.apply(l.core.Saved(l.node.now(), saved)); err != nil {
			return err
		}
	}
	applied, restored := l.replica.applier.take()
	_, moved := l.replica.bulk.take()
	for _, call := range slices.Concat(kept, restored, moved) {
		if err := call(l); err != nil {
			return err
		}
	}
	if applied != (Position{}) {
		return l.apply(l.core.Applied(l.node.now(), applied.Index))
	}
	return nil
}

// perform does what effects ask for of the log, but for what is committed.
func (r *replica) perform(effects Effects) {
	if len(effects.Append) > 0 {
		r.saver.put(effects.Append)
	}
	if effects.Chunk.Snapshot != (Snapshot{}) {
		chunk := effects.Chunk
		r.bulk.order(func() error { return r.bulk.receive(chunk) })
	}
	if effects.Restore != (Snapshot{}) {
		r.restore(effects.Restore)
	}
	if upTo := effects.Compact; upTo != 0 {
		r.saver.order(func() error {
			if err := r.node.cfg.Log.Compact(upTo); err != nil {
				return fmt.Errorf("%w: %w", ErrSaveFailed, err)
			}
			return nil
		})
	}
}

// commit has the machine apply what is committed.
func (l *loop) commit(upTo uint64) {
	if entries := l.core.Committed(l.replica.applied); len(entries) > 0 {
		l.replica.applied = upTo
		l.replica.applier.put(entries)
	}
}
