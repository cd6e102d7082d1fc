package index

// sparseCounts counts by numbers of which few have a count: in a table that is open, so
// that it is copied in one piece.
//
// Invariant: a number stands in the first slots from its place on, without an empty one
// before it; at most three quarters of the slots are taken.
type sparseCounts struct {
	slots []countSlot // a power of two, or none
	n     int         // numbers that have a count
}

// countSlot is a number with its count; empty is a count of zero.
type countSlot struct{ number, count int32 }

// place returns where a number begins to be looked for.
func (s *sparseCounts) place(number int32) int {
	const spread = 0x9E3779B1 // so that numbers in a row lie apart
	return int(uint32(number)*spread>>7) & (len(s.slots) - 1)
}

// find returns the slot of a number, or the empty one where it would stand.
func (s *sparseCounts) find(number int32) int {
	at := s.place(number)
	for s.slots[at].count != 0 && s.slots[at].number != number {
		at = (at + 1) & (len(s.slots) - 1)
	}
	return at
}

// at returns the count of a number.
func (s *sparseCounts) at(number int32) int32 {
	if s.n == 0 {
		return 0
	}
	return s.slots[s.find(number)].count
}

// add changes a count by delta and returns it.
func (s *sparseCounts) add(number, delta int32) int32 {
	if 4*(s.n+1) > 3*len(s.slots) {
		s.grow()
	}
	at := s.find(number)
	slot := &s.slots[at]
	if slot.count == 0 {
		s.n++
	}
	slot.number, slot.count = number, slot.count+delta
	if slot.count == 0 {
		s.n--
		s.close(at)
		return 0
	}
	return slot.count
}

func (s *sparseCounts) grow() {
	old := s.slots
	s.slots = make([]countSlot, max(8, 2*len(old)))
	for _, slot := range old {
		if slot.count != 0 {
			s.slots[s.find(slot.number)] = slot
		}
	}
}

// close moves those into an empty slot that could not be found behind it.
func (s *sparseCounts) close(empty int) {
	last := len(s.slots) - 1
	for at := (empty + 1) & last; s.slots[at].count != 0; at = (at + 1) & last {
		if place := s.place(s.slots[at].number); (at-place)&last >= (at-empty)&last {
			s.slots[empty] = s.slots[at]
			s.slots[at].count = 0
			empty = at
		}
	}
}

// each calls yield with every number that has a count until it returns false.
func (s *sparseCounts) each(yield func(number, count int32) bool) {
	for _, slot := range s.slots {
		if slot.count != 0 && !yield(slot.number, slot.count) {
			return
		}
	}
}
