package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// machine drives a scheduler with a journal through random histories, beside
// a model that is a plain list of what should be on the books.
type machine struct {
	s          *Scheduler
	clock      *clock
	journal    *MemoryJournal
	model      map[string]modelInstance // by ID
	nodes      map[string]bool          // ID to lost
	shrunk     map[string]bool          // nodes whose capacity was ever changed
	mirror     *mirror
	follower   *follower
	told       []Event
	checkpoint uint64     // Seq of the last one
	quiet      bool       // take no snapshots around calls
	fork       *Scheduler // gets the same calls; nil for none
	forked     string     // its state then
}

type modelInstance struct {
	node string
	cpu  int64
	lost bool
}

func newMachine(t *rapid.T) *machine {
	m := &machine{
		clock: newClock(), journal: new(MemoryJournal),
		model: make(map[string]modelInstance), nodes: make(map[string]bool), shrunk: make(map[string]bool),
	}
	m.mirror, m.follower = newMirror(), newFollower(t, m.config())
	var err error
	m.s, err = Open(t.Context(), m.config())
	require.NoError(t, err)
	return m
}

func (m *machine) config() Config {
	return Config{
		Seed: 3, Journal: m.journal, Now: m.clock.Now, RememberReleased: 2,
		Hooks: Hooks{Event: func(e Event) {
			m.mirror.tell(e)
			m.told = append(m.told, e)
		}},
	}
}

func drawID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "id")
}

func drawNode(t *rapid.T) string {
	return rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "node")
}

func drawNamespace(t *rapid.T) string {
	return rapid.SampledFrom([]string{"ns", "ns", "team"}).Draw(t, "namespace")
}

func drawRequest(t *rapid.T) placement.Request {
	req := testRequest(drawID(t), 0)
	req.Namespace = drawNamespace(t)
	req.Group = rapid.SampledFrom([]string{"", "g"}).Draw(t, "group")
	req.Resources = placement.Resources{
		CPU: rapid.Int64Range(0, 6).Draw(t, "cpu") * 500,
		GPU: rapid.SampledFrom([]int64{0, 0, 250, 700, 1000, 2000}).Draw(t, "gpu"),
	}
	req.Duration = rapid.SampledFrom([]time.Duration{0, 0, time.Minute}).Draw(t, "duration")
	req.Yield = rapid.IntRange(0, 5).Draw(t, "yield") == 0
	if rapid.IntRange(0, 5).Draw(t, "ported") == 0 {
		req.Ports = drawPorts(t)
		req.DynamicPorts = rapid.IntRange(0, 2).Draw(t, "dynamic")
	}
	req.Labels = map[string]string{"app": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "app")}
	req.Preferences.Strategy = rapid.SampledFrom([]placement.Strategy{
		placement.BinPack, placement.Spread, placement.Random, placement.Affinity, placement.LeastFragmentation,
	}).Draw(t, "strategy")
	switch rapid.IntRange(0, 8).Draw(t, "rule") {
	case 0:
		req.Preferences = req.Preferences.Require(placement.Equal("zone", "a"))
	case 1:
		req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("t").AtMost(30))
	case 2:
		req.Preferences = req.Preferences.Prefer(placement.Equal("zone", "b"), 50)
	case 3:
		req.Preferences = req.Preferences.Near(placement.Repel(placement.Equal("app", "x")))
	case 4:
		req.Preferences = req.Preferences.Near(placement.Attract(placement.Equal("app", "y")).Within("zone"))
	case 5:
		rule := placement.EvenlyOver("zone", 1)
		if req.Group == "" {
			rule = rule.Counting(placement.Equal("app", "x"))
		}
		req.Preferences = req.Preferences.Across(rule)
	case 6:
		req.Preferences = req.Preferences.PreferScaled("load", -50)
	}
	return req
}

