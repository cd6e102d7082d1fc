package replica

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// watching has nodes n0 to n9, of which 2 may be lost in a minute, and looks every
// second.
func watching(t *testing.T) (*watch, time.Time) {
	t.Helper()
	cfg, err := LivenessConfig{TTL: 10 * time.Second, Grace: 20 * time.Second, MaxLost: 2}.withDefaults()
	require.NoError(t, err)
	w, now := newWatch(cfg), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w.begin(now, nodes(10))
	return w, now
}

func nodes(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("n", i))
	}
	return ids
}

// lookFor looks every second for so long, while the nodes from a number on are heard, and
// returns who is lost and at which second.
func lookFor(w *watch, now *time.Time, d time.Duration, heard int) (lost map[string]int, said verdict) {
	lost = make(map[string]int)
	for second := 1; second <= int(d/time.Second); second++ {
		*now = now.Add(time.Second)
		for i := heard; i < 10; i++ {
			w.beat(*now, fmt.Sprint("n", i))
		}
		v := w.look(*now)
		for _, id := range v.lost {
			lost[id] = second
		}
		said.paused, said.halted, said.resumed = said.paused || v.paused, said.halted || v.halted, said.resumed || v.resumed
	}
	return lost, said
}

func TestSilentNodesAreLostAfterTheTTL(t *testing.T) {
	w, now := watching(t)
	lost, _ := lookFor(w, &now, 19*time.Second, 2)
	require.Empty(t, lost, "after a new reign there is a grace")
	lost, _ = lookFor(w, &now, time.Second, 2)
	require.Equal(t, map[string]int{"n0": 1, "n1": 1}, lost)
	lookFor(w, &now, time.Minute, 2)
	lost, _ = lookFor(w, &now, 30*time.Second, 3)
	require.Equal(t, map[string]int{"n2": 10}, lost, "later it is the TTL; who is lost is lost once")
	w.beat(now, "n0")
	lost, _ = lookFor(w, &now, 30*time.Second, 3)
	require.Equal(t, map[string]int{"n0": 10}, lost, "who was heard again is judged again")
}

func TestNobodyIsJudgedByAPauseOfTheWatcher(t *testing.T) {
	pauses := map[string]func(now time.Time) time.Time{
		"stopped":   func(now time.Time) time.Time { return now.Add(5 * time.Second) },
		"for long":  func(now time.Time) time.Time { return now.Add(time.Hour) },
		"set back":  func(now time.Time) time.Time { return now.Add(-time.Hour) },
		"suspended": func(now time.Time) time.Time { return now.Add(2*time.Second + time.Nanosecond) },
	}
	for name, pause := range pauses {
		t.Run(name, func(t *testing.T) {
			w, now := watching(t)
			lookFor(w, &now, 20*time.Second, 1)
			lookFor(w, &now, time.Minute, 0)
			lookFor(w, &now, 9*time.Second, 1)
			now = pause(now)
			v := w.look(now)
			require.True(t, v.paused)
			require.Empty(t, v.lost)
			lost, said := lookFor(w, &now, 19*time.Second, 1)
			require.Empty(t, lost, "there is a grace")
			require.False(t, said.paused)
			lost, _ = lookFor(w, &now, time.Second, 1)
			require.Equal(t, map[string]int{"n0": 1}, lost)
		})
	}
}

// A watcher that always comes too late judges nobody.
func TestAWatcherWithoutTimeJudgesNobody(t *testing.T) {
	w, now := watching(t)
	for range 1000 {
		now = now.Add(2500 * time.Millisecond)
		require.Empty(t, w.look(now).lost)
	}
}

