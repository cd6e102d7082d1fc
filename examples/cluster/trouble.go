package main

import (
	"context"
	"log"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/scheduler"
)

// trouble loses nodes and lets the leader die, until ctx ends.
func (c *cluster) trouble(ctx context.Context, o options) {
	dice := rand.New(rand.NewPCG(3, 4))
	node, leader := time.NewTicker(o.node), time.NewTicker(o.leader)
	defer node.Stop()
	defer leader.Stop()
	lost := "" // the node that is
	for {
		select {
		case <-node.C:
			lost = c.loseNode(ctx, nodeID(dice.IntN(nodes)), lost)
		case <-leader.C:
			c.killLeader(ctx, o.leader/3)
		case <-ctx.Done():
			return
		}
	}
}

// loseNode loses a node, places what was there again, and has the one come back that was
// lost before. It returns the node that is lost then.
func (c *cluster) loseNode(ctx context.Context, node, before string) string {
	_, s := c.leader()
	if s == nil {
		return before
	}
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	if before != "" {
		if err := c.returnNode(ctx, s, before); err != nil {
			return before // with the next leader
		}
	}
	on, err := s.AllocationsOn(ctx, node)
	if err != nil || s.MarkLost(ctx, node) != nil {
		return ""
	}
	c.tell(func(t *told) { t.Lost++ })
	for _, a := range on {
		// What finds no room comes back with its node.
		_, _ = s.Place(ctx, a.Request)
	}
	return node
}

// returnNode says that a node answers again, and that what was placed elsewhere meanwhile
// is not there any more.
func (c *cluster) returnNode(ctx context.Context, s *scheduler.Scheduler, node string) error {
	if err := s.MarkReady(ctx, node); err != nil {
		return err
	}
	on, err := s.AllocationsOn(ctx, node)
	if err != nil {
		return err
	}
	for _, a := range on {
		if a.State == scheduler.Stale {
			if err := s.ReleaseGeneration(ctx, a.Request.ID, a.Generation); err != nil {
				return err
			}
		}
	}
	return nil
}

// killLeader kills the leader, and starts it again after a while.
func (c *cluster) killLeader(ctx context.Context, after time.Duration) {
	id, _ := c.leader()
	if id == "" {
		return
	}
	c.kill(id)
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return
	}
	i := int(id[0] - 'a')
	if err := c.start(ctx, c.members[i]); err != nil {
		log.Print(err) // and two replicas go on
	}
}
