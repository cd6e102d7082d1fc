package index

import "slices"

// A rule over single nodes, that nodes with some instances take no more of them, or
// that those with the fewest come first, keeps a request from just the nodes where a
// search begins: the fullest have the replicas. So that a search does not pass them
// one by one, rules that have cost as much keep two things.
//
// barredNodes are a bar: the nodes on which a counter counts more than some number,
// one bit each, kept up with every instance that joins or leaves.
//
// Tops are, for the blocks of a grid that searches have come through in vain, the
// greatest of each lane of those entries that no bar of the rules holds. A block
// whose top does not reach what is asked is passed over like one without room.
//
// Invariant, brought up to date: the top of a block is no less than any of its entries
// without a bar, unless the block was split or made anew since it was computed.
type barredNodes struct {
	most  int32
	rows  bitset
	freed changeLog
	users int
}

// barChanges is how many nodes a bar remembers that were freed.
const barChanges = 256

// putBars brings the bars of a counter up to date after its count of a node changed.
func (x *Index) putBars(k *counter, row Row) {
	count := k.domains.at(int32(row))
	for _, b := range k.bars {
		b.rows = b.rows.resized(max(len(b.rows), words(int(row)+1)))
		was, is := b.rows.has(row), count > b.most
		b.rows.put(row, is)
		if was && !is {
			b.freed.add(row, barChanges)
		}
	}
}

// bar returns the bar of a counter of single nodes, for one more user. A new one
// takes time in proportion to the nodes that have a count.
func (x *Index) bar(k *counter, most int32) *barredNodes {
	for _, b := range k.bars {
		if b.most == most {
			b.users++
			return b
		}
	}
	b := &barredNodes{most: most, rows: make(bitset, words(len(x.nodes))), users: 1}
	for node, count := range k.domains.each {
		if count > most {
			b.rows.set(Row(node))
		}
	}
	k.bars = append(k.bars, b)
	return b
}

// barring is a bar that rules are under.
type barring struct {
	counter *counter
	most    int32
	bar     *barredNodes // nil until there are tops
	seen    uint64       // position in bar.freed
}

// barredTops are the tops of some rules.
type barredTops struct {
	rules  *compiledRules
	grid   uint64 // number of the grid
	under  []barring
	blocks []blockTop // by number
	seen   uint64     // position in Index.bookLog
	used   uint64     // the search that used them last
}

type blockTop struct {
	top   uint64
	moves uint64 // of the grid, when it was computed; 0 for none
}

// bytes returns about how much memory the tops take, with their bars.
func (t *barredTops) bytes() int {
	size := 16 * len(t.blocks)
	for i := range t.under {
		size += 8 * len(t.under[i].bar.rows)
	}
	return size
}

// useBars lists what keeps the query from single nodes, and brings the tops of its
// rules up to date if there are any of the grid that is searched.
func (s *search) useBars() {
	for i := range s.p.tests {
		if test := &s.p.tests[i]; test.counter.topology.key == "" && test.high < noLimit {
			s.under = append(s.under, barring{counter: test.counter, most: test.high})
		}
	}
	if group := s.p.compiled.group; group != nil {
		s.under = append(s.under, barring{counter: group, most: s.fewest()})
	}
	s.bars = s.under
	t := s.p.compiled.tops
	if t == nil {
		return
	}
	same := func(a, b barring) bool { return a.counter == b.counter && a.most == b.most }
	if t.grid != s.order.grid.number || !slices.EqualFunc(t.under, s.under, same) {
		s.x.dropTops(t)
		return
	}
	t.used = s.x.searches
	for len(t.blocks) < len(s.order.grid.blocks) {
		t.blocks = append(t.blocks, blockTop{})
	}
	s.tops, s.bars = t, t.under
	s.raiseTops()
}

// leaveFewest goes on to nodes with more of the group than the fewest: no tops are
// of them.
func (s *search) leaveFewest() {
	s.tops, s.bars = nil, s.under[:len(s.under)-1]
}

// fewest returns how many of the group the nodes have that have the fewest.
func (s *search) fewest() int32 {
	group := &s.p.compiled.group.domains
	if group.nonzero < len(s.x.byJoin) {
		return 0
	}
	s.ranks = group.ranks(s.ranks[:0])
	return s.ranks[0]
}

