package transport

import (
	"container/heap"
	"time"
)

// A parcel is a frame under way to an endpoint of a [Memory].
type parcel struct {
	from  string
	frame []byte
	// due is when it arrives, sent when it left; seq orders parcels that fall
	// due together.
	due, sent time.Duration
	seq       uint64
	// out are the sender's counters. Only the first copy of a frame counts
	// there: extra marks the others.
	out   *PeerStats
	extra bool
}

// settle takes p off the sender's queue and counts its fate.
func (p *parcel) settle(fate *uint64) {
	if !p.extra {
		p.out.Queued--
		*fate++
	}
}

// acceptLocked puts p into the inbox. The oldest parcel of the same sender
// gives way where too many wait.
func (e *Endpoint) acceptLocked(p *parcel) {
	from := e.peerLocked(p.from)
	if from.waiting == QueueFrames {
		oldest := e.removeLocked(e.inbox.oldest(p.from))
		oldest.settle(&oldest.out.Dropped.Full)
		e.spare = append(e.spare, oldest)
	}
	from.waiting++
	if !p.extra {
		p.out.Queued++
	}
	heap.Push(&e.inbox, p)
	if e.inbox[0] == p {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (e *Endpoint) removeLocked(i int) *parcel {
	p, _ := heap.Remove(&e.inbox, i).(*parcel)
	e.peerLocked(p.from).waiting--
	return p
}

// blankLocked returns a parcel to fill, a used one where possible.
func (e *Endpoint) blankLocked() *parcel {
	n := len(e.spare)
	if n == 0 {
		return &parcel{}
	}
	p := e.spare[n-1]
	e.spare = e.spare[:n-1]
	return p
}

// An inbox is a heap of parcels, the next one to arrive first.
type inbox []*parcel

// oldest returns the index of the parcel that from sent first; the inbox must
// hold one. It looks at all: linear in the inbox, for overflow only.
func (b inbox) oldest(from string) int {
	at := -1
	for i, p := range b {
		if p.from == from && (at < 0 || p.seq < b[at].seq) {
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
	p, _ := x.(*parcel)
	*b = append(*b, p)
}

func (b *inbox) Pop() any {
	old := *b
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return p
}
