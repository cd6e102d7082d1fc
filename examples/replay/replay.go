package main

import (
	"context"
	"errors"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// runResult is what one run came to.
type runResult struct {
	tasks, placed int
	refused       map[string]int // tasks by reason
	latencies     []time.Duration
	curve         curve
}

// policy is how a run decides.
type policy struct {
	strategy placement.Strategy
	seed     uint64
}

// replay places the arrivals one by one on an empty cluster. A refused task
// is counted and the run goes on; nothing ever leaves. It calls observe after
// each arrival, with an empty decision for a refused one.
func replay(
	ctx context.Context, c inventory, arriving []placement.Request, by policy, observe func(scheduler.Decision),
) (runResult, error) {
	s, err := scheduler.New(scheduler.Config{Seed: by.seed, Workload: c.mix})
	if err != nil {
		return runResult{}, err
	}
	for _, n := range c.nodes {
		if err := s.AddNode(ctx, n); err != nil {
			return runResult{}, err
		}
	}
	r := runResult{tasks: len(arriving), refused: make(map[string]int), latencies: make([]time.Duration, 0, len(arriving))}
	var asked, used placement.Resources
	for _, req := range arriving {
		req.Preferences.Strategy = by.strategy
		began := time.Now()
		d, err := s.Place(ctx, req)
		r.latencies = append(r.latencies, time.Since(began))

		asked.CPU += req.Resources.CPU
		asked.GPU += req.Resources.GPU
		if err == nil {
			r.placed++
			if used, err = used.Add(req.Resources); err != nil {
				return runResult{}, err
			}
		} else if refusal, ok := errors.AsType[*scheduler.UnschedulableError](err); ok {
			r.refused[reason(refusal)]++
		} else {
			return runResult{}, err
		}
		arrived := roundedPercent(asked.Amount(c.load), c.total.Amount(c.load))
		r.curve.add(arrived, shareOf(used, c.total))
		observe(d)
	}
	return r, nil
}

// reason names what refused the task on most nodes; of equals the one that is
// checked first.
func reason(refusal *scheduler.UnschedulableError) string {
	var most scheduler.ReasonCount
	for _, r := range refusal.Reasons {
		if r.Nodes > most.Nodes {
			most = r
		}
	}
	switch most.Reason.Kind {
	case placement.ReasonResource:
		return string(most.Reason.Name)
	case placement.ReasonConstraint:
		return placement.LabelGPUModel // the only label that tasks ask for
	default:
		return most.Reason.Kind.String()
	}
}
