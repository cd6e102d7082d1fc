package index

import (
	"container/heap"

	"github.com/rads-project/constellation/placement"
)

// LeastFragmentation is searched class by class. ΔF of a request is the same on all
// nodes of a class that are of the same profile afterwards, and which profiles those
// may be follows from the bounds of the class: there are few. So a search computes
// ΔF once per class and profile that the request may lead to, and walks classes from
// the least ΔF on, each for its fullest node with room, in a grid that is divided by
// classes. The nodes of a class that are to be of a profile afterwards are those that
// have more free than is asked, by the bounds of the profile; what else is asked,
// memory for instance, is a filter.

// gradient returns ΔF of the query on a node that it fits on.
func (x *Index) gradient(p *probe, row Row) int64 {
	f := x.readyFragmentation()
	before := f.classes.all[x.classOf(row)]
	after := f.lost(f.stateAfter(&f.states.all[before.state], p.gpu()), f.profileOf(x, row, p.asks))
	return ceilDiv(after-before.lost, f.unit)
}

// gpu returns how much is asked of GPUs.
func (p *probe) gpu() int64 {
	for i := range p.asks {
		if p.asks[i].name == placement.NameGPU {
			return p.asks[i].amount
		}
	}
	return 0
}

// asked returns how much is asked of a dimension.
func (p *probe) asked(dim int) int64 {
	for i := range p.asks {
		if p.asks[i].dim == dim {
			return p.asks[i].amount
		}
	}
	return 0
}

// searchGradients searches for strategy LeastFragmentation. The soft score comes
// before all else, so its levels are searched from the greatest on.
func (x *Index) searchGradients(p *probe) (Row, bool) {
	s := x.newSearch(p)
	if s.list() {
		x.stats.Lists++
		return s.best, s.found
	}
	if p.nowhere {
		return 0, false
	}
	if x.newClassSearch(s).all() {
		x.stats.Gradients++
		return s.best, s.found
	}
	x.stats.Scans++
	return x.scan(p)
}

// classSearch is a search by classes. Its lists are kept for the next one.
type classSearch struct {
	*search
	f        *fragmentation
	gradient int64 // of the best node so far
	steps    []step
	from     []stepRange // by profile
	asks     []ask       // of the steps
	takes    nextSteps
	heap     nextSteps

	low, high, at []uint16 // of stepsFrom
}

// step is where a query may lead nodes of a profile: to another profile, if they
// have what asks says.
type step struct {
	profile int32
	asks    []ask
	need    uint64
}

// stepRange is the steps from one profile, by their places.
type stepRange struct {
	known    bool
	from, to int32
}

// maxSteps bounds the steps from one profile.
const maxSteps = 64

// nextStep is a class with a step that the query may take from it.
type nextStep struct {
	gradient    int64
	class, step int32
}

// nextSteps is a heap with one of the least gradient on top.
type nextSteps []nextStep

// Len is part of heap.Interface.
func (h nextSteps) Len() int { return len(h) }

// Less is part of heap.Interface.
func (h nextSteps) Less(i, j int) bool { return h[i].gradient < h[j].gradient }

// Swap is part of heap.Interface.
func (h nextSteps) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *nextSteps) Push(c any) { *h = append(*h, c.(nextStep)) }

// Pop is part of heap.Interface.
func (h *nextSteps) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}

// drop takes the top away.
func (h *nextSteps) drop() {
	last := len(*h) - 1
	(*h)[0] = (*h)[last]
	if *h = (*h)[:last]; last > 0 {
		heap.Fix(h, 0)
	}
}

func (x *Index) newClassSearch(s *search) *classSearch {
	c := &x.classSearch
	*c = classSearch{
		search: s, f: x.readyFragmentation(),
		steps: c.steps[:0], from: c.from[:0], asks: c.asks[:0], takes: c.takes[:0], heap: c.heap[:0],
		low: c.low, high: c.high, at: c.at,
	}
	return c
}

// all searches the grid by classes. It reports false if it gave up.
func (c *classSearch) all() bool {
	x, p := c.x, c.p
	c.order = x.remember(&ordering{packs: p.packs, classes: true})
	x.upToDate(c.order)
	if !c.collect() {
		return false
	}
	eligible, asks, need := p.eligible, p.asks, p.need
	defer func() { p.eligible, p.asks, p.need = eligible, asks, need }()
	if !p.softSets() {
		p.eligible = x.favourites(p)
		return p.eligible.count() == 0 || c.walkClasses()
	}
	score := int64(0)
	for _, level := range x.setLevels(p) {
		if c.found && level.score < score {
			break
		}
		score = level.score
		if len(p.soft) > 0 {
			p.eligible = x.levelNodes(p, eligible, level)
		}
		if !c.walkClasses() {
			return false
		}
	}
	return true
}

