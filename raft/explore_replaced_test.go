package raft

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// replaced returns a cluster in which B has led term 1, has handed over to A, has
// lost its disk, and was removed, added and promoted under its name with another
// store. All that its predecessor has sent, or was sent, is still under way, and
// may arrive at any time and any number of times.
func (x *explorer) replaced() *world {
	x.t.Helper()
	w := x.start()
	a, b := w.nodes[0].core, w.nodes[1].core
	b.electionAt = w.nodes[1].clock
	relics := x.exchange(w, b.Tick(w.nodes[1].clock).Messages)
	require.True(x.t, b.reigns())
	e, err := b.Transfer(w.nodes[1].clock, "A")
	require.NoError(x.t, err)
	relics = append(relics, x.exchange(w, e.Messages)...)
	require.True(x.t, a.reigns())
	relics = slices.DeleteFunc(relics, func(m Message) bool { return m.From != "B" && m.To != "B" })

	now := w.nodes[0].clock
	change := func(err error, e Effects) {
		x.t.Helper()
		require.NoError(x.t, err)
		x.exchange(w, e.Messages)
	}
	round := func() {
		a.faults.frozenMembership = false
		x.exchange(w, a.round(now).Messages)
		a.faults.frozenMembership = true
	}
	w.nodes[1].core = nil
	round()
	e, err = a.RemoveMember(now, "B")
	change(err, e)
	e, err = a.AddMember(now, Member{ID: "B"})
	change(err, e)
	w.nodes[1].core = x.boot(HardState{
		Identity:       Identity{Cluster: "test", Node: "B", StoreID: testStore("B2"), Incarnation: 1},
		LongestPromise: a.cfg.ElectionTimeoutMin,
	}, now)
	round()
	round()
	e, err = a.Promote(now, "B")
	change(err, e)
	round()
	for i := range w.nodes {
		require.Equal(x.t, a.hard.Configuration, w.nodes[i].core.hard.Configuration)
		require.True(x.t, w.nodes[i].core.isVoter())
		w.nodes[i].core.forget()
	}
	w.leaders[1], w.leaders[2], w.token = "B", "A", 2
	w.relics = relics
	return w
}

// exchange delivers messages and all that comes of them, at once, and returns them
// all.
func (x *explorer) exchange(w *world, messages []Message) (sent []Message) {
	queue := slices.Clone(messages)
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		sent = append(sent, m)
		if to := &w.nodes[worldIndex(m.To)]; to.core != nil {
			queue = append(queue, slices.Clone(to.core.Step(to.clock, m).Messages)...)
		}
	}
	return sent
}

// round has a leader do what its next round of heartbeats brings.
func (c *Core) round(now time.Duration) Effects {
	c.begin(now)
	c.refresh()
	c.beat()
	return c.end()
}

// haunt has one of the relics arrive, which stays under way.
func (x *explorer) haunt(w *world, visit visitor) bool {
	for _, m := range w.relics {
		next := *w
		step := func(c *Core, now time.Duration) Effects { return c.Step(now, m) }
		if !x.act(&next, worldIndex(m.To), "late: "+transcribe(m), step, visit) {
			return false
		}
	}
	return true
}

// A member is replaced under its name, and what was said to and by its
// predecessor comes at any time: in all histories within the scope a term has
// one leader, and there is one reign at a time. Without CONSTELLATION_LONG the
// walk is cut short.
func TestExploreReplacedMember(t *testing.T) {
	s := small()
	s.terms = 3
	if !isLong() {
		s.states = Share(5_000)
	}
	x := newExplorer(t, s)
	bad := x.walk(x.replaced())
	t.Logf("%d worlds in %d layers", len(x.seen), x.depth)
	if bad != nil {
		t.Fatal(bad.broken)
	}
}

// With answers counted whoever has asked, the walk finds the two reigns.
func TestExploreReplacedMemberNegativeControl(t *testing.T) {
	skipUnderRace(t)
	s := small()
	s.terms, s.inFlight, s.off.countStrayAnswers = 3, 2, true
	x := newExplorer(t, s)
	x.states = 400_000
	bad := x.walk(x.replaced())
	t.Logf("%d worlds in %d layers", len(x.seen), x.depth)
	require.NotNil(t, bad)
	require.Contains(t, bad.broken, "O6")
}
