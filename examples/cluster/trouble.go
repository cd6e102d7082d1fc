package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/scheduler"
)

// loseNodes loses a node every so often, until ctx ends.
func (c *cluster) loseNodes(ctx context.Context, every time.Duration) {
	dice := rand.New(rand.NewPCG(3, 4))
	lost := "" // the node that is
	for pause(ctx, every) {
		lost = c.loseNode(ctx, nodeID(dice.IntN(nodes)), lost)
	}
}

// pause waits, and reports false once ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
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
	c.count(func(n *counts) { n.Lost++ })
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
