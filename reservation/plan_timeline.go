package reservation

import (
	"math"
	"slices"

	"github.com/rads-project/constellation/internal/skyline"
	"github.com/rads-project/constellation/placement"
)

// nodeTimeline is what the plan counts on one node: a skyline per lane that is in
// use, and who is there. It exists while there is somebody.
type nodeTimeline struct {
	lanes []laneTimeline
	slots map[string]int // reservation to the number of its slots here
	stays map[string]*stayEntry
	// closed are the maintenance reservations of which notice was given.
	closed map[string]*reservationEntry
	// obstacles counts the instances that may be in the way of a slot that begins:
	// those that yield and those that have overstayed, in slots or not.
	obstacles int
}

// laneTimeline is what the plan counts on one lane. Yielding instances are only
// there now: whoever begins later does not reckon with them.
type laneTimeline struct {
	lane
	line     skyline.Skyline
	lent     skyline.Skyline // the part of line in which yielding instances may stand
	yielding int64
	inUse    int64 // by the instances that are there, whatever is promised
}

// timeline returns that of a node and makes it if need be.
func (p *Plan) timeline(node string) *nodeTimeline {
	g, ok := p.timelines[node]
	if !ok {
		g = &nodeTimeline{slots: make(map[string]int), stays: make(map[string]*stayEntry), closed: make(map[string]*reservationEntry)}
		p.timelines[node] = g
	}
	return g
}

// drop forgets the timeline of a node on which nothing counts any more.
func (p *Plan) drop(node string) {
	g, ok := p.timelines[node]
	if !ok || len(g.slots) > 0 || len(g.stays) > 0 {
		return
	}
	for i := range g.lanes {
		if !g.lanes[i].line.IsFlat() {
			return
		}
	}
	delete(p.timelines, node)
}

