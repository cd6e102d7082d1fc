package scheduler

import (
	"reflect"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/index"
)

// The bounds of a history. An event counts with all that it points to.
const (
	historySize  = 4096
	historyBytes = 16 << 20
)

// history is a ring of the latest events. Watchers read it at their own pace;
// one that falls behind goes on with the next whole entry, so that it finds a
// gap in Seq. It has a lock of its own, so that watchers hold up no decision;
// the scheduler's is taken before it.
type history struct {
	watched bool // somebody has called Watch; guarded by the scheduler's lock

	mu    sync.Mutex    // guards all below
	ring  []recorded    // event i is ring[i%historySize]
	first uint64        // the oldest that is kept
	total uint64        // events ever recorded
	bytes int           // of those that are kept
	lost  uint64        // Seq of the last event that is not kept any more
	more  chan struct{} // closed at the next event; nil while nobody waits
}

type recorded struct {
	Event
	bytes int
}

// record keeps events, and forgets the oldest beyond either bound. The latest is
// kept however large it is.
func (h *history) record(events []Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		bytes := bytesOf(reflect.ValueOf(e))
		for h.first < h.total && (h.total-h.first == historySize || h.bytes+bytes > historyBytes) {
			h.forget()
		}
		if len(h.ring) < historySize && uint64(len(h.ring)) == h.total {
			h.ring = append(h.ring, recorded{})
		}
		h.ring[h.total%historySize] = recorded{e, bytes}
		h.bytes += bytes
		h.total++
	}
	if h.more != nil && len(events) > 0 {
		close(h.more)
		h.more = nil
	}
}

func (h *history) forget() {
	oldest := &h.ring[h.first%historySize]
	h.lost = oldest.Seq
	h.bytes -= oldest.bytes
	*oldest = recorded{}
	h.first++
}

// end returns the place after the latest event.
func (h *history) end() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// after returns the place of the first event with a greater Seq whose entry is
// kept as a whole.
func (h *history) after(seq uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.afterLocked(seq)
}

func (h *history) afterLocked(seq uint64) uint64 {
	place, seq := h.first, max(seq, h.lost)
	for place < h.total && h.ring[place%historySize].Seq <= seq {
		place++
	}
	return place
}

// watchBatch is how many events a watcher takes at once.
const watchBatch = 64

// read appends a batch of events from a place on, which it moves, up to an end,
// and returns, if there is none, a channel that tells of the next.
func (h *history) read(batch []Event, place *uint64, end uint64) ([]Event, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *place < h.first {
		*place = h.afterLocked(0)
	}
	for ; *place < min(h.total, end) && len(batch) < watchBatch; *place++ {
		batch = append(batch, h.ring[*place%historySize].Event)
	}
	if h.more == nil {
		h.more = make(chan struct{})
	}
	return batch, h.more
}

// bytesOf returns about how much memory a value takes, with all that it points
// to but what it shares with the state.
func bytesOf(v reflect.Value) int {
	return int(v.Type().Size()) + bytesBehind(v)
}

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
		if !v.IsNil() && v.Type() != reflect.TypeFor[*index.Class]() {
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
