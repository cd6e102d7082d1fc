package raft

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// proposal is what a caller of Propose waits for.
type proposal struct {
	term        uint64
	data        [][]byte
	first, last uint64 // its commands, once they are in the log
	reply       chan proposed
}

// proposed is the outcome of a proposal.
type proposed struct {
	index uint64
	err   error
}

// proposalQueue holds the proposals that the loop has not taken. It takes all of them
// at once, so that they share messages and syncs.
type proposalQueue struct {
	mu      sync.Mutex
	waiting []*proposal
}

func (q *proposalQueue) put(p *proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
}

func (q *proposalQueue) take() []*proposal {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// withdraw reports whether the proposal was not taken, and never will be.
func (q *proposalQueue) withdraw(p *proposal) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
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
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p := &proposal{term: token, data: clone(commands), reply: make(chan proposed, 1)}
	n.queue.put(p)
	n.wake()
	var cause error
	select {
	case o := <-p.reply:
		return o.index, o.err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-n.stopped:
		cause = ErrStopped
	}
	if n.queue.withdraw(p) {
		return 0, cause
	}
	select {
	case o := <-p.reply: // It came with the end.
		return o.index, o.err
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

// propose gives proposals to the core. Those for one reign go together.
func (l *loop) propose(all []*proposal) error {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].term == all[0].term {
			n++
		}
		if err := l.proposeTogether(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// proposeTogether gives the core proposals for one reign, at least one: all in one
// call, or if it refuses that, because one is too long or all are too much, each in
// its own.
func (l *loop) proposeTogether(some []*proposal) error {
	err := l.leadsIn(some[0].term)
	if err == nil && l.handover != nil {
		err = ErrTransferring
	}
	if err != nil {
		for _, p := range some {
			p.reply <- proposed{err: err}
		}
		return nil
	}
	data := some[0].data
	for _, p := range some[1:] {
		data = append(data, p.data...)
	}
	index, effects, refused := l.core.Propose(l.node.now(), data...)
	if err := l.apply(effects); err != nil {
		return err
	}
	switch {
	case refused != nil && len(some) > 1:
		for i := range some {
			if err := l.proposeTogether(some[i : i+1]); err != nil {
				return err
			}
		}
	case refused != nil:
		some[0].reply <- proposed{err: refused}
	default:
		for _, p := range some {
			p.first, p.last = index, index+uint64(len(p.data))-1
			index = p.last + 1
			p.data = nil
			l.proposals = append(l.proposals, p)
		}
	}
	return nil
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
