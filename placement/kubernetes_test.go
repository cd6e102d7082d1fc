package placement_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// The tables of this file state what the Kubernetes documentation says of its
// own examples (pages "Taints and Tolerations", "Assigning Pods to Nodes" and
// "Labels and Selectors"), one rule a line, in our spelling. Pod affinity,
// anti-affinity and topology spread need the state of a cluster and are
// tested in package scheduler.

// fits reports whether the taints and labels of the node let the request in.
func fits(node placement.Node, p placement.Preferences) bool {
	for _, taint := range node.Taints {
		if taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, p.Tolerations) {
			return false
		}
	}
	for _, rule := range p.Required {
		if !node.Meets(rule) {
			return false
		}
	}
	return true
}

// softWeight sums the weights that the node earns.
func softWeight(node placement.Node, p placement.Preferences) int {
	sum, avoided := 0, false
	for _, preferred := range p.Preferred {
		if node.Meets(preferred.Constraint) {
			sum += preferred.Weight
		}
	}
	for _, taint := range node.Taints {
		avoided = avoided || taint.Effect == placement.PreferNoSchedule && !placement.Tolerated(taint, p.Tolerations)
	}
	if avoided {
		sum -= placement.MaxWeight
	}
	return sum
}

func mustTaints(t *testing.T, texts ...string) []placement.Taint {
	t.Helper()
	var taints []placement.Taint
	for _, text := range texts {
		taint, err := placement.ParseTaint(text)
		require.NoError(t, err)
		taints = append(taints, taint)
	}
	return taints
}

func mustTolerations(t *testing.T, texts ...string) []placement.Toleration {
	t.Helper()
	var tolerations []placement.Toleration
	for _, text := range texts {
		toleration, err := placement.ParseToleration(text)
		require.NoError(t, err)
		tolerations = append(tolerations, toleration)
	}
	return tolerations
}

func TestKubernetesTaints(t *testing.T) {
	type texts []string
	tests := []struct {
		rule        string
		taints      texts
		tolerations texts
		fits        bool
		soft        int
	}{
		{"no taint refuses nobody", nil, nil, true, 0},
		{"NoSchedule refuses who does not tolerate it", texts{"key1=value1:NoSchedule"}, nil, false, 0},
		{"operator Equal: key, value and effect are the same", texts{"key1=value1:NoSchedule"}, texts{"key1=value1:NoSchedule"}, true, 0},
		{"operator Exists: key and effect are the same", texts{"key1=value1:NoSchedule"}, texts{"key1:NoSchedule"}, true, 0},
		{"operator Equal: another value does not match", texts{"key1=value1:NoSchedule"}, texts{"key1=value2:NoSchedule"}, false, 0},
		{"operator Equal: an empty value is a value", texts{"key1=value1:NoSchedule"}, texts{"key1="}, false, 0},
		{"another key does not match", texts{"key1=value1:NoSchedule"}, texts{"key2:NoSchedule"}, false, 0},
		{"another effect does not match", texts{"key1=value1:NoSchedule"}, texts{"key1=value1:NoExecute"}, false, 0},
		{"an empty key with Exists matches every key, value and effect", texts{"key1=value1:NoSchedule", "key2:NoExecute"}, texts{"*"}, true, 0},
		{"an empty key with an effect matches that effect only", texts{"key1=value1:NoSchedule", "key2:NoExecute"}, texts{"*:NoSchedule"}, false, 0},
		{"an empty effect matches all effects of the key", texts{"key1=value1:NoSchedule", "key1=value1:NoExecute"}, texts{"key1=value1"}, true, 0},
		{"a toleration without a taint does not attract", nil, texts{"key1=value1"}, true, 0},
		{"several taints: one left over with NoSchedule refuses", texts{"key1=value1:NoSchedule", "key1=value1:NoExecute", "key2=value2:NoSchedule"}, texts{"key1=value1:NoSchedule", "key1=value1:NoExecute"}, false, 0},
		{"several taints: all tolerated", texts{"key1=value1:NoSchedule", "key1=value1:NoExecute", "key2=value2:NoSchedule"}, texts{"key1=value1", "key2=value2:NoSchedule"}, true, 0},
		{"only PreferNoSchedule left over: avoided, not refused", texts{"key1=value1:NoSchedule", "key2=value2:PreferNoSchedule"}, texts{"key1"}, true, -100},
		{"two PreferNoSchedule left over count once here", texts{"key1:PreferNoSchedule", "key2:PreferNoSchedule"}, nil, true, -100},
		{"PreferNoSchedule tolerated is not avoided", texts{"key2=value2:PreferNoSchedule"}, texts{"key2=value2:PreferNoSchedule"}, true, 0},
		{"NoExecute left over refuses new work too", texts{"key1=value1:NoExecute"}, nil, false, 0},
		{"tolerationSeconds lets in while it lasts", texts{"key1=value1:NoExecute"}, texts{"key1=value1:NoExecute for 3600s"}, true, 0},
		{"dedicated nodes", texts{"dedicated=groupName:NoSchedule"}, texts{"dedicated=groupName:NoSchedule"}, true, 0},
		{"nodes with special hardware", texts{"special=true:PreferNoSchedule"}, nil, true, -100},
		{"memory pressure is tolerated by who is not best effort", texts{"node.kubernetes.io/memory-pressure:NoSchedule"}, texts{"node.kubernetes.io/memory-pressure:NoSchedule"}, true, 0},
		{"an unschedulable node is tolerated by daemons", texts{"node.kubernetes.io/unschedulable:NoSchedule"}, texts{"node.kubernetes.io/unschedulable:NoSchedule"}, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			node := placement.Node{ID: "node1", Taints: mustTaints(t, tt.taints...)}
			p := placement.Preferences{Tolerations: mustTolerations(t, tt.tolerations...)}
			require.NoError(t, node.Validate())
			require.NoError(t, p.Validate())
			require.Equal(t, tt.fits, fits(node, p))
			require.Equal(t, tt.soft, softWeight(node, p))
		})
	}
}

