package reservation

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// machine drives a Plan through random calls. After each it recomputes from
// the live reservations and stays, with sums over all of them at every
// instant, what the plan keeps up to date.
type machine struct {
	plan    *Plan
	replica *Plan // gets changes and times only, through JSON
	rooms   map[string]Room
	lost    map[string]bool
	ids     int
	ledger  map[string]Load // what was charged when an event or change said so
	told    map[string]bool // events that come once
	last    time.Time       // of the last event
}

func machineNodes() []string { return []string{"n1", "n2", "n3"} }

func newMachine() *machine {
	m := &machine{
		plan: NewPlan(), replica: NewPlan(), rooms: map[string]Room{}, lost: map[string]bool{},
		ledger: map[string]Load{}, told: map[string]bool{},
	}
	for i, id := range machineNodes() {
		m.rooms[id] = Room{
			Allocatable:  placement.Resources{CPU: 8, Memory: 8},
			MaxInstances: int64(6 * i), // n1 has no cap
			Used:         Load{placement.Resources{CPU: int64(i)}, int64(i)},
			Devices:      []int64{0, int64(250 * i)},
		}
	}
	m.plan.Advance(instant(0))
	m.replica.Advance(instant(0))
	return m
}

// Room is part of Nodes.
func (m *machine) Room(node string) (Room, bool) {
	room, ok := m.rooms[node]
	return room, ok && !m.lost[node]
}

// For is part of Nodes.
func (m *machine) For(want *Want) iter.Seq2[string, Room] {
	return func(yield func(string, Room) bool) {
		for _, id := range machineNodes() {
			if room, ok := m.Room(id); ok && (want.Node == "" || want.Node == id) && !yield(id, room) {
				return
			}
		}
	}
}

// counts is one thing that counts on a node over [from, to).
type counts struct {
	id       string
	from, to int64
	load     Load
	devices  []int
	// unreliable is what is there now and was not promised to be there later:
	// yielding and overstayed instances.
	unreliable bool
	yielding   bool
}

// onNode lists what counts on a node, from the public state alone.
func (m *machine) onNode(node string) []counts {
	var all []counts
	for r := range m.plan.Reservations() {
		to := nanos(r.Terms.End)
		switch r.Spec.AtEnd {
		case Evict:
			to += int64(r.Spec.Grace)
		case Keep:
			to = forever
		case Drain:
		}
		holding := r.Phase == Pending || r.Phase == Active
		for _, slot := range r.Slots {
			if slot.Node != node {
				continue
			}
			from := nanos(r.Terms.Start)
			if holding {
				all = append(all, counts{r.Spec.ID, from, to, Load{r.Terms.Shape, 1}, slot.Devices, false, false})
			}
			for _, c := range slot.Claims {
				load, devices := c.Excess, c.Devices
				if c.Excess.Resources.GPU == 0 {
					devices = nil
				}
				end := to
				if !holding {
					load, devices = c.whole(), c.Devices
				}
				if r.Phase == Ended {
					end = forever
				}
				all = append(all, counts{c.ID, from, end, load, devices, !holding && c.Overstayed, false})
			}
		}
	}
	for s := range m.plan.Stays() {
		if s.Node != node {
			continue
		}
		to := s.Window.end()
		if s.Overstayed {
			to = forever
		}
		all = append(all, counts{s.ID, s.Window.start(), to, s.Load, s.Devices, s.Yield || s.Overstayed, s.Yield})
	}
	return all
}

// usage sums what counts on a node at an instant.
func usage(all []counts, at int64, include func(counts) bool) (sum Load, devices [2]int64) {
	for _, c := range all {
		if c.from > at || at >= c.to || !include(c) {
			continue
		}
		sum.Resources, _ = sum.Resources.Add(c.load.Resources)
		sum.Instances += c.load.Instances
		for _, d := range c.devices {
			devices[d] += min(c.load.Resources.GPU, placement.Device)
		}
	}
	return sum, devices
}

func everything(counts) bool { return true }

