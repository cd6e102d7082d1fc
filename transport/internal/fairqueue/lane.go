package fairqueue

import "time"

// A lane is the frames under one key, in a ring that grows as they do.
type lane struct {
	key  string
	ring []entry
	head int
	n    int
	next *lane
}

type entry struct {
	frame []byte
	since time.Time
}

// push puts e at the end.
func (l *lane) push(e entry) {
	if l.n == len(l.ring) {
		l.grow(max(2*l.n, 1))
	}
	l.ring[(l.head+l.n)%len(l.ring)] = e
	l.n++
}

// grow gives the ring, which is full, room for size frames.
func (l *lane) grow(size int) {
	ring := make([]entry, size)
	copied := copy(ring, l.ring[l.head:])
	copy(ring[copied:], l.ring[:l.head])
	l.ring, l.head = ring, 0
}

// begin puts a lane for key at the end of the turns.
func (q *Queue) begin(key string) *lane {
	l := q.spare
	if l == nil {
		l = &lane{}
	} else {
		q.spare = l.next
	}
	l.key = key
	q.lanes[key] = l
	q.join(l)
	return l
}

// end forgets l, which has left the turns and has no frame.
func (q *Queue) end(l *lane) {
	delete(q.lanes, l.key)
	l.next, q.spare = q.spare, l
}

// join puts l at the end of the turns.
func (q *Queue) join(l *lane) {
	l.next = nil
	if q.last == nil {
		q.first = l
	} else {
		q.last.next = l
	}
	q.last = l
}

// leave takes the first lane out of the turns.
func (q *Queue) leave() *lane {
	l := q.first
	if q.first = l.next; q.first == nil {
		q.last = nil
	}
	return l
}

// expire drops what has waited in l for too long.
func (q *Queue) expire(l *lane, now time.Time) {
	for l.n > 0 && now.Sub(l.ring[l.head].since) > q.age {
		q.drop(l)
		q.drops.Stale++
	}
}

// buffer returns an empty buffer, a used one where possible.
func (q *Queue) buffer() []byte {
	n := len(q.buffers)
	if n == 0 {
		return nil
	}
	b := q.buffers[n-1]
	q.buffers[n-1] = nil
	q.buffers = q.buffers[:n-1]
	return b[:0]
}

// drop removes the oldest frame of l, which must have one.
func (q *Queue) drop(l *lane) {
	e := &l.ring[l.head]
	q.buffers = append(q.buffers, e.frame)
	e.frame = nil
	l.head = (l.head + 1) % len(l.ring)
	l.n--
	q.n--
}
