package outbox_test

import (
	"bytes"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/internal/outbox"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// decode returns the payloads of the frames in b.
func decode(t require.TestingT, b []byte) []string {
	r := wire.NewReader(bytes.NewReader(b), transport.DefaultMaxFrame)
	var texts []string
	for {
		_, payload, err := r.Next()
		if err != nil {
			require.ErrorContains(t, err, "EOF")
			return texts
		}
		texts = append(texts, string(payload))
	}
}

func origin() time.Time { return time.Unix(1_000_000, 0) }

// A model of the outbox: a plain slice.
type model struct {
	frames []string
	since  []time.Time
	stats  transport.PeerStats
}

func (m *model) drop() { m.frames, m.since = m.frames[1:], m.since[1:] }

func (m *model) expire(now time.Time) {
	for len(m.frames) > 0 && now.Sub(m.since[0]) > transport.QueueAge {
		m.drop()
		m.stats.Dropped.Stale++
	}
}

func TestOutboxAgainstModel(t *testing.T) {
	rapid.Check(t, checkOutbox)
}

func FuzzOutbox(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkOutbox))
}

func checkOutbox(t *rapid.T) {
	o, m, now, next := outbox.New("b"), model{stats: transport.PeerStats{Peer: "b"}}, origin(), 0
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			for range rapid.IntRange(1, 40).Draw(t, "n") {
				text := strconv.Itoa(next)
				next++
				o.Put(now, "", []byte(text))
				m.expire(now)
				if len(m.frames) == transport.QueueFrames {
					m.drop()
					m.stats.Dropped.Full++
				}
				m.frames, m.since = append(m.frames, text), append(m.since, now)
			}
		},
		"take": func(t *rapid.T) {
			limit := rapid.IntRange(0, 300).Draw(t, "limit")
			select { // As the sender does, which takes once it is told.
			case <-o.Ready():
			default:
			}
			b, n := o.Take(nil, now, limit)
			o.Sent(n)
			m.expire(now)
			got := decode(t, b)
			require.Len(t, got, n)
			require.Equal(t, n == 0, len(m.frames) == 0, "one frame at least, if there is one")
			if n > 1 {
				require.LessOrEqual(t, len(b), limit)
			}
			for _, text := range got {
				require.Equal(t, m.frames[0], text)
				m.drop()
			}
			m.stats.Sent += uint64(n)
			if len(m.frames) > 0 {
				require.Len(t, o.Ready(), 1, "what remains must be announced")
			}
		},
		"wait": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "ms")) * time.Millisecond)
		},
		"discard": func(*rapid.T) {
			o.Discard()
			m.stats.Dropped.Lost += uint64(len(m.frames))
			m.frames, m.since = nil, nil
		},
		"": func(t *rapid.T) {
			m.expire(now)
			want := m.stats
			want.Queued = len(m.frames)
			require.Equal(t, want, o.Stats(now))
		},
	})
}

// A flood in one flow does not push out a frame of another, and does not keep
// it waiting: flows take turns.
func TestFlowsAreKeptApart(t *testing.T) {
	o := outbox.New("b")
	o.Put(origin(), "quiet", []byte("quiet 1"))
	for i := range 10 * transport.QueueFrames {
		o.Put(origin(), "loud", strconv.AppendInt(nil, int64(i), 10))
	}
	o.Put(origin(), "quiet", []byte("quiet 2"))
	b, _ := o.Take(nil, origin(), 4*(wire.Overhead+len("quiet 1")))
	require.Equal(t, []string{"quiet 1", "576", "quiet 2", "577"}, decode(t, b))
	require.Equal(t, transport.Dropped{Full: 9 * transport.QueueFrames}, o.Stats(origin()).Dropped)
}

func TestPutCopies(t *testing.T) {
	o, frame := outbox.New("b"), []byte("before")
	o.Put(origin(), "", frame)
	copy(frame, "after!")
	b, _ := o.Take(nil, origin(), 100)
	require.Equal(t, []string{"before"}, decode(t, b))
}

func TestCounters(t *testing.T) {
	o, cause := outbox.New("b"), errors.New("cause")
	o.Connected()
	require.Zero(t, o.Stats(origin()).Reconnects, "the first connection is no reconnect")
	o.Connected()
	o.Received()
	o.Lost(3)
	o.Failed(cause)
	require.Equal(t, transport.PeerStats{
		Peer: "b", Received: 1, Reconnects: 1, Failures: 1, LastError: cause, Dropped: transport.Dropped{Lost: 3},
	}, o.Stats(origin()))
	o.Reached()
	require.NoError(t, o.Stats(origin()).LastError)
}

func TestRoundTripIsAMovingAverage(t *testing.T) {
	o := outbox.New("b")
	o.RoundTrip(80)
	require.Equal(t, time.Duration(80), o.Stats(origin()).RoundTrip)
	o.RoundTrip(160)
	require.Equal(t, time.Duration(90), o.Stats(origin()).RoundTrip)
	o.RoundTrip(10)
	require.Equal(t, time.Duration(80), o.Stats(origin()).RoundTrip)
}

func TestOutboxDoesNotAllocate(t *testing.T) {
	o, frame, buf := outbox.New("b"), make([]byte, 200), make([]byte, 0, 1024)
	round := func() {
		o.Put(origin(), "", frame)
		b, n := o.Take(buf[:0], origin(), 1000)
		o.Sent(n)
		buf = b
	}
	for range transport.QueueFrames {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
}

func TestBackoffDoublesWithJitter(t *testing.T) {
	b := outbox.NewBackoff("a", "b")
	bound := outbox.BackoffFirst
	for range 20 {
		wait := b.Next()
		require.GreaterOrEqual(t, wait, bound/2)
		require.LessOrEqual(t, wait, bound)
		bound = min(2*bound, outbox.BackoffLast)
	}
	require.Equal(t, outbox.BackoffLast, bound)
	b.Reset()
	require.LessOrEqual(t, b.Next(), outbox.BackoffFirst)
}

// A hundred members that lose the same peer at once: no instant sees a storm.
func TestBackoffSpreadsAStorm(t *testing.T) {
	const members = 100
	perSlot := map[time.Duration]int{}
	for i := range members {
		b := outbox.NewBackoff("member "+strconv.Itoa(i), "peer")
		at := time.Duration(0)
		for range 10 {
			at += b.Next()
		}
		perSlot[at.Truncate(100*time.Millisecond)]++
	}
	for slot, n := range perSlot {
		require.LessOrEqual(t, n, members/5, "attempts at %v", slot)
	}
}
