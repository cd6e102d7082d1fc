package main

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// errNoLeader is the answer of a replica that neither leads nor knows who
// does. Asking again, here or elsewhere, helps.
var errNoLeader = errors.New("no leader is known")

// retryLead is how long a replica whose reign has failed leaves it to others.
const retryLead = 100 * time.Millisecond

// replica is one of several copies of a service that places. It takes
// requests all the time, and decides while it leads.
type replica struct {
	id      string
	node    *raft.Node
	journal scheduler.Journal // shared by all replicas
	// forward hands a request to the replica at an address.
	forward func(ctx context.Context, address string, req placement.Request) (scheduler.Decision, error)
	printf  func(format string, args ...any)

	mu        sync.Mutex
	scheduler *scheduler.Scheduler // nil unless this replica leads
}

// run takes part in the election, and places while it leads, until ctx or the
// node ends.
func (r *replica) run(ctx context.Context) error {
	var leading sync.WaitGroup
	leading.Go(func() {
		// A reign in which the journal fails ends early. Another replica leads
		// then, and this one may come to lead again, after a pause: the journal
		// may be out of reach for all of them.
		for {
			err := r.node.WhileLeader(ctx, r.lead)
			if ctx.Err() != nil || errors.Is(err, raft.ErrStopped) {
				return
			}
			select {
			case <-time.After(retryLead):
			case <-ctx.Done():
			}
		}
	})
	defer leading.Wait()
	return r.node.Run(ctx)
}

// lead is one reign. The token fences the journal: once it is acquired, no
// scheduler of an earlier reign can write, whatever its replica believes.
func (r *replica) lead(ctx context.Context, token uint64) error {
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: r.journal, Token: token})
	if err != nil {
		return err
	}
	r.printf("%s leads with term %d and finds %d instances", r.id, token, s.Stats().Allocations)
	r.serve(s)
	err = s.Wait(ctx, math.MaxUint64) // until the scheduler fails or the reign ends
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r.serve(nil)
	r.printf("%s leads no more: %v", r.id, err)
	return errors.Join(err, s.Close())
}

// place answers a client. A replica that does not lead hands the request to
// the one that does.
func (r *replica) place(ctx context.Context, req placement.Request) (scheduler.Decision, error) {
	d, err := r.decide(ctx, req)
	if !errors.Is(err, errNoLeader) {
		return d, err
	}
	leader, known := r.node.Leader()
	if !known || leader.ID == r.id {
		return scheduler.Decision{}, errNoLeader
	}
	return r.forward(ctx, leader.Data, req)
}

// decide answers a client or a replica that takes this one for the leader.
func (r *replica) decide(ctx context.Context, req placement.Request) (scheduler.Decision, error) {
	s := r.serving()
	if s == nil {
		return scheduler.Decision{}, errNoLeader
	}
	return s.Place(ctx, req)
}

func (r *replica) serve(s *scheduler.Scheduler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scheduler = s
}

func (r *replica) serving() *scheduler.Scheduler {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.scheduler
}
