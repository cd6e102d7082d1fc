package index

import (
	"cmp"
	"math"
	"slices"
)

// grid keeps the nodes of an order so that the first one with room is found
// without looking at the rest.
//
// Nodes lie in cells by the magnitude of what they have free: the exponent of
// each lane of their packed word. A request with no room in a cell's
// upper corner has none in the cell; in most other cells it fits everywhere.
// Within a cell nodes are sorted by key and then by join number, in blocks
// that know the greatest of each lane, so that the first one that fits is
// near the front. The order of a rule on domains has cells of its own for each
// domain, so that only those are walked that the rule leaves.
//
// Invariant, brought up to date: every node of the order's set is in exactly
// one cell, that of its domain and packed word, with its current key and word;
// no block is empty; every block's top is the lane by lane maximum of its
// entries.
type grid struct {
	parts []gridPart
	at    []gridPlace // by row
	n     int         // entries
	seen  uint64      // position in Index.bookLog
}

// gridPart is the cells of one domain, or all of them.
type gridPart struct {
	cells []cell
	known map[uint64]int32 // cell numbers by corner
	spare []int32          // numbers of cells without nodes
}

type gridPlace struct {
	key  int64
	part int32
	cell int32 // -1 for none
}

type cell struct {
	corner uint64 // the greatest packed word that lies in the cell
	low    int64  // the key of the first entry; noKey if there is none
	blocks []block
}

type block struct {
	top     uint64
	entries []gridEntry
}

type gridEntry struct {
	packed uint64
	key    int64
	row    Row
}

// noKey is above every key.
const noKey = math.MaxInt64

// newGrid sorts the nodes of an order into a grid.
func (x *Index) newGrid(o *ordering) *grid {
	g := &grid{at: make([]gridPlace, len(x.nodes), cap(x.nodes)), seen: x.bookLog.end()}
	var rows []Row
	for _, row := range x.byJoin {
		g.at[row].key = x.orderKey(o, row)
		if o.has(row) {
			rows = append(rows, row)
		}
	}
	for row := range g.at {
		g.at[row].cell = -1
	}
	// In the order of keys every insertion is at the end.
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(g.at[a].key, g.at[b].key) })
	for _, row := range rows {
		g.insert(x, row, x.partOf(o, row), g.at[row].key)
	}
	x.stats.Grids++
	return g
}

// corner returns the greatest word of the same magnitude in every lane.
func corner(packed uint64) uint64 {
	const mantissas = (1<<mantissa - 1) * (guards >> laneBits)
	return packed | mantissas
}

// repair brings the grid up to date with what changed since it was used last.
// It reports false if that is no longer known.
func (g *grid) repair(x *Index, o *ordering) bool {
	changed, ok := x.bookLog.since(g.seen)
	if !ok {
		return false
	}
	for len(g.at) < len(x.nodes) {
		g.at = append(g.at, gridPlace{cell: -1})
	}
	for _, row := range changed {
		g.update(x, o, row)
	}
	g.seen = x.bookLog.end()
	return true
}

// update brings a node's entry up to date.
func (g *grid) update(x *Index, o *ordering, row Row) {
	place := g.at[row]
	in := o.has(row) && x.present.has(row)
	key, part := int64(0), int32(0)
	if in {
		key, part = x.orderKey(o, row), x.partOf(o, row)
	}
	if place.cell >= 0 {
		c := &g.parts[place.part].cells[place.cell]
		b, i := g.find(x, c, place.key, row)
		if in && place.part == part && place.key == key && c.blocks[b].entries[i].packed == x.packed[row] {
			return
		}
		g.remove(place, b, i)
		g.at[row].cell = -1
	}
	if in {
		g.insert(x, row, part, key)
	}
}

// find returns where a node is, or would be, in a cell.
func (g *grid) find(x *Index, c *cell, key int64, row Row) (b, i int) {
	join := x.nodes[row].join
	b, _ = slices.BinarySearchFunc(c.blocks, key, func(b block, key int64) int {
		return x.compareEntry(b.entries[len(b.entries)-1], key, join)
	})
	if b == len(c.blocks) {
		if b == 0 {
			return 0, 0
		}
		b--
		return b, len(c.blocks[b].entries)
	}
	i, _ = slices.BinarySearchFunc(c.blocks[b].entries, key, func(e gridEntry, key int64) int {
		return x.compareEntry(e, key, join)
	})
	return b, i
}

