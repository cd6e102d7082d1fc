package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// cost is the median time of a decision on a cluster of so many nodes.
type cost struct {
	nodes         int
	indexed, scan time.Duration
}

// compared is how many decisions a cost is the median of.
const compared = 200

// compare decides on new tasks with the scheduler, where each leaves again at
// once, and then by scanning. It fails if they choose different nodes.
func compare(ctx context.Context, f filling) (cost, error) {
	scan, err := newNaive(ctx, f.scheduler)
	if err != nil {
		return cost{}, err
	}
	var chosen [compared]string
	var indexed, scanned [compared]time.Duration
	for i := range compared {
		task := makeTask(f.tasks + i)
		start := time.Now()
		d, err := f.scheduler.Place(ctx, task)
		indexed[i] = time.Since(start)
		if err != nil {
			return cost{}, err
		}
		chosen[i] = d.NodeID
		if err := f.scheduler.Release(ctx, task.ID); err != nil {
			return cost{}, err
		}
	}
	for i := range compared {
		task := makeTask(f.tasks + i)
		start := time.Now()
		best := scan.best(task)
		scanned[i] = time.Since(start)
		if chosen[i] != best {
			return cost{}, fmt.Errorf("%s was placed on %s, but %s is better", task.ID, chosen[i], best)
		}
	}
	slices.Sort(indexed[:])
	slices.Sort(scanned[:])
	return cost{f.nodes, quantile(indexed[:], 50), quantile(scanned[:], 50)}, nil
}
