package quota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// booking is a charge as the model of quota over time knows it: over which of the
// seconds it counts. One that is not reserved counts on after its end.
type booking struct {
	ns, id      string
	amount      int64
	from, until int // until 0 is not known
	reserved    bool
	asked       quota.Timed
}

// overMachine runs a ledger against a model that looks at every instant.
type overMachine struct {
	ledger *quota.Ledger
	clock  *clock
	start  time.Time
	now    int
	parent map[string]string
	spec   map[string]quota.Spec
	all    map[string]booking
	since  map[string]int // when the usage of a namespace rose above Soft
}

// horizon is after all that is known: what counts then counts forever.
const horizon = 60

func newOverMachine(t *rapid.T) *overMachine {
	clock := newClock()
	m := &overMachine{
		clock: clock, start: clock.Now(), parent: map[string]string{}, spec: map[string]quota.Spec{}, all: map[string]booking{},
		since: map[string]int{},
	}
	l, err := quota.New(quota.Config{Now: clock.Now})
	require.NoError(t, err)
	m.ledger = l
	for _, ns := range []string{"org", "team", "web"} {
		m.spec[ns] = drawOverSpec(t, ns)
		_, err := l.Create(m.spec[ns])
		require.NoError(t, err)
	}
	return m
}

func drawOverSpec(t *rapid.T, ns string) quota.Spec {
	spec := quota.Spec{Namespace: ns}
	if rapid.Bool().Draw(t, "limited") {
		limit := quota.Limit{Soft: rapid.Int64Range(0, 12).Draw(t, "soft")}
		if rapid.Bool().Draw(t, "bursts") {
			limit.BurstPercent, limit.BurstFor = 150, time.Duration(rapid.IntRange(0, 4).Draw(t, "for"))*time.Second
		}
		spec.Limits = limits{placement.NameCPU: limit}
	}
	if rapid.Bool().Draw(t, "bounds") {
		spec.Reservations.Percent = rapid.SampledFrom([]int{0, 50}).Draw(t, "percent")
		spec.Reservations.MaxAhead = time.Duration(rapid.IntRange(0, 9).Draw(t, "ahead")) * time.Second
		spec.Reservations.MaxLength = time.Duration(rapid.IntRange(0, 9).Draw(t, "length")) * time.Second
	}
	return spec
}

// line returns a namespace and all above it.
func (m *overMachine) line(ns string) []string {
	var line []string
	for ; ns != ""; ns = m.parent[ns] {
		line = append(line, ns)
	}
	return line
}

// counts reports whether a booking counts at an instant, seen from now.
func (m *overMachine) counts(b booking, at int) bool {
	overstays := !b.reserved && b.until != 0 && b.until <= m.now
	return b.from <= at && (b.until == 0 || at < b.until || overstays)
}

func (m *overMachine) used(ns string, at int, reservedOnly bool) (sum int64) {
	for _, b := range m.all {
		for _, level := range m.line(b.ns) {
			if level == ns && m.counts(b, at) && (b.reserved || !reservedOnly) {
				sum += b.amount
			}
		}
	}
	return sum
}

// watchBursts notes which namespaces are above Soft now.
func (m *overMachine) watchBursts() {
	for ns, spec := range m.spec {
		limit, limited := spec.Limits[placement.NameCPU]
		if !limited || m.used(ns, m.now, false) <= limit.Soft {
			delete(m.since, ns)
		} else if _, above := m.since[ns]; !above {
			m.since[ns] = m.now
		}
	}
}

// expired reports whether b would grow now what has been above Soft for too long.
func (m *overMachine) expired(b booking) bool {
	was, there := m.all[b.id]
	if !m.counts(b, m.now) || b.amount == 0 || there && b.amount <= was.amount {
		return false
	}
	for _, ns := range m.line(b.ns) {
		limit := m.spec[ns].Limits[placement.NameCPU]
		since, above := m.since[ns]
		if above && limit.Ceiling() > limit.Soft && limit.BurstFor > 0 && time.Duration(m.now-since)*time.Second >= limit.BurstFor {
			return true
		}
	}
	return false
}

// admits reports whether b is to be charged.
func (m *overMachine) admits(b booking) bool { return m.fits(b) && !m.expired(b) }

// fits reports whether b fits at every instant, but for what is in its place.
func (m *overMachine) fits(b booking) bool {
	was, there := m.all[b.id]
	delete(m.all, b.id)
	defer func() {
		if there {
			m.all[b.id] = was
		}
	}()
	for at := m.now; at < horizon; at++ {
		if !m.counts(b, at) || b.amount == 0 || there && m.counts(was, at) && b.amount <= was.amount {
			continue
		}
		for _, ns := range m.line(b.ns) {
			limit, limited := m.spec[ns].Limits[placement.NameCPU]
			if !limited {
				continue
			}
			top := limit.Ceiling()
			if b.reserved {
				top = limit.Soft
			}
			if m.used(ns, at, false)+b.amount > top {
				return false
			}
			if percent := m.spec[ns].Reservations.Percent; b.reserved && percent > 0 &&
				m.used(ns, at, true)+b.amount > limit.Soft*int64(percent)/100 {
				return false
			}
		}
	}
	return true
}

