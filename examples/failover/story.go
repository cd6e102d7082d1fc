package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/scheduler"
)

const (
	// batch is how many tasks the clients place in each chapter.
	batch = 75
	// into is how many writes of a chapter go well before something happens.
	into = 10
)

// story is what happens to a cluster while clients place.
type story struct {
	*cluster
	clients *clients
}

// tell lets everything happen and returns what the clients were told.
func tell(ctx context.Context, c *cluster) (map[string]scheduler.Decision, error) {
	s := &story{c, &clients{cluster: c, told: make(map[string]scheduler.Decision)}}
	for _, chapter := range []func(context.Context) error{s.allIsWell, s.killLeader, s.cutLeaderOff, s.pauseLeader} {
		if err := chapter(ctx); err != nil {
			return nil, err
		}
	}
	return s.clients.decisions(), nil
}

// allIsWell lets each client ask another replica; followers hand requests on.
func (s *story) allIsWell(ctx context.Context) error {
	leader, err := s.leader(ctx, 0)
	if err != nil {
		return err
	}
	if err := s.clients.place(ctx)(); err != nil {
		return err
	}
	s.printf("%d tasks are placed; followers have handed %d of them to %s", batch, s.handedOn(), leader.id)
	return nil
}

// killLeader kills the leader between a write and its answer. The clients
// repeat their requests, and the next leader finds them placed already.
func (s *story) killLeader(ctx context.Context) error {
	s.arm(killAfterWrite, into)
	placed := s.clients.place(ctx)
	old, err := receive(ctx, s.struck)
	if err != nil {
		return err
	}
	if _, err := s.leader(ctx, old.token); err != nil {
		return err
	}
	<-old.ended // its member's name and store are free now
	s.printf("--- %s is started again", old.id)
	member, _ := old.node.Status().Configuration.Member(old.id)
	return errors.Join(s.start(ctx, member), placed())
}

// cutLeaderOff cuts the leader off. Its lease ends before the next leader's
// begins, so that it stops by itself.
func (s *story) cutLeaderOff(ctx context.Context) error {
	old, err := s.leader(ctx, 0)
	if err != nil {
		return err
	}
	placed := s.clients.place(ctx)
	s.printf("--- %s is cut off from the other replicas", old.id)
	s.isolate(old.id)
	if _, err := s.leader(ctx, old.token); err != nil {
		return err
	}
	s.printf("--- the cut is mended")
	s.heal()
	return placed()
}

// pauseLeader pauses the leader just before a write, while it rightly takes
// itself for the leader, and resumes it when another has long been leading and
// has placed the same tasks. Only the token can stop that write.
func (s *story) pauseLeader(ctx context.Context) error {
	s.arm(pauseBeforeWrite, into)
	placed := s.clients.place(ctx)
	old, err := receive(ctx, s.struck)
	if err != nil {
		return err
	}
	next, err := s.leader(ctx, old.token)
	if err != nil {
		return err
	}
	if err := placed(); err != nil {
		return err
	}
	s.printf("%s leads: %t; %s, in its pause, takes itself for the leader: %t",
		next.id, next.node.IsLeader(), old.id, old.node.IsLeader())
	s.printf("--- %s is resumed", old.id)
	old.resume()
	late, err := receive(ctx, old.late)
	if err != nil {
		return err
	}
	if !errors.Is(late, scheduler.ErrFenced) {
		return fmt.Errorf("the late write of %s was not refused: %w", old.id, late)
	}
	s.printf("the journal refuses the late write of %s: %v", old.id, late)
	for status := range old.node.Watch(ctx) {
		if status.Term > old.token && status.Leader != "" {
			s.printf("%s learns that %s leads", old.id, status.Leader)
			break
		}
	}
	return ctx.Err()
}

// leader waits until a replica decides under a token that is higher than one.
func (s *story) leader(ctx context.Context, token uint64) (reign, error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range s.members {
			p := s.process(m.Data)
			if serving := p.serving(); serving != nil && serving.Token() > token && p.alive() {
				return reign{p, serving.Token()}, nil
			}
		}
		if _, err := receive(ctx, tick.C); err != nil {
			return reign{}, err
		}
	}
}

// receive receives a value, unless ctx ends first.
func receive[T any](ctx context.Context, from <-chan T) (T, error) {
	select {
	case value := <-from:
		return value, nil
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
