package index

import (
	"slices"

	"github.com/rads-project/constellation/internal/cow"
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
// Invariant, once it is whole: every node of the order's set is in exactly
// one cell, that of its domain and packed word, with its key and word as they
// were when what bookLog holds up to seen had happened; no block of a cell is
// empty; every block's top is the lane by lane maximum of its entries. How a
// grid becomes whole is told in grid_build.go.
type grid struct {
	parts  []gridPart
	blocks []block // by number
	spare  []int32 // numbers of blocks without entries
	at     []int32 // by row: the number of its block plus one, 0 for none
	seen   uint64  // position in Index.bookLog
	// setEdit is that of the order's set when the grid was up to date last.
	setEdit uint64
	number  uint64 // no two grids have the same
	build   gridBuild
	owner   *cow.Owner // of the blocks whose entries may be changed in place

	n     int    // entries
	room  int    // entries for which blocks have memory
	moves uint64 // counts blocks that were made or split
}

// gridPart is the cells of one domain, or all of them.
type gridPart struct {
	cells []cell
	known map[uint64]int32 // cell numbers by corner
	spare []int32          // numbers of cells without nodes
}

type cell struct {
	corner uint64     // the greatest packed word that lies in the cell
	low    int64      // the key of the first entry; noKey if there is none
	blocks []blockRef // in the order of their entries
}

// blockRef is a block of a cell with its top: the greatest of each lane.
type blockRef struct {
	top    uint64
	number int32
}

// block is some entries of a cell, one after the other. moved is the value of
// grid.moves when it was made, or made by a split.
type block struct {
	entries    []gridEntry
	part, cell int32
	moved      uint64
	owner      *cow.Owner
}

type gridEntry struct {
	packed uint64
	key    int64
	row    Row
}

// noKey is above every key.
const noKey = 1<<63 - 1

// Bytes of what a grid consists of.
const (
	rowBytes   = 4
	entryBytes = 24
	blockBytes = 48 + 16 + 8 // with its reference and what slices keep to grow
	cellBytes  = 40 + 24     // with its number
)

// bytes returns about how much memory the grid takes.
func (g *grid) bytes() int {
	size := rowBytes*len(g.at) + entryBytes*g.room + blockBytes*len(g.blocks)
	for i := range g.parts {
		size += cellBytes * len(g.parts[i].cells)
	}
	return size
}

// corner returns the greatest word of the same magnitude in every lane.
func corner(packed uint64) uint64 {
	const mantissas = (1<<mantissa - 1) * (guards >> laneBits)
	return packed | mantissas
}

// update brings a node's entry up to date. It reports whether there was anything
// to do.
func (g *grid) update(x *Index, o *ordering, row Row) bool {
	in := o.has(row) && x.present.has(row)
	number := g.at[row] - 1
	if !in && number < 0 {
		return false
	}
	key, part := int64(0), int32(0)
	if in {
		key, part = x.orderKey(o, row), x.partOf(o, row)
	}
	if number >= 0 {
		b := &g.blocks[number]
		e := &b.entries[b.indexOf(row)]
		if in && b.part == part && e.key == key && e.packed == x.packed[row] {
			return false
		}
		g.remove(x, row)
	}
	if in {
		g.insert(x, row, part, key)
	}
	return true
}

func (b *block) indexOf(row Row) int {
	for i := range b.entries {
		if b.entries[i].row == row {
			return i
		}
	}
	return -1
}

// find returns where a node is, or would be, in a cell: in which of its blocks,
// and where in there.
func (g *grid) find(x *Index, c *cell, key int64, join uint64) (b, i int) {
	b, _ = slices.BinarySearchFunc(c.blocks, key, func(ref blockRef, key int64) int {
		entries := g.blocks[ref.number].entries
		return x.compareEntry(&entries[len(entries)-1], key, join)
	})
	if b == len(c.blocks) {
		if b == 0 {
			return 0, 0
		}
		b--
		return b, len(g.blocks[c.blocks[b].number].entries)
	}
	entries := g.blocks[c.blocks[b].number].entries
	low, high := 0, len(entries)
	for low < high {
		if i = (low + high) / 2; x.compareEntry(&entries[i], key, join) < 0 {
			low = i + 1
		} else {
			high = i
		}
	}
	return b, low
}

// compareEntry orders an entry against a key and a join number.
func (x *Index) compareEntry(e *gridEntry, key int64, join uint64) int {
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
	number, fresh := g.parts[part].cellOf(corner(packed))
	c := &g.parts[part].cells[number]
	if fresh {
		c.blocks = append(c.blocks, blockRef{number: g.newBlock(part, number)})
	}
	b, i := 0, 0
	if !fresh {
		b, i = g.place(x, c, key, x.nodes[row].join)
	}
	ref := &c.blocks[b]
	at := g.own(ref.number)
	g.room -= cap(at.entries)
	at.entries = slices.Insert(at.entries, i, gridEntry{packed, key, row})
	g.room += cap(at.entries)
	ref.top = maxLanes(ref.top, packed)
	c.low = g.blocks[c.blocks[0].number].entries[0].key
	g.at[row] = ref.number + 1
	g.n++
}

// place returns where an entry that comes has its place in a cell, in a block with
// room for it.
func (g *grid) place(x *Index, c *cell, key int64, join uint64) (b, i int) {
	b, i = g.find(x, c, key, join)
	if length := len(g.blocks[c.blocks[b].number].entries); length == x.thresholds.gridBlock {
		g.split(c, b, i == length)
		b, i = g.find(x, c, key, join)
	}
	return b, i
}

// newBlock returns the number of a block without entries for a cell.
func (g *grid) newBlock(part, cell int32) int32 {
	number := int32(len(g.blocks))
	if last := len(g.spare) - 1; last >= 0 {
		number = g.spare[last]
		g.spare = g.spare[:last]
	} else {
		g.blocks = append(g.blocks, block{})
	}
	b := &g.blocks[number]
	g.moves++
	b.part, b.cell, b.moved = part, cell, g.moves
	g.own(number)
	return number
}

// split makes room in a full block: by halves, or by a new block if the entry
// to come is after its end, so that sorted arrivals fill blocks.
func (g *grid) split(c *cell, b int, atEnd bool) {
	first := &g.blocks[c.blocks[b].number]
	number := g.newBlock(first.part, first.cell)
	first, second := g.own(c.blocks[b].number), &g.blocks[number]
	half := len(first.entries) / 2
	if atEnd {
		half = len(first.entries) - 1
	}
	g.room -= cap(second.entries)
	second.entries = append(second.entries[:0], first.entries[half:]...)
	g.room += cap(second.entries)
	first.entries = first.entries[:half]
	for i := range second.entries {
		g.at[second.entries[i].row] = number + 1
	}
	c.blocks[b].top = topOf(first.entries)
	c.blocks = slices.Insert(c.blocks, b+1, blockRef{topOf(second.entries), number})
}

// remove takes out a node, whose join number must still be known.
func (g *grid) remove(x *Index, row Row) {
	number := g.at[row] - 1
	at := g.own(number)
	i := at.indexOf(row)
	e := at.entries[i]
	part := &g.parts[at.part]
	c := &part.cells[at.cell]
	b, _ := g.find(x, c, e.key, x.nodes[row].join)
	g.at[row] = 0
	g.n--
	at.entries = slices.Delete(at.entries, i, i+1)
	switch {
	case len(at.entries) == 0:
		c.blocks = slices.Delete(c.blocks, b, b+1)
		g.spare = append(g.spare, number)
	case reaches(e.packed, c.blocks[b].top):
		c.blocks[b].top = topOf(at.entries)
	}
	if len(c.blocks) > 0 {
		c.low = g.blocks[c.blocks[0].number].entries[0].key
		return
	}
	c.low = noKey
	delete(part.known, c.corner)
	part.spare = append(part.spare, at.cell)
}

// cellOf returns the number of the cell with this corner, a fresh one if need be.
func (g *gridPart) cellOf(corner uint64) (number int32, fresh bool) {
	if number, ok := g.known[corner]; ok {
		return number, false
	}
	number = int32(len(g.cells))
	if last := len(g.spare) - 1; last >= 0 {
		number = g.spare[last]
		g.spare = g.spare[:last]
		g.cells[number].corner = corner
	} else {
		g.cells = append(g.cells, cell{corner: corner, low: noKey})
	}
	g.known[corner] = number
	return number, true
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
