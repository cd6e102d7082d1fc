package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// toldMachine drives a scheduler whose nodes are closed for maintenance again and
// again, and knows what everybody there has been told. Time passes in minutes.
type toldMachine struct {
	s     *Scheduler
	clock *clock
	told  []reservation.Event
	since map[string]time.Time // by instance and node: from when on it has run there
	set   map[string]closure   // by reservation: the maintenance as it was last seen
	slots map[string]string    // by slot: the node that it was on
	made  int                  // IDs so far
}

// closure is when maintenance begins, and when that was said.
type closure struct{ start, said time.Time }

func newToldMachine(t *rapid.T) *toldMachine {
	m := &toldMachine{
		clock: newClock(), since: make(map[string]time.Time), set: make(map[string]closure), slots: make(map[string]string),
	}
	m.s = newTestScheduler(t, Config{Now: m.clock.Now, Hooks: hookOn(func(_ Event, e *ReservationEvent) {
		if e.Kind == reservation.YieldDue {
			m.told = append(m.told, e.Event)
		}
	})})
	addNodes(t, m.s, testNode("n1", 4), testNode("n2", 4), testNode("n3", 2))
	return m
}

func (m *toldMachine) newID(prefix string) string {
	m.made++
	return fmt.Sprint(prefix, m.made)
}

// draw returns one of the IDs, or one that is not known.
func draw(t *rapid.T, ids []string) string {
	return rapid.SampledFrom(append(ids, "unknown")).Draw(t, "id")
}

func (m *toldMachine) instances(t *rapid.T) []string {
	var ids []string
	for _, a := range listed(t, m.s.Allocations) {
		ids = append(ids, a.Request.ID)
	}
	return ids
}

func drawMinutes(t *rapid.T, least, most int, label string) time.Duration {
	return time.Duration(rapid.IntRange(least, most).Draw(t, label)) * time.Minute
}

func (m *toldMachine) request(t *rapid.T) placement.Request {
	req := onlyCPU(m.newID("i"), rapid.Int64Range(0, 2).Draw(t, "cores"))
	req.Yield = rapid.IntRange(0, 3).Draw(t, "yield") == 0
	if rapid.Bool().Draw(t, "has an end") {
		req.Duration = drawMinutes(t, 1, 20, "duration")
	}
	return req
}

func (m *toldMachine) place(t *rapid.T) {
	req, on := m.request(t), rapid.SampledFrom([]string{"", "n1", "n2", "n3"}).Draw(t, "node")
	var d Decision
	var err error
	if on == "" {
		d, err = m.s.Place(t.Context(), req)
	} else {
		d, err = m.s.Allocate(t.Context(), on, req)
	}
	if err == nil {
		m.requireOpen(t, d.NodeID, req)
	}
}

func (m *toldMachine) claim(t *rapid.T) {
	req := m.request(t)
	if d, err := m.s.PlaceFromReservation(t.Context(), draw(t, m.reservations()), req); err == nil {
		m.requireOpen(t, d.NodeID, req)
	}
}

func (m *toldMachine) move(t *rapid.T) {
	id, to := draw(t, m.instances(t)), rapid.SampledFrom([]string{"", "n1", "n2", "n3"}).Draw(t, "node")
	before, err := m.s.Allocation(t.Context(), id)
	if err != nil {
		return
	}
	if d, err := m.s.Move(t.Context(), id, to); err == nil && d.NodeID != before.NodeID {
		m.requireOpen(t, d.NodeID, before.Request)
	}
}

// keep keeps a generation that Move has left behind or that was lost.
func (m *toldMachine) keep(t *rapid.T) {
	for _, a := range listed(t, m.s.Allocations) {
		if a.Replaced && rapid.Bool().Draw(t, "keep") {
			_, _ = m.s.KeepGeneration(t.Context(), a.Request.ID, a.Generation)
			return
		}
	}
}

func (m *toldMachine) mark(t *rapid.T) {
	mark := rapid.SampledFrom([]func(*Scheduler, string) error{
		func(s *Scheduler, id string) error { return s.MarkLost(t.Context(), id) },
		func(s *Scheduler, id string) error { return s.MarkReady(t.Context(), id) },
		func(s *Scheduler, id string) error { return s.MarkReady(t.Context(), id) },
	}).Draw(t, "mark")
	require.NoError(t, mark(m.s, drawNode(t)))
}

func (m *toldMachine) adopt(t *rapid.T) {
	id := drawNode(t)
	n, err := m.s.Node(t.Context(), id)
	require.NoError(t, err)
	if rapid.Bool().Draw(t, "removed") {
		_, err := m.s.RemoveNode(t.Context(), id)
		require.NoError(t, err)
	}
	_, err = m.s.AdoptNode(t.Context(), n.Node, []Report{{Request: m.request(t)}})
	require.NoError(t, err)
}

func (m *toldMachine) release(t *rapid.T) {
	if rapid.Bool().Draw(t, "stay") {
		_ = m.s.Stay(t.Context(), draw(t, m.instances(t)))
		return
	}
	_ = m.s.Release(t.Context(), draw(t, m.instances(t)))
}

