package scheduler

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func everything() parts { return parts{nodes: true, infos: true, quotas: true, plan: true} }

// snapshot is what is written of the state in one go.
func (st *state) snapshot(t testHelper) string {
	t.Helper()
	c := st.beginBoth(st.now)
	for c.some(t, captureTurn) {
		continue
	}
	return c.written.String()
}

// bothCaptures takes lists and a snapshot at once.
type bothCaptures struct {
	st          *state
	list, whole *capture
	writer      *snapshotWriter
	written     strings.Builder
	listed      bool // all nodes of the snapshot
	handed      bool
}

func (st *state) beginBoth(now time.Time) *bothCaptures {
	c := &bothCaptures{st: st}
	c.list = st.capture(now, everything())
	c.whole = st.capture(now, parts{whole: true, quotas: true, plan: true})
	c.writer = newSnapshotWriter(c.whole, func(r Record) error { return writePart(&c.written, r) })
	return c
}

// some takes a turn of both, and reports whether any are left.
func (c *bothCaptures) some(t testHelper, n int) bool {
	t.Helper()
	if c.listed && c.handed && c.whole == nil {
		return false
	}
	c.st.captureSome(c.list, n)
	switch {
	case !c.listed:
		if c.listed = !c.st.listSome(c.whole, n); c.listed {
			c.whole.sort()
			require.NoError(t, c.writer.begin(c.whole))
		}
	case !c.handed:
		batch := c.st.handOver(c.whole, nil, n)
		c.handed = len(batch) == 0
		for _, saved := range batch {
			require.NoError(t, c.writer.node(saved))
		}
	case !c.st.captureSome(c.whole, n):
		require.Empty(t, c.whole.stream.early)
		require.NoError(t, c.writer.rest(c.whole))
		require.NoError(t, c.writer.end())
		c.whole = nil
		for c.st.captureSome(c.list, n) {
			continue
		}
		return false
	}
	return true
}

// shown is all that is made of captures of everything.
func (c *bothCaptures) shown(t testHelper) string {
	t.Helper()
	slices.SortFunc(c.list.infos, func(a, b NodeInfo) int { return cmp.Compare(a.ID, b.ID) })
	all := c.list.placed()
	var instances []Allocation
	for _, a := range all {
		instances = append(instances, a.info(a.on.ID))
	}
	var quotas []accountCopy
	for account := range c.list.accounts.all() {
		quotas = append(quotas, *account)
	}
	require.NoError(t, c.list.verifyQuota())
	data, err := json.MarshalIndent([]any{c.list.infos, instances, quotas}, "", " ")
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, WriteJSON(&b, ReadSnapshot(strings.NewReader(c.written.String()))))
	return b.String() + string(data)
}

// captured is what is made of captures in one go.
func captured(t testHelper, s *Scheduler) string {
	t.Helper()
	c := s.state.beginBoth(s.now)
	for c.some(t, captureTurn) {
		continue
	}
	return c.shown(t)
}

// TestCaptureIsOfOneInstant changes everything while the state is being taken:
// what is made of it is as it was when that began.
func TestCaptureIsOfOneInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		actions := []func(*rapid.T){
			m.addNode, m.addNode, m.markNode, m.place, m.place, m.release, m.resize, m.leave, m.amend, m.move, m.keep, m.reserve, m.claim, m.unclaim,
			m.changeReservation, m.setQuota, m.adoptNode, m.releaseStale, m.placeLostAgain, m.makeDueForEviction,
			func(*rapid.T) { m.clock.advance(20e9) },
		}
		step := func() { rapid.SampledFrom(actions).Draw(t, "action")(t) }
		for range rapid.IntRange(0, 25).Draw(t, "before") {
			step()
		}
		_, err := m.s.Sweep(t.Context())
		require.NoError(t, err)
		st := m.s.state
		want := captured(t, m.s)
		m.quiet = true // no other captures meanwhile
		c := st.beginBoth(m.s.now)
		for {
			for range rapid.IntRange(0, 3).Draw(t, "during") {
				step()
			}
			if !c.some(t, 1) {
				break
			}
		}
		require.Equal(t, want, c.shown(t))
	})
}

