package scheduler

import (
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// findClaim decides where in a reservation a request goes.
func (st *state) findClaim(now time.Time, id string, req *placement.Request) (found, error) {
	q := st.query(req)
	generation, existing, err := st.identify(req, &q)
	if err != nil {
		return found{}, err
	}
	if existing != nil {
		if _, in, ok := st.plan.ClaimOf(req.ID); !ok || in != id {
			return found{}, &ConflictError{KindAllocation, req.ID, "is placed outside of reservation " + id}
		}
		return found{existing: existing}, nil
	}
	changes, err := st.plan.Claim(&planNodes{st: st}, id, *req, func(node string) bool {
		for _, f := range st.index.Verdict(&q, st.nodes[node].slot).Failures {
			switch f.Reason.Kind {
			case placement.ReasonInstances, placement.ReasonResource, placement.ReasonHold:
				// The plan has its own count of these.
			default:
				return false
			}
		}
		return true
	})
	if err != nil {
		return found{}, err
	}
	claim := &changes[0]
	verdict, err := st.quota.Check(now, req.Namespace, amountsOf(claim.Claim.Excess), quota.MayBurst)
	if err := st.exceeded(req.Namespace, verdict, err); err != nil {
		return found{}, err
	}
	r, _ := st.plan.Reservation(id)
	n := st.nodes[r.Slots[claim.Slot].Node]
	terms := st.index.Verdict(&q, n.slot).Terms
	return found{
		node: n, class: q.Class, devices: packed(claim.Claim.Devices), score: terms.Normalized(),
		generation: generation, claim: claim,
	}, nil
}

// uncover makes an instance pay for itself what its slot has paid for, when
// it has lost that. One on a node that goes is about to cost nothing.
func (st *state) uncover(a *allocation) {
	if a != nil && a.covered != nil && a.state == running && !a.node.lost {
		st.edit(a.node)
		before := st.chargeOf(a)
		a.covered = nil
		ns := a.namespace()
		_, _ = st.editQuota(ns).Replace(st.now, ns, before, st.chargeOf(a))
	}
}

// slotted reports whether an instance stands in a slot of a reservation that
// has not ended.
func (st *state) slotted(a *allocation) bool {
	_, id, ok := st.plan.ClaimOf(a.id)
	r, _ := st.plan.Reservation(id)
	return ok && r.Phase == reservation.Active
}

// resizeClaim tells the plan of the size of an instance that has outlived its
// reservation. The reservation's namespace goes on to pay for what it has paid
// for, as far as that is still there.
func (st *state) resizeClaim(a *allocation, out *outcome) {
	_, id, ok := st.plan.ClaimOf(a.id)
	if !ok {
		return
	}
	r, _ := st.plan.Reservation(id)
	for _, slot := range r.Slots {
		for i := range slot.Claims {
			if c := &slot.Claims[i]; c.ID == a.id {
				excess := st.chargeOf(a)
				c.Held = reservation.Load{Resources: a.covered.Resources, Instances: a.covered.Instances}
				c.Excess = reservation.Load{Resources: excess.Resources, Instances: excess.Instances}
				c.Devices = deviceList(a.devices)
			}
		}
	}
	r.Version++
	st.applyPlan([]reservation.PlanChange{{Kind: reservation.Put, Reservation: &r}}, out)
}
