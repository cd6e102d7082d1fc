package placement_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestRequestValidate(t *testing.T) {
	mostPorts := make([]placement.Port, placement.MaxPorts)
	for i := range mostPorts {
		mostPorts[i].Number = uint16(math.MaxUint16 - i)
	}
	type q = placement.Request
	gpu := func(amount int64) q { return q{ID: "a", Resources: placement.Resources{GPU: amount}} }
	tests := []struct {
		name    string
		request q
		want    []string
	}{
		{"only an ID", q{ID: "a"}, nil},
		{"an ID of any text", q{ID: "Büro 3/7 *\n"}, nil},
		{"everything", ruledRequest(), nil},
		{"most ports", q{ID: "a", Ports: mostPorts}, nil},
		{"lowest priority", q{ID: "a", Priority: math.MinInt32}, nil},
		{"fraction of a GPU", gpu(1), nil},
		{"most of a GPU", gpu(999), nil},
		{"a GPU", gpu(1000), nil},
		{"GPUs", gpu(16_000), nil},
		{"one and a bit", gpu(1001), []string{"resources.gpu"}},
		{"one and a half", gpu(1500), []string{"resources.gpu"}},
		{"largest", gpu(math.MaxInt64), []string{"resources.gpu"}},
		{"negative GPU", gpu(-1500), []string{"resources.gpu"}},
		{"no ID", q{}, []string{"id"}},
		{"amounts", q{ID: "a", Resources: placement.Resources{CPU: -1, Custom: map[string]int64{"instances": 1}}}, []string{"resources.cpu", "resources.custom"}},
		{"labels", q{ID: "a", Labels: map[string]string{"": "x", "k": "\xff"}}, []string{"labels", `labels["k"]`}},
		{"text that is not UTF-8", q{ID: "\xff", Namespace: "\xff", Group: "\xff"}, []string{"id", "namespace", "group"}},
		{"all namespaces", q{ID: "a", Namespace: placement.AllNamespaces}, []string{"namespace"}},
		{"ports", q{ID: "a", Ports: tcp(80, 0, 80, 65535, 80, 0)}, []string{"ports[1]", "ports[2]", "ports[4]", "ports[5]"}},
		{"both protocols", q{ID: "a", Ports: append(tcp(53), placement.Port{Number: 53, Protocol: placement.UDP})}, nil},
		{"unknown protocol", q{ID: "a", Ports: []placement.Port{{Number: 53, Protocol: 2}}}, []string{"ports[0]"}},
		{"spread without a group", q{ID: "a", Preferences: placement.Use(placement.Spread).Across(
			placement.AtMostPer("", 1), placement.EvenlyOver("zone", 1).Counting(placement.Exists("app")), placement.ShareOver("dc", map[string]int{"a": 1}, 5),
		)}, []string{"preferences.spread[0].selector", "preferences.spread[2].selector"}},
		{"dynamic ports", q{ID: "a", DynamicPorts: placement.MaxPorts}, nil},
		{"negative dynamic ports", q{ID: "a", DynamicPorts: -1}, []string{"dynamicPorts"}},
		{"too many ports of both sorts", q{ID: "a", Ports: tcp(80), DynamicPorts: placement.MaxPorts}, []string{"dynamicPorts"}},
		{"many ports", q{ID: "a", Ports: append(slices.Clone(mostPorts[2:]), tcp(65533, 0)...)}, []string{"ports[1022]", "ports[1023]"}},
		{"duration", q{ID: "a", Duration: -time.Nanosecond}, []string{"duration"}},
		{"rules", q{ID: "a", Preferences: placement.Use(9).Require(placement.Exists("k"), placement.Exists(""))}, []string{"preferences.strategy", "preferences.required[1]"}},
		{
			"all at once",
			q{Resources: placement.Resources{CPU: -1, GPU: 1500}, Ports: tcp(0), Duration: -1, Preferences: placement.Use(placement.BinPack).Prefer(placement.Exists("a"), 0)},
			[]string{"id", "resources.cpu", "resources.gpu", "ports[0]", "duration", "preferences.preferred[0].weight"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			requireFields(t, tt.request.Validate(), tt.want...)
		})
	}
}