// TestCaptureGetsItsCopyBeforeAnyChange begins a capture, changes one thing
// before anything had its turn, and looks at what the capture says.
func TestCaptureGetsItsCopyBeforeAnyChange(t *testing.T) {
	again := testRequest("lost", 1)
	tests := []struct {
		name   string
		change func(t testHelper, s *Scheduler, c *clock) error
	}{
		{"place", func(t testHelper, s *Scheduler, _ *clock) error { place(t, s, testRequest("new", 1)); return nil }},
		{"release", func(t testHelper, s *Scheduler, _ *clock) error { return s.Release(t.Context(), "a") }},
		{"leave", func(t testHelper, s *Scheduler, _ *clock) error { return s.Leave(t.Context(), "a") }},
		{"move", func(t testHelper, s *Scheduler, _ *clock) error { _, err := s.Move(t.Context(), "a", "n4"); return err }},
		{"amend", func(t testHelper, s *Scheduler, _ *clock) error {
			a := testRequest("a", 1)
			a.Priority = 1
			_, err := s.Amend(t.Context(), "a", a)
			return err
		}},
		{"place what is lost", func(t testHelper, s *Scheduler, _ *clock) error { place(t, s, again); return nil }},
		{"evict", func(t testHelper, s *Scheduler, c *clock) error { c.advance(30 * time.Second); return swept(t, s) }},
		{"overstay", func(t testHelper, s *Scheduler, c *clock) error { c.advance(time.Minute); return swept(t, s) }},
		{"end", func(t testHelper, s *Scheduler, c *clock) error { c.advance(time.Hour); return swept(t, s) }},
		{"resize", func(t testHelper, s *Scheduler, _ *clock) error {
			_, err := s.Resize(t.Context(), "a", placement.Resources{CPU: 2000})
			return err
		}},
		{"remove", func(t testHelper, s *Scheduler, _ *clock) error {
			_, err := s.RemoveNode(t.Context(), "n1")
			return err
		}},
		{"lose", func(t testHelper, s *Scheduler, _ *clock) error { return s.MarkLost(t.Context(), "n1") }},
		{"lose claimed", func(t testHelper, s *Scheduler, _ *clock) error { return s.MarkLost(t.Context(), "n4") }},
		{"return", func(t testHelper, s *Scheduler, _ *clock) error { return s.MarkReady(t.Context(), "n2") }},
		{"shrink", func(t testHelper, s *Scheduler, _ *clock) error {
			_, err := s.UpdateNode(t.Context(), placement.Node{ID: "n4", Capacity: placement.Resources{CPU: 500}})
			return err
		}},
		{"cordon", func(t testHelper, s *Scheduler, _ *clock) error { return s.Cordon(t.Context(), "n3") }},
		{"label", func(t testHelper, s *Scheduler, _ *clock) error { return s.SetLabel(t.Context(), "n1", "k", "v") }},
		{"adopt", func(t testHelper, s *Scheduler, _ *clock) error {
			_, err := s.AdoptNode(t.Context(), testNode("n2", 8), []Report{{Request: testRequest("found", 1)}})
			return err
		}},
		{"unclaim", func(t testHelper, s *Scheduler, _ *clock) error { return s.Unclaim(t.Context(), "claimed") }},
		{"end by hand", func(t testHelper, s *Scheduler, _ *clock) error { return s.ReleaseReservation(t.Context(), "r", true) }},
		{"reserve", func(t testHelper, s *Scheduler, _ *clock) error { reserve(t, s, holding("new", 1, 1)); return nil }},
		{"quota", func(t testHelper, s *Scheduler, _ *clock) error {
			_, err := s.UpdateQuota(t.Context(), limited("ns", "other", 64_000))
			return err
		}},
		{"another default", func(t testHelper, s *Scheduler, _ *clock) error {
			spec := limited("fallback", "", 1000)
			spec.Default = true
			_, err := s.CreateQuota(t.Context(), spec)
			return err
		}},
		{"no quota", func(t testHelper, s *Scheduler, _ *clock) error { return s.DeleteQuota(t.Context(), "other") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			s := newTestScheduler(t, Config{Now: clock.Now, RememberReleased: 3})
			for i := range 4 {
				addNodes(t, s, testNode(fmt.Sprint("n", i+1), 8))
			}
			populate(t, s, again)
			want := captured(t, s)
			c := s.state.beginBoth(s.now)
			require.NoError(t, test.change(t, s, clock))
			for c.some(t, captureTurn) {
				continue
			}
			require.Equal(t, want, c.shown(t))
			require.NotEqual(t, want, captured(t, s), "there was something to keep")
		})
	}
}

