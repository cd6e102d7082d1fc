package scheduler

import (
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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
	state AllocationState
}

func newMirror() *mirror { return &mirror{instances: make(map[mirrorKey]mirrorInstance)} }

// current returns the key of the instance of an ID that is not stale.
func (m *mirror) current(id string) (key mirrorKey, ok bool) {
	for k, on := range m.instances {
		if k.id == id && on.state != Stale {
			return k, true
		}
	}
	return key, false
}

func (m *mirror) enter(id string, generation uint64, on mirrorInstance) {
	if old, ok := m.current(id); ok {
		replaced := m.instances[old]
		replaced.state = Stale
		m.instances[old] = replaced
	}
	m.instances[mirrorKey{id, generation}] = on
}

func (m *mirror) tell(e Event) {
	m.skipped = m.skipped || e.Seq > m.seq+1
	m.seq = max(m.seq, e.Seq)
	switch c := e.Change.(type) {
	case *Placed:
		m.enter(c.ID, c.Generation, mirrorInstance{c.NodeID, c.Resources.CPU, Running})
	case *NodeAdopted:
		for _, r := range c.Instances {
			m.enter(r.Request.ID, r.Generation, mirrorInstance{c.Node.ID, r.Request.Resources.CPU, Running})
		}
	case *Released:
		delete(m.instances, mirrorKey{c.ID, c.Generation})
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
		on := m.instances[key]
		on.state = c.State
		m.instances[key] = on
	}
}

// check asserts that the mirror shows what the scheduler has.
func (m *mirror) check(t *rapid.T, s *Scheduler) {
	seen := make(map[mirrorKey]mirrorInstance)
	for _, a := range listed(t, s.Allocations) {
		seen[mirrorKey{a.Request.ID, a.Generation}] = mirrorInstance{a.NodeID, a.Request.Resources.CPU, a.State}
	}
	require.Equal(t, seen, m.instances, "what hooks told")
	require.False(t, m.skipped, "a gap in Seq, of which nothing was missed")
}

// follower replays a journal while another scheduler writes it.
type follower struct{ replayer }

func newFollower(cfg Config) *follower { return &follower{replayer{cfg: cfg, st: newState(cfg)}} }

// check asserts that the follower arrives at the same state, byte for byte.
func (f *follower) check(t *rapid.T, s *Scheduler, journal Journal) {
	want := snapshot(t, s)
	for r, err := range journal.Records(t.Context()) {
		require.NoError(t, err)
		if r.Seq > f.st.seq {
			require.NoError(t, f.replay(r))
		}
	}
	require.Equal(t, want, f.st.snapshot(t), "what follows from the journal")
}
