package quota

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/skyline"
)

// grows reports whether anything does, at any time.
func (g *timedGrowth) grows() bool {
	return slices.Max(g.delta[:]) > 0 || slices.ContainsFunc(g.parts, func(p part) bool {
		return p.sign > 0 && slices.Max(p.amounts[:]) > 0
	})
}

// check of one dimension of one account.
type levelCheck struct {
	acc            *account
	d              int
	now            time.Time
	at             int64 // now
	growth, target int64
	reserved       int64 // the part of growth that is
	mode           Mode
}

// checkLevel asks one account, and returns in which dimensions it would burst
// now. At every instant from now on what is used then and the growth must fit.
func (a *Accounts) checkLevel(now time.Time, acc *account, g *timedGrowth, mode Mode) ([]Violation, dimensionSet) {
	var (
		violations       []Violation
		bursting, denied dimensionSet
		one              [1]stretch
	)
	if violations = a.checkTotal(acc, g); len(violations) > 0 {
		return violations, 0
	}
	at := skyline.Nanos(now)
	for _, s := range g.stretches(one[:0], acc, at) {
		for d, name := range a.names {
			growth, reserved := s.delta[d], s.reserved[d]
			if denied.has(d) || growth <= acc.room[d] && reserved <= 0 && (growth <= 0 || acc.ahead == nil) {
				continue
			}
			c := levelCheck{acc, d, now, at, growth, g.target[d], reserved, mode}
			if violation, refused := c.refuses(&s); refused {
				violation.Namespace, violation.Resource = cmp.Or(acc.name, g.ns), name // vacant has no name
				violations = append(violations, violation)
				denied |= 1 << d
			} else if growth > acc.room[d] && s.from == at && acc.ceiling[d] > acc.soft[d] && g.target[d] > 0 {
				bursting |= 1 << d
			}
		}
	}
	return violations, bursting
}

// checkTotal refuses what would charge more than can be counted, whenever it counts.
// Without anything ahead that is for checkLevel.
func (a *Accounts) checkTotal(acc *account, g *timedGrowth) (violations []Violation) {
	if len(g.parts) == 0 && acc.ahead == nil {
		return nil
	}
	total := acc.total()
	for d, name := range a.names {
		left := math.MaxInt64 - total[d] - min(0, g.delta[d])
		for i := range g.parts {
			if p := &g.parts[i]; p.sign < 0 && p.by.within(acc) {
				left += min(p.amounts[d], math.MaxInt64-left)
			}
		}
		growth := max(0, g.delta[d])
		for i := 0; growth <= left && i < len(g.parts); i++ {
			if p := &g.parts[i]; p.sign > 0 && p.by.within(acc) {
				left, growth = left-growth, p.amounts[d]
			}
		}
		if growth > left {
			violations = append(violations, Violation{
				Namespace: cmp.Or(acc.name, g.ns), Resource: name, Reason: Hard, Requested: growth, Used: math.MaxInt64 - left,
				Soft: acc.soft[d], Ceiling: math.MaxInt64, Shortfall: growth - left,
			})
		}
	}
	return violations
}

// refuses reports whether usage must not grow over a stretch, and why from when
// on.
func (c *levelCheck) refuses(s *stretch) (Violation, bool) {
	if c.growth <= 0 && c.reserved <= 0 {
		return Violation{}, false
	}
	m := c.acc.meter(c.d)
	if c.growth > 0 && s.from == c.at && c.mode != forced && m.expired(c.now) {
		return m.violation(c.growth, c.target, c.mode, true), true
	}
	var flat skyline.Skyline
	line, reserved, held := &flat, &flat, int64(0)
	if h := c.acc.ahead; h != nil {
		line, reserved, held = &h.lines[c.d], &h.reserved[c.d], h.held[c.d]
	}
	var first int64
	refused := false
	if c.growth > 0 {
		first, refused = line.FirstAbove(s.from, s.to, spare(m.top(c.mode), m.used, c.growth))
	}
	if c.reserved > 0 && c.mode != forced {
		most := c.acc.share(c.d)
		if at, over := reserved.FirstAbove(s.from, s.to, spare(most, held, c.reserved)); over && (!refused || at < first) {
			held += reserved.Peak(at, at+1)
			return Violation{
				Reason: ReservedShare, At: c.instant(at), Requested: c.reserved, Used: held, Soft: m.soft, Ceiling: most,
				Shortfall: missing(held, c.reserved, most),
			}, true
		}
	}
	if !refused {
		return Violation{}, false
	}
	m.used += line.Peak(first, first+1)
	v := m.violation(c.growth, c.target, c.mode, false)
	v.At = c.instant(first)
	return v, true
}

