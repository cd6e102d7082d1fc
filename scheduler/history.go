package scheduler

import (
	"math"
	"reflect"
	"sort"
	"sync"
	"time"
	"unsafe"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// The bounds of a history. An event counts with about all that it points to.
const (
	historySize  = 1 << 16
	historyBytes = 16 << 20
)

// history keeps the latest events, in blocks. Watchers read it at their own pace,
// each from a place of its own. It has a lock of its own, so that they hold up no
// decision; the scheduler's is taken before it. A watcher holds it while it looks
// for its next block, whose events it then reads without a lock: they are not
// changed any more.
//
// Those that have read everything wait in a queue. Who makes an event wakes one of
// them, unless one is on its way; that one wakes two when it reads, and each of
// those two more. So an event costs its maker the same beside any number of
// watchers, and watchers that read are woken by nobody. To wake costs more than to
// read an event: beyond a thousand times in a second the first one sleeps for a
// while, so that there is more to read.
type history struct {
	watched bool // events are recorded; guarded by the scheduler's lock

	mu     sync.Mutex // guards all below
	blocks []*block   // oldest first
	total  uint64     // events ever recorded; the place of the next
	bytes  int        // of those that are kept
	// counted are the classes whose rules some event counts that is kept, since the
	// place before again.
	counted map[*index.Class]bool
	again   uint64
	lost    uint64    // Seq of the last event that is not kept, as far as is known
	spare   *block    // empty
	idle    watcher   // its next and prev are the ends of the queue
	roused  *watcher  // on its way from there, to wake the others; nil is none
	due     time.Time // of the next one, at the pace of wakePace
	asleep  int       // watchers in the queue
	woken   int       // watchers, ever
}

// Watchers are woken at once, but when that has happened more often than once in
// wakePace, or in wakeCost for each of them, over a time of wakeBurst.
const (
	wakePace  = time.Millisecond
	wakeCost  = 10 * time.Microsecond
	wakeBurst = 100 * wakePace
)

// block holds consecutive events.
type block struct {
	first   uint64  // place of the first
	events  []Event // of a capacity that is never exceeded
	bytes   int
	readers int // who read events of it without the lock
}

// The bounds of a block. It has at least one event, however large that is.
const (
	blockSize  = 256
	blockBytes = historyBytes / 64
)

func (b *block) end() uint64 { return b.first + uint64(len(b.events)) }

// watcher is one iteration over the result of Watch.
type watcher struct {
	seen       bookmark
	placed     bool          // place is known
	place      uint64        // of the next event
	block      *block        // that it reads without the lock, or nil
	wake       chan struct{} // gets a value when the queue lets go of it
	next, prev *watcher      // in the queue, nil if it is not in it
}

// resume has a watcher go on after a Seq.
func (w *watcher) resume(seq uint64) { w.seen, w.placed = allOf(seq), false }

func newWatcher(afterSeq uint64) *watcher {
	return &watcher{seen: allOf(afterSeq), wake: make(chan struct{}, 1)}
}

// bookmark is how far somebody has read: all entries before that of a Seq, and of
// that one so many events.
type bookmark struct {
	seq  uint64
	read int
}

func allOf(seq uint64) bookmark { return bookmark{seq, math.MaxInt} }

// after returns the bookmark after events that follow.
func (p bookmark) after(events []Event) bookmark {
	last := bookmark{events[len(events)-1].Seq, 1}
	for last.read < len(events) && events[len(events)-1-last.read].Seq == last.seq {
		last.read++
	}
	if last.read == len(events) && last.seq == p.seq {
		last.read += p.read
	}
	return last
}

// start lets events be recorded from now on, which is after that of a Seq.
func (h *history) start(lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched, h.lost = true, lost
}

// record keeps events, and forgets the oldest beyond either bound.
func (h *history) record(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		h.add(e)
	}
	if h.roused == nil {
		h.roused = h.wakeNext()
	}
}

func (h *history) add(e Event) {
	b := h.latest()
	if b == nil || len(b.events) == blockSize || b.bytes > blockBytes {
		b = h.grow()
	}
	bytes := h.bytesOf(e.Change)
	b.events = append(b.events, e)
	b.bytes += bytes
	h.bytes += bytes
	h.total++
	for len(h.blocks) > 1 && (h.total-h.blocks[0].first > historySize || h.bytes > historyBytes) {
		h.forget()
	}
}

func (h *history) latest() *block {
	if len(h.blocks) == 0 {
		return nil
	}
	return h.blocks[len(h.blocks)-1]
}

func (h *history) grow() *block {
	b := h.spare
	if h.spare = nil; b == nil {
		b = &block{events: make([]Event, 0, blockSize)}
	}
	b.first = h.total
	h.blocks = append(h.blocks, b)
	return b
}

// forget drops the oldest block, and keeps its memory for the next one if nobody
// reads it.
func (h *history) forget() {
	b := h.blocks[0]
	h.blocks[0] = nil
	h.blocks = h.blocks[1:]
	h.lost = b.events[len(b.events)-1].Seq
	h.bytes -= b.bytes
	if b.readers == 0 {
		clear(b.events)
		b.events, b.bytes = b.events[:0], 0
		h.spare = b
	}
}

// end returns the place after the latest event.
func (h *history) end() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// after returns the place of the first event with a greater Seq.
func (h *history) after(seq uint64) uint64 {
	above := func(e Event) bool { return e.Seq > seq }
	i := sort.Search(len(h.blocks), func(i int) bool { return above(h.blocks[i].events[len(h.blocks[i].events)-1]) })
	if i == len(h.blocks) {
		return h.total
	}
	b := h.blocks[i]
	return b.first + uint64(sort.Search(len(b.events), func(j int) bool { return above(b.events[j]) }))
}