func drawPorts(t *rapid.T) []placement.Port {
	return rapid.SampledFrom([][]placement.Port{nil, tcp(80), udp(80), udp(81, 443), append(tcp(80), udp(80)...)}).Draw(t, "ports")
}

// attempt runs a call and asserts that a failed one changes nothing.
func (m *machine) attempt(t *rapid.T, call func() error) bool {
	// What fell due meanwhile is no doing of the call.
	_, err := m.s.Sweep(t.Context())
	require.NoError(t, err)
	if m.quiet {
		return call() == nil
	}
	before := snapshot(t, m.s)
	err = call()
	m.onFork(t, err, call)
	if errors.Is(err, reservation.ErrWaiting) {
		return false // which asks others to leave
	} else if err != nil {
		require.Equal(t, before, snapshot(t, m.s), "a failed call changes nothing: %v", err)
		return false
	}
	return true
}

func describeNode(t *rapid.T) placement.Node {
	n := testNode(drawNode(t), rapid.Int64Range(1, 4).Draw(t, "cores"))
	n.Devices.Count = rapid.IntRange(0, 2).Draw(t, "devices")
	n.Devices.Broken = drawBroken(t, n.Devices.Count)
	if rapid.Bool().Draw(t, "dynamic") {
		n.ReservedPorts, n.DynamicPorts = drawPorts(t), placement.PortRange{First: 80, Last: 83}
	}
	n.MaxInstances = rapid.SampledFrom([]int64{0, 0, 1, 2, 3}).Draw(t, "instances")
	n.Labels = map[string]string{
		"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"),
		"load": rapid.SampledFrom([]string{"0", "700", "701", "heavy"}).Draw(t, "load"),
	}
	return n
}

func (m *machine) addNode(t *rapid.T) {
	n := describeNode(t)
	if rapid.Bool().Draw(t, "update") {
		m.attempt(t, func() error { _, err := m.s.UpdateNode(t.Context(), n); return err })
		m.shrunk[n.ID] = true
		return
	}
	if m.attempt(t, func() error { return m.s.AddNode(t.Context(), n) }) {
		m.nodes[n.ID] = false
	}
}

func (m *machine) markNode(t *rapid.T) {
	id := drawNode(t)
	ctx := t.Context()
	switch rapid.IntRange(0, 6).Draw(t, "mark") {
	case 0:
		m.attempt(t, func() error { return m.s.Cordon(ctx, id) })
	case 1:
		m.attempt(t, func() error { return m.s.Uncordon(ctx, id) })
	case 2:
		if m.attempt(t, func() error { return m.s.MarkLost(ctx, id) }) {
			m.setLost(id, true)
		}
	case 3:
		if m.attempt(t, func() error { return m.s.MarkReady(ctx, id) }) {
			m.setLost(id, false)
		}
	case 4:
		m.attempt(t, func() error { return m.s.AddTaint(ctx, id, noExecute("t")) })
	case 5:
		m.attempt(t, func() error { return m.s.RemoveTaint(ctx, id, "t", placement.NoExecute) })
	case 6:
		m.removeNode(t, id)
	}
}

func (m *machine) removeNode(t *rapid.T, id string) {
	if !m.attempt(t, func() error { _, err := m.s.RemoveNode(t.Context(), id); return err }) {
		return
	}
	delete(m.nodes, id)
	for instance, on := range m.model {
		if on.node == id {
			delete(m.model, instance)
		}
	}
}

func (m *machine) setLost(id string, lost bool) {
	m.nodes[id] = lost
	for instance, on := range m.model {
		if on.node == id {
			on.lost = lost
			m.model[instance] = on
		}
	}
}

