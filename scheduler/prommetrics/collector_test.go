package prommetrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/metrics"
	"github.com/rads-project/constellation/scheduler/prommetrics"
	"github.com/rads-project/constellation/transport"
)

// everything is a set in which each family has samples.
func everything(t *testing.T) *metrics.Set {
	t.Helper()
	ctx := t.Context()
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	require.NoError(t, s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4000}}})
	require.NoError(t, err)
	_, err = s.Place(ctx, placement.Request{ID: "a", Namespace: "team", Resources: placement.Resources{CPU: 1000}})
	require.NoError(t, err)
	set, err := metrics.New(metrics.Config{
		State: func() metrics.Source { return s }, PerNode: true, PerNamespace: true,
		Election: func() raft.Status {
			return raft.Status{Role: raft.Leader, Peers: []raft.PeerStatus{{ID: "b", Heard: true}}}
		},
		Transport: func() transport.Stats {
			return transport.Stats{Peers: []transport.PeerStats{{Peer: "b", RoundTrip: time.Millisecond}}}
		},
	})
	require.NoError(t, err)
	return set
}

// TestPrometheusGathersWhatTheSetReads: the same families, kinds, labels and values, and
// the linter of Prometheus has no complaint.
func TestPrometheusGathersWhatTheSetReads(t *testing.T) {
	set := everything(t)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(prommetrics.New(set)))
	gathered, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(gathered).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)

	got := make(map[string]string)
	for _, family := range gathered {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, pair := range m.GetLabel() {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			value := fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum())
			got[family.GetName()+fmt.Sprint(labels)] = strings.ToLower(family.GetType().String()) + " " + value
			require.LessOrEqual(t, len(m.GetHistogram().GetBucket()), 12)
		}
	}
	count := 0
	for _, m := range set.Read(t.Context()) {
		require.NotEmpty(t, m.Samples, m.Name)
		for _, s := range m.Samples {
			name := m.Name
			if m.Kind == metrics.Counter {
				name += "_total"
			}
			var labels []string
			for i, label := range m.Labels {
				labels = append(labels, label+"="+s.Labels[i])
			}
			slices.Sort(labels) // as Prometheus does
			require.Equal(t, m.Kind.String()+" "+fmt.Sprint(s.Value), got[name+fmt.Sprint(labels)], "%s %v", name, labels)
			count++
		}
	}
	require.Len(t, got, count)
}