// spare returns by how much more usage may rise than now: top - used - growth, or
// less than any change if that is out of range. Nothing else overflows: usage is
// never negative, nor more than an int64 holds.
func spare(top, used, growth int64) int64 {
	if left := top - used; left >= math.MinInt64+growth {
		return left - growth
	}
	return math.MinInt64
}

// share returns how much of a dimension may be reserved at one time.
func (acc *account) share(d int) int64 {
	if acc.soft[d] == math.MaxInt64 {
		return math.MaxInt64
	}
	return acc.reservable.share(acc.soft[d])
}

// instant returns when that is, zero for now.
func (c *levelCheck) instant(n int64) time.Time {
	if n <= c.at {
		return time.Time{}
	}
	return skyline.Time(n)
}

// maxRises bounds how often the search for the earliest start passes over a time
// at which a charge does not fit.
const maxRises = 1000

// earliest returns the first start at which a refused charge, for as long as it
// was to be, would be admitted as things stand; zero if there is none, or if the
// charge is not a new one. O(log n) in the spans for each time passed over at
// which it does not fit, at most a thousand; once per dimension and level for a
// charge without an end.
func (a *Accounts) earliest(now time.Time, acc *account, g *timedGrowth, refused []Violation, mode Mode) time.Time {
	s, starts := g.fresh()
	never := func(v Violation) bool {
		return v.Reason == NeverFits || v.Reason == Undeclared || v.Ceiling == math.MaxInt64
	}
	if !starts || mode == forced || slices.ContainsFunc(refused, never) {
		return time.Time{}
	}
	from := max(skyline.Nanos(now), s.from)
	length := int64(skyline.Forever)
	if s.to != skyline.Forever {
		length = s.to - from
	}
	for range maxRises {
		next, ok := a.fitsFrom(acc, s, from, length, mode)
		if !ok || length != skyline.Forever && next >= skyline.Forever-length {
			return time.Time{}
		}
		if next == from {
			if from == skyline.Nanos(now) {
				return time.Time{} // it is not for what is used that it was refused
			}
			return skyline.Time(from)
		}
		from = next
	}
	return time.Time{}
}

// fresh returns the span of a growth that is no more than a new charge.
func (g *timedGrowth) fresh() (*timed, bool) {
	switch {
	case len(g.parts) == 0 && slices.Min(g.delta[:]) >= 0:
		return &timed{amounts: g.delta, from: -skyline.Forever, to: skyline.Forever}, true
	case len(g.parts) == 1 && g.parts[0].sign > 0:
		return &g.parts[0].timed, true
	default:
		return nil, false
	}
}

// fitsFrom returns from if amounts fit from there on for a length of time, and
// else the next start that may be better. It reports false if there is none.
func (a *Accounts) fitsFrom(acc *account, s *timed, from, length int64, mode Mode) (int64, bool) {
	to := int64(skyline.Forever)
	if length != skyline.Forever {
		to = from + length
	}
	var flat skyline.Skyline
	for ; acc != nil; acc = acc.parent {
		for d, amount := range s.amounts {
			if amount == 0 {
				continue
			}
			line, reserved, held := &flat, &flat, int64(0)
			if acc.ahead != nil {
				line, reserved, held = &acc.ahead.lines[d], &acc.ahead.reserved[d], acc.ahead.held[d]
			}
			m := acc.meter(d)
			next, ok := nextFit(line, from, to, spare(m.top(mode), m.used, amount))
			if ok && next == from && s.reserved {
				next, ok = nextFit(reserved, from, to, spare(acc.share(d), held, amount))
			}
			if !ok || next != from {
				return next, ok
			}
		}
	}
	return from, true
}

// nextFit returns from if the line is at most spare over [from, to), else where
// it falls to that after it first is not, or to stay forever after it last is
// not. It reports false if it never does.
func nextFit(line *skyline.Skyline, from, to, spare int64) (int64, bool) {
	over, rises := line.FirstAbove(from, to, spare)
	if !rises {
		return from, true
	}
	if last, ok := line.LastAbove(spare); ok && to == skyline.Forever {
		over = max(over, last)
	}
	return line.FirstAtMost(over, spare)
}

