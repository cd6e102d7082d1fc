package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// hotPath is what a scheduler does on each decision, each as one call that
// must not allocate.
type hotPath struct {
	name string
	run  func() bool
}

func plainRequest() placement.Request {
	return placement.Request{
		ID: "web-1", Namespace: "team-backend", Group: "web", Ports: tcp(8080, 9090),
		Resources: placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB},
		Labels:    map[string]string{"app": "web", "tier": "front"},
	}
}

func ruledRequest() placement.Request {
	r := plainRequest()
	r.Resources.Custom = map[string]int64{"licence": 2}
	r.Preferences = placement.Use(placement.Spread).
		Require(placement.In("region", "us-east-1", "us-east-2"), placement.Version("kernel", ">= 5.4, < 7")).
		Prefer(placement.Or(placement.Equal("disk", "ssd"), placement.Not(placement.Less("cores", 8))), 50).
		PreferScaled("price", -20).
		TolerateEqual("dedicated", "web").
		Near(placement.Repel(placement.Equal("app", "web")).Within("rack").Among("team-backend")).
		Across(placement.EvenlyOver("zone", 1), placement.ShareOver("region", map[string]int{"us-east-1": 60}, 10))
	return r
}

func hotPaths() []hotPath {
	labels := map[string]string{"region": "us-east-1", "cores": "32", "kernel": "v6.8.0-rc.1+b1", "host": "db-7", "bad": "x"}
	node := placement.Node{ID: "n1", Labels: labels, Devices: placement.Devices{Count: 8, Model: "A100"}}
	rule := placement.And(
		placement.In("region", "eu-west-1", "us-east-1"),
		placement.NotIn("region", "eu-west-1"),
		placement.Greater("cores", 8), placement.Not(placement.Less("cores", 8)),
		placement.Version("kernel", ">= 5.4, != 6.8.1, < 7"), placement.SemVer("kernel", ">= 5.4, != 6.8.0, < 7"),
		placement.Matches("host", "^db-"), placement.NotExists("gone"),
		placement.Not(placement.Greater("bad", 1)), placement.Not(placement.Version("bad", "> 1")),
		placement.Or(placement.Equal("disk", "ssd"), placement.Exists("region")),
	)
	model := placement.And(rule, placement.Equal(placement.LabelGPUModel, "A100"))
	plain, ruled := plainRequest(), ruledRequest()
	same := ruledRequest()
	free := placement.Resources{CPU: 8 * placement.Core, Memory: 8 * placement.GiB, Custom: map[string]int64{"licence": 2}}
	taint := placement.Taint{Key: "dedicated", Value: "web", Effect: placement.NoExecute}
	term := ruled.Preferences.Affinity[0]
	buffer := make([]byte, 0, 1024)
	return []hotPath{
		{"Constraint.AppendText", func() bool {
			text, err := rule.AppendText(buffer)
			return err == nil && len(text) > 0
		}},
		{"Constraint.Match", func() bool { return rule.Match(labels) }},
		{"Node.Meets", func() bool { return node.Meets(model) }},
		{"Resources.FitsIn", func() bool { return ruled.Resources.FitsIn(free) }},
		{"Resources.IsZero", func() bool { return !ruled.Resources.IsZero() }},
		{"Tolerated", func() bool { return placement.Tolerated(taint, ruled.Preferences.Tolerations) }},
		{"AffinityTerm.Matches", func() bool { return term.Matches("team-backend", "team-backend", plain.Labels) }},
		{"Request.Equal", func() bool { return ruled.Equal(same) }},
		{"Request.Validate/plain", func() bool { return plain.Validate() == nil }},
		{"Request.Validate/ruled", func() bool { return ruled.Validate() == nil }},
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for _, path := range hotPaths() {
		t.Run(path.name, func(t *testing.T) {
			require.True(t, path.run())
			require.Zero(t, testing.AllocsPerRun(100, func() { path.run() }))
		})
	}
}

func BenchmarkHotPaths(b *testing.B) {
	for _, path := range hotPaths() {
		b.Run(path.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !path.run() {
					b.Fatal("false")
				}
			}
		})
	}
}
