package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// counted is what the model of quota through a scheduler knows of an instance, a
// reservation or what outlasts one: over which minutes it counts, in millicores.
type counted struct {
	ns          string
	amount      int64
	from, until int // until 0 is not known
	reserved    bool
	// in is the reservation that an instance stands in, which pays for it.
	in string
}

// quotaMachine drives a scheduler whose nodes have room for everything against a
// list of windows and amounts, of which it asks every instant at which something
// begins or ends. Time passes in minutes.
type quotaMachine struct {
	s       *Scheduler
	clock   *clock
	journal *MemoryJournal
	start   time.Time
	now     int
	spec    map[string]quota.Spec
	parent  map[string]string
	all     map[string]counted // instances and reservations by ID
	since   map[string]int     // when the usage of a namespace rose above Soft
	made    int                // IDs so far
}

func newQuotaMachine(t *rapid.T) *quotaMachine {
	c := newClock()
	m := &quotaMachine{
		clock: c, journal: new(MemoryJournal), start: c.Now(), spec: map[string]quota.Spec{}, parent: map[string]string{},
		all: map[string]counted{}, since: map[string]int{},
	}
	m.replay(t)
	addNodes(t, m.s, testNode("n1", 1000))
	for _, ns := range []string{"org", "team", "web"} {
		m.spec[ns] = drawQuotaOver(t, ns)
		createQuota(t, m.s, m.spec[ns])
	}
	return m
}

func drawQuotaOver(t *rapid.T, ns string) quota.Spec {
	limit := quota.Limit{Soft: rapid.Int64Range(0, 12).Draw(t, "soft")}
	if rapid.Bool().Draw(t, "bursts") {
		limit.BurstPercent, limit.BurstFor = 150, time.Duration(rapid.IntRange(0, 4).Draw(t, "for"))*time.Minute
	}
	spec := quota.Spec{Namespace: ns}
	if rapid.IntRange(0, 3).Draw(t, "limited") > 0 {
		spec.Limits = map[placement.ResourceName]quota.Limit{placement.NameCPU: limit}
	}
	spec.Reservations.Percent = rapid.SampledFrom([]int{0, 0, 50}).Draw(t, "percent")
	return spec
}

// replay goes on with a scheduler that is made from the journal.
func (m *quotaMachine) replay(t *rapid.T) {
	var before string
	if m.s != nil {
		sweep(t, m.s)
		before = snapshot(t, m.s)
	}
	next, err := Open(t.Context(), Config{Journal: m.journal, Now: m.clock.Now})
	require.NoError(t, err)
	if m.s != nil {
		require.Equal(t, before, snapshot(t, next))
	}
	m.s = next
}

func (m *quotaMachine) line(ns string) []string {
	var line []string
	for ; ns != ""; ns = m.parent[ns] {
		line = append(line, ns)
	}
	return line
}

// counts reports whether c counts at an instant, seen from now: an instance that is
// not gone at its end counts on.
func (m *quotaMachine) counts(c counted, at int) bool {
	overstays := !c.reserved && c.until != 0 && c.until <= m.now
	return c.from <= at && (c.until == 0 || at < c.until || overstays)
}

// charged returns what an entry of the list charges. An instance in a reservation
// costs nothing while that holds its slot.
func (m *quotaMachine) charged(id string) counted {
	c := m.all[id]
	if r, holds := m.all[c.in]; holds {
		c.from = r.until
		if c.until != 0 && c.until <= r.until {
			c.amount = 0
		}
		if c.until == 0 {
			c.amount = 0 // It is to leave with its reservation.
		}
	} else if c.in != "" {
		c.until = 0 // It should have left with it.
	}
	return c
}

func (m *quotaMachine) used(ns string, at int, reservedOnly bool) (sum int64) {
	for id := range m.all {
		c := m.charged(id)
		if m.counts(c, at) && (c.reserved || !reservedOnly) && slices.Contains(m.line(c.ns), ns) {
			sum += c.amount
		}
	}
	return sum
}

// instants returns now and when anything begins or ends afterwards.
func (m *quotaMachine) instants(c counted) []int {
	all := []int{m.now, c.from, c.until}
	for _, other := range m.all {
		all = append(all, other.from, other.until)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(at int) bool { return at < m.now })
}

