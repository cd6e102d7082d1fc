package scheduler

import (
	"context"
	"errors"
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// ReservationExplanation says what Reserve would do now, and what each node has for
// it.
type ReservationExplanation struct {
	// Version of the state that was looked at.
	Version uint64 `json:"version"`
	// Reservation that Reserve would return, with the nodes of its slots, and the
	// slots of others that would move or be lost for it; nothing if it is refused.
	Reservation *reservation.Reservation `json:"reservation,omitempty"`
	Moves       []reservation.PlanChange `json:"moves,omitempty"`
	// Refused is why there is no room, and Exceeded what stands against it in the
	// quota of its namespace.
	Refused  *reservation.RefusedError `json:"refused,omitempty"`
	Exceeded []quota.Violation         `json:"exceeded,omitempty"`
	// Reasons counts the nodes without room for any slot, as an UnschedulableError
	// does, by the rule that each fails first, or else by what it is short of.
	Reasons []ReasonCount `json:"reasons,omitempty"`
	// Nodes that meet the rules, the best first, then those that do not by join.
	Nodes []ReservationVerdict `json:"nodes,omitempty"`
}

// ReservationVerdict says what one node has for the slots of a reservation.
type ReservationVerdict struct {
	reservation.NodeRoom
	// Failures are the rules that the node fails, in filter order.
	Failures []Failure `json:"failures,omitempty"`
}

// ExplainReservation says what Reserve would do now, whether or not there is room,
// and changes nothing. It costs what Reserve does, and a look at the rules and the
// holders of every node.
//
// Errors: those of Reserve, but for refusals, which are part of the answer.
func (s *view) ExplainReservation(ctx context.Context, spec reservation.Spec) (ReservationExplanation, error) {
	var e ReservationExplanation
	err := s.read(ctx, func(st *state) (err error) {
		e, err = st.explainReservation(spec)
		return err
	})
	if err != nil {
		return ReservationExplanation{}, err
	}
	return e, nil
}

func (st *state) explainReservation(spec reservation.Spec) (ReservationExplanation, error) {
	e := ReservationExplanation{Version: st.seq}
	nodes := &planNodes{st: st}
	changes, err := st.plan.Reserve(nodes, spec)
	if refused := (*reservation.RefusedError)(nil); errors.As(err, &refused) {
		e.Refused = refused
		err = st.affordsAll(st.plan.Now(), &spec, refused.Window)
	} else if err == nil {
		_, err = st.affordable(st.plan.Now(), changes, nil)
	}
	exceeded := (*quota.ExceededError)(nil)
	switch {
	case errors.As(err, &exceeded):
		e.Exceeded = exceeded.Verdict.Violations
	case err != nil:
		return e, err
	case e.Refused == nil:
		e.promise(st, &spec, changes)
	}
	rooms, err := st.plan.Explain(nodes, spec)
	if err != nil {
		return e, err
	}
	e.count(st, &spec, rooms)
	return e, nil
}

// promise notes what Reserve would make, or has made.
func (e *ReservationExplanation) promise(st *state, spec *reservation.Spec, changes []reservation.PlanChange) {
	for _, c := range changes {
		if c.Kind == reservation.Move {
			e.Moves = append(e.Moves, c)
		} else if c.Reservation != nil && e.Reservation == nil {
			e.Reservation = c.Reservation
		}
	}
	if r, known := st.plan.Reservation(spec.ID); known && len(changes) == 0 {
		e.Reservation = &r
	}
}

// count notes what each node has, and why those have nothing that have not.
func (e *ReservationExplanation) count(st *state, spec *reservation.Spec, rooms []reservation.NodeRoom) {
	var reasons []placement.Reason
	meet := make(map[string]bool)
	for _, room := range rooms {
		meet[room.Node] = true
		e.Nodes = append(e.Nodes, ReservationVerdict{NodeRoom: room})
		switch {
		case room.Slots > 0:
		case room.Short == "":
			reasons = append(reasons, interruption())
		case len(room.Holders) > 0:
			reasons = append(reasons, placement.Reason{Kind: placement.ReasonHold, Name: room.Short})
		default:
			reasons = append(reasons, placement.Reason{Kind: placement.ReasonResource, Name: room.Short})
		}
	}
	req := placement.Request{ID: spec.ID, Namespace: spec.Namespace, Group: "reservation " + spec.ID, Preferences: spec.Preferences}
	q := st.query(&req)
	for row := range st.index.InJoinOrder() {
		n := st.at(row)
		if meet[n.ID] || spec.Node != "" && spec.Node != n.ID {
			continue
		}
		v := ReservationVerdict{NodeRoom: reservation.NodeRoom{Node: n.ID}}
		for _, f := range st.index.Diagnose(&q, n.row).Failures {
			v.Failures = append(v.Failures, Failure(f))
		}
		if len(v.Failures) > 0 {
			reasons = append(reasons, v.Failures[0].Reason)
			e.Nodes = append(e.Nodes, v)
		}
	}
	slices.SortFunc(reasons, placement.CompareReasons)
	for _, r := range reasons {
		if last := len(e.Reasons) - 1; last >= 0 && e.Reasons[last].Reason == r {
			e.Reasons[last].Nodes++
			continue
		}
		e.Reasons = append(e.Reasons, ReasonCount{r, 1})
	}
}