func TestKubernetesEviction(t *testing.T) {
	const never = time.Duration(-1)
	tests := []struct {
		rule        string
		taint       string
		tolerations []string
		want        time.Duration
	}{
		{"who does not tolerate leaves at once", "key1=value1:NoExecute", nil, 0},
		{"who tolerates without tolerationSeconds stays for ever", "key1=value1:NoExecute", []string{"key1=value1:NoExecute"}, never},
		{"who tolerates with tolerationSeconds stays so long", "key1=value1:NoExecute", []string{"key1=value1:NoExecute for 3600s"}, time.Hour},
		{"the least of several tolerationSeconds counts", "key1=value1:NoExecute", []string{"key1=value1:NoExecute for 3600s", "key1:NoExecute for 60s"}, time.Minute},
		{"a toleration of another effect does not help", "key1=value1:NoExecute", []string{"key1=value1:NoSchedule"}, 0},
		{"NoSchedule evicts nobody that runs", "key2=value2:NoSchedule", nil, never},
		{"PreferNoSchedule evicts nobody", "key2=value2:PreferNoSchedule", nil, never},
		{"unreachable, with the example's own time", "node.kubernetes.io/unreachable:NoExecute", []string{"node.kubernetes.io/unreachable:NoExecute for 6000s"}, 6000 * time.Second},
		{"not-ready, with the default five minutes", "node.kubernetes.io/not-ready:NoExecute", []string{"node.kubernetes.io/not-ready:NoExecute for 300s", "node.kubernetes.io/unreachable:NoExecute for 300s"}, 5 * time.Minute},
		{"a daemon is never evicted from an unreachable node", "node.kubernetes.io/unreachable:NoExecute", []string{"node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/not-ready:NoExecute"}, never},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			delay, due := placement.EvictionDelay(mustTaints(t, tt.taint)[0], mustTolerations(t, tt.tolerations...))
			require.Equal(t, tt.want != never, due)
			require.Equal(t, max(tt.want, 0), delay)
		})
	}
}