func TestRequestEqual(t *testing.T) {
	base := ruledRequest()
	require.True(t, base.Equal(ruledRequest()))
	require.True(t, base.Equal(base.Clone()))
	reordered := ruledRequest()
	slices.Reverse(reordered.Ports)
	require.True(t, base.Equal(reordered), "ports are a set")
	empty := placement.Request{
		Labels: map[string]string{}, Ports: []placement.Port{}, Resources: placement.Resources{Custom: map[string]int64{"x": 0}},
		Preferences: placement.Preferences{Required: []placement.Constraint{}, Spread: []placement.SpreadRule{}},
	}
	require.True(t, empty.Equal(placement.Request{}), "empty is absent")
	require.Equal(t, placement.Request{}, empty.Clone())

	for name, change := range map[string]func(*placement.Request){
		"ID":          func(r *placement.Request) { r.ID = "other" },
		"namespace":   func(r *placement.Request) { r.Namespace = "other" },
		"group":       func(r *placement.Request) { r.Group = "other" },
		"labels":      func(r *placement.Request) { r.Labels["app"] = "other" },
		"resources":   func(r *placement.Request) { r.Resources.CPU++ },
		"custom":      func(r *placement.Request) { r.Resources.Custom["licence"]++ },
		"ports":       func(r *placement.Request) { r.Ports[0].Number++ },
		"protocol":    func(r *placement.Request) { r.Ports[0].Protocol = placement.UDP },
		"dynamic":     func(r *placement.Request) { r.DynamicPorts++ },
		"more ports":  func(r *placement.Request) { r.Ports = append(r.Ports, tcp(1)...) },
		"priority":    func(r *placement.Request) { r.Priority++ },
		"duration":    func(r *placement.Request) { r.Duration++ },
		"yield":       func(r *placement.Request) { r.Yield = true },
		"strategy":    func(r *placement.Request) { r.Preferences.Strategy = placement.Random },
		"required":    func(r *placement.Request) { slices.Reverse(r.Preferences.Required) },
		"preferred":   func(r *placement.Request) { r.Preferences.Preferred[0].Weight++ },
		"constraint":  func(r *placement.Request) { r.Preferences.Preferred[0].Constraint = placement.Exists("a") },
		"scaled":      func(r *placement.Request) { r.Preferences.Scaled[0].Weight++ },
		"label":       func(r *placement.Request) { r.Preferences.Scaled[0].Label = "other" },
		"tolerations": func(r *placement.Request) { r.Preferences.Tolerations[0].Seconds++ },
		"affinity":    func(r *placement.Request) { r.Preferences.Affinity[0].Namespaces[0] = "other" },
		"spread":      func(r *placement.Request) { r.Preferences.Spread[1].Targets["us-east-1"]++ },
	} {
		t.Run(name, func(t *testing.T) {
			changed := base.Clone()
			change(&changed)
			require.False(t, base.Equal(changed))
			require.True(t, base.Equal(ruledRequest()), "a clone shares nothing")
		})
	}
}

func TestRequestJSON(t *testing.T) {
	request := ruledRequest()
	request.Priority, request.Duration, request.Yield = -1, time.Hour, true
	encoded, err := json.Marshal(request)
	require.NoError(t, err)
	var decoded placement.Request
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	require.True(t, request.Equal(decoded))

	encoded, err = json.Marshal(placement.Request{ID: "a"})
	require.NoError(t, err)
	require.Equal(t, `{"id":"a"}`, string(encoded), "what is absent is left out")
	require.ErrorIs(t, json.Unmarshal([]byte(`{"preferences":{"strategy":"fastest"}}`), &decoded), placement.ErrInvalid)
}

