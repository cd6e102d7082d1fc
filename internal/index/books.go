package index

import "github.com/rads-project/constellation/placement"

// Hold is capacity of a node that reservations hold.
type Hold struct {
	Resources placement.Resources
	// Instances for which the node is held, which count against its most.
	Instances int64
	// Devices is what is held of each GPU by index, in thousandths; missing
	// entries are zero.
	Devices []int64
}

// Taken is what an instance has of its node by number: its GPUs and its dynamic
// ports.
type Taken struct {
	Devices, Ports []uint16
}

// Occupy puts an instance on the books of a node: its amounts, its devices,
// its ports and its place among the instances. More than is free is accepted;
// the sum of what is on the books of a node must fit an int64. It takes time in
// proportion to the devices and ports.
func (x *Index) Occupy(row Row, c *Class, r *placement.Resources, taken Taken) {
	x.book(row, c, r, taken, 1)
}

// Vacate undoes Occupy with the same arguments.
func (x *Index) Vacate(row Row, c *Class, r *placement.Resources, taken Taken) {
	x.book(row, c, r, taken, -1)
}

func (x *Index) book(row Row, c *Class, r *placement.Resources, taken Taken, sign int64) {
	continues := x.continues(row, c, sign)
	if len(r.Custom) > 0 {
		x.use(r, int32(sign))
	}
	x.bookAmounts(row, r, taken.Devices, sign)
	x.claimPorts(row, c, taken.Ports, int32(sign))
	x.changed(row)
	if continues {
		x.repeat.version = x.version
	}
}

// bookAmounts puts the amounts of an instance on the books of a node and counts it
// there, or with sign -1 takes it out.
func (x *Index) bookAmounts(row Row, r *placement.Resources, devices []uint16, sign int64) {
	for i, amount := range [...]int64{r.CPU, r.Memory, r.Disk, r.Network} {
		if amount == 0 {
			continue
		}
		d := int(x.named[i])
		if d < 0 {
			d = x.register(resourceName(i))
		}
		x.spend(row, d, sign*amount)
	}
	if len(r.Custom) > 0 {
		x.bookCustom(row, r, sign)
	}
	if len(devices) > 0 {
		x.register(placement.NameGPU)
		x.useGPUs(row, devices, sign*min(r.GPU, placement.Device))
	}
	x.nodes[row].instances += sign
}

func (x *Index) bookCustom(row Row, r *placement.Resources, sign int64) {
	for name, amount := range r.Custom {
		if amount != 0 {
			x.spend(row, x.register(placement.ResourceName(name)), sign*amount)
		}
	}
}

// spend takes an amount, which may be negative, from what the node has to
// spare.
func (x *Index) spend(row Row, d int, amount int64) {
	if x.nodes[row].hold != nil {
		x.ownRow(row)
		h := x.nodes[row].hold
		h.spare[d] -= amount
		x.setFree(row, d, satSub(h.spare[d], h.amounts[d]))
		return
	}
	x.setFree(row, d, x.free[d][row]-amount)
}

// spare returns allocatable − used of a node.
func (x *Index) spare(row Row, d int) int64 {
	if h := x.nodes[row].hold; h != nil {
		return h.spare[d]
	}
	return x.free[d][row]
}

// SetHeld sets what reservations hold of the node: the peak over all present
// and future times.
func (x *Index) SetHeld(row Row, held Hold) {
	n := &x.nodes[row]
	x.use(&held.Resources, 1)
	if n.hold != nil {
		before := x.resources(&n.hold.amounts)
		x.use(&before, -1)
	}
	amounts := x.registerAll(&held.Resources)
	var spare vector
	for d := range x.dims {
		spare[d] = x.spare(row, d)
		x.setFree(row, d, satSub(spare[d], amounts[d])) // of GPUs see measureGPUs
	}
	n.hold = nil
	if amounts != (vector{}) || len(held.Devices) > 0 || held.Instances > 0 {
		n.hold = &heldAmounts{
			amounts: amounts, spare: spare, instances: held.Instances, devices: append([]int64(nil), held.Devices...),
		}
	}
	x.held.put(row, n.hold != nil)
	x.measureGPUs(row)
	x.changed(row)
}

// Used returns what is on the books of the node, on broken GPUs as well.
func (x *Index) Used(row Row) placement.Resources {
	allocatable := x.nodes[row].spec.Allocatable()
	var used vector
	for d := range x.dims {
		if d == int(x.named[gpuName]) {
			used[d] = x.nodes[row].gpusUsed()
			continue
		}
		used[d] = allocatable.Amount(x.dims[d].name) - x.spare(row, d)
	}
	return x.resources(&used)
}

// Held returns what reservations hold of the node.
func (x *Index) Held(row Row) Hold {
	h := x.nodes[row].hold
	if h == nil {
		return Hold{}
	}
	return Hold{Resources: x.resources(&h.amounts), Instances: h.instances, Devices: append([]int64(nil), h.devices...)}
}

// Free returns allocatable − used − held. Amounts may be negative, but for GPUs,
// of which it is the sum of what is left of each.
func (x *Index) Free(row Row) placement.Resources {
	var free vector
	for d := range x.dims {
		free[d] = x.free[d][row]
	}
	return x.resources(&free)
}

// Instances returns how many instances are on the books of the node.
func (x *Index) Instances(row Row) int64 { return x.nodes[row].instances }