func TestKubernetesNodeAffinity(t *testing.T) {
	const (
		zone     = "topology.kubernetes.io/zone"
		os       = "kubernetes.io/os"
		anotherK = "another-node-label-key"
		anotherV = "another-node-label-value"
	)
	type labels = map[string]string
	none := placement.Preferences{}
	antarctica := none.Require(placement.In(zone, "antarctica-east1", "antarctica-west1")).Prefer(placement.In(anotherK, anotherV), 1)
	weights := none.Require(placement.In(os, "linux")).Prefer(placement.In("label-1", "key-1"), 1).Prefer(placement.In("label-2", "key-2"), 50)
	terms := none.Require(placement.Or(
		placement.And(placement.In("a", "1"), placement.In("b", "2")),
		placement.In("c", "3")))
	tests := []struct {
		rule  string
		rules placement.Preferences
		node  labels
		fits  bool
		soft  int
	}{
		{"nodeSelector: the label is there", none.Require(placement.Equal("disktype", "ssd")), labels{"disktype": "ssd"}, true, 0},
		{"nodeSelector: the label is missing", none.Require(placement.Equal("disktype", "ssd")), labels{}, false, 0},
		{"nodeSelector: every label given must be there", none.Require(placement.Equal("disktype", "ssd"), placement.Equal(os, "linux")), labels{"disktype": "ssd"}, false, 0},
		{"nodeSelector and nodeAffinity must both hold", antarctica.Require(placement.Equal("disktype", "ssd")), labels{zone: "antarctica-east1"}, false, 0},
		{"required, one of the values", antarctica, labels{zone: "antarctica-west1"}, true, 0},
		{"required, another value", antarctica, labels{zone: "europe-west1"}, false, 0},
		{"preferred adds its weight", antarctica, labels{zone: "antarctica-east1", anotherK: anotherV}, true, 1},
		{"preferred does not stand in for required", antarctica, labels{anotherK: anotherV}, false, 1},
		{"weights: label-1", weights, labels{os: "linux", "label-1": "key-1"}, true, 1},
		{"weights: label-2 is the greater sum", weights, labels{os: "linux", "label-2": "key-2"}, true, 50},
		{"weights add up", weights, labels{os: "linux", "label-1": "key-1", "label-2": "key-2"}, true, 51},
		{"weights: no preference met still fits", weights, labels{os: "linux"}, true, 0},
		{"nodeSelectorTerms are joined by or: the second", terms, labels{"c": "3"}, true, 0},
		{"nodeSelectorTerms are joined by or: none", terms, labels{"c": "4"}, false, 0},
		{"matchExpressions are joined by and: both", terms, labels{"a": "1", "b": "2"}, true, 0},
		{"matchExpressions are joined by and: one", terms, labels{"a": "1"}, false, 0},
		{"In", none.Require(placement.In("k", "a", "b")), labels{"k": "b"}, true, 0},
		{"In, label missing", none.Require(placement.In("k", "a", "b")), nil, false, 0},
		{"NotIn", none.Require(placement.NotIn("k", "a", "b")), labels{"k": "a"}, false, 0},
		{"NotIn, label missing", none.Require(placement.NotIn("k", "a", "b")), nil, true, 0},
		{"Exists", none.Require(placement.Exists("k")), labels{"k": ""}, true, 0},
		{"Exists, label missing", none.Require(placement.Exists("k")), nil, false, 0},
		{"DoesNotExist", none.Require(placement.NotExists("k")), nil, true, 0},
		{"DoesNotExist, label there", none.Require(placement.NotExists("k")), labels{"k": "a"}, false, 0},
		{"Gt", none.Require(placement.Greater("k", 4)), labels{"k": "5"}, true, 0},
		{"Gt is strict", none.Require(placement.Greater("k", 5)), labels{"k": "5"}, false, 0},
		{"Gt compares integers, not text", none.Require(placement.Greater("k", 9)), labels{"k": "10"}, true, 0},
		{"Gt, no integer", none.Require(placement.Greater("k", 4)), labels{"k": "five"}, false, 0},
		{"Lt", none.Require(placement.Less("k", 6)), labels{"k": "5"}, true, 0},
		{"Lt, label missing", none.Require(placement.Less("k", 6)), nil, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			node := placement.Node{ID: "node1", Labels: tt.node}
			require.NoError(t, tt.rules.Validate())
			require.Equal(t, tt.fits, fits(node, tt.rules))
			require.Equal(t, tt.soft, softWeight(node, tt.rules))
		})
	}
}