// unended is the place at which a watch ends that goes on.
const unended = ^uint64(0)

// take moves a watcher past the next events, up to an end, and returns them. They
// stay as they are until its next call. If there are none and there may be some
// later, the watcher waits to be woken. A watcher may be late: then take does
// nothing else but to return the Seq up to which events are not kept.
func (h *history) take(w *watcher, end uint64) (events []Event, lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(w)
	h.wakeTwo() // also instead of one that does not wait any more
	if w.placed && w.place < h.blocks[0].first || !w.placed && w.seen.seq < h.lost {
		return nil, h.lost
	}
	if !w.placed {
		w.place = h.after(w.seen.seq)
		w.placed = w.place < h.total // else the next may be one that it has seen
	}
	if w.place >= min(h.total, end) {
		if end == unended {
			h.enqueue(w)
		}
		return nil, 0
	}
	i := sort.Search(len(h.blocks), func(i int) bool { return h.blocks[i].end() > w.place })
	b := h.blocks[i]
	b.readers++
	from, to := w.place-b.first, min(b.end(), end)-b.first
	w.block, w.place = b, b.first+to
	w.seen = w.seen.after(b.events[from:to])
	return b.events[from:to], 0
}

// quit lets go of a watcher that has ended.
func (h *history) quit(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(w)
	h.wakeTwo()
}

// leave ends what a watcher does in the history: to read, to wait, to be woken.
func (h *history) leave(w *watcher) {
	if h.roused == w {
		h.roused = nil
	}
	if w.block != nil {
		w.block.readers--
		w.block = nil
	}
	if w.next != nil {
		h.dequeue(w)
	}
	select {
	case <-w.wake:
	default:
	}
}

// wakeTwo wakes two that wait.
func (h *history) wakeTwo() {
	h.wakeNext()
	h.wakeNext()
}

// wakeNext wakes who has waited longest, if there is something that it has not
// read, and returns it. The queue is in the order of places.
func (h *history) wakeNext() *watcher {
	w := h.idle.next
	if w == nil || w == &h.idle || w.place >= h.total {
		return nil
	}
	h.dequeue(w)
	w.wake <- struct{}{}
	h.woken++
	return w
}

// pause returns how long a watcher that was woken sleeps before it reads.
func (h *history) pause(w *watcher, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.roused != w {
		return 0
	}
	if earliest := now.Add(-wakeBurst); h.due.Before(earliest) {
		h.due = earliest
	}
	h.due = h.due.Add(max(wakePace, time.Duration(h.asleep)*wakeCost))
	return h.due.Sub(now)
}

// enqueue lets a watcher wait that has read everything.
func (h *history) enqueue(w *watcher) {
	if h.idle.next == nil {
		h.idle.next, h.idle.prev = &h.idle, &h.idle
	}
	w.next, w.prev = &h.idle, h.idle.prev
	w.next.prev, w.prev.next = w, w
	h.asleep++
}

func (h *history) dequeue(w *watcher) {
	w.next.prev, w.prev.next = w.prev, w.next
	w.next, w.prev = nil, nil
	h.asleep--
}

// bytesOf returns about how much memory an event takes, with all that its change
// points to. The rules of a request count once while an event that counts them is
// kept, so that all count once or twice. What is common is added up; the rest,
// which is rare, is walked.
func (h *history) bytesOf(c Change) int {
	bytes := int(unsafe.Sizeof(Event{}))
	switch c := c.(type) {
	case nil:
		return bytes
	case *Placed:
		bytes += int(unsafe.Sizeof(*c)) + len(c.ID) + len(c.NodeID) + 2*len(c.Devices) + bytesOfCustom(c.Resources)
		if c.class != nil && h.counts(c.class) {
			bytes += c.class.Bytes()
		}
		if c.Claim != nil {
			bytes += bytesOf(reflect.ValueOf(c.Claim))
		}
		return bytes
	case *Released:
		return bytes + int(unsafe.Sizeof(*c)) + len(c.ID)
	case *Resized:
		return bytes + int(unsafe.Sizeof(*c)) + len(c.ID) + 2*len(c.Devices) + bytesOfCustom(c.Resources)
	case *InstanceMarked:
		return bytes + int(unsafe.Sizeof(*c)) + len(c.ID) + len(c.NodeID)
	default:
		return bytes + bytesOf(reflect.ValueOf(c))
	}
}

// counts reports whether an event that is about to be kept is to count the rules of a
// class. It begins anew once the first event has been forgotten since it did.
func (h *history) counts(c *index.Class) bool {
	if h.counted == nil || h.blocks[0].first >= h.again {
		h.counted, h.again = make(map[*index.Class]bool), h.total+1
	}
	before := h.counted[c]
	h.counted[c] = true
	return !before
}

func bytesOfCustom(r placement.Resources) int {
	bytes := 0
	for name := range r.Custom {
		bytes += 4*8 + len(name)
	}
	return bytes
}

// bytesOf returns about how much memory a value takes, with all that it points
// to.
func bytesOf(v reflect.Value) int { return int(v.Type().Size()) + bytesBehind(v) }

func bytesBehind(v reflect.Value) int {
	bytes := 0
	switch v.Kind() {
	case reflect.String:
		bytes = v.Len()
	case reflect.Slice:
		for i := range v.Len() {
			bytes += bytesOf(v.Index(i))
		}
	case reflect.Map:
		for pairs := v.MapRange(); pairs.Next(); {
			bytes += bytesOf(pairs.Key()) + bytesOf(pairs.Value())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			bytes = bytesOf(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0
		}
		for _, field := range v.Fields() {
			bytes += bytesBehind(field)
		}
	default:
	}
	return bytes
}
