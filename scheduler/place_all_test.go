package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// twins are two schedulers to which the same happens, until one is asked to place many
// and the other one by one.
type twins struct {
	clock    *clock
	journals [2]*MemoryJournal
	all      [2]*Scheduler
	told     [2][]string // the changes of the events
}

func (w *twins) config(i int) Config {
	return Config{Seed: 3, Journal: w.journals[i], Now: w.clock.Now, RememberReleased: 2, Hooks: Hooks{Event: func(e Event) {
		told, _ := json.Marshal(e.Change)
		w.told[i] = append(w.told[i], string(told))
	}}}
}

// drawTwins brings both to the same random state.
func drawTwins(t *rapid.T) *twins {
	w := &twins{clock: newClock()}
	for i := range w.all {
		w.journals[i] = new(MemoryJournal)
		w.all[i] = open(t, w.config(i))
	}
	both := func(call func(*Scheduler) error) {
		require.Equal(t, fmt.Sprint(call(w.all[0])), fmt.Sprint(call(w.all[1])))
	}
	for i, zone := range []string{"a", "a", "b", "b"} {
		n := testNode(fmt.Sprint("n", i+1), rapid.Int64Range(1, 12).Draw(t, "cores"))
		n.Labels = map[string]string{"zone": zone}
		n.Devices.Count = rapid.IntRange(0, 2).Draw(t, "devices")
		if rapid.IntRange(0, 3).Draw(t, "tainted") == 0 {
			n.Taints = []placement.Taint{{Key: "t", Effect: placement.NoSchedule}}
		}
		both(func(s *Scheduler) error { return s.AddNode(t.Context(), n) })
	}
	limit := rapid.Int64Range(1, 40).Draw(t, "limit") * placement.Core
	both(func(s *Scheduler) error {
		_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameCPU: {Soft: limit},
		}})
		return err
	})
	for range rapid.IntRange(0, 6).Draw(t, "before") {
		req := drawRequest(t)
		hold := holding("hold-"+req.ID, rapid.Int64Range(1, 3).Draw(t, "held"), 1)
		hold.Start = w.clock.Now().Add(time.Hour)
		both(func(s *Scheduler) error {
			if req.ID == "e" {
				_, err := s.Reserve(t.Context(), hold)
				return err
			}
			_, err := s.Place(t.Context(), req)
			return err
		})
		if rapid.Bool().Draw(t, "release") {
			both(func(s *Scheduler) error { return s.Release(t.Context(), req.ID) })
		}
	}
	return w
}

// resultText is a result without what differs between one entry and many.
func resultText(t testHelper, r PlaceResult) string {
	t.Helper()
	r.Decision.Version = 0
	var (
		refused  *UnschedulableError
		exceeded *quota.ExceededError
		data     []any
	)
	if errors.As(r.Err, &refused) {
		without := *refused
		without.Version = 0
		data = append(data, without)
	}
	if errors.As(r.Err, &exceeded) {
		data = append(data, exceeded.Verdict.Violations)
	}
	text, err := json.Marshal([]any{r.Decision, fmt.Sprint(r.Err), data})
	require.NoError(t, err)
	return string(text)
}

// booked is what is on the books, without versions.
func booked(t testHelper, s *Scheduler) string {
	t.Helper()
	instances, nodes := listed(t, s.Allocations), listed(t, s.Nodes)
	for i := range instances {
		instances[i].Version = 0
	}
	for i := range nodes {
		nodes[i].Version = 0
	}
	usage, err := s.QuotaUsage(t.Context(), "team")
	require.NoError(t, err)
	text, err := json.Marshal([]any{instances, nodes, usage})
	require.NoError(t, err)
	return string(text)
}