func (m *machine) place(t *rapid.T) {
	req := drawRequest(t)
	old, existed := m.model[req.ID]
	scheduled, scheduleErr := m.s.Schedule(t.Context(), req)
	var d Decision
	allocate := rapid.Bool().Draw(t, "allocate")
	ok := m.attempt(t, func() (err error) {
		if allocate && scheduleErr == nil {
			d, err = m.s.Allocate(t.Context(), scheduled.NodeID, req)
		} else {
			d, err = m.s.Place(t.Context(), req)
		}
		return err
	})
	require.Equal(t, scheduleErr == nil, ok, "Schedule and Place agree")
	if !ok {
		return
	}
	if !existed || old.lost {
		m.requireNotOver(t, d.NodeID)
	}
	require.Equal(t, scheduled.NodeID, d.NodeID)
	require.Equal(t, scheduled.Devices, d.Devices)
	if existed && !old.lost {
		require.Equal(t, old.node, d.NodeID)
		return
	}
	m.model[req.ID] = modelInstance{node: d.NodeID, cpu: req.Resources.CPU}
}

func (m *machine) release(t *rapid.T) {
	id := drawID(t)
	_, existed := m.model[id]
	ok := m.attempt(t, func() error { return m.s.Release(t.Context(), id) })
	require.Equal(t, existed, ok)
	delete(m.model, id)
}

func (m *machine) resize(t *rapid.T) {
	id := drawID(t)
	to := placement.Resources{
		CPU: rapid.Int64Range(0, 6).Draw(t, "cpu") * 500,
		GPU: rapid.SampledFrom([]int64{0, 250, 700, 1000, 2000}).Draw(t, "gpu"),
	}
	if m.attempt(t, func() error { _, err := m.s.Resize(t.Context(), id, to); return err }) {
		on := m.model[id]
		on.cpu = to.CPU
		m.model[id] = on
	}
}

// checkIndex asserts that what the index keeps free is what the plan holds at
// this instant, however long ago the node was last touched.
func (m *machine) checkIndex(t *rapid.T) {
	st := m.s.state
	for id := range st.nodes.All() {
		n := st.named(id)
		now := st.held(n, reservation.Window{Start: m.s.now})
		require.Equal(t, now.Resources.String(), st.index.Held(n.row).Resources.String(), n.ID)
		shown := st.index.Held(n.row)
		require.Equal(t, now.Instances, shown.Instances, n.ID)
		for i := range n.Devices.Count {
			require.Equal(t, device(now.Devices, i), device(shown.Devices, i), n.ID)
		}
		m.checkInUse(t, n)
	}
}

// checkInUse asserts that the plan knows what the instances use that it counts.
func (m *machine) checkInUse(t *rapid.T, n *node) {
	var used placement.Amounts
	devices := make([]int64, 4)
	for _, a := range n.instances {
		if a.state != running || !m.s.state.plan.Counts(a.id) {
			continue
		}
		used.Resources, _ = used.Resources.Add(a.resources)
		used.Instances++
		for _, d := range a.taken().Devices {
			devices[d] += min(a.resources.GPU, placement.Device)
		}
	}
	inUse, each := m.s.state.plan.InUse(n.ID)
	require.Equal(t, used.Resources.String(), inUse.Resources.String(), n.ID)
	require.Equal(t, used.Instances, inUse.Instances, n.ID)
	for i := range devices {
		require.Equal(t, devices[i], device(each, i), n.ID)
	}
}

// promisesMore reports whether a node has slots that stay whatever it has: those
// with instances in them, on a node that shrank or was adopted, and those that
// wait.
func (m *machine) promisesMore(t *rapid.T, nodeID string) bool {
	for _, r := range listed(t, m.s.Reservations) {
		for _, slot := range r.Slots {
			if slot.Node == nodeID && (len(slot.Awaits) > 0 || len(slot.Claims) > 0 && m.shrunk[nodeID]) {
				return true
			}
		}
	}
	return false
}

// requireNotOver asserts that what has just landed was not too much.
func (m *machine) requireNotOver(t *rapid.T, nodeID string) {
	n, err := m.s.Node(t.Context(), nodeID)
	require.NoError(t, err)
	require.Empty(t, n.Over(), "%s takes more than it has", nodeID)
}