// bookable reports whether the bounds on reservations admit b.
func (m *overMachine) bookable(b booking) bool {
	for _, ns := range m.line(b.ns) {
		bounds := m.spec[ns].Reservations
		from := max(b.from, m.now)
		if bounds.MaxAhead > 0 && time.Duration(from-m.now)*time.Second > bounds.MaxAhead ||
			bounds.MaxLength > 0 && (b.until == 0 || time.Duration(b.until-from)*time.Second > bounds.MaxLength) {
			return false
		}
	}
	return true
}

func (m *overMachine) at(second int) time.Time {
	return m.start.Add(time.Duration(second) * time.Second)
}

func (m *overMachine) timed(b booking) quota.Timed {
	t := quota.Timed{Amounts: placement.Amounts{Resources: placement.Resources{CPU: b.amount}}, Reserved: b.reserved}
	if b.from > m.now {
		t.From = m.at(b.from)
	}
	if b.until != 0 {
		t.Until = m.at(b.until)
	}
	return t
}

func drawNS(t *rapid.T) string {
	return rapid.SampledFrom([]string{"org", "team", "web", "free"}).Draw(t, "ns")
}

func (m *overMachine) charge(t *rapid.T) {
	b := booking{
		ns: drawNS(t), id: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id")), amount: rapid.Int64Range(0, 6).Draw(t, "amount"),
		from: m.now, reserved: rapid.Bool().Draw(t, "reserved"),
	}
	if rapid.Bool().Draw(t, "later") {
		b.from += rapid.IntRange(0, 9).Draw(t, "from")
	}
	if rapid.Bool().Draw(t, "ends") {
		b.until = b.from + rapid.IntRange(1, 9).Draw(t, "length")
	}
	if was, there := m.all[b.id]; there {
		m.chargeAgain(t, was)
		return
	}
	b.asked = m.timed(b)
	_, err := m.ledger.ChargeOver(b.ns, b.id, b.asked)
	if m.admits(b) && (!b.reserved || m.bookable(b)) {
		require.NoError(t, err)
		m.all[b.id] = b
		return
	}
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	if !m.fits(b) {
		m.requireInstant(t, b, exceeded.Verdict)
		m.requireEarliest(t, b, exceeded.Verdict.Earliest())
	}
}

// chargeAgain makes a call again whose answer got lost: it changes nothing, whatever
// has become of the limits and of the time, and another call in its place is refused.
func (m *overMachine) chargeAgain(t *rapid.T, b booking) {
	before := m.ledger.Snapshot()
	_, err := m.ledger.ChargeOver(b.ns, b.id, b.asked)
	require.NoError(t, err)
	other := b.asked
	other.Reserved = !other.Reserved
	_, err = m.ledger.ChargeOver(b.ns, b.id, other)
	require.ErrorIs(t, err, quota.ErrConflict)
	require.Equal(t, before, m.ledger.Snapshot())
}

// requireInstant checks that the refusal names the first instant at which the
// charge does not fit: it fits if it ends there.
func (m *overMachine) requireInstant(t *rapid.T, b booking, verdict quota.Verdict) {
	first := horizon
	for _, v := range verdict.Violations {
		at := m.now
		if !v.At.IsZero() {
			at = int(v.At.Sub(m.start) / time.Second)
			require.Equal(t, m.at(at), v.At)
		}
		first = min(first, at)
	}
	if first == m.now || first == b.from {
		return
	}
	until := b
	until.until = first
	require.True(t, m.fits(until), "it fits until the instant named")
	until.until++
	require.False(t, m.fits(until), "and no longer")
}

// requireEarliest checks that a named earliest start works and nothing before it
// does; an instant that is not on a second behaves like the second before.
func (m *overMachine) requireEarliest(t *rapid.T, b booking, earliest time.Time) {
	t.Helper()
	length := b.until - b.from
	works := func(from int) bool {
		moved := b
		moved.from = from
		if b.until != 0 {
			moved.until = from + length
		}
		return m.fits(moved)
	}
	for from := b.from; from < horizon-10; from++ { // what is known ends before
		if works(from) {
			require.Equal(t, m.at(from), earliest)
			shifted := m.timed(b)
			for _, start := range []time.Time{earliest, earliest.Add(-1)} {
				shifted.From = start
				if b.until != 0 {
					shifted.Until = start.Add(time.Duration(length) * time.Second)
				}
				verdict, err := m.accounts(t).CheckOver(m.at(m.now), b.ns, shifted)
				require.NoError(t, err)
				require.Equal(t, start.Equal(earliest), verdict.Allowed(), "one nanosecond earlier does not work")
			}
			return
		}
	}
	require.Zero(t, earliest)
}