func TestKubernetesLabelSelectors(t *testing.T) {
	type labels = map[string]string
	tests := []struct {
		rule, ours string
		in, out    []labels
	}{
		{"environment = production", "environment = production", []labels{{"environment": "production"}}, []labels{{"environment": "qa"}, {}}},
		{"tier != frontend, missing key included", "tier != frontend", []labels{{"tier": "backend"}, {}}, []labels{{"tier": "frontend"}}},
		{"environment in (production, qa)", "environment in (production, qa)", []labels{{"environment": "qa"}}, []labels{{"environment": "dev"}, {}}},
		{"tier notin (frontend, backend), missing key included", "tier notin (frontend, backend)", []labels{{"tier": "cache"}, {}}, []labels{{"tier": "backend"}}},
		{"partition", "partition exists", []labels{{"partition": "any"}}, []labels{{}}},
		{"!partition", "partition notexists", []labels{{}}, []labels{{"partition": "any"}}},
		{"the comma is and: environment=production,tier!=frontend", "environment = production and tier != frontend", []labels{{"environment": "production"}}, []labels{{"environment": "production", "tier": "frontend"}, {}}},
		{"matchLabels and matchExpressions are joined by and", "component = redis and tier in (cache) and environment notin (dev)", []labels{{"component": "redis", "tier": "cache"}}, []labels{{"component": "redis", "tier": "cache", "environment": "dev"}, {"component": "redis"}}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			rule, err := placement.ParseConstraint(tt.ours)
			require.NoError(t, err)
			for _, l := range tt.in {
				require.True(t, rule.Match(l), "%v", l)
			}
			for _, l := range tt.out {
				require.False(t, rule.Match(l), "%v", l)
			}
		})
	}
}

// TestKubernetesRefusals lists what the API server refuses and so do we.
func TestKubernetesRefusals(t *testing.T) {
	none := placement.Preferences{}
	tests := []struct {
		rule  string
		rules placement.Preferences
		field string
	}{
		{"operator must be Exists when the key is empty", none.Tolerate(placement.Toleration{Value: "v"}), "tolerations[0].key"},
		{"value must be empty when the operator is Exists", none.Tolerate(placement.Toleration{Key: "k", Value: "v", Exists: true}), "tolerations[0].value"},
		{"effect must be NoExecute when tolerationSeconds is set", none.Tolerate(placement.TolerateExists("k").OnlyFor(placement.NoSchedule).AtMost(5)), "tolerations[0].seconds"},
		{"the effect must be known", none.Tolerate(placement.TolerateExists("k").OnlyFor("Never")), "tolerations[0].effect"},
		{"values are required for In", none.Require(placement.In("k")), "required[0]"},
		{"values are required for NotIn", none.Require(placement.NotIn("k")), "required[0]"},
		{"the key must not be empty", none.Require(placement.Exists("")), "required[0]"},
		{"a weight is at least 1", none.Prefer(placement.Exists("k"), 0), "preferred[0].weight"},
		{"a weight is at most 100", none.Prefer(placement.Exists("k"), 101), "preferred[0].weight"},
		{"maxSkew is at least 1", none.Across(placement.EvenlyOver("zone", 0)), "spread[0].maxSkew"},
		{"minDomains is at least 1", none.Across(placement.EvenlyOver("zone", 1).Needing(-1)), "spread[0].minDomains"},
		{"minDomains goes with DoNotSchedule only", none.Across(placement.EvenlyOver("zone", 1).Weighing(1).Needing(2)), "spread[0].minDomains"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			requireFields(t, tt.rules.Validate(), tt.field)
		})
	}
}