// TestPlaceAllIsAsManyPlaces: the same decisions, refusals, events and books, whether
// the requests are prepared or not, and for any strategy and rules.
func TestPlaceAllIsAsManyPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawTwins(t)
		kinds := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 3).Draw(t, "kinds")
		if rapid.IntRange(0, 9).Draw(t, "invalid") == 0 {
			kinds[0].Priority, kinds[0].Resources.CPU = 1, -1
		}
		n := rapid.IntRange(0, 2*turnRequests+5).Draw(t, "n")
		reqs := make([]placement.Request, n)
		ids := make([]string, n)
		for i := range reqs {
			reqs[i] = rapid.SampledFrom(kinds).Draw(t, "kind")
			reqs[i].ID = fmt.Sprint(rapid.SampledFrom([]string{"", "a", "x"}).Draw(t, "prefix"), rapid.IntRange(0, 2*n).Draw(t, "id"))
			ids[i] = reqs[i].ID
		}
		place := func() ([]PlaceResult, error) { return w.all[0].PlaceAll(t.Context(), reqs...) }
		if prepared, err := w.all[0].Prepare(kinds[0]); err == nil && rapid.Bool().Draw(t, "prepared") {
			for i := range reqs {
				reqs[i] = kinds[0]
				reqs[i].ID = ids[i]
			}
			place = func() ([]PlaceResult, error) { return prepared.PlaceAll(t.Context(), ids...) }
		}
		before, called := w.all[0].Version(), len(w.told[0])
		results, err := place()
		require.NoError(t, err)
		require.Len(t, results, n)
		changed := uint64(0)
		for i, req := range reqs {
			d, err := w.all[1].Place(t.Context(), req)
			require.Equal(t, resultText(t, PlaceResult{d, err}), resultText(t, results[i]), req.ID)
			if err == nil && results[i].Decision.Version > before {
				changed = 1
			}
		}
		require.GreaterOrEqual(t, w.all[0].Version(), before+changed)
		require.LessOrEqual(t, w.all[0].Version(), before+uint64(len(w.told[0])-called))
		require.Equal(t, w.told[1], w.told[0])
		require.Equal(t, booked(t, w.all[1]), booked(t, w.all[0]))
		require.NoError(t, w.all[0].VerifyQuota(t.Context()))
		require.Equal(t, snapshot(t, w.all[0]), snapshot(t, reopened(t, w.journals[0], w.config(0))), "after a replay")
		again, err := place()
		require.NoError(t, err)
		for i := range again {
			if results[i].Err == nil {
				require.Equal(t, results[i], again[i], "a repeated call answers the same")
			}
		}
	})
}

// reopened opens a copy of a journal, under the token of who wrote it.
func reopened(t testHelper, j *MemoryJournal, cfg Config) *Scheduler {
	t.Helper()
	all := records(t, j)
	replica := newScheduler(Config{Seed: cfg.Seed, Now: cfg.Now, RememberReleased: cfg.RememberReleased})
	p := replayer{cfg: replica.cfg, st: replica.state}
	for _, r := range all {
		require.NoError(t, p.replay(r))
	}
	require.NoError(t, p.end())
	replica.begin(&p)
	return replica
}

func alikeIDs(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, i)
	}
	return ids
}

// TestPlaceAllIsOneEntry for up to 64 requests, which are told with its Seq, and one
// append for all.
func TestPlaceAllIsOneEntry(t *testing.T) {
	journal, seqs := new(MemoryJournal), make(map[uint64]int)
	s := open(t, Config{Journal: journal, Hooks: hookOn(func(e Event, _ *Placed) { seqs[e.Seq]++ })})
	addNodes(t, s, testNode("n1", 100), testNode("n2", 50))
	prepared, err := s.Prepare(onlyCPU("", 1))
	require.NoError(t, err)
	for _, test := range []struct{ n, placed, entries int }{{50, 50, 1}, {64, 64, 1}, {0, 0, 0}, {40, 36, 1}, {3, 0, 0}} {
		before := s.Version()
		results, err := prepared.PlaceAll(t.Context(), alikeIDs(fmt.Sprint(before, "-"), test.n)...)
		require.NoError(t, err)
		placed := 0
		for _, r := range results {
			if r.Err == nil {
				placed++
				require.Equal(t, before+1, r.Decision.Version)
			} else {
				require.ErrorIs(t, r.Err, ErrUnschedulable)
			}
		}
		require.Equal(t, test.placed, placed)
		require.Equal(t, before+uint64(test.entries), s.Version())
		require.Equal(t, test.placed, seqs[before+1])
	}
	require.Len(t, records(t, journal), 2+3)
}

// TestPlaceAllLetsOthersGoFirst after 64 requests, and after a look at very many nodes.
func TestPlaceAllLetsOthersGoFirst(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for i := range 2000 {
		addNodes(t, s, testNode(fmt.Sprint("n", i), 1))
	}
	turns := func(req placement.Request, n int, growing int64) int {
		var reqs []placement.Request
		for _, req.ID = range alikeIDs(fmt.Sprint(s.Version(), "-"), n) {
			req.Resources.CPU += growing
			reqs = append(reqs, req)
		}
		letGo := 0
		s.mu.letGo = func() { letGo++ }
		defer func() { s.mu.letGo = nil }()
		_, err := s.PlaceAll(t.Context(), reqs...)
		require.NoError(t, err)
		return letGo
	}
	require.Equal(t, 1, turns(onlyCPU("", 1), 64, 0))
	require.Equal(t, 3, turns(onlyCPU("", 1), 129, 0))
	labelled := onlyCPU("", 1)
	labelled.Labels = make(map[string]string)
	for i := range 10 {
		labelled.Labels[fmt.Sprint(i)] = strings.Repeat("v", 1000)
	}
	require.Equal(t, 8, turns(labelled, 64, 0), "9 requests of 10 KiB at a time, which count three times")
	require.Equal(t, 4, turns(onlyCPU("", 2), 64, 1), "17 refusals at a time, for each of which all are looked at")
}

