package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

const (
	namespace = "shop"
	// atOnce is how many clients there are.
	atOnce = 3
	// patience is how long a client waits for an answer before it asks
	// another replica, and rest how long it pauses in between.
	patience = 200 * time.Millisecond
	rest     = 10 * time.Millisecond
)

// clients place tasks and remember what they were told.
type clients struct {
	cluster *cluster

	mu   sync.Mutex
	told map[string]scheduler.Decision // by task
}

// place lets every client place its share of a batch of new tasks, one after
// the other. It returns what waits until all have been answered.
func (cs *clients) place(ctx context.Context) (wait func() error) {
	first := len(cs.decisions())
	errs := make(chan error, atOnce)
	for i := range atOnce {
		cs.cluster.running.Go(func() {
			at := i // the replica that answered last
			var err error
			for task := first + i; task < first+batch && err == nil; task += atOnce {
				at, err = cs.placeOne(ctx, at, fmt.Sprintf("task-%d", task+1))
			}
			errs <- err
		})
	}
	return func() error {
		var all []error
		for range atOnce {
			all = append(all, <-errs)
		}
		return errors.Join(all...)
	}
}

// placeOne asks one replica after the other, always with the same ID: however
// often it is heard, the task is placed once. It returns who has answered.
func (cs *clients) placeOne(ctx context.Context, at int, id string) (int, error) {
	req := placement.Request{
		ID: id, Namespace: namespace,
		Resources: placement.Resources{CPU: placement.Core, Memory: placement.GiB},
	}
	for {
		d, err := cs.ask(ctx, cs.cluster.members[at].Data, req)
		if err == nil {
			cs.mu.Lock()
			defer cs.mu.Unlock()
			cs.told[id] = d
			return at, nil
		}
		if refused(err) {
			return at, err
		}
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return at, ctx.Err()
		}
		at = (at + 1) % len(cs.cluster.members)
	}
}

func (cs *clients) ask(ctx context.Context, address string, req placement.Request) (scheduler.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := cs.cluster.process(address)
	return cs.cluster.call(ctx, p, func() (scheduler.Decision, error) { return p.place(ctx, req) })
}

// refused reports whether an error is the scheduler's last word, so that
// asking again does not help.
func refused(err error) bool {
	return errors.Is(err, scheduler.ErrUnschedulable) || errors.Is(err, scheduler.ErrConflict) ||
		errors.Is(err, quota.ErrExceeded) || errors.Is(err, placement.ErrInvalid)
}

// decisions returns what the clients were told so far.
func (cs *clients) decisions() map[string]scheduler.Decision {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return maps.Clone(cs.told)
}
