package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// machine drives a scheduler with a journal through random histories, beside
// a model that is a plain list of what should be on the books.
type machine struct {
	s       *Scheduler
	clock   *clock
	journal *MemoryJournal
	model   map[string]modelInstance // by ID
	nodes   map[string]bool          // ID to lost
	shrunk  map[string]bool          // nodes whose capacity was ever changed
	quiet   bool                     // take no snapshots around calls
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
	var err error
	m.s, err = Open(t.Context(), m.config())
	require.NoError(t, err)
	return m
}

func (m *machine) config() Config {
	return Config{Seed: 3, Journal: m.journal, Now: m.clock.Now, RememberReleased: 2}
}

func drawID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "id")
}

func drawNode(t *rapid.T) string {
	return rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "node")
}

func drawRequest(t *rapid.T) placement.Request {
	req := testRequest(drawID(t), 0)
	req.Group = rapid.SampledFrom([]string{"", "g"}).Draw(t, "group")
	req.Resources = placement.Resources{
		CPU: rapid.Int64Range(0, 6).Draw(t, "cpu") * 500,
		GPU: rapid.SampledFrom([]int64{0, 0, 250, 700, 1000, 2000}).Draw(t, "gpu"),
	}
	req.Duration = rapid.SampledFrom([]time.Duration{0, 0, time.Minute}).Draw(t, "duration")
	req.Preferences.Strategy = rapid.SampledFrom([]placement.Strategy{
		placement.BinPack, placement.Spread, placement.Random, placement.Affinity,
	}).Draw(t, "strategy")
	switch rapid.IntRange(0, 4).Draw(t, "rule") {
	case 0:
		req.Preferences = req.Preferences.Require(placement.Equal("zone", "a"))
	case 1:
		req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("t").AtMost(30))
	case 2:
		req.Preferences = req.Preferences.Prefer(placement.Equal("zone", "b"), 50)
	}
	return req
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
	if err := call(); err != nil {
		require.Equal(t, before, snapshot(t, m.s), "a failed call changes nothing: %v", err)
		return false
	}
	return true
}

func (m *machine) addNode(t *rapid.T) {
	n := testNode(drawNode(t), rapid.Int64Range(1, 4).Draw(t, "cores"))
	n.Devices.Count = rapid.IntRange(0, 2).Draw(t, "devices")
	n.Labels = map[string]string{"zone": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone")}
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
	scheduled, scheduleErr := m.s.Schedule(req)
	var d Decision
	ok := m.attempt(t, func() (err error) {
		if rapid.Bool().Draw(t, "allocate") && scheduleErr == nil {
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

func (m *machine) setQuota(t *rapid.T) {
	limit := func(name string) quota.Limit {
		return quota.Limit{
			Soft:         rapid.Int64Range(0, 8).Draw(t, name) * 500,
			BurstPercent: rapid.SampledFrom([]int{0, 150}).Draw(t, "burst"),
		}
	}
	spec := quota.Spec{
		Namespace: rapid.SampledFrom([]string{"ns", "org"}).Draw(t, "namespace"),
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: limit("cpu"), placement.NameGPU: limit("gpu")},
		Default:   rapid.Bool().Draw(t, "default"),
	}
	if spec.Namespace == "ns" && rapid.Bool().Draw(t, "child") {
		spec.Parent = "org"
	}
	m.attempt(t, func() (err error) {
		switch rapid.IntRange(0, 2).Draw(t, "call") {
		case 0:
			_, err = m.s.CreateQuota(t.Context(), spec)
		case 1:
			_, err = m.s.UpdateQuota(t.Context(), spec)
		default:
			err = m.s.DeleteQuota(t.Context(), spec.Namespace)
		}
		return err
	})
}

func (m *machine) reserve(t *rapid.T) {
	spec := reservation.Spec{
		ID:        rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation"),
		Namespace: "ns",
		Shape: placement.Resources{
			CPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 500,
			GPU: rapid.SampledFrom([]int64{0, 0, 500, 1000}).Draw(t, "gpu"),
		},
		Count:    rapid.IntRange(1, 3).Draw(t, "count"),
		Start:    m.clock.Now().Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "start")) * 20 * time.Second),
		Duration: time.Duration(rapid.IntRange(1, 4).Draw(t, "duration")) * 20 * time.Second,
		Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
		AtEnd:    rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep}).Draw(t, "atEnd"),
		Once:     rapid.Bool().Draw(t, "once"),
	}
	if spec.AtEnd == reservation.Evict {
		spec.Grace = 20 * time.Second
	}
	m.attempt(t, func() error { _, err := m.s.Reserve(t.Context(), spec); return err })
}

