package fairqueue

import "time"

// A Queue holds frames by key. Under each key frames keep their order, the
// oldest gives way when there are too many, and one that has waited for too
// long is dropped. Make one with [New].
//
// Calls cost constant time and the copying of a frame, apart from what they
// drop, whatever the number of keys. Buffers are shared by the keys and kept for
// reuse: there are as many as frames have ever waited at once, each as long as
// the longest frame that it has held.
type Queue struct {
	limit int
	age   time.Duration
	n     int
	flows map[string]*flow
	// first to last are the flows in the order of their turns, all those in
	// flows. One whose frames have expired leaves when its turn comes.
	first, last *flow
	// spare are flows for reuse, and buffers are those of frames that are gone.
	spare   *flow
	buffers [][]byte
	drops   Drops
}

// Drops counts the frames that a queue has dropped by itself.
type Drops struct {
	// Full: the key had too many frames. Stale: the frame was too old.
	Full, Stale uint64
}

// New returns a queue that holds at most limit frames under each key, each for
// at most age.
func New(limit int, age time.Duration) *Queue {
	return &Queue{limit: limit, age: age, flows: map[string]*flow{}}
}

// Push adds a copy of frame under key.
func (q *Queue) Push(now time.Time, key string, frame []byte) {
	f := q.flows[key]
	if f == nil {
		f = q.begin(key)
	}
	q.expire(f, now)
	if f.n == q.limit {
		q.drop(f)
		q.drops.Full++
	}
	f.push(queued{append(q.buffer(), frame...), now})
	q.n++
}

// Front returns the frame whose turn it is, and its key. Frames that have
// waited for too long are dropped on the way. The frame is valid until the next
// call of a method of q.
func (q *Queue) Front(now time.Time) (key string, frame []byte, ok bool) {
	for q.first != nil {
		f := q.first
		if q.expire(f, now); f.n > 0 {
			return f.key, f.ring[f.head].frame, true
		}
		q.end(q.leave())
	}
	return "", nil, false
}

// Pop removes the frame that Front has just returned. The turn goes to the next
// key.
func (q *Queue) Pop() {
	f := q.leave()
	q.drop(f)
	if f.n == 0 {
		q.end(f)
		return
	}
	q.join(f)
}

// Len returns the number of frames that wait.
func (q *Queue) Len() int { return q.n }

// Expire drops what has waited for too long under any key. It looks at all
// keys that have frames.
func (q *Queue) Expire(now time.Time) {
	for f := q.first; f != nil; f = f.next {
		q.expire(f, now)
	}
}

// Clear drops all frames and forgets all buffers. It returns how many frames
// there were. The drops stay counted.
func (q *Queue) Clear() int {
	n := q.n
	*q = Queue{limit: q.limit, age: q.age, flows: map[string]*flow{}, drops: q.drops}
	return n
}

// Drops returns what was dropped so far.
func (q *Queue) Drops() Drops { return q.drops }
