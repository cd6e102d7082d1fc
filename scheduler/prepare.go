package scheduler

import (
	"context"
	"strings"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// Prepared is a request that a host places many times, under different IDs. It is
// checked once, and its rules are looked up once. What it decides is what Place
// decides for the same request.
//
// It stays valid as long as its scheduler, whatever changes there, and is safe for
// concurrent use. The scheduler keeps nothing for it: one that is forgotten takes no
// memory, and one that is used again after a long time has its rules looked up again.
type Prepared struct {
	s       *calls
	request placement.Request // without an ID
	class   *index.Class      // nil until the first use; guarded by the lock of s
}

// Prepare checks a request whose ID does not matter. It returns InvalidErrors for
// everything that is wrong with it; one that would be too long with the longest ID is
// too long. It keeps a copy of the request. It takes time in proportion to what the
// request holds.
func (s *calls) Prepare(req placement.Request) (*Prepared, error) {
	req.ID = strings.Repeat("<", placement.MaxIDBytes) // no other ID is longer in JSON
	if err := req.Validate(); err != nil {
		return nil, err
	}
	req.ID = ""
	return &Prepared{s: s, request: req.Clone()}, nil
}

// Request returns a copy of the request, without an ID.
func (p *Prepared) Request() placement.Request { return p.request.Clone() }

// Place places the request under an ID. Decisions, errors and cost are those of
// [Scheduler.Place], less the time in proportion to what the request holds.
func (p *Prepared) Place(ctx context.Context, id string) (Decision, error) {
	if err := checkID(id); err != nil {
		return Decision{}, err
	}
	s := p.s
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	d, err := s.decideLocked(p.askLocked(id, &s.scratch.request), "", true)
	if err := s.unlockAndWait(ctx, err); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// PlaceAll places the request under each of the IDs. Results, errors and cost are those
// of [Scheduler.PlaceAll].
func (p *Prepared) PlaceAll(ctx context.Context, ids ...string) ([]PlaceResult, error) {
	results := make([]PlaceResult, len(ids))
	for i, id := range ids {
		results[i].Err = checkID(id)
	}
	return p.s.placeAll(ctx, results, func(i int, req *placement.Request) *index.Query {
		return p.askLocked(ids[i], req)
	})
}

// askLocked writes the request under an ID to where it says, and returns its query.
func (p *Prepared) askLocked(id string, req *placement.Request) *index.Query {
	*req = p.request
	req.ID = id
	if x := p.s.state.index; p.class == nil {
		p.class = x.Class(req)
	} else {
		p.class = x.Known(p.class)
	}
	return p.s.state.askAs(req, p.class)
}

// checkID reports what is wrong with the ID of a request.
func checkID(id string) error { return placement.Request{ID: id}.Validate() }
