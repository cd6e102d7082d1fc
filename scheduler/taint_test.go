package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestDocumentedEvictions takes what Kubernetes documents of taints on a node
// with running pods: the table names each rule, the steps change the node, and
// evicted is what is told at which second. Every step takes ten seconds.
func TestDocumentedEvictions(t *testing.T) {
	const value1, value2 = "value1", "value2"
	taint := func(key, value string, effect placement.Effect) placement.Taint {
		return placement.Taint{Key: key, Value: value, Effect: effect}
	}
	add := func(taint placement.Taint) func(*testing.T, *Scheduler) {
		return func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.AddTaint(t.Context(), "n1", taint))
		}
	}
	remove := func(key string, effect placement.Effect) func(*testing.T, *Scheduler) {
		return func(t *testing.T, s *Scheduler) {
			t.Helper()
			require.NoError(t, s.RemoveTaint(t.Context(), "n1", key, effect))
		}
	}
	wait := func(*testing.T, *Scheduler) {}
	key1 := placement.TolerateEqual("key1", value1)
	tests := []struct {
		rule        string
		tolerations []placement.Toleration
		steps       []func(*testing.T, *Scheduler)
		evicted     map[int]string // second → taint
	}{
		{
			"NoSchedule leaves who runs alone", nil,
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoSchedule))},
			nil,
		},
		{
			"who does not tolerate NoExecute leaves at once", nil,
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute))},
			map[int]string{0: "key1=value1:NoExecute"},
		},
		{
			"another value is not tolerated",
			[]placement.Toleration{key1},
			[]func(*testing.T, *Scheduler){add(taint("key1", value2, placement.NoExecute))},
			map[int]string{0: "key1=value2:NoExecute"},
		},
		{
			"Exists with an empty key tolerates everything",
			[]placement.Toleration{placement.TolerateExists("")},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key2", "", placement.NoExecute))},
			nil,
		},
		{
			"an empty effect tolerates all effects of the key",
			[]placement.Toleration{key1},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key1", value1, placement.NoSchedule))},
			nil,
		},
		{
			"tolerationSeconds delays",
			[]placement.Toleration{key1.AtMost(15)},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), wait},
			map[int]string{15: "key1=value1:NoExecute"},
		},
		{
			"who tolerates only one of two leaves at once",
			[]placement.Toleration{key1},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key2", value2, placement.NoExecute))},
			map[int]string{10: "key2=value2:NoExecute"},
		},
		{
			"of two delays the earlier instant counts",
			[]placement.Toleration{key1.AtMost(35), placement.TolerateExists("key2").AtMost(5)},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key2", value2, placement.NoExecute)), wait, wait},
			map[int]string{15: "key2=value2:NoExecute"},
		},
		{
			"removal before the time is up cancels",
			[]placement.Toleration{key1.AtMost(15)},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), remove("key1", placement.NoExecute), wait},
			nil,
		},
		{
			"removal and return starts the time anew",
			[]placement.Toleration{key1.AtMost(15)},
			[]func(*testing.T, *Scheduler){
				add(taint("key1", value1, placement.NoExecute)), remove("key1", placement.NoExecute),
				add(taint("key1", value1, placement.NoExecute)), wait,
			},
			map[int]string{35: "key1=value1:NoExecute"},
		},
		{
			"removal of one of two leaves the other's time",
			[]placement.Toleration{key1.AtMost(35), placement.TolerateExists("key2").AtMost(15)},
			[]func(*testing.T, *Scheduler){
				add(taint("key1", value1, placement.NoExecute)), add(taint("key2", value2, placement.NoExecute)),
				remove("key2", placement.NoExecute), wait,
			},
			map[int]string{35: "key1=value1:NoExecute"},
		},
		{
			"the same taint again does not start the time anew",
			[]placement.Toleration{key1.AtMost(15)},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key1", value1, placement.NoExecute))},
			map[int]string{15: "key1=value1:NoExecute"},
		},
		{
			"another value is another taint",
			[]placement.Toleration{placement.TolerateExists("key1").AtMost(15)},
			[]func(*testing.T, *Scheduler){add(taint("key1", value1, placement.NoExecute)), add(taint("key1", value2, placement.NoExecute)), wait},
			map[int]string{25: "key1=value2:NoExecute"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			c := newClock()
			s := newTestScheduler(t, Config{Now: c.Now})
			addNodes(t, s, testNode("n1", 4))
			req := testRequest("a", 1)
			req.Preferences = req.Preferences.Tolerate(tt.tolerations...)
			place(t, s, req)
			c.advance(time.Minute)
			start := c.Now()
			evicted := make(map[int]string)
			s.hooks.hook = hookOn(func(e Event, due *EvictionDue) {
				evicted[int(e.Time.Sub(start)/time.Second)] = due.Taint.String()
			}).Event
			for _, step := range tt.steps {
				step(t, s)
				for range 10 {
					a, err := s.Allocation(t.Context(), "a")
					require.NoError(t, err)
					next, ok := s.NextDeadline()
					require.Equal(t, ok, !a.EvictionAt.IsZero() && a.EvictionAt.After(c.Now()))
					if ok {
						require.Equal(t, a.EvictionAt, next)
					}
					c.advance(time.Second)
					_, err = s.Sweep(t.Context())
					require.NoError(t, err)
				}
			}
			if tt.evicted == nil {
				tt.evicted = map[int]string{}
			}
			require.Equal(t, tt.evicted, evicted)
		})
	}
}