// peakOf is the peak over [from, to) by the definition.
func peakOf(all []counts, from, to, now int64) (peak Load, devices [2]int64) {
	instants := []int64{from}
	for _, c := range all {
		if from < c.from && c.from < to {
			instants = append(instants, c.from)
		}
	}
	for _, at := range instants {
		sum, each := usage(all, at, func(c counts) bool { return !c.yielding })
		if at == now {
			sum, each = usage(all, at, everything)
		}
		for name, amount := range sum.Resources.All() {
			if name != placement.NameGPU {
				peak.Resources = peak.Resources.With(name, max(amount, peak.Resources.Amount(name)))
			}
		}
		peak.Instances = max(peak.Instances, sum.Instances)
		for i := range each {
			devices[i] = max(devices[i], each[i])
		}
	}
	return peak, devices
}

// fits reports whether a load fits on a node, by the definition.
func (m *machine) fits(node string, w Window, load Load) bool {
	room, ok := m.Room(node)
	if !ok {
		return false
	}
	now := nanos(m.plan.Now())
	peak, devices := peakOf(m.onNode(node), max(w.start(), now), w.end(), now)
	for name, asked := range load.Resources.All() {
		free := room.Allocatable.Amount(name) - room.Used.Resources.Amount(name) - peak.Resources.Amount(name)
		if name != placement.NameGPU && asked > 0 && asked > free {
			return false
		}
	}
	if room.MaxInstances > 0 && room.Used.Instances+peak.Instances+load.Instances > room.MaxInstances {
		return false
	}
	whole, most := int64(0), int64(0)
	for i := range devices {
		left := placement.Device - room.Devices[i] - devices[i]
		most = max(most, left)
		if left == placement.Device {
			whole += placement.Device
		}
	}
	if asked := load.Resources.GPU; asked < placement.Device {
		return asked <= most
	}
	return load.Resources.GPU <= whole
}

func (m *machine) fitsSomewhere(w Window, load Load) bool {
	return slices.ContainsFunc(machineNodes(), func(node string) bool { return m.fits(node, w, load) })
}

// carry applies a decision to the plan and, as JSON, to the replica, unless it
// failed. A decision by itself changes nothing.
func (m *machine) carry(t *rapid.T, decide func() ([]Change, error)) error {
	before := m.plan.Snapshot()
	changes, err := decide()
	require.Equal(t, before, m.plan.Snapshot(), "deciding changed something")
	requireSameGround(t, m.plan, Restore(before))
	if err != nil {
		return err
	}
	m.apply(t, changes)
	return nil
}

func (m *machine) apply(t *rapid.T, changes []Change) {
	record, err := json.Marshal(changes)
	require.NoError(t, err)
	var replayed []Change
	require.NoError(t, json.Unmarshal(record, &replayed))
	events := m.plan.Apply(changes...)
	require.Equal(t, events, m.replica.Apply(replayed...))
	m.hear(t, events)
	for _, c := range changes {
		id := c.ID
		if c.Reservation != nil {
			id = c.Reservation.Spec.ID
		}
		m.charge(id)
	}
}

func (m *machine) charge(id string) {
	if owed := m.plan.Owes(id); owed.IsZero() {
		delete(m.ledger, id)
	} else {
		m.ledger[id] = owed
	}
}

// hear checks that events come in order and once, and charges what they say.
func (m *machine) hear(t *rapid.T, events []Event) {
	for _, e := range events {
		require.False(t, e.At.Before(m.last), "%v is late", e)
		m.last = e.At
		m.charge(e.Reservation)
		switch e.Kind {
		case Started, Expired, Over, AllLost, EvictionDue, Overstayed, YieldDue:
			key := fmt.Sprint(e.Kind, e.Reservation, e.Instance)
			if e.Instance != "" {
				key = fmt.Sprint(e.Kind, e.Instance)
			}
			require.False(t, m.told[key], "%s twice", key)
			m.told[key] = true
		default: // A slot may move more than once.
		}
	}
}

// settle does what a host does after each step.
func (m *machine) settle(t *rapid.T) {
	for m.plan.Unsettled() {
		m.apply(t, m.plan.Settle(m))
	}
}

