package quota

import (
	"math"
	"time"
)

// meter is one dimension of one account, ready for the questions that arise
// once usage is near a limit.
type meter struct {
	used, soft, ceiling int64
	burstFor            time.Duration
	since               time.Time
}

func (m *meter) above() bool { return m.used > m.soft }

func (m *meter) limited() bool { return m.soft < math.MaxInt64 }

// timed reports whether a burst is going on that ends, or has ended.
func (m *meter) timed() bool { return m.above() && m.burstFor > 0 }

// end returns when the burst of a timed meter ends.
func (m *meter) end() time.Time { return m.since.Add(m.burstFor) }

func (m *meter) expired(now time.Time) bool { return m.timed() && !now.Before(m.end()) }

func (m *meter) over(now time.Time) bool { return m.used > m.ceiling || m.expired(now) }

// top returns what usage may rise to.
func (m *meter) top(mode Mode) int64 {
	switch mode {
	case SoftOnly:
		return m.soft
	case forced:
		return math.MaxInt64
	default:
		return m.ceiling
	}
}

// violation says why m refuses delta on the way to target.
func (m *meter) violation(delta, target int64, mode Mode, expired bool) Violation {
	top := m.top(mode)
	v := Violation{
		Reason:    Hard,
		Requested: delta,
		Used:      m.used,
		Soft:      m.soft,
		Ceiling:   top,
		Shortfall: missing(m.used, delta, top),
	}
	switch {
	case target > top:
		v.Reason = NeverFits
	case expired:
		v.Reason = BurstExpired
		v.Shortfall = missing(m.used, delta, m.soft)
		v.BurstEnd = m.end()
	}
	return v
}

// missing returns used + delta - top, at most math.MaxInt64.
func missing(used, delta, top int64) int64 {
	if over := used - top; over <= math.MaxInt64-delta {
		return over + delta
	}
	return math.MaxInt64
}