// collect lists the classes with nodes and the steps that the query may take from
// each. It reports false if there are too many.
func (c *classSearch) collect() bool {
	f, gpu, parts := c.f, c.p.gpu(), c.order.grid.parts
	c.from = append(c.from, make([]stepRange, len(f.profiles.all))...)
	alive := func(class int32) bool { return int(class) < len(parts) && len(parts[class].known) > 0 }
	for at := 0; at < len(f.used); {
		if !f.dropClasses(at, alive) {
			continue
		}
		classes := f.lists[f.used[at]]
		s := &f.states.all[f.used[at]]
		at++
		if c.visits -= len(classes); c.visits < 0 {
			return false
		}
		c.x.stats.Measured += uint64(len(classes))
		if gpu > 0 && gpuMissing(gpu, s.most, s.whole) > 0 {
			continue
		}
		after := f.stateAfter(s, gpu)
		for _, number := range classes {
			if !c.collectSteps(number, after) {
				return false
			}
		}
	}
	return true
}

// collectSteps lists the steps from one class to a state.
func (c *classSearch) collectSteps(number int32, after *gpuState) bool {
	class := c.f.classes.all[number]
	steps, ok := c.stepsFrom(class.profile)
	if !ok {
		return false
	}
	first := int64(0)
	for i := steps.from; i < steps.to; i++ {
		gradient := ceilDiv(c.f.lost(after, c.steps[i].profile)-class.lost, c.f.unit)
		if i == steps.from {
			first = gradient
		} else if gradient == first {
			continue // the first step is that of all nodes
		}
		c.takes = append(c.takes, nextStep{gradient, number, i})
	}
	return true
}

// walkClasses finds the first node of the level at hand, if it comes before the best
// so far. It reports false when it gave up.
func (c *classSearch) walkClasses() bool {
	c.heap = append(c.heap[:0], c.takes...)
	heap.Init(&c.heap)
	for ; len(c.heap) > 0; c.heap.drop() {
		top := c.heap[0]
		if c.found && top.gradient > c.gradient {
			return true
		}
		step := &c.steps[top.step]
		c.p.asks, c.p.need = step.asks, step.need
		if !c.walkClass(top) {
			return false
		}
	}
	return true
}

// walkClass compares the first node of a class that can take a step with the best so
// far.
func (c *classSearch) walkClass(take nextStep) bool {
	x, limit := c.x, int64(noKey-1)
	if c.found && take.gradient == c.gradient {
		limit = 100 * x.key[c.best]
	}
	cells := c.order.grid.parts[take.class].cells
	for i := range cells {
		if cells[i].low > limit || misses(cells[i].corner, c.p.need) != 0 {
			continue
		}
		row, key, ok := c.walkCell(&cells[i], limit)
		if c.visits < 0 {
			return false
		}
		if !ok {
			continue
		}
		if !c.found || take.gradient < c.gradient || key < limit || x.nodes[row].join < x.nodes[c.best].join {
			c.best, c.gradient, c.found = row, take.gradient, true
		}
		limit = key
	}
	return true
}

// stepsFrom returns the steps that the query may take from a profile. The first is to
// the least profile that its nodes may come to, which all that have room can take; it
// reports false if there are too many.
func (c *classSearch) stepsFrom(number int32) (stepRange, bool) {
	known := &c.from[number]
	if known.known {
		return *known, true
	}
	*known = stepRange{true, int32(len(c.steps)), int32(len(c.steps))}
	ranks, model := c.f.profiles.all[number].ranks, c.f.profiles.all[number].model
	c.low, c.high = append(c.low[:0], ranks...), append(c.high[:0], ranks...)
	for i := range c.f.bounds {
		b, asked := &c.f.bounds[i], c.p.asked(c.f.bounds[i].dim)
		if asked == 0 {
			continue
		}
		least, most := int64(0), int64(noKey)
		if ranks[i] > 0 {
			least = b.bounds[ranks[i]-1]
		}
		if int(ranks[i]) < len(b.bounds) {
			most = b.bounds[ranks[i]] - 1
		}
		if most < asked {
			return *known, true // no node of the profile has room
		}
		c.low[i], c.high[i] = uint16(b.rank(max(0, least-asked))), uint16(b.rank(most-asked))
	}
	c.at = append(c.at[:0], c.low...)
	for more := true; more; more = advance(c.at, c.low, c.high) {
		if known.to-known.from == maxSteps {
			return *known, false
		}
		c.addStep(c.f.profile(c.x, c.at, model), c.at)
		known.to++
	}
	return *known, true
}

// advance sets ranks to the next ones between low and high. It reports false after
// the last.
func advance(at, low, high []uint16) bool {
	for i := range at {
		if at[i] < high[i] {
			at[i]++
			return true
		}
		at[i] = low[i]
	}
	return false
}

// addStep adds the step to a profile: it is for nodes that have the bounds of its
// ranks beside what is asked.
func (c *classSearch) addStep(profile int32, ranks []uint16) {
	begin := len(c.asks)
	for _, a := range c.p.asks {
		for i := range c.f.bounds {
			if b := &c.f.bounds[i]; b.dim == a.dim && ranks[i] > 0 {
				a.amount = satAdd(a.amount, b.bounds[ranks[i]-1])
			}
		}
		c.asks = append(c.asks, a)
	}
	asks := c.asks[begin:len(c.asks):len(c.asks)]
	c.steps = append(c.steps, step{profile, asks, c.x.need(asks)})
}

// satAdd returns the sum of amounts that are not negative, or the greatest int64.
func satAdd(a, b int64) int64 {
	if a > noKey-b {
		return noKey
	}
	return a + b
}