// TestTaintsRefuseNewWork places on a node with several taints.
func TestTaintsRefuseNewWork(t *testing.T) {
	tests := []struct {
		rule        string
		tolerations []string
		refused     string // the reason, empty if it fits
	}{
		{"three taints, two tolerated", []string{"key1=value1:NoSchedule", "key1=value1:NoExecute"}, "1 has taint key2=value2:NoSchedule"},
		{"the first by key and effect is the reason", nil, "1 has taint key1=value1:NoExecute"},
		{"all tolerated", []string{"key1", "key2=value2"}, ""},
		{"everything tolerated", []string{"*"}, ""},
		{"everything tolerated, of one effect", []string{"*:NoSchedule"}, "1 has taint key1=value1:NoExecute"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := newTestScheduler(t, Config{})
			n := testNode("n1", 4)
			for _, text := range []string{"key1=value1:NoSchedule", "key1=value1:NoExecute", "key2=value2:NoSchedule", "key3:PreferNoSchedule"} {
				taint, err := placement.ParseTaint(text)
				require.NoError(t, err)
				n.Taints = append(n.Taints, taint)
			}
			addNodes(t, s, n)
			req := testRequest("a", 1)
			for _, text := range tt.tolerations {
				toleration, err := placement.ParseToleration(text)
				require.NoError(t, err)
				req.Preferences = req.Preferences.Tolerate(toleration)
			}
			_, err := s.Place(t.Context(), req)
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, []string{tt.refused}, refusals(t, err))
		})
	}
}

// TestPlacedUnderATaint counts the toleration from the placement, where that
// is later than the taint, and evicts neither early nor twice.
func TestPlacedUnderATaint(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	n := testNode("n1", 4)
	n.Taints = []placement.Taint{noExecute("k")}
	addNodes(t, s, n)
	c.advance(time.Hour)
	req := testRequest("a", 1)
	req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("k").OnlyFor(placement.NoExecute).AtMost(60))
	place(t, s, req)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, c.Now().Add(time.Minute), a.EvictionAt)
	c.advance(time.Minute)
	require.Equal(t, []string{"evict a for k"}, due(t, s))
	require.NoError(t, s.SetLabel(t.Context(), "n1", "x", "y"))
	_, err = s.Resize(t.Context(), "a", placement.Resources{CPU: 1})
	require.NoError(t, err)
	require.Empty(t, due(t, s))
}

