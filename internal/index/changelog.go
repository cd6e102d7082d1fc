package index

// changeLog remembers which nodes were described again, most recent last.
type changeLog struct {
	rows []Row
	base uint64 // entries dropped
}

// add appends a node; the older half of as many entries as the log may have
// makes room.
func (l *changeLog) add(row Row, most int) {
	if len(l.rows) == most {
		l.base += uint64(most / 2)
		l.rows = append(l.rows[:0], l.rows[most/2:]...)
	}
	l.rows = append(l.rows, row)
}

// end returns the position after the last entry.
func (l *changeLog) end() uint64 { return l.base + uint64(len(l.rows)) }

// since returns the entries from a position on; it reports false if some were
// dropped.
func (l *changeLog) since(position uint64) ([]Row, bool) {
	if position < l.base {
		return nil, false
	}
	return l.rows[position-l.base:], true
}
