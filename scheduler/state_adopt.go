package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// adopt decides on a report. It returns no change if nothing is new.
func (st *state) adopt(n placement.Node, running []Report) (*NodeAdopted, Adoption, error) {
	c, refusal := st.adoptable(n)
	if refusal != nil {
		c = &NodeAdopted{Node: n} // so that mistakes in the reports are named as well
	}
	var (
		adoption Adoption
		errs     = []error{refusal}
		reported = make(map[string]bool)
	)
	for i, r := range running {
		id := r.Request.ID
		if err := errors.Join(c.validate(r), twice(id, reported[id])); err != nil {
			errs = append(errs, fmt.Errorf("scheduler: report %d of instance %.256q: %w", i, id, err))
			continue
		}
		reported[id] = true
		if list := st.listFor(c, &adoption, r); list != nil {
			*list = append(*list, id)
			continue
		}
		r.Request = r.Request.Clone()
		r.Devices, r.DynamicPorts, r.Generation = slices.Clone(r.Devices), slices.Clone(r.DynamicPorts), max(r.Generation, 1)
		adoption.Adopted = append(adoption.Adopted, id)
		c.Instances = append(c.Instances, r)
	}
	if refusal == nil {
		errs = append(errs, st.bearable(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, Adoption{}, err
	}
	old := st.named(n.ID)
	if old != nil {
		adoption.Missing = old.missing(reported)
	}
	for _, list := range [][]string{adoption.Adopted, adoption.Known, adoption.Conflicts, adoption.Released} {
		slices.Sort(list)
	}
	if old != nil && !old.lost && !old.unreported && len(c.Instances) == 0 && old.Equal(c.Node) {
		return nil, adoption, nil
	}
	return c, adoption, nil
}

// missing returns what is on the books of a node and not reported, by ID.
func (n *node) missing(reported map[string]bool) []string {
	var missing []string
	for _, a := range n.allocations() {
		if a.state != stale && !reported[a.id] {
			missing = append(missing, a.id)
		}
	}
	return missing
}

// twice refuses an instance that was reported before.
func twice(id string, again bool) error {
	if again {
		return &placement.InvalidError{Field: "id", Value: id, Reason: "reported twice"}
	}
	return nil
}

// bearable refuses reports that the books cannot hold: more dimensions than a
// cluster may have, or sums beyond an int64.
func (st *state) bearable(c *NodeAdopted) error {
	every := c.Node.Allocatable()
	for _, r := range c.Instances {
		for name := range r.Request.Resources.Custom {
			every = every.With(placement.ResourceName(name), 1)
		}
	}
	if err := st.admitDimensions("reports", every); err != nil {
		return err
	}
	return st.countable(st.named(c.Node.ID), c.Instances)
}

// countable refuses what returns with a node, which may be nil, and what is
// reported of it, if a sum on the node or in a namespace would not fit an int64.
func (st *state) countable(n *node, running []Report) error {
	var used placement.Resources
	if n != nil {
		used = st.index.Used(n.row)
	}
	for _, r := range running {
		var err error
		if used, err = used.Add(r.Request.Resources); err != nil {
			return uncountable(r)
		}
	}
	var entering *Report // nil is what returns
	err := st.quota.CheckAll(st.now, func(yield func(string, quota.Timed) bool) {
		if n != nil {
			for _, a := range n.instances {
				if a.state == lost && !yield(a.namespace(), a.charge()) {
					return
				}
			}
		}
		for i := range running {
			entering = &running[i]
			if !yield(entering.Request.Namespace, quota.Timed{Amounts: placement.OneInstance(entering.Request.Resources)}) {
				return
			}
		}
	})
	if err != nil && entering != nil {
		return uncountable(*entering)
	}
	return err
}

func uncountable(r Report) error {
	return &placement.InvalidError{
		Field: "reports[" + r.Request.ID + "]", Value: r.Request.Resources.String(),
		Reason: "the sum overflows",
	}
}

// adoptable returns the change for a node of which nothing runs.
func (st *state) adoptable(n placement.Node) (*NodeAdopted, error) {
	if known := st.named(n.ID); known != nil {
		updated, err := st.admitUpdate(n)
		if err != nil {
			return nil, err
		}
		return &NodeAdopted{Node: updated.Node, Moves: updated.Moves}, nil
	}
	added, err := st.admitNew(n)
	if err != nil {
		return nil, err
	}
	return &NodeAdopted{Node: added.Node, Join: added.Join}, nil
}

func (c *NodeAdopted) validate(r Report) error {
	errs := []error{r.Request.Validate()}
	if r.Generation > maxReported {
		errs = append(errs, &placement.InvalidError{Field: "generation", Value: fmt.Sprint(r.Generation), Reason: "want at most 2^62"})
	}
	if err := checkDevices(&c.Node, r.Request.Resources.GPU, r.Devices); err != nil {
		errs = append(errs, &placement.InvalidError{Field: "devices", Value: fmt.Sprint(r.Devices), Reason: err.Error()})
	}
	if len(r.Reservation) > placement.MaxIDBytes || !utf8.ValidString(r.Reservation) {
		errs = append(errs, &placement.InvalidError{Field: "reservation", Value: r.Reservation, Reason: "want the ID of a reservation"})
	}
	if err := checkDynamicPorts(&r.Request, r.DynamicPorts); err != nil {
		errs = append(errs, &placement.InvalidError{Field: "dynamicPorts", Value: fmt.Sprint(r.DynamicPorts), Reason: err.Error()})
	}
	return errors.Join(errs...)
}

// listFor returns the list that a reported instance belongs to, nil if it is new.
func (st *state) listFor(c *NodeAdopted, adoption *Adoption, r Report) *[]string {
	a := st.allocations.At(r.Request.ID)
	switch {
	case a == nil && st.released.known.At(r.Request.ID):
		return &adoption.Released
	case a == nil && st.generation(r.Request.ID, max(r.Generation, 1)) == nil:
		return nil
	case a != nil && st.on(a).ID == c.Node.ID && a.answers(&r.Request, st.index.Class(&r.Request)) &&
		(r.Generation == 0 || r.Generation == a.generation):
		return &adoption.Known
	default:
		return &adoption.Conflicts
	}
}

// apply enters a node and what was reported of it.
func (c *NodeAdopted) apply(st *state, out *outcome) {
	if known := st.named(c.Node.ID); known != nil {
		(&NodeUpdated{Node: c.Node, Moves: c.Moves}).apply(st, out)
	} else {
		(&NodeAdded{Node: c.Node, Join: c.Join}).apply(st, out)
	}
	record := st.edit(st.named(c.Node.ID).row)
	record.unreported = false
	if record.lost {
		(&NodeMarked{NodeID: record.ID, Mark: MarkReady}).apply(st, out)
	}
	st.index.SetState(record.row, record.indexState())
	over := make(overLimit)
	for _, r := range c.Instances {
		over.note(st.place(&Placed{
			ID: r.Request.ID, Resources: r.Request.Resources, NodeID: record.ID, Devices: packed(r.Devices),
			DynamicPorts: r.DynamicPorts, Generation: r.Generation, rules: &r.Request,
		}, out))
		out.overfull = record.ID
		if r.Reservation != "" {
			out.reported = append(out.reported, r)
		}
	}
	st.tellOver(over, out)
}

func (c *NodeAdopted) check(st *state) error {
	if _, err := st.adoptable(c.Node); err != nil {
		return err
	}
	errs := []error{st.checkPlan(c.Moves, &c.Node)}
	seen := make(map[string]bool)
	for _, r := range c.Instances {
		err := c.validate(r)
		if st.allocations.At(r.Request.ID) != nil || seen[r.Request.ID] || r.Generation == 0 {
			err = errors.Join(err, placement.Conflict(placement.KindAllocation, r.Request.ID, "is there twice"))
		}
		seen[r.Request.ID] = true
		errs = append(errs, err)
	}
	return errors.Join(append(errs, st.bearable(c))...)
}
