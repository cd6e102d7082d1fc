package reservation

import (
	"cmp"
	"container/heap"
)

// rank orders deadlines of one instant: what frees capacity comes before what
// needs it.
type rank int8

const (
	rankEnd    rank = iota // of a reservation
	rankGrace              // of one that evicts
	rankLeave              // of a stay
	rankNotice             // before a start
	rankStart              // of a reservation
)

// deadline is the next thing that time does to a reservation or a stay.
type deadline struct {
	at    int64
	rank  rank
	id    string
	place int // in the heap, from 1; 0 is outside
}

// deadlines is a heap by time, rank and ID.
type deadlines []*deadline

// Len is part of heap.Interface.
func (d deadlines) Len() int { return len(d) }

// Less is part of heap.Interface.
func (d deadlines) Less(i, j int) bool {
	a, b := d[i], d[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rank, b.rank), cmp.Compare(a.id, b.id)) < 0
}

// Swap is part of heap.Interface.
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}

// Push is part of heap.Interface.
func (d *deadlines) Push(x any) {
	due := x.(*deadline)
	*d = append(*d, due)
	due.place = len(*d)
}

// Pop is part of heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	due := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	due.place = 0
	return due
}

// cancel takes a deadline out.
func (d *deadlines) cancel(due *deadline) {
	if due.place > 0 {
		heap.Remove(d, due.place-1)
	}
}

// set gives a deadline, which may be in the heap or not, its time and rank.
func (d *deadlines) set(due *deadline, at int64, r rank) {
	d.cancel(due)
	due.at, due.rank = at, r
	heap.Push(d, due)
}
