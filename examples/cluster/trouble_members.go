package main

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/rads-project/constellation/raft"
)

// troubleMembers has something befall a replica every so often, one thing after the
// other, until ctx ends. Each lasts for a third of that time.
func (c *cluster) troubleMembers(ctx context.Context, every time.Duration) {
	befalls := []func(ctx context.Context, lasts time.Duration) error{c.killLeader, c.cutLeader, c.wipeFollower, c.hostGuest}
	for i := 0; pause(ctx, every); i++ {
		if err := befalls[i%len(befalls)](ctx, every/3); err != nil && ctx.Err() == nil {
			log.Print(err) // and two replicas go on
		}
	}
}

// killLeader kills the leader, and starts it again after a while.
func (c *cluster) killLeader(ctx context.Context, lasts time.Duration) error {
	id, _ := c.leader()
	if id == "" {
		return nil
	}
	c.kill(id)
	c.count(func(n *counts) { n.Deaths++ })
	if !pause(ctx, lasts) {
		return nil
	}
	return c.start(ctx, member(id), raft.Join()) // but its disk says what it was
}

// cutLeader cuts the leader off from the others for a while.
func (c *cluster) cutLeader(ctx context.Context, lasts time.Duration) error {
	id, _ := c.leader()
	if id == "" {
		return nil
	}
	c.network.Partition([]string{id})
	c.count(func(n *counts) { n.Cut++ })
	pause(ctx, lasts)
	c.network.Heal()
	return nil
}

// wipeFollower has a replica that does not lead lose its disk. It joins anew under its
// name: what it had answered for is lost, so that it must not vote before.
func (c *cluster) wipeFollower(ctx context.Context, _ time.Duration) error {
	leader, _ := c.leader()
	for _, m := range c.members {
		if leader == "" || m.ID == leader {
			continue
		}
		c.kill(m.ID)
		c.count(func(n *counts) { n.Wiped++ })
		if err := c.onLeader(ctx, func(n *raft.Node) error { return n.RemoveMember(ctx, m.ID) }); err != nil {
			return err
		}
		return c.join(ctx, m)
	}
	return nil
}

// hostGuest has a fourth replica join, and removes it after a while.
func (c *cluster) hostGuest(ctx context.Context, lasts time.Duration) error {
	guest := member("d")
	if err := c.join(ctx, guest); err != nil {
		return err
	}
	c.count(func(n *counts) { n.Guests++ })
	if !pause(ctx, lasts) {
		return nil
	}
	if err := c.onLeader(ctx, func(n *raft.Node) error {
		if n.Status().ID == guest.ID {
			return errors.Join(n.Resign(ctx), raft.ErrNotLeader) // the next one removes it
		}
		return n.RemoveMember(ctx, guest.ID)
	}); err != nil {
		return err
	}
	c.kill(guest.ID)
	return nil
}

// join starts a replica with an empty disk, once it is a member, and gives it a vote
// when it has nearly everything.
func (c *cluster) join(ctx context.Context, m raft.Member) error {
	c.mu.Lock()
	c.disks[m.ID] = new(disk)
	c.mu.Unlock()
	added := m
	added.Voter = false
	err := c.onLeader(ctx, func(n *raft.Node) error { return n.AddMember(ctx, added) })
	if err != nil {
		return err
	}
	if err := c.start(ctx, m, raft.Join()); err != nil {
		return err
	}
	return c.onLeader(ctx, func(n *raft.Node) error { return n.Promote(ctx, m.ID) })
}

// onLeader has the leader change the membership. It tries again while that is not to be
// had: nobody leads, or the new member has yet to answer.
func (c *cluster) onLeader(ctx context.Context, change func(*raft.Node) error) error {
	for {
		id, _ := c.leader()
		c.mu.Lock()
		p := c.processes[id]
		c.mu.Unlock()
		if p != nil {
			err := change(p.node)
			switch _, behind := errors.AsType[*raft.BehindError](err); {
			case errors.Is(err, raft.ErrMemberExists), errors.Is(err, raft.ErrUnknownMember):
				return nil // of an attempt before, whose leader has gone
			case !behind && !errors.Is(err, raft.ErrMemberSilent) && !errors.Is(err, raft.ErrNotLeader):
				return err
			}
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}
