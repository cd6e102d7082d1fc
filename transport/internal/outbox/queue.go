package outbox

import (
	"time"

	"github.com/rads-project/constellation/transport"
)

// A queue is a ring of frames, the oldest first. It reuses its buffers, so
// that it allocates only until each has met its longest frame.
type queue struct {
	slots [transport.QueueFrames]slot
	head  int
	n     int
}

type slot struct {
	frame []byte
	since time.Time
}

// push copies frame to the end. The queue must not be full.
func (q *queue) push(now time.Time, frame []byte) {
	s := &q.slots[(q.head+q.n)%len(q.slots)]
	s.frame, s.since = append(s.frame[:0], frame...), now
	q.n++
}

// front returns the oldest frame; the queue must not be empty.
func (q *queue) front() []byte { return q.slots[q.head].frame }

// drop forgets the oldest frame; the queue must not be empty.
func (q *queue) drop() {
	q.head = (q.head + 1) % len(q.slots)
	q.n--
}

func (q *queue) full() bool { return q.n == len(q.slots) }

// expire drops what has waited for longer than transport.QueueAge and returns
// how many frames that were.
func (q *queue) expire(now time.Time) int {
	before := q.n
	for q.n > 0 && now.Sub(q.slots[q.head].since) > transport.QueueAge {
		q.drop()
	}
	return before - q.n
}
