package index

import (
	"math"
	"math/bits"
	"slices"
)

// grid keeps the nodes so that the first in the order of a strategy among
// those with room is found without looking at the rest.
//
// Nodes lie in cells by the magnitude of what they have free: the number of
// bits of each lane of their packed word. A request with no room in a cell's
// upper corner has none in the cell; in most other cells it fits everywhere.
// Within a cell nodes are sorted by key and then by join number, in blocks
// that know the greatest of each lane, so that the first one that fits is
// near the front.
//
// The key of the order is W·2²⁰ − R: R of BinPack, or R of Spread for one set
// of scarce dimensions that are not asked. Because references are those of
// the cluster and not of the request, one grid serves every request of the
// same order.
//
// Invariant: every present node is in exactly one cell, that of its packed
// word, with its current key and word; no block is empty; every block's top is
// the lane by lane maximum of its entries.
type grid struct {
	packs dimensionSet
	cells []cell
	known map[uint64]int32 // cell numbers by corner
	spare []int32          // numbers of cells without nodes
	at    []gridPlace      // by slot
}

// dimensionSet has one bit per registered dimension.
type dimensionSet uint16

type gridPlace struct {
	cell int32 // -1 for none
	key  uint32
}

type cell struct {
	corner uint64 // the greatest packed word that lies in the cell
	low    uint32 // the key of the first entry; noKey if there is none
	blocks []block
}

type block struct {
	top     uint64
	entries []gridEntry
}

type gridEntry struct {
	packed uint64
	key    uint32
	slot   Slot
}

// noKey is above every key: K is at most 16 · 64 · 2²⁰.
const noKey = math.MaxUint32

func newGrid(x *Index, packs dimensionSet) *grid {
	g := &grid{packs: packs, known: make(map[uint64]int32), at: make([]gridPlace, len(x.nodes), cap(x.nodes))}
	for slot := range g.at {
		g.at[slot].cell = -1
	}
	// In the order of keys every insertion is at the end.
	slots := slices.Clone(x.order)
	keys := make([]uint32, len(x.nodes))
	for _, slot := range slots {
		keys[slot] = x.orderKey(packs, slot)
	}
	slices.SortStableFunc(slots, func(a, b Slot) int { return int(int64(keys[a]) - int64(keys[b])) })
	for _, slot := range slots {
		g.insert(x, slot, keys[slot])
	}
	return g
}

// orderKey returns W·2²⁰ − R of a node where the dimensions of packs count as
// in BinPack and the others as in Spread.
func (x *Index) orderKey(packs dimensionSet, slot Slot) uint32 {
	if packs == x.allDimensions() {
		return x.key[slot]
	}
	sum := int64(0)
	for d := range x.dims {
		dim := &x.dims[d]
		share := dim.weight * dim.share(x.free[d][slot])
		if packs>>d&1 == 0 {
			share = dim.weight*dim.unit() - share
		}
		sum += share
	}
	return uint32(sum)
}

func (x *Index) allDimensions() dimensionSet { return 1<<len(x.dims) - 1 }

// corner returns the greatest word with as many bits in every lane as packed.
func corner(packed uint64) uint64 {
	c := uint64(0)
	for lane := range laneCount {
		value := packed >> (lane * laneStep) & laneMax
		c |= (1<<bits.Len64(value) - 1) << (lane * laneStep)
	}
	return c
}

// update brings a node's entry up to date; a vacant slot has none.
func (g *grid) update(x *Index, slot Slot) {
	for len(g.at) < len(x.nodes) {
		g.at = append(g.at, gridPlace{cell: -1})
	}
	place := g.at[slot]
	if !x.present.has(slot) {
		if place.cell >= 0 {
			g.remove(x, slot)
		}
		return
	}
	key := x.orderKey(g.packs, slot)
	if place.cell >= 0 {
		b, i := g.find(x, &g.cells[place.cell], place.key, slot)
		if place.key == key && g.cells[place.cell].blocks[b].entries[i].packed == x.packed[slot] {
			return
		}
		g.removeAt(place.cell, b, i)
	}
	g.insert(x, slot, key)
}

// find returns where a node is, or would be, in a cell.
func (g *grid) find(x *Index, c *cell, key uint32, slot Slot) (b, i int) {
	join := x.nodes[slot].join
	b, _ = slices.BinarySearchFunc(c.blocks, key, func(b block, key uint32) int {
		return x.compareEntry(b.entries[len(b.entries)-1], key, join)
	})
	if b == len(c.blocks) {
		if b == 0 {
			return 0, 0
		}
		b--
		return b, len(c.blocks[b].entries)
	}
	i, _ = slices.BinarySearchFunc(c.blocks[b].entries, key, func(e gridEntry, key uint32) int {
		return x.compareEntry(e, key, join)
	})
	return b, i
}

// compareEntry orders an entry against a key and a join number.
func (x *Index) compareEntry(e gridEntry, key uint32, join uint64) int {
	switch {
	case e.key < key:
		return -1
	case e.key > key:
		return 1
	}
	switch other := x.nodes[e.slot].join; {
	case other < join:
		return -1
	case other > join:
		return 1
	}
	return 0
}

func (g *grid) insert(x *Index, slot Slot, key uint32) {
	packed := x.packed[slot]
	number := g.cellOf(corner(packed))
	c := &g.cells[number]
	g.at[slot] = gridPlace{number, key}
	entry := gridEntry{packed, key, slot}
	if len(c.blocks) == 0 {
		c.blocks = append(c.blocks, block{top: packed, entries: []gridEntry{entry}})
		c.low = key
		return
	}
	b, i := g.find(x, c, key, slot)
	if at := &c.blocks[b]; len(at.entries) == x.limits.gridBlock {
		c.split(b, i == len(at.entries))
		b, i = g.find(x, c, key, slot)
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

func (g *grid) remove(x *Index, slot Slot) {
	place := g.at[slot]
	b, i := g.find(x, &g.cells[place.cell], place.key, slot)
	g.removeAt(place.cell, b, i)
	g.at[slot].cell = -1
}

func (g *grid) removeAt(number int32, b, i int) {
	c := &g.cells[number]
	at := &c.blocks[b]
	packed := at.entries[i].packed
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
	delete(g.known, c.corner)
	g.spare = append(g.spare, number)
}

// cellOf returns the number of the cell with this corner, a new one if need be.
func (g *grid) cellOf(corner uint64) int32 {
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

// maxGrids is how many orders are kept at a time: BinPack's, and Spread's for
// some sets of scarce dimensions.
const maxGrids = 4

// gridOf returns the grid of an order and builds it if need be; the one that
// was not used for longest makes room.
func (x *Index) gridOf(packs dimensionSet) *grid {
	for i, g := range x.grids {
		if g.packs == packs {
			copy(x.grids[1:i+1], x.grids[:i])
			x.grids[0] = g
			return g
		}
	}
	if len(x.grids) == maxGrids {
		x.grids = x.grids[:maxGrids-1]
	}
	g := newGrid(x, packs)
	x.grids = slices.Insert(x.grids, 0, g)
	x.stats.Grids++
	return g
}
