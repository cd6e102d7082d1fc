package scheduler

import (
	"context"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// PlaceResult is what PlaceAll did with one request: what Place would have returned.
type PlaceResult struct {
	Decision Decision
	// Err is nil if the request was placed, or had been placed before.
	Err error
}

// PlaceAll places many requests, in the order in which they are given, and returns
// what became of each. It places what fits: a request that is refused, or is invalid,
// changes nothing and does not keep the others from being placed.
//
// The results are what as many calls of Place return, one after the other at the same
// time, but for the Version of decisions and refusals: an entry has one for all that it
// places. So it is idempotent as Place is, and a request sees those before it.
//
// An error of the call as a whole means that no result is known: ctx has ended, or the
// scheduler is closed or its journal has failed. Some requests may have been placed
// then. Repeat the call with the same requests.
//
// Up to 64 requests become one entry. Other callers wait for one entry at most: after
// 64 requests, after requests with 256 KiB of rules, or after it has looked at 32,768
// nodes one by one, the call lets them go first, and continues in another entry. It
// waits for the journal once, at the end.
//
// For each request it costs what Place does, less what is done once for an entry. A
// BinPack request that is like the one before it, and has no ports and no rules about
// instances, takes constant time if it fits on the same node.
func (s *calls) PlaceAll(ctx context.Context, reqs ...placement.Request) ([]PlaceResult, error) {
	results := make([]PlaceResult, len(reqs))
	for i := range reqs {
		results[i].Err = reqs[i].Validate()
	}
	return s.placeAll(ctx, results, func(i int, req *placement.Request) *index.Query {
		*req = reqs[i]
		return s.state.ask(req)
	})
}

// asker writes the i-th request of a call to where it says, and returns its query. The
// lock is held.
type asker func(i int, req *placement.Request) *index.Query

// placeAll places the requests whose results have no error yet.
func (s *calls) placeAll(ctx context.Context, results []PlaceResult, ask asker) ([]PlaceResult, error) {
	ahead := uint64(0)
	for done := 0; ; {
		if err := s.enter(ctx); err != nil {
			s.mu.Lock() // what has been placed must not wait for the next call
			return nil, s.unlockAndWait(ctx, err)
		}
		t := placeTurn{s: s, results: results[done:], ahead: ahead}
		t.placeLocked(func(i int, req *placement.Request) *index.Query { return ask(done+i, req) })
		if ahead, done = t.ahead, done+t.done; done == len(results) {
			break
		}
		s.mu.Unlock()
	}
	if err := s.unlockAndWait(ctx, nil); err != nil {
		return nil, err
	}
	return results, nil
}

// placeTurn is what PlaceAll does without letting go of the lock: one entry, or none if
// nothing is placed.
type placeTurn struct {
	s       *calls
	results []PlaceResult // not of earlier turns
	done    int           // of these
	ahead   uint64        // by how much the Seq would be greater after as many calls of Place
	placed  []Placed      // kept by those who listen
	bytes   int           // of rules
	nodes   int           // looked at one by one
}

// The bounds of a turn.
const (
	turnRequests = 64
	turnBytes    = 256 << 10
	turnNodes    = 1 << 15
)

func (t *placeTurn) over() bool {
	return t.done == len(t.results) || t.done == turnRequests || t.bytes >= turnBytes || t.nodes >= turnNodes
}

func (t *placeTurn) placeLocked(ask asker) {
	s := t.s
	e, out := s.beginLocked(false)
	var err error
	for ; err == nil && !t.over(); t.done++ {
		result := &t.results[t.done]
		if result.Err != nil {
			continue
		}
		req := &s.scratch.request
		q := ask(t.done, req)
		q.Seq += t.ahead
		t.bytes += q.Class.Bytes()
		looked := s.state.looked()
		began := s.decided.begin()
		var to candidate
		to, result.Err = s.state.find(s.now, req, q, "")
		t.nodes += s.state.looked() - looked
		switch {
		case result.Err != nil:
			s.refused.note(s.now, req, result.Err)
		case to.existing != nil:
			result.Decision = s.state.decision(to.existing)
		default:
			if len(e.changes) > 0 {
				t.ahead++
			}
			s.refused.forget(req.ID)
			c := t.change(req, &to)
			s.tried.note(s.state, c)
			err = s.state.commitPlaced(e, out, c)
			result.Decision = s.decisionLocked(req, &to)
		}
		s.decided.end(began, to.existing != nil, result.Err)
	}
	if len(e.changes) > 0 || err != nil {
		s.endLocked(e, out, err, false)
	}
}

// change returns the change that places a request.
func (t *placeTurn) change(req *placement.Request, to *candidate) *Placed {
	c := &t.s.scratch.placed
	if t.s.keepingLocked() { // and the change outlives the call
		if len(t.placed) == 0 {
			t.placed = make([]Placed, min(turnRequests, len(t.results))-t.done)
		}
		c, t.placed = &t.placed[0], t.placed[1:]
	}
	*c = t.s.state.placed(req, to)
	return c
}
