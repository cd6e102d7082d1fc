package scheduler

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// Refusal is a request that was refused and has not been placed since.
type Refusal struct {
	// Request as it was last asked.
	Request placement.Request `json:"request"`
	// First and Last are when it was refused for the first and the last time, in the
	// state's time, and Times is how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	// Unschedulable and Exceeded are the last refusal: no node fits, the quota is
	// used up, or both.
	Unschedulable *UnschedulableError  `json:"unschedulable,omitempty"`
	Exceeded      *quota.ExceededError `json:"exceeded,omitempty"`
}

// String reads like the errors of the last refusal.
func (r Refusal) String() string {
	var all []string
	if r.Unschedulable != nil {
		all = append(all, r.Unschedulable.Error())
	}
	if r.Exceeded != nil {
		all = append(all, r.Exceeded.Error())
	}
	return strings.Join(all, "; ")
}

// maxRefusals is how many IDs are remembered whose requests were refused.
const maxRefusals = 256

// refusedLately are the requests that were refused last, each until it is placed. The zero
// value remembers none.
type refusedLately struct {
	byID map[string]*list.Element
	last list.List // of *Refusal, what was refused last at the back
}

// note remembers that a request was refused, if that is what the error says, and forgets
// the one that was refused the longest ago if there are too many. It takes constant
// time, and for a request that it does not know time in proportion to it.
func (r *refusedLately) note(now time.Time, req *placement.Request, err error) {
	refusal := Refusal{First: now, Last: now, Times: 1}
	if !errors.As(err, &refusal.Unschedulable) && !errors.As(err, &refusal.Exceeded) {
		return
	}
	errors.As(err, &refusal.Exceeded)
	known := r.byID[req.ID]
	switch {
	case known != nil:
		before := known.Value.(*Refusal)
		refusal.First, refusal.Times = before.First, before.Times+1
		if refusal.Request = before.Request; !before.Request.Equal(*req) {
			refusal.Request = req.Clone()
		}
		r.last.Remove(known)
	default:
		refusal.Request = req.Clone()
		if r.last.Len() == maxRefusals {
			r.forget(r.last.Front().Value.(*Refusal).Request.ID)
		}
	}
	if r.byID == nil {
		r.byID = make(map[string]*list.Element)
	}
	r.byID[req.ID] = r.last.PushBack(&refusal)
}

// forget says that the ID waits no more. It takes constant time.
func (r *refusedLately) forget(id string) {
	if known := r.byID[id]; known != nil {
		r.last.Remove(known)
		delete(r.byID, id)
	}
}

// Refused returns the requests that this scheduler has refused and that it has neither
// placed nor adopted since, those that were refused first before others: what a host
// still tries to place, if it tries again. It remembers the 256 IDs that were refused
// last, in this process alone: a journal does not have them, and a follower has none.
// What nobody asks for any more stays until others take its place: Last tells when
// somebody did.
//
// Requests of Place, PlaceAll, Allocate and PlaceFromReservation count. It takes time
// and memory in proportion to what is remembered.
func (s *view) Refused(ctx context.Context) ([]Refusal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	all := make([]Refusal, 0, s.refused.last.Len())
	for e := s.refused.last.Front(); e != nil; e = e.Next() {
		all = append(all, *e.Value.(*Refusal))
	}
	s.mu.RUnlock()
	for i := range all {
		all[i].Request = all[i].Request.Clone()
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Request.ID, b.Request.ID))
	})
	return all, nil
}