// CheckOver returns the verdict that ChargeOver would, and changes nothing. An
// error is invalid input (ErrInvalid); a refusal is in the verdict.
func (a *Accounts) CheckOver(now time.Time, ns string, t Timed) (Verdict, error) {
	if t.From.IsZero() && !t.Reserved {
		acc, g := a.find(ns), growth{ns: ns}
		if err := a.tally(&g.delta, &t.Amounts, 1); err != nil {
			return Verdict{}, err
		}
		// What fits forever fits until its end.
		if t.Until.IsZero() || a.simple(acc, &g.delta) {
			return a.check(now, acc, &g, &t.Amounts, MayBurst), nil
		}
	}
	return a.CheckExchange(now, Exchange{Namespace: ns, To: []Timed{t}})
}

// CheckExchange returns whether charges may change, after Freed is given back,
// and changes nothing. They must fit wherever they are to be greater than before:
// up to Soft if they are to be Reserved, else up to the ceiling. An error is
// invalid input (ErrInvalid) or more given back than is charged (ErrNotCharged); a
// refusal is in the verdict. The time of every level grows with the number of
// charges times that of the instants at which any of them begins or ends.
func (a *Accounts) CheckExchange(now time.Time, exchange Exchange) (Verdict, error) {
	acc, g := a.find(exchange.Namespace), timedGrowth{growth: growth{ns: exchange.Namespace}}
	if exchange.Freed != nil {
		for payer, t := range exchange.Freed {
			if err := a.give(&g, payer, &t); err != nil {
				return Verdict{}, err
			}
		}
	}
	mode := MayBurst
	for i := range exchange.From {
		if err := a.grow(&g, acc, &exchange.From[i], -1); err != nil {
			return Verdict{}, err
		}
	}
	for i := range exchange.To {
		if err := a.grow(&g, acc, &exchange.To[i], 1); err != nil {
			return Verdict{}, err
		}
		if exchange.To[i].Reserved {
			mode = SoftOnly
		}
	}
	return a.checkLevels(now, acc, &g, mode), nil
}

// grow adds a charge of acc to a growth, or with sign -1 takes it away.
func (a *Accounts) grow(g *timedGrowth, acc *account, t *Timed, sign int64) error {
	s, err := a.timed(t)
	if err != nil || t.Amounts.IsZero() {
		return err
	}
	g.parts = append(g.parts, part{s, acc, sign})
	if sign > 0 {
		for d, amount := range s.amounts {
			g.target[d] = max(g.target[d], amount)
		}
	}
	return nil
}

// CheckReserve returns whether a reservation may be made now for a window, as far
// as Spec.Reservations of the namespace and its ancestors say; whether it fits is
// for CheckOver. A zero end is never. It takes time in proportion to the levels.
func (a *Accounts) CheckReserve(now time.Time, ns string, start, end time.Time) Verdict {
	var violations []Violation
	for acc := a.find(ns); acc != nil; acc = acc.parent {
		bound := acc.reservable
		if start.IsZero() {
			start = now
		}
		if bound.MaxAhead > 0 && start.Sub(now) > bound.MaxAhead {
			violations = append(violations, Violation{Namespace: cmp.Or(acc.name, ns), Reason: TooFarAhead, Bound: bound.MaxAhead})
		}
		if bound.MaxLength > 0 && (end.IsZero() || end.Sub(start) > bound.MaxLength) {
			violations = append(violations, Violation{Namespace: cmp.Or(acc.name, ns), Reason: TooLong, Bound: bound.MaxLength})
		}
	}
	if len(violations) == 0 {
		return Verdict{}
	}
	slices.SortStableFunc(violations, func(x, y Violation) int { return cmp.Compare(x.Reason, y.Reason) })
	return Verdict{Violations: violations}
}