// accounts returns the accounts of the ledger, by way of its snapshot.
func (m *overMachine) accounts(t *rapid.T) *quota.Accounts {
	var a quota.Accounts
	snapshot := m.ledger.Snapshot()
	require.NoError(t, a.Restore(snapshot.State, func(yield func(string, quota.Timed) bool) {
		for _, b := range m.all {
			timed := m.timed(b)
			if !b.reserved && b.until <= m.now {
				timed.Until = time.Time{}
			}
			if !yield(b.ns, timed) {
				return
			}
		}
	}))
	return &a
}

func (m *overMachine) release(t *rapid.T) {
	id := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id"))
	b, there := m.all[id]
	if !there {
		_, err := m.ledger.Release(drawNS(t), id)
		require.ErrorIs(t, err, quota.ErrNotCharged)
		return
	}
	_, err := m.ledger.Release(b.ns, id)
	require.NoError(t, err)
	delete(m.all, id)
}

func (m *overMachine) resize(t *rapid.T) {
	b, there := m.all[fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id"))]
	if !there {
		return
	}
	b.amount = rapid.Int64Range(0, 9).Draw(t, "to")
	_, err := m.ledger.Resize(b.ns, b.id, placement.Amounts{Resources: placement.Resources{CPU: b.amount}})
	if !m.fitsGrown(b) || m.expired(b) {
		require.ErrorIs(t, err, quota.ErrExceeded)
		return
	}
	require.NoError(t, err)
	b.asked.Amounts.Resources.CPU = b.amount
	m.all[b.id] = b
}

// fitsGrown is fits for what grows alone: shrinking is always allowed.
func (m *overMachine) fitsGrown(b booking) bool {
	return b.amount <= m.all[b.id].amount || m.fits(b)
}

func (m *overMachine) update(t *rapid.T) {
	ns := rapid.SampledFrom([]string{"org", "team", "web"}).Draw(t, "ns")
	spec := drawOverSpec(t, ns)
	spec.Parent = rapid.SampledFrom([]string{"", "org", "team"}).Draw(t, "parent")
	if _, err := m.ledger.Update(spec); err == nil {
		m.spec[ns], m.parent[ns] = spec, spec.Parent
	}
}

func (m *overMachine) pass(t *rapid.T) {
	seconds := rapid.IntRange(0, 4).Draw(t, "seconds")
	if m.now+seconds > horizon/3 {
		return
	}
	m.clock.advance(time.Duration(seconds) * time.Second)
	for range seconds {
		m.now++
		for id, b := range m.all {
			if b.reserved && b.until != 0 && b.until <= m.now {
				delete(m.all, id)
			}
		}
		m.watchBursts()
	}
	if rapid.Bool().Draw(t, "sweep") {
		m.ledger.Sweep()
	}
}

func (m *overMachine) restore(t *rapid.T) {
	snapshot := m.ledger.Snapshot()
	restored, err := quota.New(quota.Config{Now: m.clock.Now})
	require.NoError(t, err)
	require.NoError(t, restored.Restore(snapshot))
	again := restored.Snapshot()
	again.Version = snapshot.Version
	require.Equal(t, snapshot, again)
	m.ledger = restored
}

// check compares usage at every instant, and since when it is above Soft.
func (m *overMachine) check(t *rapid.T) {
	m.watchBursts()
	for ns := range m.spec {
		var since time.Time
		if second, above := m.since[ns]; above {
			since = m.at(second)
		}
		for _, row := range m.ledger.Usage(ns) {
			if row.Resource == placement.NameCPU {
				require.Equal(t, since, row.Since, ns)
			}
		}
	}
	for _, ns := range []string{"org", "team", "web", "free"} {
		for at := m.now; at < horizon; at += 1 + (at-m.now)/4 {
			require.Equal(t, m.used(ns, at, false), cpuOf(m.ledger.UsageOver(ns, m.at(at), m.at(at+1))), "%s at %d", ns, at)
		}
		require.Equal(t, m.used(ns, m.now, false), cpuOf(m.ledger.Usage(ns)), ns)
	}
	require.NoError(t, m.ledger.Verify())
}

func cpuOf(rows []quota.Usage) int64 {
	for _, row := range rows {
		if row.Resource == placement.NameCPU {
			return row.Used
		}
	}
	return 0
}

// TestOverTimeHistories runs random histories of charges now and later, some of them
// made again, releases, resizes, bursts that end, new limits and parents, restarts and
// passing time against a model that knows every instant.
func TestOverTimeHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newOverMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"charge": m.charge, "charge more": m.charge, "charge again": m.charge, "release": m.release,
			"resize": m.resize, "update": m.update, "pass": m.pass, "restore": m.restore, "": m.check,
		})
	})
}
