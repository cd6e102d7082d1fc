package outbox

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

const (
	// BackoffFirst is the longest wait before the second attempt.
	BackoffFirst = 50 * time.Millisecond
	// BackoffLast is the longest wait before any attempt.
	BackoffLast = time.Second
)

// A Backoff says how long to wait between attempts: a time drawn uniformly
// from the upper half of a bound that doubles from [BackoffFirst] up to
// [BackoffLast]. Draws depend on the two names only, so that members which
// lost the same peer at the same instant do not come back at the same instant.
type Backoff struct {
	rng   *rand.Rand
	bound time.Duration
	// hurried says that an attempt has been made ahead of its time since the
	// last success. See [Peer.Pause].
	hurried bool
}

// NewBackoff returns the backoff with which the member from connects to to.
func NewBackoff(from, to string) *Backoff {
	h := fnv.New64a()
	_, _ = h.Write([]byte(from + "\x00" + to)) // A hash never fails to write.
	return &Backoff{rng: rand.New(rand.NewPCG(h.Sum64(), 0)), bound: BackoffFirst}
}

// Next returns the wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	half := b.bound / 2
	wait := half + time.Duration(b.rng.Int64N(int64(half)+1))
	b.bound = min(2*b.bound, BackoffLast)
	return wait
}

// Reset goes back to the first bound, after a success.
func (b *Backoff) Reset() { b.bound, b.hurried = BackoffFirst, false }