// ChargeOver checks and charges in one step what counts over a time, as Charge
// does what counts from now on. A charge that is Reserved must keep to
// Spec.Reservations too.
//
// No time passes in Accounts by itself: when From comes, the caller replaces the
// charge by one whose From is zero, and when Until comes it removes it, or if it
// goes on replaces it by one whose Until is zero.
func (a *Accounts) ChargeOver(now time.Time, ns string, t Timed) (Verdict, error) {
	verdict, err := a.CheckOver(now, ns, t)
	if err == nil && verdict.Allowed() && t.Reserved {
		verdict = a.CheckReserve(now, ns, t.From, t.Until)
	}
	if err != nil {
		return verdict, err
	}
	if !verdict.Allowed() {
		return verdict, &ExceededError{Namespace: ns, Verdict: verdict}
	}
	a.enter(now, ns, &Timed{}, &t, 1)
	return verdict, nil
}

// AddOver charges what counts over a time without checking limits, as Add does.
func (a *Accounts) AddOver(now time.Time, ns string, t Timed) ([]Usage, error) {
	return a.forceOver(now, ns, &Timed{}, &t, 1)
}

// ReplaceOver changes a charge from one Timed to another without checking limits,
// as Replace does: also when what was ahead has come.
func (a *Accounts) ReplaceOver(now time.Time, ns string, from, to Timed) ([]Usage, error) {
	return a.forceOver(now, ns, &from, &to, 0)
}

// RemoveOver gives back what was charged over a time. It fails with
// ErrNotCharged, and changes nothing, if the namespace is not charged that much.
func (a *Accounts) RemoveOver(ns string, t Timed) error {
	_, err := a.forceOver(time.Time{}, ns, &t, &Timed{}, -1)
	return err
}

func (a *Accounts) forceOver(now time.Time, ns string, from, to *Timed, charges int) ([]Usage, error) {
	if !from.bounded() && !to.bounded() {
		return a.force(now, ns, &from.Amounts, &to.Amounts, charges)
	}
	acc, g := a.find(ns), timedGrowth{growth: growth{ns: ns}}
	if err := errors.Join(a.grow(&g, acc, from, -1), a.grow(&g, acc, to, 1)); err != nil {
		return nil, err
	}
	was, _ := a.timed(from) // it was for the growth
	if charges <= 0 && !acc.coversSpan(&was) {
		return nil, &NotChargedError{Namespace: ns}
	}
	if verdict := a.checkLevels(now, acc, &g, forced); !verdict.Allowed() {
		return nil, &ExceededError{Namespace: ns, Verdict: verdict}
	}
	acc = a.enter(now, ns, from, to, charges)
	over := a.overAbove(now, acc)
	a.close(acc)
	return over, nil
}

// coversSpan reports whether acc may have been charged a span. What begins later
// is known of all descendants together alone.
func (acc *account) coversSpan(s *timed) bool {
	if acc.charges == 0 {
		return false
	}
	if s.bounded() && acc.ahead == nil {
		return false
	}
	return !s.inForce() || acc.covers(s.amounts[:], false)
}

// enter carries out a change that was checked, and counts charges more.
func (a *Accounts) enter(now time.Time, ns string, from, to *Timed, charges int) *account {
	acc := a.open(ns, a.find(ns))
	was, _ := a.timed(from) // both were for the growth
	is, _ := a.timed(to)
	var delta vector
	for d := range delta {
		if was.inForce() {
			delta[d] -= was.amounts[d]
		}
		if is.inForce() {
			delta[d] += is.amounts[d]
		}
	}
	a.look(acc, &was, -1)
	a.look(acc, &is, 1)
	a.apply(now, acc, &delta)
	acc.charges += charges
	return acc
}

// UsageOver returns the most that a namespace will use at one time from one
// instant to another, as far as is known, in the rows of Usage. A zero from is
// now, and a zero until forever. O(log n) in what is ahead, per dimension.
func (a *Accounts) UsageOver(now time.Time, ns string, from, until time.Time) []Usage {
	acc := a.find(ns)
	begin, end := skyline.Nanos(now), int64(skyline.Forever)
	if from.After(now) {
		begin = skyline.Nanos(from)
	}
	if !until.IsZero() {
		end = max(begin+1, skyline.Nanos(until))
	}
	var rows []Usage
	for d, name := range a.names {
		m := acc.meter(d)
		m.used += acc.peak(d, begin, end)
		if m.used > 0 || m.limited() {
			rows = append(rows, Usage{Namespace: ns, Resource: name, Used: m.used, Soft: m.soft, Ceiling: m.ceiling})
		}
	}
	sortUsage(rows)
	return rows
}
