package sim

import (
	"container/heap"
	"time"

	"github.com/rads-project/constellation/raft"
)

// event is something that happens to the world or, in the inbox of a node, to
// that node.
type event struct {
	at    time.Duration
	order uint64 // of scheduling, among events of one instant

	run func()
	// If run is nil, the message reaches the node.
	node    *member
	message raft.Message
}

// queue is a heap of events. They are recycled, as most are messages.
type queue struct {
	events []*event
	idle   []*event
	order  uint64
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (q *queue) Len() int { return len(q.events) }

func (q *queue) Less(i, j int) bool {
	a, b := q.events[i], q.events[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (q *queue) Swap(i, j int) { q.events[i], q.events[j] = q.events[j], q.events[i] }

func (q *queue) Push(x any) { q.events = append(q.events, x.(*event)) }

func (q *queue) Pop() any {
	last := len(q.events) - 1
	e := q.events[last]
	q.events = q.events[:last]
	return e
}

// add schedules an empty event, for the caller to fill in.
func (q *queue) add(at time.Duration) *event {
	e := q.blank()
	e.at = at
	heap.Push(q, e)
	return e
}

// blank returns an event that is not scheduled.
func (q *queue) blank() *event {
	var e *event
	if last := len(q.idle) - 1; last >= 0 {
		e, q.idle = q.idle[last], q.idle[:last]
	} else {
		e = new(event)
	}
	q.order++
	e.order = q.order
	return e
}

// take removes the next event. Give it back with done.
func (q *queue) take() *event { return heap.Pop(q).(*event) }

func (q *queue) done(e *event) {
	e.run, e.node = nil, nil
	q.idle = append(q.idle, e)
}

// next returns when the next event is, never if there is none.
func (q *queue) next() time.Duration {
	if len(q.events) == 0 {
		return raft.Never
	}
	return q.events[0].at
}
