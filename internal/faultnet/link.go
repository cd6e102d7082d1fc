package faultnet

import (
	"hash/fnv"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// leastHold is the least range of the time for which a reordered message is
// held back, so that reordering shows on a link without latency too.
const leastHold = time.Millisecond

// never is a time that no caller's clock reaches, and from which a latency
// can still be added.
const never = time.Duration(math.MaxInt64 / 4)

// A link is one direction between two names.
type link struct {
	rng rand.PCG
	// faults replace the model's where own is set.
	faults Faults
	own    bool
	// busy is when the last message has left the sender, last when the latest
	// message in order arrives.
	busy, last time.Duration
}

// ends names the two ends of a link, in its direction.
type ends struct{ from, to string }

func newLink(seed uint64, e ends) *link {
	h := fnv.New64a()
	// The zero byte keeps ("ab", "c") apart from ("a", "bc"); a hash never
	// fails to write.
	_, _ = h.Write([]byte(e.from + "\x00" + e.to))
	l := &link{}
	l.rng.Seed(seed, h.Sum64())
	return l
}

// draws are the random numbers of one message. All are taken whatever its
// fate, so that one fault does not shift the draws of another.
type draws struct {
	loss, duplication, reordering int
	latency, again, hold          uint64
}

func (l *link) draw() draws {
	return draws{
		loss:        int(below(l.rng.Uint64(), Always)),
		duplication: int(below(l.rng.Uint64(), Always)),
		reordering:  int(below(l.rng.Uint64(), Always)),
		latency:     l.rng.Uint64(),
		again:       l.rng.Uint64(),
		hold:        l.rng.Uint64(),
	}
}

// send appends the times at which a message of size bytes, sent at now,
// arrives under f.
func (l *link) send(dst []time.Duration, now time.Duration, size int, f Faults) []time.Duration {
	d := l.draw()
	left := min(max(now, l.busy)+transmission(size, f.BytesPerSecond), never)
	l.busy = left
	if d.loss < f.Loss {
		return dst
	}
	at := left + f.latency(d.latency)
	if d.reordering < f.Reordering {
		at += within(d.hold, max(f.LatencyMax, leastHold))
	} else {
		at = max(at, l.last)
		l.last = at
	}
	dst = append(dst, at)
	if d.duplication < f.Duplication {
		dst = append(dst, max(at, left+f.latency(d.again)))
	}
	return dst
}

func (f Faults) latency(draw uint64) time.Duration {
	return f.LatencyMin + within(draw, f.LatencyMax-f.LatencyMin)
}

// transmission is the time that size bytes occupy a link of rate bytes per
// second, rounded up.
func transmission(size int, rate int64) time.Duration {
	if rate == 0 || size <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(size), uint64(time.Second))
	if hi >= uint64(rate) {
		return never
	}
	quo, rem := bits.Div64(hi, lo, uint64(rate))
	if rem > 0 {
		quo++
	}
	return time.Duration(min(quo, uint64(never)))
}

// within maps a draw to [0, d].
func within(draw uint64, d time.Duration) time.Duration {
	return time.Duration(below(draw, uint64(d)+1))
}

// below maps a draw to [0, n), without the bias of a remainder.
func below(draw, n uint64) uint64 {
	hi, _ := bits.Mul64(draw, n)
	return hi
}