// TestPlaceAllWhoseContextEnds leaves what it has placed to be found, and the journal
// up to date.
func TestPlaceAllWhoseContextEnds(t *testing.T) {
	journal := new(MemoryJournal)
	s := open(t, Config{Journal: journal})
	addNodes(t, s, testNode("n1", 1000))
	ctx, cancel := context.WithCancel(t.Context())
	s.mu.letGo = cancel
	prepared, err := s.Prepare(onlyCPU("", 1))
	require.NoError(t, err)
	ids := alikeIDs("a", 100)
	_, err = prepared.PlaceAll(ctx, ids...)
	require.ErrorIs(t, err, context.Canceled)
	s.mu.letGo = nil
	_, err = s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Len(t, records(t, journal), 2)
	results, err := prepared.PlaceAll(t.Context(), ids...)
	require.NoError(t, err)
	require.Equal(t, uint64(2), results[63].Decision.Version)
	require.Equal(t, uint64(3), results[64].Decision.Version)
	require.NoError(t, s.Close())
	_, err = prepared.PlaceAll(t.Context(), ids...)
	require.ErrorIs(t, err, ErrClosed)
}

// TestPreparedOutlivesItsRules: its rules are found again though they were forgotten
// meanwhile, and nothing is kept for those that are prepared.
func TestPreparedOutlivesItsRules(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, zoned("n1", "a"), zoned("n2", "b"))
	var all []*Prepared
	for i := range 1000 {
		req := onlyCPU("", 1)
		req.Group, req.Preferences = fmt.Sprint(i), placement.Use(placement.BinPack).Require(placement.Equal("zone", []string{"a", "b"}[i%2]))
		prepared, err := s.Prepare(req)
		require.NoError(t, err)
		req.Preferences.Required[0] = placement.Equal("zone", "c") // the caller's own
		_, err = prepared.Place(t.Context(), "x")
		require.NoError(t, err)
		require.NoError(t, s.Release(t.Context(), "x"))
		all = append(all, prepared)
	}
	require.Less(t, s.Stats().Search.Classes, 300)
	for i, prepared := range all {
		require.NoError(t, s.SetLabel(t.Context(), "n1", "round", fmt.Sprint(i)))
		req := prepared.Request()
		req.ID = "y"
		first := place(t, s, req)
		d, err := prepared.Place(t.Context(), "y")
		require.NoError(t, err)
		require.Equal(t, first, d)
		require.Equal(t, []string{"n1", "n2"}[i%2], d.NodeID)
		require.NoError(t, s.Release(t.Context(), "y"))
	}
	require.Less(t, s.Stats().Search.Classes, 300)
}

// TestPreparedIsUsedByMany at once; it is for the race detector.
func TestPreparedIsUsedByMany(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 1000))
	prepared, err := s.Prepare(onlyCPU("ignored", 1))
	require.NoError(t, err)
	require.Empty(t, prepared.Request().ID)
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			for k := range 20 {
				_, err := prepared.Place(context.Background(), fmt.Sprint(i, "-", k))
				results, failed := prepared.PlaceAll(context.Background(), fmt.Sprint(i, "-", k), fmt.Sprint(i, "+", k))
				if err != nil || failed != nil || results[0].Err != nil || results[1].Err != nil {
					t.Error(err, failed, results)
				}
			}
		})
	}
	callers.Wait()
	require.Equal(t, 160, s.Stats().Allocations)
}

// TestPrepareRefusesWhatPlaceRefuses, and IDs that are none.
func TestPrepareRefusesWhatPlaceRefuses(t *testing.T) {
	s := newTestScheduler(t, Config{})
	bad := onlyCPU("x", -1)
	_, placing := s.Place(t.Context(), bad)
	_, err := s.Prepare(bad)
	require.Equal(t, placing, err)
	prepared, err := s.Prepare(onlyCPU("", 1))
	require.NoError(t, err)
	for _, id := range []string{"", string(make([]byte, 257)), "\xff"} {
		_, placing := s.Place(t.Context(), onlyCPU(id, 1))
		require.ErrorIs(t, placing, ErrInvalid)
		_, err = prepared.Place(t.Context(), id)
		require.Equal(t, placing, err)
		results, err := prepared.PlaceAll(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, placing, results[0].Err)
	}
}