func TestTooManySilentNodesAreNotMarked(t *testing.T) {
	w, now := watching(t)
	lookFor(w, &now, 20*time.Second, 0)
	lost, said := lookFor(w, &now, 10*time.Minute, 3)
	require.Empty(t, lost)
	require.True(t, said.halted && !said.resumed)
	require.Equal(t, []string{"n0", "n1", "n2"}, w.halt.Silent)
	require.Equal(t, 2, w.halt.Limit)

	t.Run("until they are heard", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, time.Minute, 0)
		lookFor(w, &now, time.Minute, 3)
		w.beat(now, "n1")
		lost, said := lookFor(w, &now, time.Second, 3)
		require.True(t, said.resumed)
		require.Equal(t, map[string]int{"n0": 1, "n2": 1}, lost)
		require.Nil(t, w.halt)
	})
	t.Run("until a person gives them up", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, time.Minute, 0)
		lookFor(w, &now, time.Minute, 3)
		require.Equal(t, []string{"n0", "n1", "n2"}, w.giveUp(now))
		w.beat(now, "n1") // but one is heard before
		lost, _ := lookFor(w, &now, time.Second, 3)
		require.Equal(t, map[string]int{"n0": 1, "n2": 1}, lost)
		require.Nil(t, w.halt)
	})
	t.Run("one after the other", func(t *testing.T) {
		w, now := watching(t)
		lookFor(w, &now, time.Minute, 0)
		lost, _ := lookFor(w, &now, 30*time.Second, 2)
		require.Equal(t, map[string]int{"n0": 10, "n1": 10}, lost)
		lost, said := lookFor(w, &now, time.Minute, 4)
		require.True(t, said.halted && said.resumed)
		require.Equal(t, map[string]int{"n2": 40, "n3": 40}, lost, "a minute after the others")
	})
}

func TestShareOfNodesThatMayBeLost(t *testing.T) {
	tests := []struct {
		cfg   LivenessConfig
		nodes int
		want  int
	}{
		{LivenessConfig{}, 1000, 100},
		{LivenessConfig{}, 9, 1},
		{LivenessConfig{}, 0, 1},
		{LivenessConfig{MaxLostPercent: 25}, 10, 2},
		{LivenessConfig{MaxLostPercent: 100}, 10, 10},
		{LivenessConfig{MaxLost: 3, MaxLostPercent: 1}, 1000, 3},
	}
	for _, test := range tests {
		cfg, err := test.cfg.withDefaults()
		require.NoError(t, err)
		w := newWatch(cfg)
		w.begin(time.Time{}, nodes(test.nodes))
		require.Equal(t, test.want, w.limit(), "%+v", test)
	}
}

// Whatever comes, nobody is lost who was heard within the TTL, or within the grace of
// a reign or a pause, and in no minute more than the limit, but whom a person gave
// up.
func TestWatchAgainstItsPromises(t *testing.T) { rapid.Check(t, watchPromises) }

func watchPromises(t *rapid.T) {
	cfg, err := LivenessConfig{
		TTL:     10 * time.Second,
		Grace:   time.Duration(rapid.IntRange(1, 30).Draw(t, "grace")) * time.Second,
		MaxLost: rapid.IntRange(1, 3).Draw(t, "limit"),
	}.withDefaults()
	require.NoError(t, err)
	w, now := newWatch(cfg), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	heard, grace, looked := make(map[string]time.Time), now, now
	var lost []time.Time
	given := make(map[string]bool)
	ready := func() (ids []string) {
		for _, id := range nodes(6) {
			if heard[id] != (time.Time{}) || rapid.Bool().Draw(t, "known") {
				ids = append(ids, id)
			}
		}
		return ids
	}
	w.begin(now, nodes(6))
	node := rapid.SampledFrom(nodes(6))
	t.Repeat(map[string]func(*rapid.T){
		"beat": func(t *rapid.T) {
			id := node.Draw(t, "node")
			w.beat(now, id)
			heard[id] = now
			delete(given, id)
		},
		"look": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "tenths")) * 100 * time.Millisecond)
			v := w.look(now)
			require.False(t, v.paused)
			looked = now
			for _, id := range v.lost {
				require.GreaterOrEqual(t, now.Sub(heard[id]), cfg.TTL)
				require.GreaterOrEqual(t, now.Sub(grace), cfg.Grace)
				if !given[id] {
					lost = append(lost, now)
				}
				delete(given, id)
			}
			lost = slices.DeleteFunc(lost, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
			require.LessOrEqual(t, len(lost), cfg.MaxLost)
		},
		"pause": func(t *rapid.T) {
			now = looked.Add(time.Duration(rapid.IntRange(2001, 100_000).Draw(t, "ms")) * time.Millisecond)
			require.True(t, w.look(now).paused)
			grace, looked = now, now
		},
		"expect": func(*rapid.T) { w.expect(now, ready()) },
		"give up": func(*rapid.T) {
			for _, id := range w.giveUp(now) {
				given[id] = true
			}
		},
		"reign": func(*rapid.T) {
			w.begin(now, nodes(6))
			grace, looked, lost = now, now, nil
			clear(given)
		},
	})
}
