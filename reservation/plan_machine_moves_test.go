package reservation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func (m *machine) newID(prefix string) string {
	m.ids++
	return fmt.Sprint(prefix, m.ids)
}

func drawShape(t *rapid.T) placement.Resources {
	return placement.Resources{
		CPU: rapid.Int64Range(1, 5).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 3).Draw(t, "memory"),
		GPU: rapid.SampledFrom([]int64{0, 0, 0, 250, 500, 1000, 2000}).Draw(t, "gpu"),
	}
}

func (m *machine) drawSpec(t *rapid.T) Spec {
	s := Spec{
		ID: m.newID("r"), Shape: drawShape(t), Count: rapid.IntRange(1, 3).Draw(t, "count"),
		Duration: time.Duration(rapid.IntRange(1, 12).Draw(t, "duration")),
		Priority: rapid.Int32Range(0, 2).Draw(t, "priority"),
		Once:     rapid.IntRange(0, 4).Draw(t, "once") == 0,
		AtEnd:    rapid.SampledFrom([]AtEnd{Drain, Drain, Evict, Keep}).Draw(t, "at end"),
		Notice:   time.Duration(rapid.IntRange(0, 4).Draw(t, "notice")),
	}
	if s.AtEnd == Evict {
		s.Grace = time.Duration(rapid.IntRange(0, 4).Draw(t, "grace"))
	}
	s.Lend = rapid.IntRange(0, 2).Draw(t, "lend") == 0
	if rapid.IntRange(0, 9).Draw(t, "maintenance") == 0 {
		s = Spec{
			ID: s.ID, Maintenance: true, Duration: s.Duration, Notice: s.Notice,
			Node: rapid.SampledFrom(machineNodes()).Draw(t, "closes"),
		}
	}
	if days := rapid.IntRange(0, 12).Draw(t, "days"); days > 0 && days < 4 && s.AtEnd != Keep {
		s.Repeat = Repeat{Every: Daily, Until: m.plan.Now().Add(time.Duration(days) * 24 * time.Hour)}
	}
	if rapid.Bool().Draw(t, "later") {
		s.Start = m.plan.Now().Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "start")))
	}
	if !s.Maintenance && rapid.IntRange(0, 4).Draw(t, "bound") == 0 {
		s.Node = rapid.SampledFrom(machineNodes()).Draw(t, "node")
	}
	return s
}

// one draws a live reservation and reports whether there is any. An action
// that has none does nothing rather than skip: a fuzzed history may choose no
// other, which is no finding.
func (m *machine) one(t *rapid.T) (Reservation, bool) {
	all := slices.Collect(m.plan.Reservations())
	if len(all) == 0 {
		return Reservation{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, "reservation")], true
}

func (m *machine) Advance(t *rapid.T) {
	now := m.plan.Now().Add(time.Duration(rapid.Int64Range(-3, 6).Draw(t, "by")))
	events := m.plan.Advance(now)
	require.Equal(t, events, m.replica.Advance(now))
	m.hear(t, events)
	require.True(t, slices.IsSortedFunc(events, func(a, b Event) int { return a.At.Compare(b.At) }))
	if next, ok := m.plan.NextDeadline(); ok {
		require.True(t, next.After(m.plan.Now()))
	}
}

// AdvanceDay goes to about where the next windows are of what repeats daily.
func (m *machine) AdvanceDay(t *rapid.T) {
	if len(m.plan.series) == 0 || rapid.IntRange(0, 2).Draw(t, "sleep") > 0 {
		return
	}
	now := m.plan.Now().Add(24*time.Hour + time.Duration(rapid.Int64Range(-12, 3).Draw(t, "by")))
	events := m.plan.Advance(now)
	require.Equal(t, events, m.replica.Advance(now))
	m.hear(t, events)
}

func (m *machine) Reserve(t *rapid.T) {
	spec := m.drawSpec(t)
	window := Window{Start: m.plan.Now()}
	if spec.Start.After(window.Start) {
		window.Start = spec.Start
	}
	window.End = window.Start.Add(spec.Duration + spec.Grace)
	if spec.AtEnd == Keep {
		window.End = time.Time{}
	}
	load, kind := placement.OneInstance(spec.Shape), firm
	if spec.Lend {
		kind = lent
	}
	fits := true
	if spec.Maintenance {
		load, kind = placement.Amounts{}, closing // always
	}
	for at := window.Start; ; at = at.Add(24 * time.Hour) {
		w, _ := window.shifted(nanos(at))
		if spec.Node != "" {
			fits = fits && m.fits(spec.Node, w, load, kind)
		} else {
			fits = fits && m.fitsSomewhere(w, load, kind)
		}
		if spec.Repeat.IsZero() || !at.Add(24*time.Hour).Before(spec.Repeat.Until) {
			break
		}
	}
	var moves int
	err := m.carry(t, func() ([]PlanChange, error) {
		changes, err := m.plan.Reserve(m, spec)
		for _, c := range changes {
			if c.Kind == Move || c.Kind == Wait { // for it
				moves++
			}
		}
		return changes, err
	})
	var refused *RefusedError
	switch {
	case err == nil:
		require.True(t, fits || moves > 0, "reserved where nothing fits")
		again, err := m.plan.Reserve(m, spec)
		require.NoError(t, err)
		require.Empty(t, again)
	case errors.As(err, &refused):
		if spec.Count == 1 {
			require.False(t, fits, "refused what fits: %v", err)
		}
		if spec.Repeat.IsZero() {
			m.checkEarliest(t, spec, refused.Earliest)
		}
	default:
		require.ErrorIs(t, err, ErrInvalid)
		require.True(t, m.lost[spec.Node])
	}
}