func genPreferences() *rapid.Generator[placement.Preferences] {
	return rapid.Custom(func(t *rapid.T) placement.Preferences {
		p := placement.Use(placement.Strategy(rapid.Uint8Range(0, uint8(placement.LeastFragmentation)).Draw(t, "strategy"))).
			Require(rapid.SliceOfN(genConstraint(2), 0, 2).Draw(t, "required")...).
			Tolerate(rapid.SliceOfN(genToleration(), 0, 2).Draw(t, "tolerations")...)
		if rapid.Bool().Draw(t, "prefers") {
			p = p.Prefer(genConstraint(2).Draw(t, "preferred"), rapid.SampledFrom([]int{-100, -1, 1, 100}).Draw(t, "weight"))
		}
		if rapid.Bool().Draw(t, "scales") {
			p = p.PreferScaled("x"+genWord().Draw(t, "label"), rapid.SampledFrom([]int{-100, -1, 1, 100}).Draw(t, "weight"))
		}
		if rapid.Bool().Draw(t, "attracts") {
			p = p.Near(placement.Attract(genConstraint(2).Draw(t, "selector")).Within(genWord().Draw(t, "topology")))
		}
		if rapid.Bool().Draw(t, "repels") {
			p = p.Near(placement.Repel(placement.Constraint{}).Among(genWord().Draw(t, "namespace")).Weighing(7))
		}
		if rapid.Bool().Draw(t, "spreads") {
			p = p.Across(placement.EvenlyOver("zone", 1).Needing(2).Counting(genConstraint(1).Draw(t, "counted")),
				placement.ShareOver("", map[string]int{"x" + genWord().Draw(t, "domain"): 40}, 3), placement.AtMostPer("rack", 2))
		}
		return p
	})
}

func genRequest() *rapid.Generator[placement.Request] {
	return rapid.Custom(func(t *rapid.T) placement.Request {
		r := placement.Request{
			ID:        "x" + genWord().Draw(t, "id"),
			Namespace: genWord().Filter(func(s string) bool { return s != placement.AllNamespaces }).Draw(t, "namespace"),
			Group:     genWord().Draw(t, "group"),
			Labels:    rapid.MapOfN(rapid.SampledFrom([]string{"a", "b"}), genWord(), 0, 2).Draw(t, "labels"),
			Resources: genResources().Draw(t, "resources"),
			Ports:     genPorts().Draw(t, "ports"), DynamicPorts: rapid.IntRange(0, 5).Draw(t, "dynamic"),
			Priority:    rapid.Int32().Draw(t, "priority"),
			Duration:    time.Duration(rapid.Int64Min(0).Draw(t, "duration")),
			Yield:       rapid.Bool().Draw(t, "yield"),
			Preferences: genPreferences().Draw(t, "preferences"),
		}
		r.Resources.GPU = rapid.SampledFrom([]int64{0, 1, 999, 1000, 8000}).Draw(t, "gpu")
		if len(r.Preferences.Spread) > 0 {
			r.Group = "x" + r.Group // for rules without a selector to count
		}
		return r
	})
}

// TestRequestRoundTrip checks that a valid request survives its JSON and its
// clone, and that equality agrees with the bytes.
func TestRequestRoundTrip(t *testing.T) { rapid.Check(t, propertyRequest) }

func propertyRequest(t *rapid.T) {
	request := genRequest().Draw(t, "request")
	require.NoError(t, request.Validate())
	require.True(t, request.Equal(request.Clone()))
	encoded, err := json.Marshal(request)
	require.NoError(t, err)
	var decoded placement.Request
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	require.True(t, request.Equal(decoded), "%s", encoded)
	again, err := json.Marshal(decoded.Clone())
	require.NoError(t, err)
	require.Equal(t, string(encoded), string(again))

	other := request.Clone()
	other.Preferences = genPreferences().Draw(t, "other preferences")
	different, err := json.Marshal(other)
	require.NoError(t, err)
	require.Equal(t, string(encoded) == string(different), request.Equal(other))
}

func FuzzRequest(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyRequest)) }

func FuzzRequestJSON(f *testing.F) {
	for _, seed := range []placement.Request{plainRequest(), ruledRequest(), {}} {
		encoded, err := json.Marshal(seed)
		require.NoError(f, err)
		f.Add(encoded)
	}
	f.Add([]byte(`{"id":"a","ports":[0,0,65535],"resources":{"gpu":1500},"preferences":{"required":["","a = b"],"spread":[{"maxSkew":0}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var request placement.Request
		if json.Unmarshal(data, &request) != nil {
			return
		}
		clone := request.Clone()
		require.True(t, request.Equal(clone))
		err := request.Validate()
		require.Equal(t, fieldsOf(err), fieldsOf(clone.Validate()))
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			return
		}
		encoded, err := json.Marshal(request)
		require.NoError(t, err)
		var again placement.Request
		require.NoError(t, json.Unmarshal(encoded, &again))
		require.True(t, clone.Equal(again))
	})
}