// Check is run after every step.
func (m *machine) Check(t *rapid.T) {
	m.settle(t)
	now := nanos(m.plan.Now())
	for _, node := range machineNodes() {
		all := m.onNode(node)
		room := m.rooms[node]
		instants := []int64{now}
		for _, c := range all {
			if c.from > now {
				instants = append(instants, c.from)
			}
		}
		for _, at := range instants {
			sum, devices := usage(all, at, func(c counts) bool { return at == now || !c.unreliable })
			if m.lost[node] {
				continue
			}
			require.LessOrEqual(t, sum.Resources.CPU+room.Used.Resources.CPU, room.Allocatable.CPU, "%s at %d: %v", node, at, all)
			require.LessOrEqual(t, sum.Resources.Memory, room.Allocatable.Memory)
			if room.MaxInstances > 0 {
				require.LessOrEqual(t, sum.Instances+room.Used.Instances, room.MaxInstances)
			}
			for i := range devices {
				require.LessOrEqual(t, devices[i]+room.Devices[i], int64(placement.Device), "%s device %d", node, i)
			}
		}
		from := now + rapid.Int64Range(0, 20).Draw(t, "from")
		to := from + rapid.Int64Range(1, 20).Draw(t, "length")
		want, wantDevices := peakOf(all, from, to, now)
		got, gotDevices := m.plan.Peak(node, Window{instant(from), instant(to)})
		gotDevices = append(gotDevices, 0, 0)[:2]
		want.Resources.GPU = wantDevices[0] + wantDevices[1]
		require.Equal(t, wantDevices[:], gotDevices)
		require.True(t, want.Resources.Equal(got.Resources), "%v, not %v", got, want)
		require.Equal(t, want.Instances, got.Instances)
	}
	owed := map[string]Load{}
	for r := range m.plan.Reservations() {
		m.checkReservation(t, &r)
		if o := r.Owes(); !o.IsZero() {
			owed[r.Spec.ID] = o
		}
	}
	require.Equal(t, owed, m.ledger, "some change of what is owed was not told")
	requireSameGround(t, m.plan, Restore(m.plan.Snapshot()))
	require.Equal(t, m.plan.Snapshot(), m.replica.Snapshot())
}

func (m *machine) checkReservation(t *rapid.T, r *Reservation) {
	now := m.plan.Now()
	switch r.Phase {
	case Pending:
		require.True(t, now.Before(r.Terms.Start))
	case Active:
		require.False(t, now.Before(r.Terms.Start))
		require.True(t, now.Before(r.Terms.End))
	case Expiring:
		require.False(t, now.Before(r.Terms.End))
		require.True(t, now.Before(r.Terms.End.Add(r.Spec.Grace)))
	case Ended:
		require.NotEmpty(t, r.Instances(), "an ended reservation without instances is forgotten")
	default:
		require.Equal(t, Displaced, r.Phase)
		require.Equal(t, len(r.Slots), r.Missing())
	}
	if r.holding() {
		require.Len(t, r.Slots, r.Terms.Count)
	}
	for _, slot := range r.Slots {
		require.True(t, slot.used().Resources.FitsIn(r.Terms.Shape))
		require.LessOrEqual(t, slot.used().Instances, int64(1))
		for _, c := range slot.Claims {
			if c.Held.Resources.GPU > 0 {
				require.Subset(t, slot.Devices, c.Devices)
			}
		}
	}
}