// checkHolds asserts that holds on a node fit beside what runs there, unless
// instances that outstayed their welcome or promises that stay are in the way.
func (m *machine) checkHolds(t *rapid.T, n NodeInfo) {
	if len(n.Over()) > 0 || m.promisesMore(t, n.ID) {
		return
	}
	for _, a := range listed(t, m.s.Allocations) {
		if a.NodeID == n.ID && (a.Overstayed || a.State != Running) {
			return
		}
	}
	if n.MaxInstances > 0 {
		st := m.s.state
		held := st.held(st.named(n.ID), st.fromNow())
		require.LessOrEqual(t, n.Instances+held.Instances, n.MaxInstances, n.ID)
	}
	for name, held := range n.Held.All() {
		require.LessOrEqual(t, held, n.unused(name), "%s on %s", name, n.ID)
	}
}

// check asserts the books against the model, and that a replay of the journal
// gives the same bytes.
func (m *machine) check(t *rapid.T) {
	m.onFork(t, nil, func() error { return nil })
	stale := make(map[string]int64) // CPU by node
	seen, replaced := 0, 0
	for _, a := range listed(t, m.s.Allocations) {
		require.Equal(t, isReplaced(t, m.s, a), a.Replaced)
		if a.Replaced {
			require.Contains(t, []AllocationState{Stale, Leaving}, a.State)
			stale[a.NodeID] += a.Request.Resources.CPU
			replaced++
			continue
		}
		seen++
		require.Equal(t, m.model[a.Request.ID], modelInstance{a.NodeID, a.Request.Resources.CPU, a.State == Lost})
	}
	require.Len(t, m.model, seen)
	stats := m.s.Stats()
	require.Equal(t, []int{seen + replaced, replaced}, []int{stats.Allocations, stats.Stale})
	require.NoError(t, m.s.VerifyQuota(t.Context()))
	m.mirror.check(t, m.s)
	require.Equal(t, m.s.state.seq, m.mirror.seq, "every entry has an event")
	m.follower.check(t, m.s)
	m.checkJournaled(t)
	for _, n := range listed(t, m.s.Nodes) {
		want := stale[n.ID]
		for _, on := range m.model {
			if on.node == n.ID {
				want += on.cpu
			}
		}
		require.Equal(t, want, n.Allocated.CPU, n.ID)
		m.checkHolds(t, n)
		m.checkUse(t, n.ID)
	}
	m.checkIndex(t)
	m.checkCovers(t)
	m.checkOwed(t)
	m.checkViolations(t)
	m.checkInventory(t)
}

// checkOwed asserts that reservations lack no slot for which there is room and
// quota.
func (m *machine) checkOwed(t *rapid.T) {
	st := m.s.state
	for _, id := range st.plan.Owed() {
		changes, err := st.plan.Repair(&planNodes{st: st}, id)
		require.NoError(t, err)
		require.Empty(t, st.payable(id, changes), "there is room for %s", id)
	}
}

// checkJournaled asserts that the journal has the very events that were told, from
// any position on.
func (m *machine) checkJournaled(t *rapid.T) {
	text := func(e Event) string {
		data, err := json.Marshal(e.Change)
		require.NoError(t, err)
		return fmt.Sprintf("%d %s %d %T %s", e.Seq, e.Time, e.Token, e.Change, data)
	}
	from := bookmark{seq: uint64(rapid.IntRange(0, int(m.s.Version())).Draw(t, "seq")), read: rapid.IntRange(0, 2).Draw(t, "read")}
	var want, got []string
	for e, err := range m.s.journaled(t.Context(), from, m.s.Version()) {
		require.NoError(t, err)
		got = append(got, text(e))
	}
	read := 0
	for _, e := range m.told {
		if e.Seq == from.seq {
			read++
		}
		if e.Seq > m.checkpoint && (e.Seq > from.seq || e.Seq == from.seq && read > from.read) {
			want = append(want, text(e))
		}
	}
	require.Equal(t, want, got)
}

