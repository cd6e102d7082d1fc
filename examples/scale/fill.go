package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/rads-project/constellation/scheduler"
)

// filling is a cluster that has been filled, and what that took.
type filling struct {
	scheduler    *scheduler.Scheduler
	stats        scheduler.Stats
	nodes, tasks int
	joined, took time.Duration // for all nodes, for all tasks
	p50, p99     time.Duration // of one placement
	heap         int           // live, in bytes, with everything
	bytesPerNode int           // of an empty node
	bytesPerTask int           // of an instance
}

// fill adds the nodes to an empty scheduler and places the tasks one after
// the other; nothing ever leaves. A task that no node takes is an error.
func fill(ctx context.Context, nodes, tasks int, stderr io.Writer) (filling, error) {
	f := filling{nodes: nodes, tasks: tasks}
	latencies := make([]time.Duration, tasks) // not part of what is measured
	empty := liveHeap()
	var err error
	if f.scheduler, err = scheduler.New(scheduler.Config{}); err != nil {
		return filling{}, err
	}
	began := time.Now()
	for i := range nodes {
		if err := f.scheduler.AddNode(ctx, makeNode(i)); err != nil {
			return filling{}, err
		}
	}
	f.joined = time.Since(began)
	idle := liveHeap()

	show := progress(stderr, fmt.Sprintf("%d tasks on %d nodes", tasks, nodes), tasks)
	began = time.Now()
	for i := range tasks {
		start := time.Now()
		if _, err := f.scheduler.Place(ctx, makeTask(i)); err != nil {
			return filling{}, err
		}
		latencies[i] = time.Since(start)
		if done := i + 1; done%1000 == 0 || done == tasks {
			show(done)
		}
	}
	f.took = time.Since(began)
	f.heap = liveHeap() - empty
	f.stats = f.scheduler.Stats()
	f.bytesPerNode = (idle - empty) / nodes
	f.bytesPerTask = (f.heap - (idle - empty)) / tasks
	slices.Sort(latencies)
	f.p50, f.p99 = quantile(latencies, 50), quantile(latencies, 99)
	return f, nil
}

// liveHeap returns the bytes that are in use after a collection.
func liveHeap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// quantile returns the smallest of the sorted latencies that percent of them
// do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)*percent+99)/100-1]
}