// requireSameGround checks that what two plans count on nodes is the same.
func requireSameGround(t require.TestingT, a, b *Plan) {
	flat := func(p *Plan) map[string]any {
		lanes := map[string]any{}
		for node, g := range p.grounds {
			lanes[node] = fmt.Sprint(g.slots, slices.Sorted(maps.Keys(g.stays)), g.unsure)
			for _, l := range g.lanes {
				if l.line.root != nil || l.yielding != 0 {
					lanes[fmt.Sprint(node, l.lane)] = []any{l.line, l.yielding}
				}
			}
		}
		return lanes
	}
	require.Equal(t, flat(a), flat(b))
}

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
	if rapid.Bool().Draw(t, "later") {
		s.Start = m.plan.Now().Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "start")))
	}
	if rapid.IntRange(0, 4).Draw(t, "bound") == 0 {
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
	load := Load{spec.Shape, 1}
	fits := m.fitsSomewhere(window, load)
	if spec.Node != "" {
		fits = m.fits(spec.Node, window, load)
	}
	var moves int
	err := m.carry(t, func() ([]Change, error) {
		changes, err := m.plan.Reserve(m, spec)
		moves = len(changes) - 1
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
		m.checkEarliest(t, spec, refused.Earliest)
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
		until = nanos(earliest)
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
	err := m.carry(t, func() ([]Change, error) { return m.plan.Claim(m, r.Spec.ID, req, nil) })
	var short *ShortError
	switch {
	case r.Phase != Active:
		require.ErrorIs(t, err, ErrState)
	case err == nil:
		again, err := m.plan.Claim(m, r.Spec.ID, req, nil)
		require.NoError(t, err)
		require.Empty(t, again)
	default:
		require.ErrorAs(t, err, &short)
	}
}

func (m *machine) Admit(t *rapid.T) {
	req := placement.Request{ID: m.newID("s"), Resources: drawShape(t), Yield: rapid.Bool().Draw(t, "yield")}
	window := Window{Start: m.plan.Now()}
	if rapid.Bool().Draw(t, "has an end") {
		req.Duration = time.Duration(rapid.IntRange(1, 12).Draw(t, "duration"))
		window.End = window.Start.Add(req.Duration)
	}
	if req.Yield {
		window.End = window.Start.Add(1)
	}
	fits := m.fitsSomewhere(window, Load{req.Resources, 1})
	err := m.carry(t, func() ([]Change, error) { return m.plan.Admit(m, req) })
	require.Equal(t, fits, err == nil, "%v", err)
	if err == nil {
		again, err := m.plan.Admit(m, req)
		require.NoError(t, err)
		require.Empty(t, again)
	}
}

func (m *machine) Remove(t *rapid.T) {
	var ids []string
	for s := range m.plan.Stays() {
		ids = append(ids, s.ID)
	}
	for r := range m.plan.Reservations() {
		ids = append(ids, r.Instances()...)
	}
	if len(ids) == 0 || rapid.IntRange(0, 2).Draw(t, "stay") > 0 {
		return // so that nodes fill up
	}
	id := rapid.SampledFrom(ids).Draw(t, "instance")
	require.NoError(t, m.carry(t, func() ([]Change, error) { return m.plan.Remove(id) }))
	require.ErrorIs(t, m.carry(t, func() ([]Change, error) { return m.plan.Remove(id) }), ErrNotFound)
}

func (m *machine) Update(t *rapid.T) {
	r, ok := m.one(t)
	if !ok {
		return
	}
	var terms Terms
	if rapid.Bool().Draw(t, "change start") {
		terms.Start = m.plan.Now().Add(time.Duration(rapid.IntRange(-2, 12).Draw(t, "start")))
	}
	if rapid.Bool().Draw(t, "change end") {
		terms.End = m.plan.Now().Add(time.Duration(rapid.IntRange(-2, 16).Draw(t, "end")))
	}
	if rapid.Bool().Draw(t, "change shape") {
		terms.Shape = drawShape(t)
	}
	terms.Count = rapid.IntRange(0, 4).Draw(t, "count")
	err := m.carry(t, func() ([]Change, error) { return m.plan.Update(m, r.Spec.ID, r.Version, terms) })
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
	err := m.carry(t, func() ([]Change, error) { return m.plan.Release(r.Spec.ID, force) })
	switch {
	case r.Phase == Expiring || r.Phase == Ended:
		require.ErrorIs(t, err, ErrState)
	case len(r.Instances()) > 0 && !force:
		require.ErrorIs(t, err, ErrInUse)
	default:
		require.NoError(t, err)
	}
}

func (m *machine) NodeLost(t *rapid.T) {
	node := rapid.SampledFrom(machineNodes()).Draw(t, "node")
	m.lost[node] = true
	require.NoError(t, m.carry(t, func() ([]Change, error) { return m.plan.NodeChanged(m, node), nil }))
	for r := range m.plan.Reservations() {
		for _, slot := range r.Slots {
			require.False(t, r.holding() && slot.Node == node)
		}
	}
}

func (m *machine) NodeBack(t *rapid.T) {
	for node := range m.lost {
		delete(m.lost, node)
	}
	for _, id := range m.plan.Degraded() {
		require.NoError(t, m.carry(t, func() ([]Change, error) { return m.plan.Repair(m, id) }))
	}
}

func machineProperty(t *rapid.T) {
	m := newMachine()
	actions := rapid.StateMachineActions(m)
	delete(actions, "Room")
	delete(actions, "For")
	t.Repeat(actions)
}

func TestPlanMachine(t *testing.T) { rapid.Check(t, machineProperty) }

func FuzzPlanMachine(f *testing.F) { f.Fuzz(rapid.MakeFuzz(machineProperty)) }