// populate has instances run, lost, yielding, claimed, and about to be due.
func populate(t testHelper, s *Scheduler, toLose placement.Request) {
	t.Helper()
	for _, spec := range []quota.Spec{limited("other", "", 64_000), limited("org", "", 64_000), limited("ns", "org", 500)} {
		_, err := s.CreateQuota(t.Context(), spec)
		require.NoError(t, err)
	}
	for _, spec := range []quota.Spec{limited("ns", "org", 64_000)} {
		_, err := s.UpdateQuota(t.Context(), spec)
		require.NoError(t, err)
	}
	allocate(t, s, "n1", testRequest("a", 1))
	other := testRequest("elsewhere", 1)
	other.Namespace = "nobody knows"
	allocate(t, s, "n1", other)
	allocate(t, s, "n2", toLose)
	require.NoError(t, s.MarkLost(t.Context(), "n2"))
	tolerating := testRequest("b", 1)
	tolerating.Preferences = tolerating.Preferences.Tolerate(placement.TolerateExists("t").AtMost(30))
	tolerating.Preferences.Tolerations[0].Effect = placement.NoExecute
	allocate(t, s, "n3", tolerating)
	require.NoError(t, s.AddTaint(t.Context(), "n3", placement.Taint{Key: "t", Effect: placement.NoExecute}))
	brief := testRequest("c", 1)
	brief.Duration = time.Minute
	allocate(t, s, "n1", brief)
	spec := holding("r", 1, 1)
	spec.Node = "n4"
	reserve(t, s, spec)
	claimed := testRequest("claimed", 1)
	claimed.Namespace = spec.Namespace
	claimed.Resources = spec.Shape
	_, err := s.PlaceFromReservation(t.Context(), "r", claimed)
	require.NoError(t, err)
}

func limited(namespace, parent string, cpu int64) quota.Spec {
	return quota.Spec{Namespace: namespace, Parent: parent, Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: cpu},
	}}
}

func swept(t testHelper, s *Scheduler) error {
	t.Helper()
	_, err := s.Sweep(t.Context())
	return err
}

// TestNodesAreChangedOnlyThroughEdit reads the code: the fields of nodeRecord
// are assigned where edit has returned the record.
func TestNodesAreChangedOnlyThroughEdit(t *testing.T) {
	fields := make(map[string]bool)
	for f := range reflect.TypeFor[nodeRecord]().Fields() {
		fields[f.Name] = true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			assigned, ok := n.(*ast.AssignStmt)
			if !ok {
				return true
			}
			for _, to := range assigned.Lhs {
				field, ok := to.(*ast.SelectorExpr)
				if !ok || !fields[field.Sel.Name] {
					continue
				}
				if on, ok := field.X.(*ast.Ident); ok && (on.Name == "n" || on.Name == "node") {
					t.Errorf("%s: %s.%s is assigned beside edit", file, on.Name, field.Sel.Name)
				}
				seen++
			}
			return true
		})
	}
	require.Greater(t, seen, 10)
}

// placeLostAgain places what is lost anew, with the same request.
func (m *machine) placeLostAgain(t *rapid.T) {
	for _, a := range m.s.state.snapshotOfLost() {
		if m.attempt(t, func() error { _, err := m.s.Place(t.Context(), a); return err }) {
			on := m.s.state.allocations.At(a.ID)
			m.model[a.ID] = modelInstance{node: m.s.state.on(on).ID, cpu: a.Resources.CPU}
		}
	}
}

// snapshotOfLost returns the requests of what is lost, by ID.
func (st *state) snapshotOfLost() []placement.Request {
	var all []placement.Request
	for _, a := range st.allocations.All() {
		if a.state == lost {
			all = append(all, a.request().Clone())
		}
	}
	slices.SortFunc(all, func(a, b placement.Request) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// makeDueForEviction taints a node in half a minute's notice to what is there.
func (m *machine) makeDueForEviction(t *rapid.T) {
	req := testRequest(drawID(t), 0)
	req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("t").AtMost(30))
	if m.attempt(t, func() error { _, err := m.s.Place(t.Context(), req); return err }) {
		on := m.s.state.allocations.At(req.ID)
		m.model[req.ID] = modelInstance{node: m.s.state.on(on).ID, cpu: on.resources.CPU}
		m.attempt(t, func() error { return m.s.AddTaint(t.Context(), m.s.state.on(on).ID, noExecute("t")) })
	}
}

// checkCovers asserts that an instance knows in which reservation it stands.
func (m *machine) checkCovers(t *rapid.T) {
	for id, a := range m.s.state.allocations.All() {
		_, in, ok := m.s.state.plan.ClaimOf(id)
		require.Equal(t, ok, a.covered() != nil, id)
		if ok {
			require.Equal(t, in, a.covered().reservation)
		}
		m.checkOverstay(t, a)
	}
}

// checkOverstay asserts that the plan counts what runs and leaves by itself, wherever its
// slot went, and that what has not left in time is known to have overstayed.
func (m *machine) checkOverstay(t *rapid.T, a *allocation) {
	req := a.class.Request()
	leaves := a.state == running && (req.Duration > 0 || req.Yield)
	require.Equal(t, leaves || a.covered() != nil, m.s.state.plan.Counts(a.id), a.id)
	if a.state == running && req.Duration > 0 && !a.placed().Add(req.Duration).After(m.s.now) {
		require.True(t, a.overstayed, "%s is there since %s", a.id, a.placed())
	}
}