// raiseTops brings tops up to date with the nodes that may have come into another
// block, and with those that were freed of a bar. Where these are more than there are
// blocks, all tops are forgotten.
func (s *search) raiseTops() {
	t := s.tops
	changed, ok := s.x.bookLog.since(t.seen)
	ok = ok && len(changed) <= len(t.blocks)
	if ok {
		for _, row := range changed {
			s.raiseTop(row)
		}
	}
	for i := range t.under {
		b := &t.under[i]
		freed, known := b.bar.freed.since(b.seen)
		if ok = ok && known; ok {
			for _, row := range freed {
				s.raiseTop(row)
			}
		}
		b.seen = b.bar.freed.end()
	}
	if t.seen = s.x.bookLog.end(); !ok {
		clear(t.blocks)
	}
}

// raiseTop takes a node into the top of its block.
func (s *search) raiseTop(row Row) {
	if number := s.order.grid.at[row]; number > 0 && !s.isBarred(row) {
		t := &s.tops.blocks[number-1]
		t.top = maxLanes(t.top, s.x.packed[row])
	}
}

// noteBarred counts nodes that were looked at in vain, and makes tops when these are
// as many as the grid has blocks.
func (s *search) noteBarred() {
	rules := s.p.compiled
	if rules.tops != nil || rules.thought || s.barred == 0 {
		return
	}
	rules.barred += s.barred
	if rules.barred <= len(s.order.grid.blocks) {
		return
	}
	x := s.x
	t := &barredTops{rules: rules, grid: s.order.grid.number, under: slices.Clone(s.under), seen: x.bookLog.end(), used: x.searches}
	for i := range t.under {
		b := &t.under[i]
		b.bar = x.bar(b.counter, b.most)
		b.seen = b.bar.freed.end()
	}
	t.blocks = make([]blockTop, len(s.order.grid.blocks))
	rules.tops = t
	x.tops = append(x.tops, t)
	x.stats.Tops++
	x.boundTops()
}

// boundTops drops those tops that were used least recently while all take more
// memory than they may.
func (x *Index) boundTops() {
	size := 0
	for _, t := range x.tops {
		size += t.bytes()
	}
	for size > x.thresholds.topBytes*len(x.byJoin) && len(x.tops) > 1 {
		oldest := x.tops[0]
		for _, t := range x.tops {
			if t.used < oldest.used {
				oldest = t
			}
		}
		size -= oldest.bytes()
		x.dropTops(oldest)
	}
}

// dropTops forgets the tops of some rules.
func (x *Index) dropTops(t *barredTops) {
	x.tops = without(x.tops, t)
	x.stats.Tops--
	t.rules.tops, t.rules.barred = nil, 0
	for _, b := range t.under {
		if b.bar.users--; b.bar.users == 0 {
			b.counter.bars = without(b.counter.bars, b.bar)
		}
	}
}

// isBarred reports whether one of the bars holds a node.
func (s *search) isBarred(row Row) bool {
	for i := range s.bars {
		if b := &s.bars[i]; b.bar != nil && b.bar.rows.has(row) || b.bar == nil && b.counter.domains.at(int32(row)) > b.most {
			return true
		}
	}
	return false
}

// barCost is what it costs to find out that a node is barred: a look at counters, or
// at a bit.
func (s *search) barCost() int {
	if s.tops == nil {
		return 4
	}
	return 1
}

// passes reports whether a block has a node without a bar that may have room.
func (s *search) passes(number int32) bool {
	t := &s.tops.blocks[number]
	if t.moves < s.order.grid.blocks[number].moved || misses(t.top, s.p.need) == 0 {
		return true
	}
	s.x.stats.Shut++
	return false
}

// learn computes the top of a block that was come through in vain.
func (s *search) learn(number int32) {
	top := uint64(0)
	for i := range s.order.grid.blocks[number].entries {
		if e := &s.order.grid.blocks[number].entries[i]; !s.isBarred(e.row) {
			top = maxLanes(top, e.packed)
		}
	}
	s.tops.blocks[number] = blockTop{top, s.order.grid.moves}
}
