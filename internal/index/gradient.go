package index

import (
	"cmp"
	"container/heap"

	"github.com/rads-project/constellation/placement"
)

// LeastFragmentation is searched class by class. ΔF of a request is the same on all
// nodes of a class that are of the same profile afterwards, and which profiles those
// may be follows from the bounds of the class: there are few. A search goes along the
// shelves from the least bound of ΔF on, computes ΔF for the classes that it meets and
// each profile that the request may lead to, and walks those of the least ΔF, each for
// its fullest node with room, in a grid that is divided by classes. It ends where no
// bound is as low as the best ΔF found: few classes are met. The nodes of a class that
// are to be of a profile afterwards are those that have more free than is asked, by the
// bounds of the profile; what else is asked, memory for instance, is a filter.

// gradient returns ΔF of the query on a node that it fits on.
func (x *Index) gradient(p *probe, row Row) int64 {
	f := x.readyFragmentation()
	f.before.left = x.gpusOf(row)
	f.value(&f.before)
	before := f.lost(&f.before, f.profileOf(x, row, nil))
	after := f.lost(f.stateAfter(&f.before, p.gpu()), f.profileOf(x, row, p.asks))
	return ceilDiv(after-before, f.unit)
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
	steps    []profileStep
	from     []stepRange // by profile
	asks     []ask       // of the steps
	gpu      int64       // asked
	plain    ordering    // of all nodes, if no GPUs are asked
	cursors  []cursor
	heap     nextSteps

	low, high, at []uint16 // of stepsFrom
}

// profileStep is where a query may lead nodes of a profile: to another profile, if they
// have what asks says.
type profileStep struct {
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

// cursor is a run of entries of a shelf, of which the bound of the gradient grows.
type cursor struct {
	profile int32
	at, end int
}

// nextStep is a class with a step that the query may take from it, or, if class is
// -1, a cursor with the bound of its next entry; step is its place in cursors then.
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

// push adds a step or a cursor.
func (h *nextSteps) push(c nextStep) {
	*h = append(*h, c)
	heap.Fix(h, len(*h)-1)
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
		steps: c.steps[:0], from: c.from[:0], asks: c.asks[:0], gpu: s.p.gpu(), cursors: c.cursors[:0], heap: c.heap[:0],
		low: c.low, high: c.high, at: c.at,
	}
	return c
}

// all searches the grid by classes. It reports false if it gave up.
func (c *classSearch) all() bool {
	x, p := c.x, c.p
	if c.gpu == 0 {
		plain := x.remember(&ordering{packs: p.packs})
		x.upToDate(plain)
		c.plain = *plain // its grid may have to make room for that of the classes
	}
	c.order = x.remember(&ordering{packs: p.packs, classes: true})
	x.upToDate(c.order)
	c.f.sweep(c.alive)
	c.from = append(c.from, make([]stepRange, len(c.f.profiles.all))...)
	eligible, asks, need := p.eligible, p.asks, p.need
	defer func() { p.eligible, p.asks, p.need = eligible, asks, need }()
	if !p.softSets() {
		p.eligible = x.favourites(p)
		return p.eligible.count() == 0 || c.level()
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
		p.asks, p.need = asks, need
		if !c.level() {
			return false
		}
	}
	return true
}

// level finds the first of the eligible nodes, if it comes before the best so far. It
// reports false if it gave up.
func (c *classSearch) level() bool {
	return c.gpu == 0 && c.losesNothing() || c.visits >= 0 && c.open() && c.walkClasses()
}

// losesNothing looks at the fullest node for a request that takes no GPUs, whose
// gradient is nowhere less than zero. It reports true if none comes before that one:
// since nothing is lost there, or since there is none.
func (c *classSearch) losesNothing() bool {
	classes := c.order
	c.order = &c.plain
	defer func() { c.order = classes }()
	for i := range c.plain.grid.parts {
		if row, ok := c.firstOf(c.plain.grid.parts[i].cells, noKey-1); ok {
			gradient := c.x.gradient(c.p, row)
			c.compare(row, gradient)
			return gradient == 0
		}
	}
	return c.visits >= 0
}

// alive reports whether a class has nodes.
func (c *classSearch) alive(class int32) bool {
	parts := c.order.grid.parts
	return int(class) < len(parts) && len(parts[class].known) > 0
}