func (m *toldMachine) reservations() []string {
	var ids []string
	for r := range m.s.state.plan.Reservations() {
		ids = append(ids, r.Spec.ID)
	}
	return ids
}

// close reserves maintenance. What it finds there moves if there is room.
func (m *toldMachine) close(t *rapid.T) {
	spec := reservation.Spec{
		ID: m.newID("m"), Node: drawNode(t), Maintenance: true, Priority: rapid.Int32Range(-1, 1).Draw(t, "priority"),
		Start: m.clock.Now().Add(drawMinutes(t, 0, 20, "start")), Duration: drawMinutes(t, 1, 20, "duration"),
		Notice: drawMinutes(t, 0, 10, "notice"),
	}
	if rapid.IntRange(0, 3).Draw(t, "repeats") == 0 {
		spec.Repeat = reservation.Repeat{Every: reservation.Daily, Until: m.clock.Now().Add(48 * time.Hour)}
	}
	_, err := m.s.Reserve(t.Context(), spec)
	if err != nil {
		require.True(t, m.s.state.named(spec.Node).lost, "%v", err)
		return
	}
	for r := range m.s.state.plan.Reservations() {
		if r.Spec.ID == spec.ID || r.Series == spec.ID {
			m.requireNowhereElse(t, r)
		}
	}
}

// requireNowhereElse asserts that slots without instances that maintenance closes
// their node for have no room on another one.
func (m *toldMachine) requireNowhereElse(t *rapid.T, closed reservation.Reservation) {
	for r := range m.s.state.plan.Reservations() {
		for _, slot := range r.Slots {
			if r.Spec.Maintenance || slot.Node != closed.Spec.Node || len(slot.Claims) > 0 || !holdsUntil(r).Overlaps(window(closed)) {
				continue
			}
			another := r.Spec
			another.ID, another.Count, another.Priority = "another", 1, -9
			another.Start, another.End, another.Duration = r.Params.Start, r.Params.End, 0
			fork, err := m.s.Fork(t.Context())
			require.NoError(t, err)
			_, err = fork.Reserve(t.Context(), another)
			require.ErrorIs(t, err, reservation.ErrRefused, "%s could have moved away from %s", r.Spec.ID, closed.Spec.ID)
		}
	}
}

func window(r reservation.Reservation) reservation.Window {
	return reservation.Window{Start: r.Params.Start, End: r.Params.End}
}

// holdsUntil is the window over which a reservation holds capacity.
func holdsUntil(r reservation.Reservation) reservation.Window {
	w := window(r)
	if r.Spec.AtEnd == reservation.Keep {
		w.End = time.Time{}
	}
	return w
}

func (m *toldMachine) reserve(t *rapid.T) {
	spec := reservation.Spec{
		ID: m.newID("r"), Namespace: "ns", Count: rapid.IntRange(1, 2).Draw(t, "count"),
		Shape:    placement.Resources{CPU: rapid.Int64Range(1, 4).Draw(t, "cores") * placement.Core},
		Priority: rapid.Int32Range(0, 9).Draw(t, "priority"), Lend: rapid.Bool().Draw(t, "lend"),
		Start: m.clock.Now().Add(drawMinutes(t, 0, 20, "start")), Duration: drawMinutes(t, 1, 20, "duration"),
		Notice: drawMinutes(t, 0, 10, "notice"),
		AtEnd:  rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Keep}).Draw(t, "atEnd"),
	}
	_, _ = m.s.Reserve(t.Context(), spec)
}

func (m *toldMachine) update(t *rapid.T) {
	id, params := draw(t, m.reservations()), reservation.Params{}
	switch rapid.IntRange(0, 3).Draw(t, "call") {
	case 0:
		_ = m.s.ReleaseReservation(t.Context(), id, true)
		return
	case 1:
		params.End = m.clock.Now().Add(drawMinutes(t, 1, 30, "end"))
	default:
		params.Start = m.clock.Now().Add(drawMinutes(t, 0, 20, "start"))
	}
	_, _ = m.s.UpdateReservation(t.Context(), id, 0, params)
}

func (m *toldMachine) pass(t *rapid.T) {
	d := drawMinutes(t, 1, 10, "minutes")
	if rapid.IntRange(0, 9).Draw(t, "night") == 0 {
		d = 24*time.Hour - drawMinutes(t, 0, 20, "minutes early")
	}
	m.clock.advance(d)
}

// closures returns the maintenance that is not over.
func (m *toldMachine) closures() []reservation.Reservation {
	return slices.DeleteFunc(slices.Collect(m.s.state.plan.Reservations()), func(r reservation.Reservation) bool {
		return !r.Spec.Maintenance || !holds(r)
	})
}

// noticed returns when those on the node of maintenance are to be told of it, and
// whether that has come.
func (m *toldMachine) noticed(r reservation.Reservation) (time.Time, bool) {
	at := r.Params.Start.Add(-r.Spec.Notice)
	return at, !m.clock.Now().Before(at)
}

