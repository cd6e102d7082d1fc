package scheduler

import (
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// check refuses a change from a journal that the state could not follow: one
// that names what is not there, or repeats what is. Changes of this process
// were decided on the state itself and need no check.
func (st *state) check(c Change) error {
	switch c := c.(type) {
	case *NodeAdded:
		return st.checkAdded(c)
	case *NodeUpdated:
		_, err := st.admitUpdate(c.Node)
		return errors.Join(err, st.checkPlan(c.Moves, &c.Node))
	case *NodeMarked:
		return errors.Join(st.checkMarked(c), st.checkPlan(c.Moves, nil))
	case *NodeRemoved:
		_, err := st.node(c.NodeID)
		return errors.Join(err, st.checkPlan(c.Moves, nil))
	case *PlanChanged:
		return st.checkPlan(c.Changes, nil)
	case *WorkloadChanged:
		return validateMix(c.Mix)
	case *NodeAdopted:
		return st.checkAdopted(c)
	case *Placed:
		return st.checkPlaced(c)
	case *Released:
		if st.generation(c.ID, c.Generation) == nil {
			return &NotFoundError{KindAllocation, c.ID}
		}
	case *Resized:
		return st.checkResized(c)
	case *QuotaCreated:
		return st.quota.CheckCreate(c.Spec)
	case *QuotaUpdated:
		return st.quota.CheckUpdate(c.Spec)
	case *QuotaDeleted:
		return st.quota.CheckDelete(c.Namespace)
	}
	return nil
}

func (st *state) checkAdded(c *NodeAdded) error {
	_, err := st.admitNew(c.Node)
	return err
}

func (st *state) checkMarked(c *NodeMarked) error {
	n, err := st.node(c.NodeID)
	if err == nil && c.Mark == MarkReady {
		err = st.countable(n, nil)
	}
	return err
}

func (st *state) checkPlaced(c *Placed) error {
	n, err := st.node(c.NodeID)
	if err != nil {
		return err
	}
	if old := st.allocations[c.Request.ID]; old != nil && (old.state != lost || c.Generation <= old.generation) {
		return &ConflictError{KindAllocation, c.Request.ID, "is placed"}
	}
	if err := st.checkInstance(&c.Request, n, c.Devices, c.Generation); err != nil || c.Claim == nil {
		return err
	}
	return st.checkClaim(c)
}

func (st *state) checkInstance(req *placement.Request, n *node, devices []uint16, generation uint64) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if st.generation(req.ID, generation) != nil {
		return &ConflictError{KindAllocation, req.ID, "is there twice"}
	}
	return errors.Join(st.checkDimensions(req.Resources), checkDevices(n.Node, req.Resources.GPU, devices))
}

// checkDimensions refuses amounts in more dimensions than a cluster has.
func (st *state) checkDimensions(r placement.Resources) error {
	return st.admitDimensions("resources.custom", r)
}

func (st *state) checkResized(c *Resized) error {
	a, err := st.allocation(c.ID)
	if err != nil {
		return err
	}
	if err := c.Resources.Validate(); err != nil {
		return err
	}
	return errors.Join(st.checkDimensions(c.Resources), checkDevices(a.node.Node, c.Resources.GPU, c.Devices))
}

// checkDevices refuses devices that the node does not have, and a number of
// them other than the amount of GPU needs.
func checkDevices[D int | uint16](n *placement.Node, amount int64, devices []D) error {
	want := (amount + placement.Device - 1) / placement.Device
	if int64(len(devices)) != want {
		return fmt.Errorf("%d devices for %d thousandths of GPU", len(devices), amount)
	}
	for i, d := range devices {
		if d < 0 || int(d) >= n.Devices.Count || i > 0 && d <= devices[i-1] {
			return fmt.Errorf("device %d of node %q", d, n.ID)
		}
	}
	return nil
}
