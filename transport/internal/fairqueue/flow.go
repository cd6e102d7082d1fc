package fairqueue

import "time"

// A flow is the frames under one key, in a ring that grows as they do.
type flow struct {
	key  string
	ring []queued
	head int
	n    int
	next *flow
}

type queued struct {
	frame []byte
	since time.Time
}

// push puts e at the end.
func (f *flow) push(e queued) {
	if f.n == len(f.ring) {
		f.grow(max(2*f.n, 1))
	}
	f.ring[(f.head+f.n)%len(f.ring)] = e
	f.n++
}

// grow gives the ring, which is full, room for size frames.
func (f *flow) grow(size int) {
	ring := make([]queued, size)
	copied := copy(ring, f.ring[f.head:])
	copy(ring[copied:], f.ring[:f.head])
	f.ring, f.head = ring, 0
}

// begin puts a flow for key at the end of the turns.
func (q *Queue) begin(key string) *flow {
	f := q.spare
	if f == nil {
		f = &flow{}
	} else {
		q.spare = f.next
	}
	f.key = key
	q.flows[key] = f
	q.join(f)
	return f
}

// end forgets f, which has left the turns and has no frame.
func (q *Queue) end(f *flow) {
	delete(q.flows, f.key)
	f.next, q.spare = q.spare, f
}

// join puts f at the end of the turns.
func (q *Queue) join(f *flow) {
	f.next = nil
	if q.last == nil {
		q.first = f
	} else {
		q.last.next = f
	}
	q.last = f
}

// leave takes the first flow out of the turns.
func (q *Queue) leave() *flow {
	f := q.first
	if q.first = f.next; q.first == nil {
		q.last = nil
	}
	return f
}

// expire drops what has waited in f for too long.
func (q *Queue) expire(f *flow, now time.Time) {
	for f.n > 0 && now.Sub(f.ring[f.head].since) > q.age {
		q.drop(f)
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

// drop removes the oldest frame of f, which must have one.
func (q *Queue) drop(f *flow) {
	e := &f.ring[f.head]
	q.buffers = append(q.buffers, e.frame)
	e.frame = nil
	f.head = (f.head + 1) % len(f.ring)
	f.n--
	q.n--
}
