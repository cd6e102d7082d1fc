package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

const (
	nodes = 60
	// full is how many instances run before as many leave as come.
	full = 140
	// pace is the time between two requests.
	pace = 40 * time.Millisecond
	// patience is how long a client waits for an answer.
	patience = time.Second
)

func nodeID(i int) string { return fmt.Sprintf("node-%02d", i+1) }

// prepare makes nodes, quotas and reservations, unless they are there already.
func prepare(ctx context.Context, s *scheduler.Scheduler) error {
	for i := range nodes {
		n := placement.Node{
			ID: nodeID(i), Labels: map[string]string{"zone": string("abc"[i%3]), "rack": fmt.Sprint("r", i/12)},
			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
		}
		if i%5 == 0 {
			n.Devices = placement.Devices{Count: 8, Model: "h100"}
		}
		if i == 10 {
			n.Devices.Broken = []int{2}
		}
		if err := s.AddNode(ctx, n); err != nil && !errors.Is(err, placement.ErrConflict) {
			return err
		}
	}
	cpu := func(cores int64, burst int) map[placement.ResourceName]quota.Limit {
		return map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: cores * placement.Core, BurstPercent: burst}}
	}
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: cpu(1500, 0)},
		{Namespace: "shop", Parent: "org", Limits: cpu(300, 200)},
		{Namespace: "research", Parent: "org", Limits: cpu(800, 0)},
	} {
		if _, err := s.CreateQuota(ctx, spec); err != nil && !errors.Is(err, placement.ErrConflict) {
			return err
		}
	}
	for _, spec := range []reservation.Spec{
		{ID: "launch", Namespace: "org", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 4, Duration: 2 * time.Hour},
		{ID: "training", Namespace: "org", Shape: placement.Resources{GPU: 4 * placement.Device}, Count: 2, Duration: time.Hour},
		{ID: "swap-disk", Node: nodeID(7), Maintenance: true, Duration: time.Hour},
	} {
		_, err := s.Reservation(ctx, spec.ID)
		if errors.Is(err, placement.ErrNotFound) {
			_, err = s.Reserve(ctx, spec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// work asks whoever leads for instances, and lets old ones go, until ctx ends.
func (c *cluster) work(ctx context.Context) {
	dice := rand.New(rand.NewPCG(1, 2)) // the same work every time
	ready := ""                         // the leader that has all nodes
	var placed []string
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		id, s := c.leader()
		if s == nil {
			c.count(func(n *counts) { n.Unheard++ })
			continue
		}
		call, end := context.WithTimeout(ctx, patience)
		if id != ready && prepare(call, s) == nil {
			ready = id
		}
		switch _, err := s.Place(call, request(dice, i)); {
		case err == nil:
			placed = append(placed, request(nil, i).ID)
			c.count(func(n *counts) { n.Placed++ })
		case errors.Is(err, scheduler.ErrUnschedulable) || errors.Is(err, quota.ErrExceeded):
			c.count(func(n *counts) { n.Refused++ })
		default: // the leader has died meanwhile
			c.count(func(n *counts) { n.Unheard++ })
		}
		if len(placed) > full {
			oldest := dice.IntN(full / 4)
			if err := s.Release(call, placed[oldest]); err == nil || errors.Is(err, placement.ErrNotFound) {
				placed = append(placed[:oldest], placed[oldest+1:]...)
				c.count(func(n *counts) { n.Released++ })
			}
		}
		end()
	}
}

// request is the i-th: mostly for a shop, now and then a job on GPUs, and some that are
// larger than any node, which are asked for again and again.
func request(dice *rand.Rand, i int) placement.Request {
	if dice == nil {
		dice = rand.New(rand.NewPCG(0, 0)) // only the ID matters
	}
	cores, memory := 1+dice.Int64N(8), 1+dice.Int64N(24)
	switch {
	case i%50 == 49:
		return placement.Request{ID: fmt.Sprint("wide-", i/50%3), Namespace: "research", Resources: placement.Resources{CPU: 48 * placement.Core}}
	case i%6 == 5:
		return placement.Request{
			ID: fmt.Sprint("train-", i), Namespace: "research", Preferences: placement.Use(placement.BinPack),
			Resources: placement.Resources{CPU: cores * placement.Core, GPU: (1 + cores%2) * placement.Device},
		}
	default:
		return placement.Request{
			ID: fmt.Sprint("web-", i), Namespace: "shop", Group: "web", Preferences: placement.Use(placement.Spread),
			Resources: placement.Resources{CPU: cores * placement.Core, Memory: memory * placement.GiB},
		}
	}
}

// count notes what has happened.
func (c *cluster) count(happened func(*counts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	happened(&c.counts)
}