func (m *machine) changeReservation(t *rapid.T) {
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	m.attempt(t, func() (err error) {
		switch rapid.IntRange(0, 2).Draw(t, "call") {
		case 0:
			end := m.clock.Now().Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "end")) * 20 * time.Second)
			_, err = m.s.Extend(t.Context(), id, end)
		case 1:
			shape := placement.Resources{CPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 500}
			_, err = m.s.ResizeReservation(t.Context(), id, shape, rapid.IntRange(0, 3).Draw(t, "count"))
		default:
			err = m.s.ReleaseReservation(t.Context(), id, rapid.Bool().Draw(t, "force"))
		}
		return err
	})
}

func (m *machine) claim(t *rapid.T) {
	req := drawRequest(t)
	req.Preferences = placement.Preferences{}
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	old, existed := m.model[req.ID]
	var d Decision
	ok := m.attempt(t, func() (err error) {
		d, err = m.s.PlaceFromReservation(t.Context(), id, req)
		return err
	})
	if ok && (!existed || old.lost) {
		m.model[req.ID] = modelInstance{node: d.NodeID, cpu: req.Resources.CPU}
	}
}

func (m *machine) unclaim(t *rapid.T) {
	id := drawID(t)
	if m.attempt(t, func() error { return m.s.Unclaim(t.Context(), id) }) {
		delete(m.model, id)
	}
}

// checkHolds asserts that holds on a node fit beside what runs there, unless
// instances that outstayed their welcome or a smaller node are in the way.
func (m *machine) checkHolds(t *rapid.T, n NodeInfo) {
	if len(n.Over()) > 0 || m.shrunk[n.ID] {
		return
	}
	for a := range m.s.Allocations() {
		if a.NodeID == n.ID && (a.Overstayed || a.State != Running) {
			return
		}
	}
	for name, held := range n.Held.All() {
		require.LessOrEqual(t, n.Allocated.Amount(name)+held, n.Total.Amount(name), "%s on %s", name, n.ID)
	}
}

// check asserts the books against the model, and that a replay of the journal
// gives the same bytes.
func (m *machine) check(t *rapid.T) {
	stale := make(map[string]int64) // CPU by node
	seen := 0
	for a := range m.s.Allocations() {
		if a.State == Stale {
			stale[a.NodeID] += a.Request.Resources.CPU
			continue
		}
		seen++
		require.Equal(t, m.model[a.Request.ID], modelInstance{a.NodeID, a.Request.Resources.CPU, a.State == Lost})
	}
	require.Len(t, m.model, seen)
	require.NoError(t, m.s.VerifyQuota())
	for n := range m.s.Nodes() {
		want := stale[n.ID]
		for _, on := range m.model {
			if on.node == n.ID {
				want += on.cpu
			}
		}
		require.Equal(t, want, n.Allocated.CPU, n.ID)
		m.checkHolds(t, n)
	}
}

func (m *machine) reopen(t *rapid.T) {
	before := snapshot(t, m.s)
	if rapid.Bool().Draw(t, "checkpoint") {
		require.NoError(t, m.s.Checkpoint(t.Context()))
	}
	next, err := Open(t.Context(), m.config())
	require.NoError(t, err)
	require.Equal(t, before, snapshot(t, next))
	m.s = next
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
		"release": m.release,
		"resize":  m.resize,
		"time":    func(*rapid.T) { m.clock.advance(20 * time.Second) },
		"reopen":  m.reopen,
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

func TestPlaceThenReleaseRestoresTheNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newTestScheduler(t, Config{})
		for i := range 3 {
			n := testNode(fmt.Sprint("n", i), int64(2+i))
			n.Devices.Count = i
			addNodes(t, s, n)
		}
		before := slices.Collect(s.Nodes())
		req := drawRequest(t)
		if _, err := s.Place(t.Context(), req); err != nil {
			return
		}
		require.NoError(t, s.Release(t.Context(), req.ID))
		require.Equal(t, before, slices.Collect(s.Nodes()))
	})
}