// checkEarliest checks that a refused spec would be accepted from the start
// named, and not from any instant before.
func (m *machine) checkEarliest(t *rapid.T, spec Spec, earliest time.Time) {
	start := max(nanos(spec.Start), nanos(m.plan.Now()))
	until := start + 60
	if !earliest.IsZero() {
		until = min(until, nanos(earliest))
		spec.Start = earliest
		_, err := m.plan.Reserve(m, spec)
		require.NoError(t, err, "the earliest start does not work")
	}
	for at := start; at < until; at++ {
		spec.Start = instant(at)
		_, err := m.plan.Reserve(m, spec)
		require.ErrorIs(t, err, ErrRefused, "works at %d, before %v", at, earliest)
	}
}

func (m *machine) Claim(t *rapid.T) {
	r, ok := m.one(t)
	if !ok {
		return
	}
	req := placement.Request{ID: m.newID("c"), Resources: drawShape(t)}
	if rapid.Bool().Draw(t, "has an end") {
		req.Duration = time.Duration(rapid.IntRange(1, 12).Draw(t, "duration"))
	}
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Claim(m, r.Spec.ID, req, nil) })
	var short *ShortError
	switch {
	case r.Phase != Active || r.State() == Displaced:
		require.ErrorIs(t, err, ErrState)
	case r.Spec.Maintenance:
		require.ErrorIs(t, err, ErrNotOwner)
	case err == nil:
		m.requireReally(t, req.ID)
		if node, _ := m.plan.nodeOfClaim(req.ID); req.Duration == 0 {
			require.False(t, m.closed(node, Window{}, endless), "claimed on a node that is closed")
		} else {
			require.False(t, m.closed(node, Window{m.plan.Now(), m.plan.Now().Add(req.Duration)}, firm))
		}
		again, err := m.plan.Claim(m, r.Spec.ID, req, nil)
		require.NoError(t, err)
		require.Empty(t, again)
	case errors.Is(err, ErrWaiting):
		m.waiting[req.ID] = req
		changes, again := m.plan.Claim(m, r.Spec.ID, req, nil)
		require.Empty(t, changes, "asked twice")
		require.ErrorIs(t, again, ErrWaiting)
	default:
		require.ErrorAs(t, err, &short)
	}
}

// ClaimAgain repeats a claim that waits, or gives it up.
func (m *machine) ClaimAgain(t *rapid.T) {
	waiting := slices.Sorted(maps.Keys(m.plan.recalls))
	if len(waiting) == 0 {
		return
	}
	id := rapid.SampledFrom(waiting).Draw(t, "instance")
	in := m.plan.recalls[id]
	if rapid.IntRange(0, 4).Draw(t, "give up") == 0 {
		require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.Unclaim(id) }))
		require.NotContains(t, m.plan.recalls, id)
		return
	}
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Claim(m, in, m.waiting[id], nil) })
	switch {
	case err == nil:
		m.requireReally(t, id)
	case !errors.Is(err, ErrState):
		require.ErrorIs(t, err, ErrRefused)
	}
}

func (m *machine) Admit(t *rapid.T) {
	req := placement.Request{ID: m.newID("s"), Resources: drawShape(t), Yield: rapid.Bool().Draw(t, "yield")}
	window := Window{Start: m.plan.Now()}
	if rapid.Bool().Draw(t, "has an end") {
		req.Duration = time.Duration(rapid.IntRange(1, 12).Draw(t, "duration"))
		window.End = window.Start.Add(req.Duration)
	}
	kind := firm
	if req.Duration == 0 {
		kind = endless
	}
	if req.Yield {
		window.End, kind = window.Start.Add(1), yielding
	}
	fits := m.fitsSomewhere(window, placement.OneInstance(req.Resources), kind)
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Admit(m, req) })
	require.Equal(t, fits, err == nil, "%v", err)
	if err == nil {
		again, err := m.plan.Admit(m, req)
		require.NoError(t, err)
		require.Empty(t, again)
	}
}

