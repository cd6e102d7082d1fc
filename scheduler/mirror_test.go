package scheduler

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/reservation"
)

// mirror knows of a scheduler only what its hooks tell: what a host that keeps
// its own tables from events believes.
type mirror struct {
	seq       uint64
	skipped   bool // a Seq between two others
	instances map[mirrorKey]mirrorInstance
}

type mirrorKey struct {
	id         string
	generation uint64
}

type mirrorInstance struct {
	node  string
	cpu   int64
	app   string // label
	state AllocationState
	// replaced by another generation.
	replaced bool
}

func newMirror() *mirror { return &mirror{instances: make(map[mirrorKey]mirrorInstance)} }

// current returns the key of the instance of an ID that is not replaced.
func (m *mirror) current(id string) (key mirrorKey, ok bool) {
	for k, on := range m.instances {
		if k.id == id && !on.replaced {
			return k, true
		}
	}
	return key, false
}

func (m *mirror) enter(id string, generation uint64, on mirrorInstance) {
	if old, ok := m.current(id); ok {
		replaced := m.instances[old]
		if replaced.replaced = true; replaced.state == Lost {
			replaced.state = Stale
		} else {
			replaced.state = Leaving
		}
		m.instances[old] = replaced
	}
	m.instances[mirrorKey{id, generation}] = on
}

func (m *mirror) tell(e Event) {
	m.skipped = m.skipped || e.Seq > m.seq+1
	m.seq = max(m.seq, e.Seq)
	switch c := e.Change.(type) {
	case *Placed:
		m.enter(c.ID, c.Generation, mirrorInstance{c.NodeID, c.Resources.CPU, c.Request().Labels["app"], Running, false})
	case *NodeAdopted:
		for _, r := range c.Instances {
			m.enter(r.Request.ID, r.Generation, mirrorInstance{c.Node.ID, r.Request.Resources.CPU, r.Request.Labels["app"], Running, false})
		}
	case *GenerationKept:
		kept := m.instances[mirrorKey{c.ID, c.Generation}]
		kept.state, kept.replaced = Running, false
		m.enter(c.ID, c.Generation, kept)
	case *LeavingChanged:
		m.mark(mirrorKey{c.ID, c.Generation}, map[bool]AllocationState{true: Leaving, false: Running}[c.Leaving])
	case *EvictionDue:
		key, _ := m.current(c.ID)
		m.mark(key, Leaving)
	case *ReservationEvent:
		if c.Kind == reservation.EvictionDue {
			key, _ := m.current(c.Instance)
			m.mark(key, Leaving)
		}
	case *Released:
		delete(m.instances, mirrorKey{c.ID, c.Generation})
	case *Amended:
		key := mirrorKey{c.Request.ID, c.Generation}
		on := m.instances[key]
		on.app = c.Request.Labels["app"]
		m.instances[key] = on
	case *Resized:
		key, _ := m.current(c.ID)
		on := m.instances[key]
		on.cpu = c.Resources.CPU
		m.instances[key] = on
	case *InstanceMarked:
		key := mirrorKey{c.ID, c.Generation}
		if c.State == Removed {
			delete(m.instances, key)
			return
		}
		m.mark(key, c.State)
	}
}

func (m *mirror) mark(key mirrorKey, state AllocationState) {
	on := m.instances[key]
	on.state = state
	m.instances[key] = on
}

// check asserts that the mirror shows what the scheduler has.
func (m *mirror) check(t *rapid.T, s *Scheduler) {
	seen := make(map[mirrorKey]mirrorInstance)
	for _, a := range listed(t, s.Allocations) {
		seen[mirrorKey{a.Request.ID, a.Generation}] = mirrorInstance{a.NodeID, a.Request.Resources.CPU, a.Request.Labels["app"], a.State, isReplaced(t, s, a)}
	}
	require.Equal(t, seen, m.instances, "what hooks told")
	require.False(t, m.skipped, "a gap in Seq, of which nothing was missed")
}

// isReplaced reports whether an allocation is not the present one of its ID.
func isReplaced(t testHelper, s *Scheduler, a Allocation) bool {
	t.Helper()
	present, err := s.Allocation(t.Context(), a.Request.ID)
	return err != nil || present.Generation != a.Generation
}

// follower follows the journal of a scheduler that somebody else drives.
type follower struct{ *Follower }

func newFollower(t *rapid.T, cfg Config) *follower {
	if rapid.Bool().Draw(t, "polled") {
		cfg.Journal = polled{cfg.Journal}
	}
	f, err := Follow(t.Context(), cfg)
	require.NoError(t, err)
	return &follower{f}
}

// polled is a journal without Follow.
type polled struct{ Journal }

// check asserts that the follower arrives at the same state, byte for byte. Now and
// then it reads nothing.
func (f *follower) check(t *rapid.T, s *Scheduler) {
	if rapid.IntRange(0, 3).Draw(t, "lags") == 0 {
		return
	}
	want := snapshot(t, s)
	require.NoError(t, f.readOn(t.Context(), true))
	require.Equal(t, want, snapshot(t, f), "what follows from the journal")
	require.Equal(t, s.Version(), f.Position().Seq)
}

// promote has the follower take over from wherever it is, and asserts that it
// arrives where Open does.
func (f *follower) promote(t *rapid.T, cfg Config) *Scheduler {
	copied := cfg
	copied.Journal, copied.Hooks = journalOf(t, cfg.Journal), Hooks{}
	want, err := Open(t.Context(), copied)
	require.NoError(t, err)
	promoted, err := f.Promote(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, snapshot(t, want), snapshot(t, promoted))
	return promoted
}

// journalOf returns a journal with the same records.
func journalOf(t testHelper, j Journal) *MemoryJournal {
	t.Helper()
	copied := new(MemoryJournal)
	require.NoError(t, copied.Acquire(t.Context(), 1))
	for r, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, copied.Append(t.Context(), 1, []Record{r}))
	}
	return copied
}
