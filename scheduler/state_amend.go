package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// canAmend decides on another request for an instance. It returns no change if it is
// the one that it has.
func (st *state) canAmend(now time.Time, req *placement.Request) (decided, error) {
	a, err := st.allocation(req.ID)
	if err != nil {
		return nil, err
	}
	if a.answers(req, st.index.Class(req)) {
		return nil, nil
	}
	if err := st.amendable(a, req); err != nil {
		return nil, err
	}
	ports, err := st.amendedPorts(a, req)
	if err == nil {
		err = st.roomToStay(a, req)
	}
	if exceeded := st.admitsAmendment(now, a, req); exceeded != nil || err != nil {
		return nil, both(err, exceeded)
	}
	amended := req.Clone()
	amended.Resources = a.resources.Clone()
	return &Amended{Request: amended, Generation: a.generation, DynamicPorts: ports}, nil
}

// amendable refuses a request that differs in what cannot be amended.
func (st *state) amendable(a *allocation, req *placement.Request) error {
	refused := ""
	_, in, stands := st.plan.ClaimOf(a.id)
	switch {
	case !a.resources.Equal(req.Resources) && (a.asked() == nil || !a.asked().Equal(req.Resources)):
		refused = "has other resources, which Resize changes"
	case a.namespace() != req.Namespace:
		refused = "is of another namespace"
	case stands && a.class.Request().Duration != req.Duration:
		refused = "stands in reservation " + in + ", which counts with its Duration"
	default:
		return checkWindow(a.placed(), req)
	}
	return placement.Conflict(placement.KindAllocation, a.id, refused)
}

// amendedPorts returns the dynamic ports of an instance with another request: those
// that it has, as far as it still asks for them, and others as for a new one. It
// refuses what is not free of the ports that it does not have yet.
func (st *state) amendedPorts(a *allocation, req *placement.Request) ([]uint16, error) {
	has := a.taken().Ports
	var added placement.Request
	for _, port := range req.Ports {
		if !slices.Contains(a.class.Request().Ports, port) && !slices.Contains(has, port.Number) {
			added.Ports = append(added.Ports, port)
		}
	}
	kept := slices.DeleteFunc(slices.Clone(has), func(number uint16) bool {
		return slices.ContainsFunc(req.Ports, func(port placement.Port) bool { return port.Number == number })
	})
	kept = kept[:min(len(kept), req.DynamicPorts)]
	if added.DynamicPorts = req.DynamicPorts - len(kept); added.DynamicPorts+len(added.Ports) == 0 {
		return kept, nil
	}
	q := st.query(&added)
	for _, f := range st.index.Diagnose(&q, a.row).Failures {
		if f.Reason.Kind == placement.ReasonPort {
			return nil, st.refusedOn(a, f.Reason)
		}
	}
	kept = append(kept, st.index.DynamicPorts(&q, a.row)...)
	slices.Sort(kept)
	return kept, nil
}

// roomToStay refuses that a transient instance stays for longer, or does not yield any
// more, where others hold what it uses.
func (st *state) roomToStay(a *allocation, req *placement.Request) error {
	stay, counted := st.plan.Stay(a.id)
	if !counted || req.Yield || stay.Overstayed && !stay.Yield {
		return nil
	}
	w := stayWindow(a.placed(), req.Duration)
	if !stay.Yield { // until then it counts already
		w.Start = stay.Window.End
	}
	if name := st.plan.Lacks(&planNodes{st: st}, a.id, w); name != "" {
		return st.refusedOn(a, placement.Reason{Kind: placement.ReasonHold, Name: name})
	}
	return nil
}

// admitsAmendment asks the quota for what an instance charges over another time.
func (st *state) admitsAmendment(now time.Time, a *allocation, req *placement.Request) error {
	if a.state != running {
		return nil
	}
	from := a.charge()
	to := quota.Timed{Amounts: from.Amounts}
	if !a.outstays(now, req) {
		to.Until = leaving(a.placed(), req.Duration)
	}
	verdict, err := st.quota.CheckExchange(now, quota.Exchange{
		Namespace: a.namespace(), From: []quota.Timed{from}, To: []quota.Timed{to},
	})
	return st.exceeded(a.namespace(), verdict, err)
}

// outstays reports whether an instance is there for longer than a request for it says.
func (a *allocation) outstays(now time.Time, req *placement.Request) bool {
	return req.Duration > 0 && !a.placed().Add(req.Duration).After(now)
}

func (c *Amended) check(st *state) error {
	a, err := st.allocation(c.Request.ID)
	if err != nil {
		return err
	}
	if err := c.Request.Validate(); err != nil {
		return err
	}
	if a.generation != c.Generation || !a.resources.Equal(c.Request.Resources) {
		return fmt.Errorf("generation %d of %q cannot be amended", c.Generation, a.id)
	}
	if err := st.amendable(a, &c.Request); err != nil {
		return err
	}
	return checkDynamicPorts(&c.Request, c.DynamicPorts)
}

func (c *Amended) apply(st *state, out *outcome) {
	a := st.own(st.allocations.At(c.Request.ID))
	before := *a
	asked, transient := st.plan.Stay(a.id)
	if a.covered() == nil {
		st.leave(a, out)
	}
	st.reclass(a, &c.Request, c.DynamicPorts)
	if !c.Request.Yield { // so that reservations ask it to leave no more
		asked.Due = time.Time{}
	}
	if a.state == running {
		st.stayOn(a, asked.Due, transient && !asked.Told, out) // who has no end was asked with all
		st.timeEviction(a)
	}
	st.join(a) // first, so that what is compiled for its class stays
	st.unjoin(&before)
	st.letGo(before.class)
	out.roomOn(st, st.on(a).ID)
}

// reclass gives an instance, which is owned, the class and the dynamic
// ports of another request. It counts for others as before.
func (st *state) reclass(a *allocation, req *placement.Request, ports []uint16) {
	class := st.index.Retain(st.index.Class(req))
	st.index.Vacate(a.row, a.class, &a.resources, a.taken())
	change := func() {
		a.class = class
		a.overstayed = a.overstayed && (a.covered() != nil || a.outstays(st.now, req))
	}
	if a.state == running {
		st.rechargeAs(a, change)
	} else {
		change()
	}
	a.take(a.taken().Devices, slices.Clone(ports))
	a.version = st.seq
	st.index.Occupy(a.row, a.class, &a.resources, a.taken())
}