func (m *machine) reopen(t *rapid.T) {
	before := snapshot(t, m.s)
	if rapid.Bool().Draw(t, "checkpoint") {
		require.NoError(t, m.s.Checkpoint(t.Context()))
		m.checkpoint = m.s.Version()
	}
	if rapid.Bool().Draw(t, "promote") {
		m.s = m.follower.promote(t, m.config())
		m.follower = newFollower(t, m.config())
	} else {
		next, err := Open(t.Context(), m.config())
		require.NoError(t, err)
		m.s = next
	}
	require.Equal(t, before, snapshot(t, m.s))
	m.fork = nil // whose clock was not read anew
}

func machineActions(t *rapid.T) {
	m := newMachine(t)
	t.Repeat(map[string]func(*rapid.T){
		"":        m.check,
		"node":    m.addNode,
		"mark":    m.markNode,
		"place":   m.place,
		"place2":  m.place,
		"quota":   m.setQuota,
		"reserve": m.reserve,
		"terms":   m.changeReservation,
		"claim":   m.claim,
		"unclaim": m.unclaim,
		"attach":  m.attach,
		"release": m.release,
		"leave":   m.leave,
		"move":    m.move,
		"move2":   m.move,
		"keep":    m.keep,
		"amend":   m.amend,
		"amend2":  m.amend,
		"resize":  m.resize,
		"adopt":   m.adoptNode,
		"mix":     m.setMix,
		"stale":   m.releaseStale,
		"time":    func(*rapid.T) { m.clock.advance(20 * time.Second) },
		"back":    func(*rapid.T) { m.clock.advance(-30 * time.Second) },
		"tomorrow": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "night") == 0 {
				m.clock.advance(24*time.Hour - 40*time.Second)
			}
		},
		"reopen": m.reopen,
		"fork":   m.forkAnew,
	})
}

func TestRandomHistories(t *testing.T) { rapid.Check(t, machineActions) }

func FuzzRandomHistories(f *testing.F) { f.Fuzz(rapid.MakeFuzz(machineActions)) }

func TestSameSeedSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 6).Draw(t, "nodes")
		requests := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 20).Draw(t, "requests")
		seed := rapid.Uint64().Draw(t, "seed")
		run := func() string {
			journal, c := new(MemoryJournal), newClock()
			s := open(t, Config{Seed: seed, Journal: journal, Now: c.Now})
			for i := range nodes {
				addNodes(t, s, testNode(fmt.Sprint("n", i), int64(1+i%3)))
			}
			for _, req := range requests {
				_, _ = s.Place(t.Context(), req)
			}
			var all []string
			for _, r := range records(t, journal) {
				all = append(all, string(r.Data))
			}
			return strings.Join(all, "\n")
		}
		require.Equal(t, run(), run())
	})
}

// Nothing but the sequence number tells that an instance was there: neither in
// what the nodes show nor in any byte of the state.
func TestPlaceThenReleaseRestoresTheState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newTestScheduler(t, Config{Now: newClock().Now})
		for i := range 3 {
			n := testNode(fmt.Sprint("n", i), int64(2+i))
			n.Devices.Count = i
			addNodes(t, s, n)
		}
		for _, earlier := range rapid.SliceOfN(rapid.Custom(drawRequest), 0, 4).Draw(t, "earlier") {
			_, _ = s.Place(t.Context(), earlier)
		}
		state := func() string { return shownSnapshot(t, snapshot(t, s)) }
		nodes, before := listed(t, s.Nodes), state()
		req := drawRequest(t)
		req.ID = "new"
		if _, err := s.Place(t.Context(), req); err != nil {
			return
		}
		require.NoError(t, s.Release(t.Context(), req.ID))
		require.Equal(t, nodes, listed(t, s.Nodes))
		require.Equal(t, before, state())
	})
}
