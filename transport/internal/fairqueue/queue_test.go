package fairqueue_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport/internal/fairqueue"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	limit = 5
	age   = time.Second
)

func origin() time.Time { return time.Unix(1_000_000, 0) }

// A model of the queue: a list of frames, and a list of the keys in the order
// of their turns.
type model struct {
	frames []waiting
	turns  []string
	drops  fairqueue.Drops
}

type waiting struct {
	key, text string
	since     time.Time
}

func (m *model) count(key string) int {
	n := 0
	for _, w := range m.frames {
		if w.key == key {
			n++
		}
	}
	return n
}

// remove removes the first frame for which f holds and reports whether there
// was one.
func (m *model) remove(f func(waiting) bool) bool {
	for i, w := range m.frames {
		if f(w) {
			m.frames = append(m.frames[:i:i], m.frames[i+1:]...)
			return true
		}
	}
	return false
}

func (m *model) expire(now time.Time, key string) {
	for m.remove(func(w waiting) bool { return w.key == key && now.Sub(w.since) > age }) {
		m.drops.Stale++
	}
}

func (m *model) push(now time.Time, key, text string) {
	m.expire(now, key)
	ofKey := func(w waiting) bool { return w.key == key }
	if m.count(key) == limit {
		m.remove(ofKey)
		m.drops.Full++
	}
	m.frames = append(m.frames, waiting{key, text, now})
	if !slices.Contains(m.turns, key) {
		m.turns = append(m.turns, key)
	}
}

// pop returns what must come next.
func (m *model) pop(now time.Time) (waiting, bool) {
	for len(m.turns) > 0 {
		key := m.turns[0]
		m.turns = m.turns[1:]
		m.expire(now, key)
		for _, w := range m.frames {
			if w.key == key {
				m.remove(func(other waiting) bool { return other == w })
				if m.count(key) > 0 {
					m.turns = append(m.turns, key)
				}
				return w, true
			}
		}
	}
	return waiting{}, false
}

func TestQueueAgainstModel(t *testing.T) { rapid.Check(t, checkQueue) }

func FuzzQueue(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkQueue)) }

func checkQueue(t *rapid.T) {
	q, m, now, next := fairqueue.New(limit, age), model{}, origin(), 0
	t.Repeat(map[string]func(*rapid.T){
		"push": func(t *rapid.T) {
			key := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "key")
			for range rapid.IntRange(1, 2*limit).Draw(t, "n") {
				text := strconv.Itoa(next)
				next++
				frame := []byte(text)
				q.Push(now, key, frame)
				clear(frame)
				m.push(now, key, text)
			}
		},
		"pop": func(t *rapid.T) {
			for range rapid.IntRange(1, 2*limit).Draw(t, "n") {
				key, frame, ok := q.Front(now)
				want, wantOK := m.pop(now)
				require.Equal(t, wantOK, ok)
				if !ok {
					return
				}
				require.Equal(t, want.key, key)
				require.Equal(t, want.text, string(frame))
				q.Pop()
			}
		},
		"wait": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "ms")) * time.Millisecond)
		},
		"expire": func(*rapid.T) {
			q.Expire(now)
			for _, key := range m.turns {
				m.expire(now, key)
			}
		},
		"clear": func(t *rapid.T) {
			require.Equal(t, len(m.frames), q.Clear())
			m.frames, m.turns = nil, nil
		},
		"": func(t *rapid.T) {
			require.Equal(t, len(m.frames), q.Len())
			require.Equal(t, m.drops, q.Drops())
		},
	})
}

// Keys that come and go leave nothing behind and cost no allocation.
func TestQueueDoesNotAllocate(t *testing.T) {
	q, frame := fairqueue.New(limit, age), make([]byte, 200)
	keys := []string{"a", "b", "c"}
	i := 0
	round := func() {
		for range limit {
			q.Push(origin(), keys[i%3], frame)
			q.Push(origin(), keys[(i+1)%3], frame)
		}
		i++
		for q.Len() > 0 {
			_, _, _ = q.Front(origin())
			q.Pop()
		}
	}
	for range 10 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
}

// A key that has had many frames does not keep their buffers from others.
func TestBuffersAreSharedByAllKeys(t *testing.T) {
	const keys, perKey = 100, 64
	frame := make([]byte, 100)
	allocations := testing.AllocsPerRun(10, func() {
		q := fairqueue.New(perKey, age)
		// At most keys+perKey frames wait at once, though each key has had perKey.
		for held := range keys {
			for key := range held {
				q.Push(origin(), strconv.Itoa(key), frame)
			}
			for range perKey {
				q.Push(origin(), "burst", frame)
			}
			for q.Len() > 0 {
				_, _, _ = q.Front(origin())
				q.Pop()
			}
		}
	})
	require.Less(t, allocations, float64(keys*perKey)/2)
}