// TestEvictionIsToldOnceInAllReigns: not again after a restart, be it from a snapshot
// or from the entries, and what is to come is told by the next reign.
func TestEvictionIsToldOnceInAllReigns(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		c := newClock()
		j := new(MemoryJournal)
		s := open(t, Config{Journal: j, Now: c.Now})
		addNodes(t, s, testNode("n1", 4))
		for id, seconds := range map[string]int64{"a": 10, "b": 20} {
			req := testRequest(id, 1)
			req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("k").AtMost(seconds))
			place(t, s, req)
		}
		require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("k")))
		for _, want := range [][]string{{"evict a for k"}, {"evict b for k"}, nil} {
			c.advance(10 * time.Second)
			require.Equal(t, want, due(t, s))
			if snapshots {
				require.NoError(t, s.Checkpoint(t.Context()))
			}
			s = open(t, Config{Journal: j, Now: c.Now})
			require.Empty(t, due(t, s))
		}
	}
}

func noExecute(key string) placement.Taint {
	return placement.Taint{Key: key, Effect: placement.NoExecute}
}

func due(t testHelper, s *Scheduler) []string {
	t.Helper()
	events, err := s.Sweep(t.Context())
	require.NoError(t, err)
	var texts []string
	for _, e := range events {
		switch c := e.Change.(type) {
		case *EvictionDue:
			texts = append(texts, "evict "+c.ID+" for "+c.Taint.Key)
		case *Overstayed:
			texts = append(texts, "overstayed "+c.ID)
		}
	}
	return texts
}

func TestNoExecuteEvictsAtItsTime(t *testing.T) {
	c := newClock()
	var hooked []string
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: hookOn(func(_ Event, e *EvictionDue) { hooked = append(hooked, e.ID) })})
	addNodes(t, s, testNode("n1", 16))
	tolerant := func(id string, seconds ...int64) placement.Request {
		req := testRequest(id, 1)
		for _, n := range seconds {
			req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("bad").AtMost(n))
		}
		return req
	}
	place(t, s, tolerant("none"))
	place(t, s, tolerant("ever", 0))
	place(t, s, tolerant("ten", 10))
	place(t, s, tolerant("least", 30, 20, 0))
	c.advance(time.Minute)

	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("bad")))
	require.Equal(t, []string{"none"}, hooked, "at once")
	place(t, s, tolerant("late", 10))
	c.advance(10*time.Second - 1)
	require.Empty(t, due(t, s))
	next, ok := s.NextDeadline()
	require.True(t, ok)
	require.Equal(t, c.Now().Add(1), next)
	c.advance(1)
	require.Equal(t, []string{"evict late for bad", "evict ten for bad"}, due(t, s))
	require.Empty(t, due(t, s), "once")

	require.NoError(t, s.RemoveTaint(t.Context(), "n1", "bad", placement.NoExecute))
	c.advance(time.Hour)
	require.Empty(t, due(t, s), "removal cancels")
	_, ok = s.NextDeadline()
	require.False(t, ok)
	_, err := s.Allocation(t.Context(), "none")
	require.NoError(t, err, "an instance stays until it is released")
}

func TestOtherEffectsEvictNobody(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	require.NoError(t, s.AddTaint(t.Context(), "n1", placement.Taint{Key: "k", Effect: placement.NoSchedule}))
	require.Empty(t, due(t, s))
	_, ok := s.NextDeadline()
	require.False(t, ok)
}

func TestTaintKeepsItsTimeAcrossUpdates(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("bad").AtMost(10))
	place(t, s, req)
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("bad")))
	c.advance(9 * time.Second)
	require.NoError(t, s.SetLabel(t.Context(), "n1", "zone", "a"))
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("other")))
	require.NoError(t, s.RemoveTaint(t.Context(), "n1", "other", placement.NoExecute))
	c.advance(time.Second)
	require.Equal(t, []string{"evict a for bad"}, due(t, s))
}

func TestLostInstanceIsNotEvicted(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	req := testRequest("a", 1)
	req.Preferences = req.Preferences.Tolerate(placement.TolerateExists("bad").AtMost(10))
	place(t, s, req)
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("bad")))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	c.advance(time.Minute)
	require.Empty(t, due(t, s))
	events := collect(s, func() { require.NoError(t, s.MarkReady(t.Context(), "n1")) })
	require.Contains(t, events, "eviction-due", "due since it was away, told when it is back")
	require.Empty(t, due(t, s))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	events = collect(s, func() { require.NoError(t, s.MarkReady(t.Context(), "n1")) })
	require.Contains(t, events, "eviction-due", "whoever acts on it may have missed it")
}
