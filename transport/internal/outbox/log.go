package outbox

import (
	"log/slog"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
)

// A PeerLog logs what becomes of one peer: a line when that changes, however often
// something is tried in between. It is for the one goroutine that sends to the peer.
type PeerLog struct {
	logger   *slog.Logger
	peer     string
	tried    bool
	reached  bool
	before   uint64 // frames dropped when it last looked
	since    uint64 // frames dropped before those that are being dropped
	dropping bool
}

// NewPeerLog returns a log of the peer of a name; a nil logger logs nothing.
func NewPeerLog(logger *slog.Logger, peer string) *PeerLog {
	return &PeerLog{logger: orDiscard(logger), peer: peer}
}

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return logger
}

// Reached notes that the peer answers.
func (l *PeerLog) Reached() {
	if !l.reached {
		l.logger.Info("transport: peer connected", "peer", l.peer)
	}
	l.tried, l.reached = true, true
}

// Failed notes that the peer cannot be reached, or no longer.
func (l *PeerLog) Failed(err error) {
	switch {
	case l.reached:
		l.logger.Warn("transport: peer lost", "peer", l.peer, "error", err)
	case !l.tried:
		l.logger.Warn("transport: peer is out of reach", "peer", l.peer, "error", err)
	}
	l.tried, l.reached = true, false
}

// Look notes how many frames for the peer have been dropped while they waited. What is
// lost with a connection is told by Failed.
func (l *PeerLog) Look(dropped uint64) {
	switch {
	case dropped > l.before && !l.dropping:
		l.dropping, l.since = true, l.before
		l.logger.Warn("transport: frames are dropped", "peer", l.peer)
	case dropped == l.before && l.dropping && l.reached:
		l.dropping = false
		l.logger.Info("transport: frames are no longer dropped", "peer", l.peer, "dropped", dropped-l.since)
	}
	l.before = dropped
}

// RefusedAgain is how long a refusal for the same reason is not logged again.
const RefusedAgain = time.Minute

// A RefusalLog logs what is refused: a line for each reason, and again after
// [RefusedAgain]. It is safe for concurrent use.
type RefusalLog struct {
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by reason
}

// NewRefusalLog returns a log of refusals; a nil logger logs nothing.
func NewRefusalLog(logger *slog.Logger) *RefusalLog {
	return &RefusalLog{logger: orDiscard(logger), last: map[string]time.Time{}}
}

// Refused notes that something from an address was refused. reason is the counter of
// counters that counts it.
func (l *RefusalLog) Refused(counters *transport.Refused, reason *uint64, address string) {
	why := reasonOf(counters, reason)
	if l.due(why, time.Now()) {
		l.logger.Warn("transport: connections are refused", "reason", why, "address", address)
	}
}

func (l *RefusalLog) due(why string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.last[why]; ok && now.Sub(last) < RefusedAgain {
		return false
	}
	l.last[why] = now
	return true
}

// reasonOf says in words what a counter counts.
func reasonOf(counters *transport.Refused, reason *uint64) string {
	switch reason {
	case &counters.Busy:
		return "too many at once"
	case &counters.Certificate:
		return "no certificate that is accepted"
	case &counters.Handshake:
		return "the introduction is garbled, cut short or too slow"
	case &counters.Version:
		return "unknown protocol version"
	case &counters.Cluster:
		return "another cluster"
	case &counters.Receiver:
		return "looks for another member"
	case &counters.Sender:
		return "no known peer, or one that cannot prove its name"
	default:
		return "a frame is broken or too long"
	}
}
