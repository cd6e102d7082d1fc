package index

// changeLog remembers which nodes were described anew, most recent last.
type changeLog struct {
	slots []Row
	base  uint64 // entries dropped
}

// add appends a node; the older half of as many entries as the log may have
// makes room.
func (l *changeLog) add(slot Row, most int) {
	if len(l.slots) == most {
		l.base += uint64(most / 2)
		l.slots = append(l.slots[:0], l.slots[most/2:]...)
	}
	l.slots = append(l.slots, slot)
}

// end returns the position after the last entry.
func (l *changeLog) end() uint64 { return l.base + uint64(len(l.slots)) }

// since returns the entries from a position on; it reports false if some were
// dropped.
func (l *changeLog) since(position uint64) ([]Row, bool) {
	if position < l.base {
		return nil, false
	}
	return l.slots[position-l.base:], true
}
