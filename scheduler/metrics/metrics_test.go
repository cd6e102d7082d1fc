package metrics_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/metrics"
	"github.com/rads-project/constellation/transport"
)

var update = flag.Bool("update", false, "write the table of README.md")

func stateOf(s metrics.Source) func() metrics.Source { return func() metrics.Source { return s } }

func newSet(t *testing.T, cfg metrics.Config) *metrics.Set {
	t.Helper()
	set, err := metrics.New(cfg)
	require.NoError(t, err)
	return set
}

func newScheduler(t *testing.T, cfg scheduler.Config) *scheduler.Scheduler {
	t.Helper()
	s, err := scheduler.New(cfg)
	require.NoError(t, err)
	return s
}

// samples are the lines of the text that are no comments, by what stands before the
// value.
func samples(t *testing.T, set *metrics.Set) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	set.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	require.Equal(t, metrics.ContentType, w.Header().Get("Content-Type"))
	text := w.Body.String()
	require.True(t, strings.HasSuffix(text, "\n# EOF\n"))
	all := make(map[string]string)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndex(line, " ")
		require.NotContains(t, all, line[:i], "one series has one sample")
		all[line[:i]] = strings.TrimSpace(line[i:])
	}
	return all
}

func TestMetricsSayWhatHappened(t *testing.T) {
	ctx := t.Context()
	s := newScheduler(t, scheduler.Config{})
	require.NoError(t, s.AddNode(ctx, placement.Node{
		ID: `n"1\`, Capacity: placement.Resources{CPU: 8 * placement.Core, Memory: 16 * placement.GiB, GPU: 2 * placement.Device},
		Devices: placement.Devices{Count: 2, Model: "m"},
	}))
	_, err := s.CreateQuota(ctx, quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4000}}})
	require.NoError(t, err)
	request := func(id string, cores int64) placement.Request {
		return placement.Request{ID: id, Namespace: "team", Resources: placement.Resources{CPU: cores * placement.Core, GPU: 500}}
	}
	_, err = s.Place(ctx, request("a", 2))
	require.NoError(t, err)
	_, err = s.Place(ctx, request("b", 64))
	require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	got := samples(t, newSet(t, metrics.Config{State: stateOf(s), PerNode: true, PerNamespace: true}))
	for series, want := range map[string]string{
		`constellation_scheduler_up`:                                                        "1",
		`constellation_scheduler_decisions_total{result="placed",reason=""}`:                "1",
		`constellation_scheduler_decisions_total{result="unschedulable",reason="resource"}`: "1",
		`constellation_scheduler_decisions_total{result="unschedulable",reason="no-nodes"}`: "0",
		`constellation_scheduler_decision_seconds_count`:                                    "1",
		`constellation_scheduler_decision_seconds_bucket{le="+Inf"}`:                        "1",
		`constellation_scheduler_nodes{state="ready"}`:                                      "1",
		`constellation_scheduler_nodes{state="lost"}`:                                       "0",
		`constellation_scheduler_resource_capacity{resource="cpu"}`:                         "8",
		`constellation_scheduler_resource_used{resource="gpu"}`:                             "0.5",
		`constellation_scheduler_resource_largest_fit{resource="gpu"}`:                      "1",
		`constellation_scheduler_resource_free{resource="memory"}`:                          "1.7179869184e+10",
		`constellation_scheduler_quota_limits{standing="within"}`:                           "1",
		`constellation_scheduler_node_used{node="n\"1\\",resource="cpu"}`:                   "2",
		`constellation_scheduler_node_ready{node="n\"1\\"}`:                                 "1",
		`constellation_scheduler_quota_soft{namespace="team",resource="cpu"}`:               "4",
		`constellation_scheduler_quota_used{namespace="team",resource="gpu"}`:               "0.5",
		`constellation_scheduler_journal_append_age_seconds`:                                "0",
	} {
		require.Equal(t, want, got[series], series)
	}
	require.NotContains(t, got, `constellation_scheduler_quota_soft{namespace="team",resource="gpu"}`, "unlimited is absent")

	require.NoError(t, s.Close())
	got = samples(t, newSet(t, metrics.Config{State: stateOf(s)}))
	require.Equal(t, "0", got["constellation_scheduler_up"])
	require.Equal(t, "1", got[`constellation_scheduler_decisions_total{result="placed",reason=""}`])
	require.NotContains(t, got, `constellation_scheduler_nodes{state="ready"}`)
	got = samples(t, newSet(t, metrics.Config{State: func() metrics.Source { return nil }}))
	require.Equal(t, "0", got["constellation_scheduler_up"])
}

// TestBucketsAddUp: they are cumulative, and what is below the first bound counts there.
func TestBucketsAddUp(t *testing.T) {
	s := newScheduler(t, scheduler.Config{})
	require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: "n", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	for i := range 100 {
		_, _ = s.Place(t.Context(), placement.Request{ID: fmt.Sprint(i), Resources: placement.Resources{CPU: 1}})
	}
	for _, m := range newSet(t, metrics.Config{State: stateOf(s)}).Read(t.Context()) {
		if m.Kind != metrics.Histogram {
			continue
		}
		before, bound := uint64(0), math.Inf(-1)
		for _, b := range m.Samples[0].Buckets {
			require.GreaterOrEqual(t, b.Count, before)
			require.Greater(t, b.Bound, bound)
			before, bound = b.Count, b.Bound
		}
		require.LessOrEqual(t, before, m.Samples[0].Count)
		if m.Unit == "seconds" {
			require.InDelta(t, 1e-6, m.Samples[0].Buckets[0].Bound, 1e-7)
			require.Greater(t, bound, 4.0)
		}
		if m.Name == "constellation_scheduler_decision_seconds" {
			require.Equal(t, uint64(7), m.Samples[0].Count)
			require.Positive(t, m.Samples[0].Value)
		}
	}
}

// TestAtMostTwoHundredSeries: by default, however large a cluster and an election are.
func TestAtMostTwoHundredSeries(t *testing.T) {
	s := newScheduler(t, scheduler.Config{})
	for i := range placement.MaxDimensions - 5 {
		require.NoError(t, s.AddNode(t.Context(), placement.Node{
			ID: fmt.Sprint("n", i), Devices: placement.Devices{Count: 1, Model: "m"}, Capacity: placement.Resources{
				CPU: 1, Memory: 1, Disk: 1, Network: 1, GPU: placement.Device, Custom: map[string]int64{fmt.Sprint("c", i): 1},
			},
		}))
		_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: fmt.Sprint("ns", i), Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 1}}})
		require.NoError(t, err)
	}
	var status raft.Status
	var stats transport.Stats
	for i := range raft.MaxMembers - 1 {
		status.Peers = append(status.Peers, raft.PeerStatus{ID: fmt.Sprint("p", i), Heard: true})
		stats.Peers = append(stats.Peers, transport.PeerStats{Peer: fmt.Sprint("p", i), RoundTrip: time.Millisecond})
	}
	cfg := metrics.Config{
		State: stateOf(s), Election: func() raft.Status { return status }, Transport: func() transport.Stats { return stats },
	}
	got := samples(t, newSet(t, cfg))
	require.LessOrEqual(t, len(got), 250, "with 32 members")
	status.Peers, stats.Peers = status.Peers[:8], stats.Peers[:8]
	require.LessOrEqual(t, len(samples(t, newSet(t, cfg))), 200, "with 9")
	require.Contains(t, got, `constellation_scheduler_resource_free{resource="c1"}`)
	require.NotContains(t, got, `constellation_scheduler_resource_free{resource="c20"}`)
	cfg.EveryResource = true
	require.Contains(t, samples(t, newSet(t, cfg)), `constellation_scheduler_resource_free{resource="c20"}`)
}

// TestMetricsOfAnElection: the names of what is dropped stand for what the core counts.
func TestMetricsOfAnElection(t *testing.T) {
	status := raft.Status{
		Role: raft.Leader, Term: 7, Leading: true, Leader: "a", Lease: 1500 * time.Millisecond, Reign: time.Minute,
		Peers:    []raft.PeerStatus{{ID: "b", Heard: true, Lag: 20 * time.Millisecond}, {ID: "c"}},
		Counters: raft.Counters{Dropped: raft.Dropped{Twins: 3, Malformed: 1}}, Traffic: raft.Traffic{Malformed: 1, Saves: 9},
	}
	stats := transport.Stats{Peers: []transport.PeerStats{
		{Peer: "b", Sent: 1, Dropped: transport.Dropped{Lost: 2}, LastError: errors.New("gone"), RoundTrip: time.Millisecond}, {Peer: "c", Sent: 2},
	}}
	got := samples(t, newSet(t, metrics.Config{
		Election: func() raft.Status { return status }, Transport: func() transport.Stats { return stats },
	}))
	for series, want := range map[string]string{
		`constellation_raft_role{role="leader"}`:                        "1",
		`constellation_raft_role{role="follower"}`:                      "0",
		`constellation_raft_term`:                                       "7",
		`constellation_raft_lease_left_seconds`:                         "1.5",
		`constellation_raft_reign_age_seconds`:                          "60",
		`constellation_raft_peer_lag_seconds{peer="b"}`:                 "0.02",
		`constellation_raft_dropped_messages_total{reason="twin"}`:      "3",
		`constellation_raft_dropped_messages_total{reason="malformed"}`: "2",
		`constellation_raft_saves_total`:                                "9",
		`constellation_transport_sent_frames_total`:                     "3",
		`constellation_transport_dropped_frames_total{reason="lost"}`:   "2",
		`constellation_transport_round_trip_seconds{peer="b"}`:          "0.001",
	} {
		require.Equal(t, want, got[series], series)
	}
	require.NotContains(t, got, `constellation_raft_peer_lag_seconds{peer="c"}`, "it was not heard")
	require.NotContains(t, got, `constellation_scheduler_up`)
}

func TestNewWantsSomethingToRead(t *testing.T) {
	_, err := metrics.New(metrics.Config{})
	require.ErrorIs(t, err, placement.ErrInvalid)
}

// TestReadmeListsEveryFamily: the table in README.md is that of the code.
func TestReadmeListsEveryFamily(t *testing.T) {
	set := newSet(t, metrics.Config{
		State: stateOf(nil), Election: func() raft.Status { return raft.Status{} }, Transport: func() transport.Stats { return transport.Stats{} },
		PerNode: true, PerNamespace: true,
	})
	var table strings.Builder
	table.WriteString("| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	for _, f := range set.Families() {
		name := f.Name
		if f.Kind == metrics.Counter {
			name += "_total"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, f.Kind, strings.Join(f.Labels, ", "), f.Help)
	}
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(data), "<!-- table -->\n")
	require.True(t, ok)
	was, tail, ok := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(head+"<!-- table -->\n"+table.String()+"<!-- end -->\n"+tail), 0o644))
		return
	}
	require.Equal(t, table.String(), was, "go test ./scheduler/metrics -run Readme -update")
}
