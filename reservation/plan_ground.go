package reservation

import (
	"math"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// ground is what the plan counts on one node: a skyline per lane that is in
// use, and who is there. It exists while there is somebody.
type ground struct {
	lanes []groundLane
	slots map[string]int // reservation to the number of its slots here
	stays map[string]*guest
	// unsure counts the stays that may stand where a slot begins: those that
	// yield and those that have overstayed, and overstayed claims.
	unsure int
}

// groundLane is what the plan counts on one lane. Yielding instances are only
// there now: whoever begins later does not reckon with them.
type groundLane struct {
	lane
	line     skyline
	yielding int64
}

// ground returns that of a node and makes it if need be.
func (p *Plan) ground(node string) *ground {
	g, ok := p.grounds[node]
	if !ok {
		g = &ground{slots: make(map[string]int), stays: make(map[string]*guest)}
		p.grounds[node] = g
	}
	return g
}

// drop forgets the ground of a node on which nothing counts any more.
func (p *Plan) drop(node string) {
	g, ok := p.grounds[node]
	if !ok || len(g.slots) > 0 || len(g.stays) > 0 {
		return
	}
	for i := range g.lanes {
		if g.lanes[i].line.root != nil {
			return
		}
	}
	delete(p.grounds, node)
}

func (g *ground) lane(of lane) *groundLane {
	if g == nil {
		return nil
	}
	for i := range g.lanes {
		if g.lanes[i].lane == of {
			return &g.lanes[i]
		}
	}
	return nil
}

// count puts a hold on the skylines of its node, or takes it off if sign is
// -1.
func (p *Plan) count(h Hold, sign int64) {
	g := p.ground(h.Node)
	from, to := h.Window.start(), h.Window.end()
	for of, amount := range h.amounts() {
		g.grown(of).line.add(from, to, sign*amount)
	}
	if sign < 0 {
		p.drop(h.Node)
	}
}

// countYielding is count for an instance that yields.
func (p *Plan) countYielding(h Hold, sign int64) {
	g := p.ground(h.Node)
	for of, amount := range h.amounts() {
		g.grown(of).yielding += sign * amount
	}
}

func (g *ground) grown(of lane) *groundLane {
	if l := g.lane(of); l != nil {
		return l
	}
	g.lanes = append(g.lanes, groundLane{lane: of})
	return &g.lanes[len(g.lanes)-1]
}

// peak returns the greatest amount on a lane in [from, to), now being the
// time of the plan.
func (l *groundLane) peak(from, to, now int64) int64 {
	if l == nil {
		return 0
	}
	peak := l.line.peak(from, to)
	if l.yielding > 0 && from <= now {
		peak = max(peak, l.yielding+l.line.peak(now, now+1))
	}
	return peak
}

// levelAt returns the amount on a lane at an instant, yielding instances left
// aside.
func (l *groundLane) levelAt(at int64) int64 {
	if l == nil {
		return 0
	}
	return l.line.peak(at, at+1)
}

// free returns what the room has on a lane before the plan counts anything.
func (r *Room) free(of lane) int64 {
	switch of.name {
	case placement.NameInstances:
		if r.MaxInstances == 0 {
			return math.MaxInt64
		}
		return r.MaxInstances - r.Used.Instances
	case placement.NameGPU:
		if of.device >= len(r.Devices) {
			return 0
		}
		return placement.Device - r.Devices[of.device]
	default:
		return r.Allocatable.Amount(of.name) - r.Used.Resources.Amount(of.name)
	}
}

// amountOn returns what a stay takes of a lane.
func (s *Stay) amountOn(of lane) int64 {
	switch of.name {
	case placement.NameInstances:
		return s.Load.Instances
	case placement.NameGPU:
		if !slices.Contains(s.Devices, of.device) {
			return 0
		}
		return deviceShare(s.Load.Resources.GPU)
	default:
		return s.Load.Resources.Amount(of.name)
	}
}

// Peak returns the greatest amounts that the plan counts on a node at any one
// time of a window that begins now or later, each dimension and each GPU by
// itself, and the GPUs in sum. With the window from now for ever it is what a
// placement index takes off: an instance without an end fits where it is at
// most allocatable − used − peak. O(log h) in the holds of the node per
// dimension and GPU.
func (p *Plan) Peak(node string, w Window) (Load, []int64) {
	var (
		peak    Load
		devices []int64
	)
	g, ok := p.grounds[node]
	if !ok {
		return peak, nil
	}
	from, to := max(w.start(), p.now), w.end()
	for i := range g.lanes {
		l := &g.lanes[i]
		amount := l.peak(from, to, p.now)
		switch l.name {
		case placement.NameInstances:
			peak.Instances = amount
		case placement.NameGPU:
			peak.Resources.GPU += amount
			devices = append(devices, make([]int64, max(0, l.device+1-len(devices)))...)
			devices[l.device] = amount
		default:
			peak.Resources = peak.Resources.With(l.name, amount)
		}
	}
	return peak, devices
}

// Fit reports whether a hold fits beside all that counts on its node, used by
// instances unknown to the plan as room says, at every instant of its window
// from now on. If it asks for GPUs, Fit returns the devices: those of the hold
// if it names some, chosen ones if not. O(log h) in the holds of the node per
// dimension and GPU.
func (p *Plan) Fit(room *Room, h *Hold) ([]int, bool) {
	if !p.fitAmounts(room, h) {
		return nil, false
	}
	gpu := h.Load.Resources.GPU
	if gpu == 0 {
		return nil, true
	}
	devices, ok := chooseDevices(p.devicesLeft(room, h), gpu, h.Devices)
	if !ok || h.Devices != nil && !slices.Equal(devices, h.Devices) {
		return nil, false
	}
	return devices, true
}

// fitAmounts is Fit for all lanes but GPUs.
func (p *Plan) fitAmounts(room *Room, h *Hold) bool {
	g := p.grounds[h.Node]
	from, to := max(h.Window.start(), p.now), h.Window.end()
	fits := func(name placement.ResourceName, amount, allocatable, used int64) bool {
		if amount == 0 {
			return true
		}
		// Written so that nothing overflows: both sides are at least 0.
		spare := allocatable - used
		if spare < amount {
			return false
		}
		l := g.lane(lane{name: name})
		if l == nil || l.yielding == 0 && l.line.highest() <= spare-amount {
			return true
		}
		return l.peak(from, to, p.now) <= spare-amount
	}
	asked, allocatable, used := &h.Load.Resources, &room.Allocatable, &room.Used.Resources
	if !fits(placement.NameCPU, asked.CPU, allocatable.CPU, used.CPU) ||
		!fits(placement.NameMemory, asked.Memory, allocatable.Memory, used.Memory) ||
		!fits(placement.NameDisk, asked.Disk, allocatable.Disk, used.Disk) ||
		!fits(placement.NameNetwork, asked.Network, allocatable.Network, used.Network) {
		return false
	}
	for name, amount := range asked.Custom {
		if !fits(placement.ResourceName(name), amount, allocatable.Custom[name], used.Custom[name]) {
			return false
		}
	}
	return room.MaxInstances == 0 ||
		fits(placement.NameInstances, h.Load.Instances, room.MaxInstances, room.Used.Instances)
}

// devicesLeft returns what is left of each GPU over the hold's window.
func (p *Plan) devicesLeft(room *Room, h *Hold) []int64 {
	g := p.grounds[h.Node]
	from, to := max(h.Window.start(), p.now), h.Window.end()
	left := make([]int64, len(room.Devices))
	for i, used := range room.Devices {
		left[i] = placement.Device - used - g.lane(lane{placement.NameGPU, i}).peak(from, to, p.now)
	}
	return left
}

// free returns how much of the shape of a hold, which does not fit, would
// still fit in each dimension.
func (p *Plan) free(room *Room, h *Hold) placement.Resources {
	var free placement.Resources
	if room.MaxInstances > 0 {
		one := Hold{Node: h.Node, Window: h.Window, Load: Load{Instances: h.Load.Instances}}
		if !p.fitAmounts(room, &one) {
			return free
		}
	}
	g := p.grounds[h.Node]
	from, to := max(h.Window.start(), p.now), h.Window.end()
	for name, asked := range h.Load.Resources.All() {
		if asked == 0 || name == placement.NameGPU {
			continue
		}
		spare := room.Allocatable.Amount(name) - room.Used.Resources.Amount(name)
		spare = max(0, spare) - g.lane(lane{name: name}).peak(from, to, p.now)
		free = free.With(name, min(asked, max(0, spare)))
	}
	for _, left := range p.devicesLeft(room, h) {
		switch asked := h.Load.Resources.GPU; {
		case asked < placement.Device:
			free.GPU = max(free.GPU, min(asked, left))
		case left == placement.Device:
			free.GPU = min(asked, free.GPU+left)
		}
	}
	return free
}