// open puts the first entry of each run of offers on the heap. It reports false if
// there are too many steps from a profile.
func (c *classSearch) open() bool {
	f := c.f
	c.heap, c.cursors = c.heap[:0], c.cursors[:0]
	first := c.gpu
	if c.gpu >= placement.Device {
		first = placement.Device - 1 + c.gpu/placement.Device
	}
	for profile, shelf := range f.shelves {
		at, end := shelf.from(first), len(shelf)
		if c.gpu == 0 {
			end = shelf.from(1)
		}
		if at == end {
			continue
		}
		steps, ok := c.stepsFrom(int32(profile))
		if !ok {
			return false
		}
		for steps.from < steps.to && at < end {
			offer, _ := shelf.at(at)
			next := shelf.from(f.runEnd(c.gpu, offer))
			c.cursors = append(c.cursors, cursor{int32(profile), at, next})
			bound := f.bound(c.gpu, f.losses(c.gpu, offer), int32(profile))
			c.heap.push(nextStep{ceilDiv(bound, f.unit), -1, int32(len(c.cursors) - 1)})
			at = next
		}
	}
	return true
}

// walkClasses finds the first node of the level at hand, if it comes before the best
// so far. It reports false when it gave up.
func (c *classSearch) walkClasses() bool {
	for len(c.heap) > 0 {
		top := c.heap[0]
		if c.found && top.gradient > c.gradient {
			return true
		}
		c.heap.drop()
		if top.class < 0 {
			c.expand(&top)
		} else {
			c.walkClass(top)
		}
		if c.visits < 0 {
			return false
		}
	}
	return true
}

// expand walks the classes at a cursor that are of the gradient on top, as long as
// the bound stays the same, and puts the others on the heap, and then the cursor
// itself for the rest.
func (c *classSearch) expand(top *nextStep) {
	cur := &c.cursors[top.step]
	shelf, known := c.f.shelves[cur.profile], int64(-1)
	var losses []int64
	var bound int64
	for ; cur.at < cur.end; cur.at++ {
		offer, class := shelf.at(cur.at)
		if offer != known {
			known, losses = offer, c.f.losses(c.gpu, offer)
			bound = c.f.bound(c.gpu, losses, cur.profile)
			if gradient := ceilDiv(bound, c.f.unit); gradient > top.gradient {
				c.heap.push(nextStep{gradient, -1, top.step})
				return
			}
		}
		c.visits--
		c.x.stats.Measured++
		s := &c.f.states.all[c.f.classes.all[class].state]
		if s.takes(c.gpu, offer) && c.alive(class) {
			c.addSteps(nextStep{top.gradient, class, 0}, bound, losses)
		}
	}
}

// addSteps walks a class by the steps that are of the gradient at hand, and puts the
// others on the heap.
func (c *classSearch) addSteps(now nextStep, bound int64, losses []int64) {
	class := c.f.classes.all[now.class]
	profile, s := class.profile, &c.f.states.all[class.state]
	steps, first := c.from[profile], int64(0)
	for i := steps.from; i < steps.to; i++ {
		gradient := ceilDiv(bound+c.f.over(s, losses, profile, c.steps[i].profile), c.f.unit)
		if i == steps.from {
			first = gradient
		} else if gradient == first {
			continue // the first step is that of all nodes
		}
		if next := (nextStep{gradient, now.class, i}); gradient == now.gradient {
			c.walkClass(next)
		} else {
			c.heap.push(next)
		}
	}
}

// walkClass compares the first node of a class that can take a step with the best so
// far. It gives up when there are no visits left.
func (c *classSearch) walkClass(take nextStep) {
	step := &c.steps[take.step]
	c.p.asks, c.p.need = step.asks, step.need
	limit := int64(noKey - 1)
	if c.found && take.gradient == c.gradient {
		limit = 100 * c.x.key[c.best]
	}
	if row, ok := c.firstOf(c.order.grid.parts[take.class].cells, limit); ok {
		c.compare(row, take.gradient)
	}
}

// firstOf returns the first node in some cells that fits, up to a key.
func (c *classSearch) firstOf(cells []cell, limit int64) (first Row, found bool) {
	for i := range cells {
		if cells[i].low > limit || misses(cells[i].corner, c.p.need) != 0 {
			continue
		}
		row, key, ok := c.walkCell(&cells[i], limit)
		if c.visits < 0 {
			return 0, false
		}
		if ok && (!found || key < limit || c.x.nodes[row].join < c.x.nodes[first].join) {
			first, found, limit = row, true, key
		}
	}
	return first, found
}

// compare takes a node for the best if it comes before the best so far.
func (c *classSearch) compare(row Row, gradient int64) {
	x, best := c.x, c.best
	if !c.found || cmp.Or(
		cmp.Compare(gradient, c.gradient), cmp.Compare(x.key[row], x.key[best]), cmp.Compare(x.nodes[row].join, x.nodes[best].join),
	) < 0 {
		c.best, c.gradient, c.found = row, gradient, true
	}
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
	c.steps = append(c.steps, profileStep{profile, asks, c.x.need(asks)})
}

// satAdd returns the sum of amounts that are not negative, or the greatest int64.
func satAdd(a, b int64) int64 {
	if a > noKey-b {
		return noKey
	}
	return a + b
}
