package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestAffinityTermMatches(t *testing.T) {
	web := placement.Attract(placement.Equal("app", "web"))
	tests := []struct {
		name      string
		term      placement.AffinityTerm
		namespace string
		labels    map[string]string
		want      bool
	}{
		{"own namespace", web, "own", map[string]string{"app": "web"}, true},
		{"other labels", web, "own", map[string]string{"app": "db"}, false},
		{"other namespace", web, "other", map[string]string{"app": "web"}, false},
		{"named namespace", web.Among("x", "other"), "other", map[string]string{"app": "web"}, true},
		{"own namespace not among the named", web.Among("other"), "own", map[string]string{"app": "web"}, false},
		{"all namespaces", web.Among(placement.AllNamespaces), "other", map[string]string{"app": "web"}, true},
		{"zero selector", placement.AffinityTerm{}, "own", nil, true},
		{"zero selector elsewhere", placement.AffinityTerm{}, "other", nil, false},
		{"invalid selector", placement.Attract(placement.Matches("app", "(")), "own", map[string]string{"app": "web"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.term.Matches("own", tt.namespace, tt.labels))
		})
	}
}

func TestAffinityTermBuilders(t *testing.T) {
	selector := placement.Equal("app", "web")
	namespaces := []string{"a", "b"}
	attract := placement.Attract(selector).Within("zone").Among(namespaces...).Weighing(50)
	namespaces[0] = "z"
	want := placement.AffinityTerm{Selector: selector, Topology: "zone", Namespaces: []string{"a", "b"}, Weight: 50}
	require.True(t, want.Equal(attract))
	require.False(t, attract.Required())
	repel := placement.Repel(selector)
	require.True(t, repel.Repel && repel.Required())
	for name, other := range map[string]placement.AffinityTerm{
		"selector": placement.Attract(placement.Exists("app")).Within("zone").Among("a", "b").Weighing(50),
		"topology": attract.Within(""), "namespaces": attract.Among("a"), "weight": attract.Weighing(51),
		"repel": placement.Repel(selector).Within("zone").Among("a", "b").Weighing(50),
	} {
		require.False(t, attract.Equal(other), name)
	}
}

func TestAffinityTermValidate(t *testing.T) {
	term := placement.Repel(placement.Equal("app", "web"))
	tests := []struct {
		name string
		term placement.AffinityTerm
		want []string
	}{
		{"zero", placement.AffinityTerm{}, nil},
		{"heaviest", term.Weighing(100), nil},
		{"all namespaces", term.Among(placement.AllNamespaces), nil},
		{"the namespace without a name", term.Among("", "a"), nil},
		{"weight", term.Weighing(101), []string{"weight"}},
		{"negative weight", term.Weighing(-1), []string{"weight"}},
		{"all at once", placement.Attract(placement.In("")).Within("\xff").Among("a", placement.AllNamespaces, "\xff").Weighing(1000), []string{"selector", "selector", "topology", "namespaces[1]", "namespaces[2]", "weight"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.term.Validate(), tt.want...)
		})
	}
}