func (m *machine) Remove(t *rapid.T) {
	var ids []string
	for s := range m.plan.allStays() {
		ids = append(ids, s.ID)
	}
	for r := range m.plan.Reservations() {
		ids = append(ids, r.Instances()...)
	}
	if len(ids) == 0 || rapid.IntRange(0, 2).Draw(t, "stay") > 0 {
		return // so that nodes fill up
	}
	id := rapid.SampledFrom(ids).Draw(t, "instance")
	node, claimed := m.plan.nodeOfClaim(id)
	require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.Remove(id) }))
	if claimed {
		require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.NodeChanged(m, node), nil }))
	}
	require.ErrorIs(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.Remove(id) }), ErrNotFound)
}

func (m *machine) Update(t *rapid.T) {
	r, ok := m.one(t)
	if !ok {
		return
	}
	var params Params
	if rapid.Bool().Draw(t, "change start") {
		params.Start = m.plan.Now().Add(time.Duration(rapid.IntRange(-2, 12).Draw(t, "start")))
	}
	if rapid.Bool().Draw(t, "change end") {
		params.End = m.plan.Now().Add(time.Duration(rapid.IntRange(-2, 16).Draw(t, "end")))
	}
	if rapid.Bool().Draw(t, "change shape") {
		params.Shape = drawShape(t)
	}
	params.Count = rapid.IntRange(0, 4).Draw(t, "count")
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Update(m, r.Spec.ID, r.Version, params) })
	if err == nil {
		return
	}
	known := false
	for _, expected := range []error{ErrState, ErrInvalid, ErrInUse, ErrRefused} {
		known = known || errors.Is(err, expected)
	}
	require.True(t, known, "%v", err)
}

func (m *machine) Release(t *rapid.T) {
	r, ok := m.one(t)
	if !ok {
		return
	}
	force := rapid.Bool().Draw(t, "force")
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Release(r.Spec.ID, force) })
	switch {
	case r.Phase == Expiring || r.Phase == Ended:
		require.ErrorIs(t, err, ErrState)
	case len(r.Instances()) > 0 && !force:
		require.ErrorIs(t, err, ErrInUse)
	default:
		require.NoError(t, err)
	}
}

// requireReally asserts that the node of a claim has what instances use there,
// whatever is promised.
func (m *machine) requireReally(t *rapid.T, instance string) {
	_, id, _ := m.plan.ClaimOf(instance)
	of, _ := m.plan.Reservation(id)
	slot, _ := of.find(instance)
	node := of.Slots[slot].Node
	room := m.rooms[node]
	used, devices := room.Used, slices.Clone(room.Devices)
	add := func(l placement.Amounts, on []int) {
		used.Resources, _ = used.Resources.Add(l.Resources)
		used.Instances += l.Instances
		for _, d := range on {
			require.Less(t, d, len(devices))
			devices[d] += min(l.Resources.GPU, placement.Device)
		}
	}
	for r := range m.plan.Reservations() {
		for _, slot := range r.Slots {
			for _, c := range slot.Claims {
				if slot.Node == node {
					add(c.whole(), c.Devices)
				}
			}
		}
	}
	for s := range m.plan.allStays() {
		if s.Node == node {
			add(s.Load, s.Devices)
		}
	}
	require.LessOrEqual(t, used.Resources.CPU, room.Allocatable.CPU)
	require.LessOrEqual(t, used.Resources.Memory, room.Allocatable.Memory)
	require.True(t, room.MaxInstances == 0 || used.Instances <= room.MaxInstances)
	for _, share := range devices {
		require.LessOrEqual(t, share, int64(placement.Device))
	}
}

// NodeChanges gives a node less or more, or has others use more or less of it.
func (m *machine) NodeChanges(t *rapid.T) {
	node := rapid.SampledFrom(machineNodes()).Draw(t, "node")
	room := m.rooms[node]
	room.Allocatable = placement.Resources{
		CPU: rapid.Int64Range(1, 8).Draw(t, "has cpu"), Memory: rapid.Int64Range(0, 8).Draw(t, "has memory"),
	}
	room.Used.Resources.CPU = rapid.Int64Range(0, 3).Draw(t, "used")
	room.Devices = []int64{0, rapid.Int64Range(0, 1000).Draw(t, "device")}[:rapid.IntRange(0, 2).Draw(t, "devices")]
	m.rooms[node], m.shrunk[node] = room, true
	require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.NodeChanged(m, node), nil }))
	m.withRoom = append(m.withRoom, node)
}

func (m *machine) NodeLost(t *rapid.T) {
	node := rapid.SampledFrom(machineNodes()).Draw(t, "node")
	m.lost[node] = true
	require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.NodeChanged(m, node), nil }))
	for r := range m.plan.Reservations() {
		for _, slot := range r.Slots {
			require.False(t, r.holding() && !r.Spec.Maintenance && slot.Node == node)
		}
	}
}

func (m *machine) NodeBack(*rapid.T) {
	for node := range m.lost {
		delete(m.lost, node)
	}
	m.withRoom = machineNodes()
}
