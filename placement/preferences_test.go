package placement_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestPreferencesBuilderEqualsLiteral(t *testing.T) {
	built := placement.Use(placement.Affinity).
		Require(placement.Exists("a")).
		Prefer(placement.Exists("b"), -5).
		PreferScaled("price", -10).
		TolerateEqual("k", "v").
		TolerateExists("").
		Near(placement.Attract(placement.Exists("c")).Within("zone")).
		Across(placement.EvenlyOver("zone", 1))
	literal := placement.Preferences{
		Strategy:    placement.Affinity,
		Required:    []placement.Constraint{placement.Exists("a")},
		Preferred:   []placement.Preference{{Constraint: placement.Exists("b"), Weight: -5}},
		Scaled:      []placement.ScaledLabel{{Label: "price", Weight: -10}},
		Tolerations: []placement.Toleration{{Key: "k", Value: "v"}, {Exists: true}},
		Affinity:    []placement.AffinityTerm{{Selector: placement.Exists("c"), Topology: "zone"}},
		Spread:      []placement.SpreadRule{{Topology: "zone", MaxSkew: 1}},
	}
	require.True(t, built.Equal(literal))
	require.NoError(t, literal.Validate())
}

func TestPreferencesBuilderLeavesItsReceiverAlone(t *testing.T) {
	base := placement.Preferences{Required: slices.Grow([]placement.Constraint{placement.Exists("a")}, 8)}
	left, right := base.Require(placement.Exists("left")), base.Require(placement.Exists("right"))
	require.Len(t, base.Required, 1)
	require.Equal(t, "left exists", left.Required[1].String())
	require.Equal(t, "right exists", right.Required[1].String())
}

func TestPreferencesValidate(t *testing.T) {
	soft := func(n int) placement.Preferences {
		var p placement.Preferences
		for range n - 3 {
			p = p.Prefer(placement.Exists("a"), 1)
		}
		return p.PreferScaled("b", 1).Near(placement.Repel(placement.Constraint{}).Weighing(1), placement.Repel(placement.Constraint{})).
			Across(placement.EvenlyOver("zone", 1).Weighing(1), placement.AtMostPer("zone", 1))
	}
	tests := []struct {
		name string
		got  placement.Preferences
		want []string
	}{
		{"zero", placement.Preferences{}, nil},
		{"heaviest", placement.Preferences{}.Prefer(placement.Exists("a"), 100).Prefer(placement.Exists("a"), -100), nil},
		{"most soft rules", soft(placement.MaxSoftTerms - 1), nil},
		{"too many soft rules", soft(placement.MaxSoftTerms), []string{"soft"}},
		{"strategy", placement.Use(placement.LeastFragmentation + 1), []string{"strategy"}},
		{
			"weights", placement.Preferences{}.Prefer(placement.Exists("a"), 0).Prefer(placement.Exists("a"), 101).Prefer(placement.Exists("a"), -101),
			[]string{"preferred[0].weight", "preferred[1].weight", "preferred[2].weight"},
		},
		{
			"scaled labels", placement.Preferences{}.PreferScaled("a", 1).PreferScaled("", -100).PreferScaled("b", 0).PreferScaled("c", 101).PreferScaled("", -101),
			[]string{"scaled[1].label", "scaled[2].weight", "scaled[3].weight", "scaled[4].label", "scaled[4].weight"},
		},
		{
			"one of each", placement.Use(200).
				Require(placement.Exists("a"), placement.Matches("a", "(")).
				Prefer(placement.Version("a", "x"), 500).
				Tolerate(placement.TolerateExists("a"), placement.Toleration{}).
				Near(placement.Attract(placement.In("a")).Weighing(-1)).
				Across(placement.EvenlyOver("zone", 1), placement.EvenlyOver("zone", 0)),
			[]string{"strategy", "required[1]", "preferred[0].constraint", "preferred[0].weight", "tolerations[1].key", "affinity[0].selector", "affinity[0].weight", "spread[1].maxSkew"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.got.Validate(), tt.want...)
		})
	}
}

func TestStrategy(t *testing.T) {
	names := []string{"binpack", "spread", "random", "affinity", "leastfragmentation"}
	for i, name := range names {
		got, err := placement.ParseStrategy(name)
		require.NoError(t, err)
		require.Equal(t, placement.Strategy(i), got)
		require.Equal(t, name, got.String())
		require.NoError(t, got.Validate())
		encoded, err := json.Marshal(got)
		require.NoError(t, err)
		var decoded placement.Strategy
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, got, decoded)
	}
	for _, name := range []string{"", "BinPack", "fastest", "strategy(5)"} {
		_, err := placement.ParseStrategy(name)
		requireFields(t, err, "strategy")
	}
	unknown := placement.Strategy(len(names))
	require.Equal(t, "strategy(5)", unknown.String())
	requireFields(t, unknown.Validate(), "strategy")
	_, err := unknown.MarshalText()
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ErrorIs(t, unknown.UnmarshalText([]byte("x")), placement.ErrInvalid)
	require.Equal(t, placement.Strategy(len(names)), unknown, "a failed call changes nothing")
}

func TestInvalidError(t *testing.T) {
	err := placement.Request{Labels: map[string]string{"": "v"}, Ports: tcp(0)}.Validate()
	require.EqualError(t, err, `placement: invalid id: empty
placement: invalid labels "v": empty key
placement: invalid ports[0] "0": want 1 to 65535`)
	var invalid *placement.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, placement.InvalidError{Field: "id", Reason: "empty"}, *invalid)
}
