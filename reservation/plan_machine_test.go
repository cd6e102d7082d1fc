package reservation

import (
	"cmp"
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
	plan     *Plan
	replica  *Plan // gets changes and times only, through JSON
	rooms    map[string]Room
	lost     map[string]bool
	shrunk   map[string]bool // nodes that ever had less than before
	ids      int
	ledger   map[string]placement.Amounts // what was charged when an event or change said so
	told     map[string]bool              // events that come once
	last     time.Time                    // of the last event
	withRoom []string                     // nodes on which room came up in this step
	waiting  map[string]placement.Request // claims that wait
	seen     map[string]Reservation       // after the step before
}

func machineNodes() []string { return []string{"n1", "n2", "n3"} }

func newMachine() *machine {
	m := &machine{
		plan: NewPlan(), replica: NewPlan(), rooms: map[string]Room{}, lost: map[string]bool{}, shrunk: map[string]bool{},
		ledger: map[string]placement.Amounts{}, told: map[string]bool{}, waiting: map[string]placement.Request{},
		seen: map[string]Reservation{},
	}
	for i, id := range machineNodes() {
		m.rooms[id] = Room{
			Allocatable:  placement.Resources{CPU: 8, Memory: 8},
			MaxInstances: int64(6 * i), // n1 has no cap
			Used:         placement.Amounts{Resources: placement.Resources{CPU: int64(i)}, Instances: int64(i)},
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
	load     placement.Amounts
	devices  []int
	// unreliable is what is there now and was not promised to be there later:
	// yielding and overstayed instances, and those asked to leave.
	unreliable bool
	yielding   bool
	waits      bool // for unreliable ones
	free       bool // a slot without instances
	lends      bool // a slot of a reservation that lends
	lent       bool // one of those in which yielding instances may stand
	inside     bool // what an instance takes of a slot of a reservation that lends
}

// onNode lists what counts on a node, from the public state alone.
func (m *machine) onNode(node string) []counts {
	var all []counts
	for r := range m.plan.Reservations() {
		to := nanos(r.Params.End)
		switch r.Spec.AtEnd {
		case Evict:
			to += int64(r.Spec.Grace)
		case Keep:
			to = forever
		case Drain:
		}
		holding := r.Phase == Pending || r.Phase == Active
		for _, slot := range r.Slots {
			if slot.Node != node || r.Spec.Maintenance {
				continue
			}
			from := nanos(r.Params.Start)
			if holding {
				idle := len(slot.Claims) == 0 && len(slot.Awaits) == 0 && slot.Recalled == ""
				all = append(all, counts{
					id: r.Spec.ID, from: from, to: to, load: placement.OneInstance(r.Params.Shape), devices: slot.Devices,
					waits: len(slot.Awaits) > 0, free: len(slot.Claims) == 0, lends: r.Spec.Lend, lent: r.Spec.Lend && idle,
				})
			}
			for _, c := range slot.Claims {
				load, devices := c.Excess, c.Devices
				if holding && r.Spec.Lend {
					held := c.Devices
					if c.Held.Resources.GPU == 0 {
						held = nil
					}
					all = append(all, counts{id: c.ID, from: from, to: to, load: c.Held, devices: held, inside: true})
				}
				if c.Excess.Resources.GPU == 0 {
					devices = nil
				}
				if until := nanos(c.Until); r.Phase != Ended && !c.Until.IsZero() && until > to {
					all = append(all, counts{id: c.ID, from: to, to: until, load: c.whole(), devices: c.Devices})
				}
				end := to
				if !holding {
					load, devices = c.whole(), c.Devices
				}
				if r.Phase == Ended {
					end = forever
				}
				all = append(all, counts{
					id: c.ID, from: from, to: end, load: load, devices: devices, unreliable: !holding && c.Overstayed,
				})
			}
		}
	}
	for s := range m.plan.allStays() {
		if s.Node != node {
			continue
		}
		to := s.Window.end()
		if s.Overstayed {
			to = forever
		}
		all = append(all, counts{
			id: s.ID, from: s.Window.start(), to: to, load: s.Load, devices: s.Devices,
			unreliable: s.Yield || s.Overstayed || s.Told, yielding: s.Yield,
		})
	}
	return all
}

// usage sums what counts on a node at an instant.
func usage(all []counts, at int64, include func(counts) bool) (sum placement.Amounts, devices [2]int64) {
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

// peakOf is the peak over [from, to) by the definition, for something of a kind.
func peakOf(all []counts, from, to, now int64, kind standing) (peak placement.Amounts, devices [2]int64) {
	promised := func(c counts) bool { return !c.yielding && !c.inside }
	there := func(c counts) bool { return !c.lent && !c.inside }
	instants := []int64{from}
	for _, c := range all {
		if from < c.from && c.from < to {
			instants = append(instants, c.from)
		}
	}
	raise := func(at int64, include func(counts) bool) {
		sum, each := usage(all, at, include)
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
	for _, at := range instants {
		if kind != yielding {
			raise(at, promised)
		}
		if at == now && kind != lent {
			raise(at, there)
		}
	}
	return peak, devices
}

// closed reports whether maintenance keeps something of a kind off a node.
func (m *machine) closed(node string, w Window, kind standing) bool {
	for r := range m.plan.Reservations() {
		if !r.Spec.Maintenance || r.Spec.Node != node || !r.holding() {
			continue
		}
		noticed := r.Phase == Active || !m.plan.Now().Before(r.Params.Start.Add(-r.Spec.Notice)) && r.Spec.Notice > 0
		if kind == endless || kind == yielding {
			if noticed {
				return true
			}
			continue
		}
		if from := max(w.start(), nanos(m.plan.Now())); from < nanos(r.Params.End) && nanos(r.Params.Start) < w.end() {
			return true
		}
	}
	return false
}

// checkClaimable checks the active reservations of an owner, and their order.
func (m *machine) checkClaimable(t *rapid.T) {
	var active []Reservation
	for r := range m.plan.Reservations() {
		if r.Phase == Active && !r.Spec.Maintenance {
			active = append(active, r)
		}
	}
	slices.SortFunc(active, func(a, b Reservation) int {
		return cmp.Or(a.Params.End.Compare(b.Params.End), cmp.Compare(a.Seq, b.Seq))
	})
	ids := m.plan.Claimable("")
	require.Len(t, ids, len(active))
	for i := range active {
		require.Equal(t, active[i].Spec.ID, ids[i])
	}
	require.Empty(t, m.plan.Claimable("stranger"))
	require.LessOrEqual(t, len(m.plan.claimable), 1)
}

// checkClosed checks that where maintenance is under way only slots stand in which
// instances are that have not left.
func (m *machine) checkClosed(t *rapid.T) {
	for closed := range m.plan.Reservations() {
		if !closed.Spec.Maintenance {
			continue
		}
		require.True(t, closed.Owes().IsZero())
		require.Equal(t, []Slot{{Node: closed.Spec.Node}}, closed.Slots)
		for r := range m.plan.Reservations() {
			for _, slot := range r.Slots {
				within := r.window().Overlaps(Window{m.plan.Now(), closed.Params.End})
				require.False(t, closed.Phase == Active && within && r.holding() && !r.Spec.Maintenance &&
					slot.Node == closed.Spec.Node && len(slot.Claims) == 0, "%s stands in %s", r.Spec.ID, closed.Spec.ID)
			}
		}
	}
}

// fits reports whether a load fits on a node, by the definition.
func (m *machine) fits(node string, w Window, load placement.Amounts, kind standing) bool {
	room, ok := m.Room(node)
	if !ok {
		return false
	}
	now := nanos(m.plan.Now())
	if kind != closing && m.closed(node, w, kind) {
		return false
	}
	peak, devices := peakOf(m.onNode(node), max(w.start(), now), w.end(), now, kind)
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
	for i := range room.Devices {
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

func (m *machine) fitsSomewhere(w Window, load placement.Amounts, kind standing) bool {
	return slices.ContainsFunc(machineNodes(), func(node string) bool { return m.fits(node, w, load, kind) })
}

// carry applies a decision to the plan and, as JSON, to the replica, unless it
// failed. A decision by itself changes nothing.
func (m *machine) carry(t *rapid.T, decide func() ([]PlanChange, error)) error {
	before := m.plan.Snapshot()
	changes, err := decide()
	require.Equal(t, before, m.plan.Snapshot(), "deciding changed something")
	requireSameTimelines(t, m.plan, Restore(before))
	if err != nil {
		require.True(t, len(changes) == 0 || errors.Is(err, ErrWaiting), "a failure changes something")
	}
	if err == nil || len(changes) > 0 {
		m.apply(t, changes)
	}
	return err
}

func (m *machine) apply(t *rapid.T, changes []PlanChange) {
	record, err := json.Marshal(changes)
	require.NoError(t, err)
	var replayed []PlanChange
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
		case Started, Expired, Over, EvictionDue, Overstayed, YieldDue:
			if r, known := m.plan.Reservation(e.Reservation); e.Kind == YieldDue && (!known || r.Spec.Maintenance) {
				continue // for each maintenance, and again if its start changes
			}
			key := fmt.Sprint(e.Kind, e.Reservation, e.Instance)
			if e.Instance != "" {
				key = fmt.Sprint(e.Kind, e.Instance)
			}
			require.False(t, m.told[key], "%s twice", key)
			m.told[key] = true
		default: // A slot may move more than once, and a start.
		}
	}
}

// settle does what a host does after each step: it lets the plan decide on
// what is in the way, and on slots that are lacking where room came up.
func (m *machine) settle(t *rapid.T) {
	for m.plan.Unsettled() {
		m.apply(t, m.plan.ResolveConflicts(m))
	}
	m.replica.Touched()
	m.withRoom = append(m.withRoom, m.plan.Touched()...)
	if len(m.withRoom) == 0 {
		return
	}
	for _, id := range m.plan.Owed() {
		on := m.withRoom
		require.NoError(t, m.carry(t, func() ([]PlanChange, error) { return m.plan.Repair(m, id, on...) }))
	}
	m.withRoom = nil
	m.settle(t)
}

// checkSeries checks that what repeats is there while it has windows, and that its
// ID means the one that is on or comes next.
func (m *machine) checkSeries(t *rapid.T) {
	windows := map[string][]string{}
	for r := range m.plan.Reservations() {
		if r.Series != "" {
			windows[r.Series] = append(windows[r.Series], r.Spec.ID)
		}
	}
	require.Len(t, m.plan.series, len(windows))
	for id, ids := range windows {
		_, known, ok := m.plan.Series(id)
		require.True(t, ok)
		require.Equal(t, ids, known)
		current, ok := m.plan.Reservation(id)
		require.True(t, ok)
		for _, other := range ids {
			r, _ := m.plan.Reservation(other)
			require.False(t, r.holding() && (!current.holding() || r.Params.Start.Before(current.Params.Start)))
		}
	}
}

// checkKept checks that a claim has its slot once those have gone whom it waited
// for, where the node is as it was.
func (m *machine) checkKept(t *rapid.T) {
	for r := range m.plan.Reservations() {
		for _, slot := range r.Slots {
			if slot.Recalled == "" || len(slot.Awaits) > 0 || slot.Node == "" || m.shrunk[slot.Node] || m.plan.Counts(slot.Recalled) {
				continue
			}
			req := m.waiting[slot.Recalled]
			changes, err := m.plan.Claim(m, r.Spec.ID, req, nil)
			if short, ok := errors.AsType[*ShortError](err); ok {
				require.True(t, short.Excess+short.Outstays > 0 || !short.Asked.FitsIn(short.Left), "%v", err)
				continue
			}
			require.NoError(t, err)
			require.Len(t, changes, 1)
		}
	}
}

// checkOwed checks that nothing is lacking for which there is room, wherever.
func (m *machine) checkOwed(t *rapid.T) {
	var lacking []string
	for r := range m.plan.Reservations() {
		if r.holding() && r.Missing()+r.Waiting() > 0 {
			lacking = append(lacking, r.Spec.ID)
		}
	}
	owed := m.plan.Owed()
	require.Equal(t, len(owed) > 0, m.plan.Owing())
	for _, id := range owed {
		changes, err := m.plan.Repair(m, id)
		require.NoError(t, err)
		require.Empty(t, changes, "there is room for %s", id)
	}
	slices.Sort(owed)
	require.Equal(t, lacking, append([]string(nil), owed...))
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
		for i, at := range append(instants, now) {
			// Now without those that wait, and at all times without those that
			// they wait for.
			sum, devices := usage(all, at, func(c counts) bool {
				if i == 0 {
					return !c.waits && !c.lends // what is really there, and what is promised firmly
				}
				return !c.unreliable && !c.inside
			})
			if m.lost[node] {
				continue
			}
			if m.shrunk[node] {
				// What stays whatever happens may be too much, but then nothing
				// else is there.
				if sum.Resources.CPU+room.Used.Resources.CPU > room.Allocatable.CPU {
					require.False(t, slices.ContainsFunc(all, func(c counts) bool {
						return c.free && !c.waits && (i > 0 || !c.lent) && c.from <= at && at < c.to
					}), "%s at %d: %v", node, at, all)
				}
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
		want, wantDevices := peakOf(all, from, to, now, firm)
		got, gotDevices := m.plan.Peak(node, Window{instant(from), instant(to)})
		gotDevices = append(gotDevices, 0, 0)[:2]
		want.Resources.GPU = wantDevices[0] + wantDevices[1]
		require.Equal(t, wantDevices[:], gotDevices)
		require.True(t, want.Resources.Equal(got.Resources), "%v, not %v", got, want)
		require.Equal(t, want.Instances, got.Instances)
		want, wantDevices = peakOf(all, now, now+1, now, yielding)
		got, gotDevices = m.plan.PeakBeside(node)
		require.Equal(t, wantDevices[:], append(gotDevices, 0, 0)[:2])
		want.Resources.GPU = wantDevices[0] + wantDevices[1]
		require.True(t, want.Resources.Equal(got.Resources), "%v, not %v", got, want)
		require.Equal(t, want.Instances, got.Instances)
	}
	owed := map[string]placement.Amounts{}
	for r := range m.plan.Reservations() {
		m.checkReservation(t, &r)
		m.checkVersion(t, &r)
		if o := r.Owes(); !o.IsZero() {
			owed[r.Spec.ID] = o
		}
	}
	require.Equal(t, owed, m.ledger, "some change of what is owed was not told")
	m.checkOwed(t)
	m.checkKept(t)
	m.checkSeries(t)
	m.checkClosed(t)
	m.checkClaimable(t)
	snapshot := m.plan.Snapshot()
	require.NoError(t, snapshot.validate())
	requireSameTimelines(t, m.plan, Restore(snapshot))
	require.Equal(t, snapshot, m.replica.Snapshot())
}

func (m *machine) checkReservation(t *rapid.T, r *Reservation) {
	now := m.plan.Now()
	switch r.Phase {
	case Pending:
		require.True(t, now.Before(r.Params.Start))
	case Active:
		require.False(t, now.Before(r.Params.Start))
		require.True(t, now.Before(r.Params.End))
	case Expiring:
		require.False(t, now.Before(r.Params.End))
		require.True(t, now.Before(r.Params.End.Add(r.Spec.Grace)))
	case Ended:
		require.NotEmpty(t, r.Instances(), "an ended reservation without instances is forgotten")
	default:
		require.Fail(t, "no such phase", r.Phase)
	}
	if r.holding() && !r.Spec.Maintenance {
		require.Len(t, r.Slots, r.Params.Count)
	}
	for _, slot := range r.Slots {
		require.False(t, len(slot.Awaits) > 0 && (r.Phase != Active || len(slot.Claims) > 0 || slot.Node == ""))
		require.False(t, slot.Lost != "" && slot.Node != "")
		require.True(t, slot.used().Resources.FitsIn(r.Params.Shape))
		require.LessOrEqual(t, slot.used().Instances, int64(1))
		for _, c := range slot.Claims {
			if c.Held.Resources.GPU > 0 {
				require.Subset(t, slot.Devices, c.Devices)
			}
		}
	}
}

// checkVersion checks that the version grows with every change.
func (m *machine) checkVersion(t *rapid.T, r *Reservation) {
	before, known := m.seen[r.Spec.ID]
	m.seen[r.Spec.ID] = *r
	if !known {
		return
	}
	require.GreaterOrEqual(t, r.Version, before.Version)
	if r.Version == before.Version {
		require.Equal(t, before, *r, "changed under the same version")
	}
}

// requireSameTimelines checks that what two plans count on nodes is the same.
func requireSameTimelines(t require.TestingT, a, b *Plan) {
	flat := func(p *Plan) map[string]any {
		lanes := map[string]any{}
		for node, g := range p.timelines {
			lanes[node] = fmt.Sprint(g.slots, slices.Sorted(maps.Keys(g.stays)), g.obstacles)
			for _, l := range g.lanes {
				if !l.line.IsFlat() || !l.lent.IsFlat() || l.yielding != 0 || l.inUse != 0 {
					lanes[fmt.Sprint(node, l.lane)] = []any{l.line, l.lent, l.yielding, l.inUse}
				}
			}
		}
		return lanes
	}
	require.Equal(t, flat(a), flat(b))
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