// refusedAt returns the first instant at which c would be too much, -1 if none is.
func (m *quotaMachine) refusedAt(c counted) int {
	for _, at := range m.instants(c) {
		for _, ns := range m.line(c.ns) {
			limit, limited := m.spec[ns].Limits[placement.NameCPU]
			if !limited || !m.counts(c, at) || c.amount == 0 {
				continue
			}
			top, since := limit.Ceiling(), m.since[ns]
			if c.reserved {
				top = limit.Soft
			}
			_, above := m.since[ns]
			expired := at == m.now && above && limit.BurstFor > 0 && time.Duration(m.now-since)*time.Minute >= limit.BurstFor
			percent := m.spec[ns].Reservations.Percent
			share := percent > 0 && c.reserved && m.used(ns, at, true)+c.amount > limit.Soft*int64(percent)/100
			if expired || share || m.used(ns, at, false)+c.amount > top {
				return at
			}
		}
	}
	return -1
}

func (m *quotaMachine) at(minute int) time.Time {
	return m.start.Add(time.Duration(minute) * time.Minute)
}

func (m *quotaMachine) draw(t *rapid.T) (string, counted) {
	m.made++
	c := counted{
		ns: rapid.SampledFrom([]string{"org", "team", "web", "free"}).Draw(t, "ns"), amount: rapid.Int64Range(1, 7).Draw(t, "amount"),
		from: m.now,
	}
	return fmt.Sprint("x", m.made), c
}

func (m *quotaMachine) request(id string, c counted) placement.Request {
	req := placement.Request{ID: id, Namespace: c.ns, Resources: placement.Resources{CPU: c.amount}}
	if c.until != 0 {
		req.Duration = time.Duration(c.until-m.now) * time.Minute
	}
	return req
}

// answer holds a call to what the model says, and checks the instant that a refusal
// names.
func (m *quotaMachine) answer(t *rapid.T, id string, c counted, err error) bool {
	refused := m.refusedAt(c)
	if refused < 0 {
		require.NoError(t, err)
		m.all[id] = c
		return true
	}
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	first := refused + 1
	for _, v := range exceeded.Verdict.Violations {
		at := m.now
		if !v.At.IsZero() {
			at = int(v.At.Sub(m.start) / time.Minute)
			require.Equal(t, m.at(at), v.At)
		}
		first = min(first, at)
	}
	require.Equal(t, refused, first, "the first instant is named")
	return false
}

func (m *quotaMachine) place(t *rapid.T) {
	id, c := m.draw(t)
	if rapid.Bool().Draw(t, "ends") {
		c.until = m.now + rapid.IntRange(1, 9).Draw(t, "length")
	}
	_, err := m.s.Place(t.Context(), m.request(id, c))
	m.answer(t, id, c, err)
}

func (m *quotaMachine) reserve(t *rapid.T) {
	id, c := m.draw(t)
	c.reserved = true
	c.from += rapid.IntRange(0, 9).Draw(t, "from")
	c.until = c.from + rapid.IntRange(1, 9).Draw(t, "length")
	spec := reservation.Spec{
		ID: id, Namespace: c.ns, Count: 1, Shape: placement.Resources{CPU: c.amount}, Start: m.at(c.from), End: m.at(c.until),
	}
	_, err := m.s.Reserve(t.Context(), spec)
	if m.answer(t, id, c, err) {
		return
	}
	var exceeded *quota.ExceededError
	require.ErrorAs(t, err, &exceeded)
	earliest := exceeded.Verdict.Earliest()
	if earliest.IsZero() {
		return
	}
	for start, works := range map[time.Time]bool{earliest: true, earliest.Add(-1): false} {
		verdict, err := m.s.CheckQuotaOver(t.Context(), c.ns, quota.Timed{
			Amounts: placement.OneInstance(spec.Shape), From: start, Until: start.Add(spec.End.Sub(spec.Start)), Reserved: true,
		})
		require.NoError(t, err)
		require.Equal(t, works, verdict.Allowed(), "the earliest start works, and not a nanosecond less")
	}
	moved := c
	moved.from = int(earliest.Sub(m.start) / time.Minute)
	moved.until = moved.from + c.until - c.from
	spec.Start, spec.End = earliest, m.at(moved.until)
	_, err = m.s.Reserve(t.Context(), spec)
	require.True(t, m.answer(t, id, moved, err))
}

// some returns the ID of an entry that meets a condition, empty if none does.
func (m *quotaMachine) some(t *rapid.T, meets func(counted) bool) string {
	var ids []string
	for id, c := range m.all {
		if meets(c) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "which")
}

