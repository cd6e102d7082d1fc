package placement_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestSpreadRuleValidate(t *testing.T) {
	type r = placement.SpreadRule
	type targets = map[string]int
	many := make(targets)
	for _, domain := range []string{"a", "b", "c"} {
		many[domain] = 34
	}
	beyond := int64(math.MaxInt32) + 1 // negative where an int has 32 bits, and refused too
	tests := []struct {
		name string
		rule r
		want []string
	}{
		{"hard skew", placement.EvenlyOver("zone", 1).Needing(3), nil},
		{"soft skew", placement.EvenlyOver("", math.MaxInt32).Weighing(100), nil},
		{"at most", placement.AtMostPer("zone", 1), nil},
		{"shares", placement.ShareOver("zone", targets{"a": 0, "b": 100, "": 0}, 1), nil},
		{"more than a counter holds", r{MaxSkew: int(beyond), MinDomains: int(beyond)}, []string{"maxSkew", "minDomains"}},
		{"most that is more than a counter holds", placement.AtMostPer("", int(beyond)), []string{"maxPerDomain"}},
		{"nothing", r{}, []string{"maxSkew"}},
		{"skew below 1", placement.EvenlyOver("zone", 0), []string{"maxSkew"}},
		{"negative skew", placement.EvenlyOver("zone", -1), []string{"maxSkew"}},
		{"most below 1", placement.AtMostPer("zone", 0), []string{"maxSkew"}},
		{"negative most", placement.AtMostPer("zone", -1), []string{"maxPerDomain"}},
		{"skew and most", r{MaxSkew: 1, MaxPerDomain: 1}, []string{"maxSkew"}},
		{"skew and shares", r{MaxSkew: 1, Targets: targets{"a": 1}, Weight: 1}, []string{"maxSkew"}},
		{"shares and most", r{MaxPerDomain: 1, Targets: targets{"a": 1}, Weight: 1}, []string{"maxSkew", "weight"}},
		{"empty shares", r{Targets: targets{}, Weight: 1}, []string{"maxSkew"}},
		{"hard shares", r{Targets: targets{"a": 50}}, []string{"weight"}},
		{"soft most", placement.AtMostPer("zone", 1).Weighing(5), []string{"weight"}},
		{"weight above 100", placement.EvenlyOver("zone", 1).Weighing(101), []string{"weight"}},
		{"negative weight", placement.ShareOver("zone", targets{"a": 1}, -1), []string{"weight"}},
		{"soft minimum of domains", placement.EvenlyOver("zone", 1).Needing(3).Weighing(5), []string{"minDomains"}},
		{"minimum of domains without skew", placement.AtMostPer("zone", 1).Needing(3), []string{"minDomains"}},
		{"negative minimum of domains", placement.EvenlyOver("zone", 1).Needing(-1), []string{"minDomains"}},
		{"more than all", placement.ShareOver("zone", many, 1), []string{"targets"}},
		{"percentages", placement.ShareOver("zone", targets{"a": -1, "b": 101, "c": math.MinInt}, 1), []string{`targets["a"]`, `targets["b"]`, `targets["c"]`}},
		{"a name for the rest", placement.ShareOver("zone", targets{"a": 70, "*": 30}, 1), []string{`targets["*"]`}},
		{"bad percentages hide no sum", placement.ShareOver("zone", targets{"a": -50, "b": 90, "c": 60}, 1), []string{`targets["a"]`, "targets"}},
		{"all at once", r{Topology: "\xff", Selector: placement.Exists(""), MaxSkew: -1, MaxPerDomain: -1, MinDomains: -1, Weight: 101, Targets: targets{"\xff": 200}}, []string{"topology", "selector", "maxSkew", "maxSkew", "maxPerDomain", "minDomains", "weight", `targets["\xff"]`, `targets["\xff"]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.rule.Validate(), tt.want...)
		})
	}
}

func TestSpreadRuleTarget(t *testing.T) {
	percent := map[string]int{"a": 50, "b": 30}
	rule := placement.ShareOver("zone", percent, 10)
	percent["a"] = 99
	for domain, want := range map[string]int{"a": 50, "b": 30, "c": 20, "": 20} {
		require.Equal(t, want, rule.Target(domain), domain)
	}
}

func TestSpreadRuleEqual(t *testing.T) {
	rule := placement.EvenlyOver("zone", 2).Needing(3).Counting(placement.Equal("app", "web"))
	require.True(t, rule.Hard())
	require.True(t, rule.Equal(placement.SpreadRule{Topology: "zone", MaxSkew: 2, MinDomains: 3, Selector: placement.Equal("app", "web"), Targets: map[string]int{}}))
	for name, change := range map[string]func(*placement.SpreadRule){
		"topology":     func(r *placement.SpreadRule) { r.Topology = "rack" },
		"selector":     func(r *placement.SpreadRule) { r.Selector = placement.Constraint{} },
		"maxSkew":      func(r *placement.SpreadRule) { r.MaxSkew = 1 },
		"minDomains":   func(r *placement.SpreadRule) { r.MinDomains = 0 },
		"targets":      func(r *placement.SpreadRule) { r.Targets = map[string]int{"a": 1} },
		"maxPerDomain": func(r *placement.SpreadRule) { r.MaxPerDomain = 1 },
		"weight":       func(r *placement.SpreadRule) { r.Weight = 1 },
	} {
		changed := rule
		change(&changed)
		require.False(t, rule.Equal(changed), name)
	}
}