func (g *nodeTimeline) lane(of lane) *laneTimeline {
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
func (p *Plan) count(h hold, sign int64) {
	g := p.timeline(h.Node)
	from, to := h.Window.start(), h.Window.end()
	for of, amount := range h.amounts() {
		l := g.grown(of)
		switch h.kind {
		case yielding:
			l.yielding += sign * amount
		case lent:
			l.lent.Add(from, to, sign*amount)
			l.line.Add(from, to, sign*amount)
		default:
			l.line.Add(from, to, sign*amount)
		}
	}
	if sign < 0 {
		p.drop(h.Node)
	}
}

// use notes what an instance on the node uses, or with sign -1 no longer.
func (g *nodeTimeline) use(load placement.Amounts, devices []int, sign int64) {
	h := hold{Load: load, Devices: devices}
	for of, amount := range h.amounts() {
		g.grown(of).inUse += sign * amount
	}
}

// inUse returns what instances that the plan counts use of a lane.
func (g *nodeTimeline) inUse(of lane) int64 {
	if l := g.lane(of); l != nil {
		return l.inUse
	}
	return 0
}

// takes reports whether maintenance lets something of a kind stand on the node in
// a span.
func (g *nodeTimeline) takes(s span) bool {
	if g == nil {
		return true
	}
	switch {
	case s.kind == endless || s.kind == yielding:
		return !g.closing()
	case s.settled:
		for _, r := range g.closed {
			if r.Phase == Active && s.from < nanos(r.Params.End) {
				return false
			}
		}
		return true
	default:
		l := g.lane(maintenance())
		return l == nil || l.line.Peak(s.from, s.to) == 0
	}
}

// closing reports whether notice was given of maintenance that is not over.
func (g *nodeTimeline) closing() bool { return len(g.closed) > 0 }

// Closed reports whether a node takes no new instances now, because notice was given
// of maintenance that is not over. O(1).
func (p *Plan) Closed(node string) bool {
	g, ok := p.timelines[node]
	return ok && g.closing()
}

// ClosedDuring reports whether a node is to be closed at any time of a window. O(log
// m) in the maintenance of the node.
func (p *Plan) ClosedDuring(node string, w Window) bool {
	return !p.timelines[node].takes(p.span(w))
}

// ClosedNodes returns the nodes that are to be closed at any time of a window,
// sorted. It looks at each node that anything is counted on, O(log m) in the
// maintenance of each.
func (p *Plan) ClosedNodes(w Window) []string {
	var closed []string
	for node, g := range p.timelines {
		if !g.takes(p.span(w)) {
			closed = append(closed, node)
		}
	}
	slices.Sort(closed)
	return closed
}

// unused returns what instances leave of a lane at this moment, below zero if
// they use more than there is. What is only promised does not count.
func (g *nodeTimeline) unused(room *Room, of lane) int64 {
	free := room.free(of)
	if free < 0 {
		return free // so that nothing overflows
	}
	return free - g.inUse(of)
}

// overused returns a dimension of which instances use more than the node has,
// if there is any.
func (g *nodeTimeline) overused(room *Room) placement.ResourceName {
	for name := range room.Used.Resources.All() {
		if name != placement.NameGPU && g.unused(room, lane{name: name}) < 0 {
			return name
		}
	}
	for i := range room.Devices {
		if g.unused(room, lane{placement.NameGPU, i}) < 0 {
			return placement.NameGPU
		}
	}
	if g == nil {
		return ""
	}
	for i := range g.lanes {
		if l := &g.lanes[i]; l.inUse > 0 && g.unused(room, l.lane) < 0 {
			return l.name
		}
	}
	return ""
}

// lacksNow returns a dimension in which the node does not have a load, GPUs
// left aside, beside the instances that are there at this moment, if there is
// any. A node of which more is used than it has takes nothing, as in a
// scheduler.
func (g *nodeTimeline) lacksNow(room *Room, load *placement.Amounts) placement.ResourceName {
	if name := g.overused(room); name != "" {
		return name
	}
	h := hold{Load: *load}
	for of, amount := range h.amounts() {
		if g.unused(room, of) < amount {
			return of.name
		}
	}
	return ""
}

func (g *nodeTimeline) grown(of lane) *laneTimeline {
	if l := g.lane(of); l != nil {
		return l
	}
	g.lanes = append(g.lanes, laneTimeline{lane: of})
	return &g.lanes[len(g.lanes)-1]
}

// peak returns the greatest amount on a lane in a span beside which something of
// its kind has to fit, now being the time of the plan. Instances that yield need
// no more than the instant at which they come.
func (l *laneTimeline) peak(s span, now int64) int64 {
	if l == nil {
		return 0
	}
	there := int64(0)
	if s.kind == yielding || l.yielding > 0 && s.from <= now {
		there = l.firmAt(s.from)
		if s.from <= now {
			there += l.yielding
		}
	}
	switch s.kind {
	case yielding:
		return there
	case lent:
		return l.line.Peak(s.from, s.to)
	default:
		return max(there, l.line.Peak(s.from, s.to))
	}
}

// firmAt returns the amount on a lane at an instant, without what is lent and
// without yielding instances.
func (l *laneTimeline) firmAt(at int64) int64 {
	if l == nil {
		return 0
	}
	return l.line.Peak(at, at+1) - l.lent.Peak(at, at+1)
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

// Peak returns the greatest amounts that the plan counts on a node at any one
// time of a window that begins now or later, each dimension and each GPU by
// itself, and the GPUs in sum. With the window from now forever it is what a
// placement index takes off: an instance without an end fits where it is at
// most allocatable − used − peak. O(log h) in the holds of the node per
// dimension and GPU.
func (p *Plan) Peak(node string, w Window) (placement.Amounts, []int64) {
	g, ok := p.timelines[node]
	if !ok {
		return placement.Amounts{}, nil
	}
	return p.peak(g, p.span(w))
}

// PeakBeside returns what is in the way of an instance that yields and comes to
// a node now: the amounts that the plan counts there at this moment, without the
// slots that are lent and that nobody has claimed. It costs what Peak does.
func (p *Plan) PeakBeside(node string) (placement.Amounts, []int64) {
	g, ok := p.timelines[node]
	if !ok {
		return placement.Amounts{}, nil
	}
	return p.peak(g, span{from: p.now, to: p.now + 1, kind: yielding})
}

func (p *Plan) peak(g *nodeTimeline, s span) (placement.Amounts, []int64) {
	return g.sum(func(l *laneTimeline) int64 { return l.peak(s, p.now) })
}

// InUse returns what the instances that the plan counts use of a node at this moment,
// whatever is promised, and of each GPU. O(1) for each dimension and GPU.
func (p *Plan) InUse(node string) (placement.Amounts, []int64) {
	g, ok := p.timelines[node]
	if !ok {
		return placement.Amounts{}, nil
	}
	return g.sum(func(l *laneTimeline) int64 { return l.inUse })
}

// sum returns an amount of each lane, each GPU by itself, and the GPUs in sum.
func (g *nodeTimeline) sum(of func(*laneTimeline) int64) (all placement.Amounts, devices []int64) {
	for i := range g.lanes {
		l := &g.lanes[i]
		if l.lane == maintenance() {
			continue
		}
		amount := of(l)
		switch l.name {
		case placement.NameInstances:
			all.Instances = amount
		case placement.NameGPU:
			all.Resources.GPU += amount
			devices = append(devices, make([]int64, max(0, l.device+1-len(devices)))...)
			devices[l.device] = amount
		default:
			all.Resources = all.Resources.With(l.name, amount)
		}
	}
	return all, devices
}

// span is a window from now on, in instants, for a load of a kind.
type span struct {
	from, to int64
	kind     standing
	settled  bool // see hold
}

func (p *Plan) span(w Window) span { return p.spanOf(w, firm) }

func (p *Plan) spanOf(w Window, kind standing) span {
	return span{from: max(w.start(), p.now), to: w.end(), kind: kind}
}

// fitHold reports whether a hold fits beside all that counts on its node, used by
// instances unknown to the plan as room says, at every instant of its window
// from now on. If it asks for GPUs, it returns the devices: those of the hold
// if it names some, chosen ones if not. O(log h) in the holds of the node per
// dimension and GPU.
func (p *Plan) fitHold(room *Room, h *hold) ([]int, bool) {
	s := p.spanOf(h.Window, h.kind)
	s.settled = h.settled
	return p.fit(room, h, s)
}

// fit is fitHold for another span of time.
func (p *Plan) fit(room *Room, h *hold, s span) ([]int, bool) {
	g := p.timelines[h.Node]
	if !g.takes(s) || !g.fit(room, &h.Load, s, p.now) {
		return nil, false
	}
	gpu := h.Load.Resources.GPU
	if gpu == 0 {
		return nil, true
	}
	if s.kind == yielding && h.Devices == nil {
		// On what is lent it would be in the way of whoever claims that.
		if devices, ok := placement.ChooseDevices(g.devicesLeft(room, span{from: s.from, to: s.to}, p.now), gpu, h.Strategy); ok {
			return devices, true
		}
	}
	devices, ok := placement.ChooseDevices(g.devicesLeft(room, s, p.now), gpu, h.Strategy, h.Devices...)
	if !ok || h.Devices != nil && !slices.Equal(devices, h.Devices) {
		return nil, false
	}
	return devices, true
}

// fit reports whether a load fits in all lanes but those of GPUs.
func (g *nodeTimeline) fit(room *Room, load *placement.Amounts, s span, now int64) bool {
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
		if l == nil || l.yielding == 0 && l.line.Highest() <= spare-amount {
			return true
		}
		return l.peak(s, now) <= spare-amount
	}
	asked, allocatable, used := &load.Resources, &room.Allocatable, &room.Used.Resources
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
		fits(placement.NameInstances, load.Instances, room.MaxInstances, room.Used.Instances)
}

// devicesLeft returns what is left of each GPU over a span: nothing of one that is
// broken.
func (g *nodeTimeline) devicesLeft(room *Room, s span, now int64) []int64 {
	left := make([]int64, len(room.Devices))
	for i := range left {
		of := lane{placement.NameGPU, i}
		left[i] = room.free(of) - g.lane(of).peak(s, now)
		if !room.works(i) {
			left[i] = min(left[i], 0)
		}
	}
	return left
}

// free returns how much of a load, which may not fit, would fit in each
// dimension by itself; nothing if the node cannot take so many instances.
func (p *Plan) free(node string, room *Room, load *placement.Amounts, s span) placement.Resources {
	var free placement.Resources
	g := p.timelines[node]
	if !g.takes(s) || !g.fit(room, &placement.Amounts{Instances: load.Instances}, s, p.now) {
		return free
	}
	for name, asked := range load.Resources.All() {
		if asked == 0 || name == placement.NameGPU {
			continue
		}
		of := lane{name: name}
		spare := max(0, room.free(of)) - g.lane(of).peak(s, p.now)
		free = free.With(name, min(asked, max(0, spare)))
	}
	for _, left := range g.devicesLeft(room, s, p.now) {
		switch asked := load.Resources.GPU; {
		case asked < placement.Device:
			free.GPU = max(free.GPU, min(asked, left))
		case left == placement.Device:
			free.GPU = min(asked, free.GPU+left)
		}
	}
	return free
}
