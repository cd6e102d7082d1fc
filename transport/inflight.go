package transport

import (
	"container/heap"
	"time"
)

// An inFlight is a frame in flight to an endpoint of a [Memory].
type inFlight struct {
	from, flow string
	frame      []byte
	// due is when it arrives and sent is when it left; seq orders frames that
	// arrive at the same time.
	due, sent time.Duration
	seq       uint64
	// out are the sender's counters. Only the first copy of a frame counts
	// there: extra marks the others.
	out   *PeerStats
	extra bool
}

// finish takes f off the sender's queue and counts its fate.
func (f *inFlight) finish(fate *uint64) {
	if !f.extra {
		f.out.Queued--
		*fate++
	}
}

// acceptLocked puts f into the inbox. If too many frames of its sender and flow
// wait, the oldest of them is dropped.
func (e *Endpoint) acceptLocked(f *inFlight) {
	from := e.peerLocked(f.from)
	if from.waiting[f.flow] == QueueFrames {
		oldest := e.removeLocked(e.inbox.oldest(f.from, f.flow))
		oldest.finish(&oldest.out.Dropped.Full)
		e.spare = append(e.spare, oldest)
	}
	from.waiting[f.flow]++
	if !f.extra {
		f.out.Queued++
	}
	heap.Push(&e.inbox, f)
	if e.inbox[0] == f {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (e *Endpoint) removeLocked(i int) *inFlight {
	f, _ := heap.Remove(&e.inbox, i).(*inFlight)
	waiting := e.peerLocked(f.from).waiting
	if waiting[f.flow]--; waiting[f.flow] == 0 {
		delete(waiting, f.flow)
	}
	return f
}

// blankLocked returns an inFlight to fill, a used one where possible.
func (e *Endpoint) blankLocked() *inFlight {
	n := len(e.spare)
	if n == 0 {
		return &inFlight{}
	}
	f := e.spare[n-1]
	e.spare = e.spare[:n-1]
	return f
}

// An inbox is a heap of frames in flight, the next one to arrive first.
type inbox []*inFlight

// oldest returns the index of the frame that from sent first in flow; the inbox
// must hold one. It looks at every frame of the inbox, and runs on overflow only.
func (b inbox) oldest(from, flow string) int {
	at := -1
	for i, f := range b {
		if f.from == from && f.flow == flow && (at < 0 || f.seq < b[at].seq) {
			at = i
		}
	}
	return at
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (b inbox) Len() int { return len(b) }

func (b inbox) Less(i, j int) bool {
	if b[i].due != b[j].due {
		return b[i].due < b[j].due
	}
	return b[i].seq < b[j].seq
}

func (b inbox) Swap(i, j int) { b[i], b[j] = b[j], b[i] }

func (b *inbox) Push(x any) {
	f, _ := x.(*inFlight)
	*b = append(*b, f)
}

func (b *inbox) Pop() any {
	old := *b
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return f
}
