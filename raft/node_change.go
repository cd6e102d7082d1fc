package raft

import (
	"context"
	"errors"
	"time"
)

// pendingChange is a membership change that a caller waits for.
type pendingChange struct {
	make  func(now time.Duration) (Effects, error)
	gone  <-chan struct{} // closed when the caller waits no more
	reply chan<- error
	made  bool
}

// AddMember adds a member that does not vote; Promote it once it runs, a witness
// too. It waits until the change before is acknowledged, makes its own, and waits until a
// quorum has that on disk.
//
// It fails with ErrMemberExists and ErrConfig, and with ErrNotLeader. When the
// lead is lost while it waits, the next leader decides whether the change stays.
// Other calls that change the membership behave alike. Each of them costs every
// member one save and one message of a size in proportion to the number of
// members, and the leader, besides, work in proportion to that for each answer.
func (n *Node) AddMember(ctx context.Context, m Member) error {
	return n.change(ctx, func(c *Core, now time.Duration) (Effects, error) { return c.AddMember(now, m) })
}

// RemoveMember removes a member. If that was a voter, it goes on asking for votes
// in vain until it is stopped, and is answered that it was removed: its Status
// says RefusedRemoved. RemoveMember fails with ErrUnknownMember, and with ErrSelf
// for the leader itself, which must Transfer first.
//
// It fails with ErrMemberSilent, naming another member, if of the voters that
// remain too few have answered within the minimal election timeout to keep a
// leader: remove the dead before the living.
func (n *Node) RemoveMember(ctx context.Context, id string) error {
	return n.changeWithout(ctx, id, (*Core).RemoveMember)
}

// Promote makes a member a voter, if it is none yet. It fails with ErrUnknownMember,
// and with ErrMemberSilent unless the member has answered within the minimal election
// timeout, or a BehindError while it has yet to be sent a part of the log. A member
// that was just added has not answered yet, so try again for a while.
func (n *Node) Promote(ctx context.Context, id string) error {
	return n.change(ctx, func(c *Core, now time.Duration) (Effects, error) { return c.Promote(now, id) })
}

// Demote makes a voter a member that does not vote. It fails like RemoveMember.
func (n *Node) Demote(ctx context.Context, id string) error {
	return n.changeWithout(ctx, id, (*Core).Demote)
}

// UpdateMember changes the Data, Priority and Witness of the member m.ID to those of
// m and looks at nothing else of it, so that a member can get another address
// without being removed and added. The leader itself can be changed, too, but not
// into a witness: ErrSelf. It fails like AddMember, with ErrUnknownMember for a
// member that there is not.
func (n *Node) UpdateMember(ctx context.Context, m Member) error {
	return n.change(ctx, func(c *Core, now time.Duration) (Effects, error) { return c.UpdateMember(now, m) })
}

// changeWithout makes a change after which the member id does not vote, unless
// the others could not go on without it.
func (n *Node) changeWithout(ctx context.Context, id string, edit func(*Core, time.Duration, string) (Effects, error)) error {
	return n.change(ctx, func(c *Core, now time.Duration) (Effects, error) {
		if err := c.mayLose(id); err != nil {
			return Effects{}, err
		}
		return edit(c, now, id)
	})
}

func (n *Node) change(ctx context.Context, edit func(*Core, time.Duration) (Effects, error)) error {
	return n.call(ctx, func(l *loop, reply chan<- error) error {
		l.changes = append(l.changes, &pendingChange{
			make:  func(now time.Duration) (Effects, error) { return edit(l.core, now) },
			gone:  ctx.Done(),
			reply: reply,
		})
		return nil
	})
}

// advanceChanges makes the waiting changes, one after the other, as far as the
// core allows. Every step of the loop may allow the next.
func (l *loop) advanceChanges() error {
	for len(l.changes) > 0 {
		c := l.changes[0]
		outcome, waits, err := l.advanceChange(c)
		if err != nil {
			return err
		}
		if waits {
			return nil
		}
		c.reply <- outcome
		l.changes = l.changes[1:]
	}
	return nil
}

// advanceChange returns what to tell the caller, or that the change must wait.
func (l *loop) advanceChange(c *pendingChange) (outcome error, waits bool, err error) {
	switch {
	case c.made:
		outcome = l.core.mayReconfig()
	case l.handover != nil:
		outcome = ErrTransferring
	case isClosed(c.gone):
		outcome = context.Canceled // Nobody reads it.
	default:
		var effects Effects
		effects, outcome = c.make(l.node.now())
		if err := l.apply(effects); err != nil {
			return nil, false, err
		}
		if outcome == nil {
			c.made = true
			outcome = l.core.mayReconfig()
		}
	}
	return outcome, errors.Is(outcome, ErrReconfigPending), nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
