package index

import (
	"math"
	"slices"
)

// A grid is built in slices, and brought up to date in slices when much has
// changed: a decision waits for no more than a bounded piece of work, which is
// counted and not timed, so that the same calls do the same.
//
// The grid of a rule set takes its nodes out of the grid of the plain order, cell by
// cell in the order that they have there, so that nothing is sorted; that of a plain
// order takes all nodes by join number. Each slice begins with what has changed
// since the last.
//
// Invariant of a grid that is not whole: a node is in it as it was at seen if it is
// of the order's set, and the build has passed its place in what it is copied from,
// or the node has changed since the build began. So it is whole when the build has
// come to the end, whatever nodes changed places meanwhile.
type gridBuild struct {
	whole bool
	from  *grid // what is copied, nil for the nodes by join number
	// Where to go on: at the first entry of a cell of from that is not before a
	// key and a join number, or at a join number.
	part, cell int
	key        int64
	join       uint64
}

// begin gives an order a grid to build, if there is room for it. The grid that it
// will be copied from says how much it takes.
func (x *Index) begin(o *ordering, from *grid) {
	if !x.makeRoom(o, x.expected(o, from)) {
		if o.wasted > x.gridCost(o) {
			o.wasted, o.since = 0, x.searches
		}
		return
	}
	x.newGrid(o)
}

// newGrid gives an order a grid without nodes.
func (x *Index) newGrid(o *ordering) {
	x.grids++
	o.wasted = 0
	o.grid = &grid{number: x.grids, at: make([]int32, len(x.nodes), cap(x.nodes)), seen: x.bookLog.end()}
}

// gridCost is what it costs to build the grid of an order, in nodes that a search
// looks at.
func (x *Index) gridCost(o *ordering) int { return x.thresholds.gridCost * x.sizeOf(o) }

func (x *Index) sizeOf(o *ordering) int {
	if o.set == nil {
		return len(x.byJoin)
	}
	return o.set.n
}

// expected returns about how many bytes the grid of an order will take.
func (x *Index) expected(o *ordering, from *grid) int {
	rows, entries := rowBytes*len(x.nodes), 2*entryBytes*x.sizeOf(o)
	if from != nil && from.n > 0 {
		entries = int(int64(from.bytes()-rows) * int64(x.sizeOf(o)) / int64(from.n))
	}
	return rows + max(entries, 0)
}

// makeRoom takes grids away until there are so many bytes for that of an order. It
// reports false if those that are left were all used since searches in the order
// began to be counted as waste.
func (x *Index) makeRoom(o *ordering, size int) bool {
	for size+x.gridBytes() > x.thresholds.gridBytes*len(x.byJoin) {
		var oldest *ordering
		for _, other := range x.orders {
			if other.grid != nil && other != o && (oldest == nil || other.used < oldest.used) {
				oldest = other
			}
		}
		if oldest == nil || oldest.used >= o.since {
			return false
		}
		x.dropGrid(oldest)
		x.stats.Dropped++
	}
	return true
}

// gridBytes returns about how many bytes all grids take.
func (x *Index) gridBytes() int {
	size := 0
	for _, o := range x.orders {
		if o.grid != nil {
			size += o.grid.bytes()
		}
	}
	return size
}

// advance works on the grid of an order, whose sets must be up to date. It reports
// whether the grid is whole and up to date. A change or an entry that is looked at
// is one unit of work, a node that comes to its place as many as gridCost says.
func (x *Index) advance(o *ordering, from *grid, work int) bool {
	g := o.grid
	changed, ok := x.bookLog.since(g.seen)
	if !ok { // more has changed than is known
		x.dropGrid(o)
		return false
	}
	for len(g.at) < len(x.nodes) {
		g.at = append(g.at, 0)
	}
	stays := o.set != nil && o.set.edit == g.setEdit // no node has come into the set, or left it
	for _, row := range changed {
		if work <= 0 {
			x.stats.Slices++
			return false
		}
		if work--; (!stays || o.set.bits.has(row)) && g.update(x, o, row) {
			work -= x.thresholds.gridCost
		}
		g.seen++
	}
	if o.set != nil {
		g.setEdit = o.set.edit
	}
	if g.build.whole {
		return true
	}
	x.stats.Slices++
	if from != g.build.from {
		g.build = gridBuild{from: from, key: math.MinInt64}
	}
	if from == nil && !g.takeAll(x, o, work) || from != nil && !g.takeFrom(x, o, work) {
		return false
	}
	g.build = gridBuild{whole: true}
	x.stats.Grids++
	x.makeRoom(o, 0)
	return true
}

// takeAll takes in nodes by join number. It reports whether it came to the end.
func (g *grid) takeAll(x *Index, o *ordering, work int) bool {
	next, _ := slices.BinarySearchFunc(x.byJoin, g.build.join, x.compareJoin)
	for _, row := range x.byJoin[next:] {
		if work <= 0 {
			g.build.join = x.nodes[row].join
			return false
		}
		if work--; g.at[row] == 0 && g.update(x, o, row) {
			work -= x.thresholds.gridCost
		}
	}
	return true
}

// takeFrom takes in nodes of the order's set out of another grid, which is up to
// date. It reports whether it came to the end.
func (g *grid) takeFrom(x *Index, o *ordering, work int) bool {
	at := &g.build
	for ; at.part < len(at.from.parts); at.part, at.cell = at.part+1, 0 {
		cells := at.from.parts[at.part].cells
		for ; at.cell < len(cells); at.cell++ {
			if work = g.takeCell(x, o, &cells[at.cell], work); work <= 0 {
				return false
			}
			at.key, at.join = math.MinInt64, 0
		}
	}
	return true
}

// takeCell goes on with one cell. It returns the work that is left, which is none
// if it did not come to the end of the cell.
func (g *grid) takeCell(x *Index, o *ordering, c *cell, work int) int {
	at := &g.build
	if len(c.blocks) == 0 {
		return work
	}
	b, i := at.from.find(x, c, at.key, at.join)
	for ; b < len(c.blocks); b, i = b+1, 0 {
		for _, e := range at.from.blocks[c.blocks[b].number].entries[i:] {
			if work <= 0 {
				at.key, at.join = e.key, x.nodes[e.row].join
				return 0
			}
			if work--; g.at[e.row] == 0 && g.update(x, o, e.row) {
				work -= x.thresholds.gridCost
			}
		}
	}
	return max(work, 1)
}

// upToDate makes the grid of an order whole at once. The sets of the order must be
// up to date.
func (x *Index) upToDate(o *ordering) {
	if o.grid != nil && x.advance(o, nil, math.MaxInt) {
		return
	}
	x.makeRoom(o, x.expected(o, nil))
	x.newGrid(o)
	x.advance(o, nil, math.MaxInt)
}
