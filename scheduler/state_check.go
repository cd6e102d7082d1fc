package scheduler

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

func (c *Placed) check(st *state) error {
	n, err := st.node(c.NodeID)
	if err != nil {
		return err
	}
	if err := st.checkSuccessor(c); err != nil {
		return err
	}
	req := c.Request()
	if c.class != nil {
		req = withValidRules(c.ID, c.Resources, c.rules)
	}
	if err := st.checkInstance(&req, n, index.Taken{Devices: c.Devices, Ports: c.DynamicPorts}, c.Generation); err != nil || c.Claim == nil {
		return err
	}
	return st.checkClaim(c)
}

// checkSuccessor refuses a placement that cannot take the place of the instance of
// its ID.
func (st *state) checkSuccessor(c *Placed) error {
	old := st.allocations.At(c.ID)
	switch {
	case !c.Move && old == nil:
		return nil
	case c.Move && (old == nil || old.state != running || old.covered != nil || c.Claim != nil):
		return fmt.Errorf("no instance %q to move", c.ID)
	case c.Move && (c.Request().Namespace != old.namespace() || !c.Resources.Equal(old.resources)):
		return fmt.Errorf("%q moves with another request", c.ID)
	case !c.Move && old.state != lost, c.Generation <= old.generation:
		return placement.Conflict(placement.KindAllocation, c.ID, "is placed")
	}
	return nil
}

// withValidRules returns what is to be checked of a request whose rules were found
// valid.
func withValidRules(id string, r placement.Resources, rules *placement.Request) placement.Request {
	return placement.Request{ID: id, Resources: r, Ports: rules.Ports, DynamicPorts: rules.DynamicPorts}
}

func (st *state) checkInstance(req *placement.Request, n *node, taken index.Taken, generation uint64) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if st.generation(req.ID, generation) != nil {
		return placement.Conflict(placement.KindAllocation, req.ID, "is there twice")
	}
	return errors.Join(st.checkDimensions(req.Resources), checkDevices(n.Node, req.Resources.GPU, taken.Devices),
		checkDynamicPorts(req, taken.Ports))
}

// checkDimensions refuses amounts in more dimensions than a cluster has.
func (st *state) checkDimensions(r placement.Resources) error {
	return st.admitDimensions("resources.custom", r)
}

func (c *Resized) check(st *state) error {
	a, err := st.allocation(c.ID)
	if err != nil {
		return err
	}
	if err := c.Resources.Validate(); err != nil {
		return err
	}
	return errors.Join(st.checkDimensions(c.Resources), checkDevices(st.on(a).Node, c.Resources.GPU, c.Devices))
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

// checkDynamicPorts refuses dynamic ports that are not as many as the request asks
// for, in ascending order and none of its other ports. They need not be in the
// range of a node, which may have changed.
func checkDynamicPorts(req *placement.Request, ports []uint16) error {
	if len(ports) != req.DynamicPorts {
		return fmt.Errorf("%d dynamic ports of %d", len(ports), req.DynamicPorts)
	}
	for i, number := range ports {
		own := slices.ContainsFunc(req.Ports, func(port placement.Port) bool { return port.Number == number })
		if number == 0 || own || i > 0 && number <= ports[i-1] {
			return fmt.Errorf("dynamic port %d is none, or not the only one", number)
		}
	}
	return nil
}