// claim puts an instance into a slot that nobody has claimed. What outlasts the
// reservation is charged to that, if quota admits it.
func (m *quotaMachine) claim(t *rapid.T) {
	in := m.some(t, func(c counted) bool { return c.reserved && c.from <= m.now })
	if in == "" || m.inUse(in) {
		return
	}
	id, c := m.draw(t)
	r := m.all[in]
	c.ns, c.amount, c.in = r.ns, min(c.amount, r.amount), in
	if rapid.Bool().Draw(t, "ends") {
		c.until = m.now + rapid.IntRange(1, 12).Draw(t, "length")
	}
	_, err := m.s.PlaceFromReservation(t.Context(), in, m.request(id, c))
	tail := c
	if tail.from = r.until; c.until <= r.until {
		tail.amount = 0
	}
	if m.answer(t, id, tail, err) {
		m.all[id] = c
	}
}

func (m *quotaMachine) inUse(reservation string) bool {
	for _, c := range m.all {
		if c.in == reservation {
			return true
		}
	}
	return false
}

func (m *quotaMachine) release(t *rapid.T) {
	id := m.some(t, func(counted) bool { return true })
	if id == "" {
		return
	}
	if !m.all[id].reserved {
		require.NoError(t, m.s.Release(t.Context(), id))
	} else if err := m.s.ReleaseReservation(t.Context(), id, false); m.inUse(id) {
		require.ErrorIs(t, err, ErrInUse)
		return
	} else {
		require.NoError(t, err)
	}
	delete(m.all, id)
}

func (m *quotaMachine) update(t *rapid.T) {
	ns := rapid.SampledFrom([]string{"org", "team", "web"}).Draw(t, "ns")
	spec := drawQuotaOver(t, ns)
	spec.Parent = rapid.SampledFrom([]string{"", "org", "team"}).Draw(t, "parent")
	_, err := m.s.UpdateQuota(t.Context(), spec)
	if errors.Is(err, ErrInvalid) { // a cycle
		return
	}
	require.NoError(t, err)
	m.spec[ns], m.parent[ns] = spec, spec.Parent
}

func (m *quotaMachine) pass(t *rapid.T) {
	minutes := rapid.IntRange(0, 4).Draw(t, "minutes")
	m.clock.advance(time.Duration(minutes) * time.Minute)
	for range minutes {
		m.now++
		for id, c := range m.all {
			if c.reserved && c.until <= m.now {
				delete(m.all, id)
			}
		}
		m.watchBursts()
	}
}

func (m *quotaMachine) watchBursts() {
	for ns, spec := range m.spec {
		limit, limited := spec.Limits[placement.NameCPU]
		if !limited || m.used(ns, m.now, false) <= limit.Soft {
			delete(m.since, ns)
		} else if _, above := m.since[ns]; !above {
			m.since[ns] = m.now
		}
	}
}

// check compares usage at every instant, and since when it is above Soft.
func (m *quotaMachine) check(t *rapid.T) {
	m.watchBursts()
	for _, ns := range []string{"org", "team", "web", "free"} {
		for _, at := range m.instants(counted{}) {
			rows, err := m.s.QuotaUsageOver(t.Context(), ns, m.at(at), m.at(at+1))
			require.NoError(t, err)
			require.Equal(t, m.used(ns, at, false), cpuRow(rows), "%s at %d", ns, at)
		}
		rows, err := m.s.QuotaUsage(t.Context(), ns)
		require.NoError(t, err)
		var since time.Time
		if minute, above := m.since[ns]; above {
			since = m.at(minute)
		}
		for _, row := range rows {
			if row.Resource == placement.NameCPU {
				require.Equal(t, since, row.Since, ns)
			}
		}
	}
	require.NoError(t, m.s.VerifyQuota(t.Context()))
}

// TestQuotaOverTimeHistories runs random histories of instances, reservations now and
// later, claims, also such as outlast their reservation, bursts that end, new limits
// and parents, and replays, against a model that knows every instant.
func TestQuotaOverTimeHistories(t *testing.T) { rapid.Check(t, propertyQuotaOverTime) }

func FuzzQuotaOverTime(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyQuotaOverTime)) }

func propertyQuotaOverTime(t *rapid.T) {
	m := newQuotaMachine(t)
	t.Repeat(map[string]func(*rapid.T){
		"place": m.place, "reserve": m.reserve, "reserve more": m.reserve, "claim": m.claim, "release": m.release,
		"update": m.update, "pass": m.pass, "replay": m.replay, "": m.check,
	})
}