// requireOpen asserts that a request may have landed on a node just now.
func (m *toldMachine) requireOpen(t *rapid.T, nodeID string, req placement.Request) {
	for _, r := range m.closures() {
		_, noticed := m.noticed(r)
		if r.Spec.Node != nodeID {
			continue
		}
		if req.Duration == 0 || req.Yield {
			require.False(t, noticed, "%s lands on %s, which %s closes", req.ID, nodeID, r.Spec.ID)
			continue
		}
		stays := reservation.Window{Start: m.clock.Now(), End: m.clock.Now().Add(req.Duration)}
		require.False(t, stays.Overlaps(window(r)), "%s would interrupt %s", r.Spec.ID, req.ID)
	}
}

func (m *toldMachine) check(t *rapid.T) {
	_, err := m.s.Sweep(t.Context())
	require.NoError(t, err)
	closures := m.closures()
	for _, r := range closures {
		if !m.set[r.Spec.ID].start.Equal(r.Params.Start) {
			m.set[r.Spec.ID] = closure{r.Params.Start, m.clock.Now()}
		}
	}
	since := make(map[string]time.Time)
	for _, a := range listed(t, m.s.Allocations) {
		if a.Replaced || a.State == Lost {
			continue
		}
		key := a.Request.ID + " on " + a.NodeID
		since[key] = m.clock.Now()
		if before, ran := m.since[key]; ran {
			since[key] = before
		}
		for _, r := range closures {
			if r.Spec.Node == a.NodeID {
				m.requireTold(t, r, a, since[key])
			}
		}
	}
	m.since = since
	m.checkSlots(t, closures)
	for _, id := range m.s.state.plan.Owed() {
		changes, err := m.s.state.plan.Repair(&planNodes{st: m.s.state}, id)
		require.NoError(t, err)
		require.Empty(t, changes, "there is room for %s", id)
	}
}

// requireTold asserts that an instance, which has run on a node since an instant, has
// been told of maintenance there when notice was due, or as soon as both were known;
// unless it came later and says that it leaves before.
func (m *toldMachine) requireTold(t *rapid.T, r reservation.Reservation, a Allocation, since time.Time) {
	at, noticed := m.noticed(r)
	leaves := a.Placed.Add(a.Request.Duration)
	if !noticed || a.Request.Duration > 0 && !since.Before(at) && !leaves.After(r.Params.Start) {
		return
	}
	said := m.set[r.Spec.ID].said
	by := later(at, later(since, said))
	require.True(t, slices.ContainsFunc(m.told, func(e reservation.Event) bool {
		return e.Reservation == r.Spec.ID && e.Instance == a.Request.ID && e.Node == a.NodeID &&
			!e.At.Before(said) && !e.At.After(by) && e.Due.Equal(later(r.Params.Start, e.At))
	}), "%s on %s since %s is not told by %s of %s at %s", a.Request.ID, a.NodeID, since, by, r.Spec.ID, r.Params.Start)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// checkSlots asserts that what is reserved is held or owed, that no slot without
// instances stands where maintenance is under way, and that none comes to stand where
// it is to be.
func (m *toldMachine) checkSlots(t *rapid.T, closures []reservation.Reservation) {
	slots := make(map[string]string)
	for r := range m.s.state.plan.Reservations() {
		if r.Spec.Maintenance || !holds(r) {
			continue
		}
		require.Len(t, r.Slots, r.Params.Count)
		for i, slot := range r.Slots {
			require.True(t, slot.Node != "" || slot.Lost != "")
			key := fmt.Sprint(r.Spec.ID, " ", i)
			slots[key] = slot.Node
			for _, closed := range closures {
				if slot.Node != closed.Spec.Node || !holdsUntil(r).Overlaps(reservation.Window{Start: later(m.clock.Now(), closed.Params.Start), End: closed.Params.End}) {
					continue
				}
				require.False(t, closed.Phase == reservation.Active && len(slot.Claims) == 0, "%s stands in %s", key, closed.Spec.ID)
				isNew := m.set[closed.Spec.ID].said.Equal(m.clock.Now())
				require.True(t, isNew || m.slots[key] == slot.Node, "%s comes to stand in %s", key, closed.Spec.ID)
			}
		}
	}
	m.slots = slots
}

func holds(r reservation.Reservation) bool {
	return r.Phase == reservation.Pending || r.Phase == reservation.Active
}

// TestWhatRunsIsToldInTime: of maintenance, whatever runs beside it, for how long and
// in whatever slot.
func TestWhatRunsIsToldInTime(t *testing.T) {
	if raceEnabled {
		t.Skip("takes long there, and has one goroutine")
	}
	rapid.Check(t, toldActions)
}

func toldActions(t *rapid.T) {
	m := newToldMachine(t)
	t.Repeat(map[string]func(*rapid.T){
		"":        m.check,
		"place":   m.place,
		"place2":  m.place,
		"claim":   m.claim,
		"move":    m.move,
		"keep":    m.keep,
		"mark":    m.mark,
		"adopt":   m.adopt,
		"release": m.release,
		"close":   m.close,
		"close2":  m.close,
		"reserve": m.reserve,
		"update":  m.update,
		"time":    m.pass,
		"time2":   m.pass,
	})
}