// compareEntry orders an entry against a key and a join number.
func (x *Index) compareEntry(e gridEntry, key int64, join uint64) int {
	switch {
	case e.key < key:
		return -1
	case e.key > key:
		return 1
	}
	switch other := x.nodes[e.row].join; {
	case other < join:
		return -1
	case other > join:
		return 1
	}
	return 0
}

func (g *grid) insert(x *Index, row Row, part int32, key int64) {
	for int(part) >= len(g.parts) {
		g.parts = append(g.parts, gridPart{known: make(map[uint64]int32)})
	}
	packed := x.packed[row]
	number := g.parts[part].cellOf(corner(packed))
	c := &g.parts[part].cells[number]
	g.at[row] = gridPlace{key, part, number}
	g.n++
	entry := gridEntry{packed, key, row}
	if len(c.blocks) == 0 {
		c.blocks = append(c.blocks, block{top: packed, entries: []gridEntry{entry}})
		c.low = key
		return
	}
	b, i := g.find(x, c, key, row)
	if at := &c.blocks[b]; len(at.entries) == x.thresholds.gridBlock {
		c.split(b, i == len(at.entries))
		b, i = g.find(x, c, key, row)
	}
	at := &c.blocks[b]
	at.entries = slices.Insert(at.entries, i, entry)
	at.top = maxLanes(at.top, packed)
	c.low = c.blocks[0].entries[0].key
}

// split makes room in a full block: by halves, or by a new block if the entry
// to come is after its end, so that sorted arrivals fill blocks.
func (c *cell) split(b int, atEnd bool) {
	entries := c.blocks[b].entries
	half := len(entries) / 2
	if atEnd {
		half = len(entries) - 1
	}
	second := slices.Clone(entries[half:])
	c.blocks[b].entries = entries[:half]
	c.blocks[b].top = topOf(entries[:half])
	c.blocks = slices.Insert(c.blocks, b+1, block{topOf(second), second})
}

func (g *grid) remove(place gridPlace, b, i int) {
	part := &g.parts[place.part]
	c := &part.cells[place.cell]
	at := &c.blocks[b]
	packed := at.entries[i].packed
	g.n--
	at.entries = slices.Delete(at.entries, i, i+1)
	switch {
	case len(at.entries) == 0:
		c.blocks = slices.Delete(c.blocks, b, b+1)
	case reaches(packed, at.top):
		at.top = topOf(at.entries)
	}
	if len(c.blocks) > 0 {
		c.low = c.blocks[0].entries[0].key
		return
	}
	c.low = noKey
	delete(part.known, c.corner)
	part.spare = append(part.spare, place.cell)
}

// cellOf returns the number of the cell with this corner, a new one if need be.
func (g *gridPart) cellOf(corner uint64) int32 {
	if number, ok := g.known[corner]; ok {
		return number
	}
	number := int32(len(g.cells))
	if last := len(g.spare) - 1; last >= 0 {
		number = g.spare[last]
		g.spare = g.spare[:last]
		g.cells[number].corner = corner
	} else {
		g.cells = append(g.cells, cell{corner: corner, low: noKey})
	}
	g.known[corner] = number
	return number
}

// maxLanes returns the greater of each lane of two packed words.
func maxLanes(a, b uint64) uint64 {
	atLeast := ((a | guards) - b) & guards // guard bits of lanes where a ≥ b
	mask := atLeast - atLeast>>laneBits    // all lower bits of those lanes
	return a&mask | b&^(mask|guards)
}

// reaches reports whether a lane of packed is that of top, which is nowhere
// less, and not zero.
func reaches(packed, top uint64) bool {
	return misses(packed, top) != misses(0, top)
}

func topOf(entries []gridEntry) uint64 {
	top := uint64(0)
	for i := range entries {
		top = maxLanes(top, entries[i].packed)
	}
	return top
}
