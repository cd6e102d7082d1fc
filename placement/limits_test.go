package placement_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// conditions returns n of them.
func conditions(n int) []placement.Constraint {
	all := make([]placement.Constraint, n)
	for i := range all {
		all[i] = placement.Equal("k", fmt.Sprint(i))
	}
	return all
}

// limited are constructions of one size each: the greatest that is valid, and
// where the mistake is in one more.
func limited() []struct {
	name  string
	most  int
	build func(n int) error
	field string
} {
	long := func(n int) string { return strings.Repeat("x", n) }
	request := func(change func(*placement.Request, int)) func(int) error {
		return func(n int) error {
			r := placement.Request{ID: "a", Group: "g"}
			change(&r, n)
			return r.Validate()
		}
	}
	node := func(change func(*placement.Node, int)) func(int) error {
		return func(n int) error {
			v := placement.Node{ID: "n"}
			change(&v, n)
			return v.Validate()
		}
	}
	rules := func(use func(n int) placement.Preferences) func(int) error {
		return request(func(r *placement.Request, n int) { r.Preferences = use(n) })
	}
	const id, value, most = placement.MaxIDBytes, placement.MaxValueBytes, placement.MaxRules
	type p = placement.Preferences
	return []struct {
		name  string
		most  int
		build func(n int) error
		field string
	}{
		{"ID", id, request(func(r *placement.Request, n int) { r.ID = long(n) }), "id"},
		{"namespace", id, request(func(r *placement.Request, n int) { r.Namespace = long(n) }), "namespace"},
		{"group", id, request(func(r *placement.Request, n int) { r.Group = long(n) }), "group"},
		{"label key", id, request(func(r *placement.Request, n int) { r.Labels = map[string]string{long(n): ""} }), "labels"},
		{"label value", value, request(func(r *placement.Request, n int) { r.Labels = map[string]string{"k": long(n)} }), `labels["k"]`},
		{"ports", placement.MaxPorts, request(func(r *placement.Request, n int) {
			for i := range n {
				r.Ports = append(r.Ports, tcp(uint16(i+1))...)
			}
		}), "ports"},
		{"dynamic ports", placement.MaxPorts - 1, request(func(r *placement.Request, n int) { r.Ports, r.DynamicPorts = tcp(80), n }), "dynamicPorts"},
		{"constraint key", id, rules(func(n int) p { return p{}.Require(placement.Exists(long(n))) }), "preferences.required[0]"},
		{"constraint value", value, rules(func(n int) p { return p{}.Require(placement.Equal("k", long(n))) }), "preferences.required[0]"},
		{"constraint values", value, rules(func(n int) p { return p{}.Prefer(placement.In("k", "a", long(n)), 1) }), "preferences.preferred[0].constraint"},
		{"version range", value, rules(func(n int) p { return p{}.Require(placement.Version("k", "> "+strings.Repeat("1", n-2))) }), "preferences.required[0]"},
		{"pattern", value, rules(func(n int) p { return p{}.Require(placement.Matches("k", long(n))) }), "preferences.required[0]"},
		{"scaled label", id, rules(func(n int) p { return p{}.PreferScaled(long(n), 1) }), "preferences.scaled[0].label"},
		{"toleration key", id, rules(func(n int) p { return p{}.TolerateExists(long(n)) }), "preferences.tolerations[0].key"},
		{"toleration value", value, rules(func(n int) p { return p{}.TolerateEqual("k", long(n)) }), "preferences.tolerations[0].value"},
		{"affinity namespace", id, rules(func(n int) p { return p{}.Near(placement.Attract(placement.Exists("k")).Among(long(n))) }), "preferences.affinity[0].namespaces[0]"},
		{"affinity topology", id, rules(func(n int) p { return p{}.Near(placement.Attract(placement.Exists("k")).Within(long(n))) }), "preferences.affinity[0].topology"},
		{"spread topology", id, rules(func(n int) p { return p{}.Across(placement.AtMostPer(long(n), 1)) }), "preferences.spread[0].topology"},
		{"spread domain", value, rules(func(n int) p { return p{}.Across(placement.ShareOver("z", map[string]int{long(n): 1}, 1)) }), "preferences.spread[0].targets[\"" + long(value+1) + "\"]"},
		{"required rules", most, rules(func(n int) p { return p{}.Require(conditions(n)...) }), "preferences.rules"},
		{"rules without selectors", most, rules(func(n int) p {
			return p{}.Across(slices.Repeat([]placement.SpreadRule{placement.AtMostPer("z", 1)}, n)...)
		}), "preferences.rules"},
		{"conditions in one rule", most, rules(func(n int) p { return p{}.Require(placement.Or(conditions(n)...)) }), "preferences.rules"},
		{"conditions in rules", most, rules(func(n int) p {
			return p{}.Require(placement.Or(conditions(n-100)...)).Prefer(placement.Not(placement.And(conditions(100)...)), 1)
		}), "preferences.rules"},
		{"tolerations", most, rules(func(n int) p {
			return p{Tolerations: slices.Repeat([]placement.Toleration{placement.TolerateExists("k")}, n)}
		}), "preferences.rules"},
		{"selectors", most, rules(func(n int) p {
			return p{}.Near(placement.Repel(placement.Or(conditions(100)...))).
				Across(placement.AtMostPer("z", 1).Counting(placement.Or(conditions(n - 102)...)))
		}), "preferences.rules"},
		{"node ID", id, node(func(v *placement.Node, n int) { v.ID = long(n) }), "id"},
		{"node name", id, node(func(v *placement.Node, n int) { v.Name = long(n) }), "name"},
		{"node label", value, node(func(v *placement.Node, n int) { v.Labels = map[string]string{"k": long(n)} }), `labels["k"]`},
		{"reserved ports", placement.MaxPorts, node(func(v *placement.Node, n int) {
			for i := range n {
				v.ReservedPorts = append(v.ReservedPorts, tcp(uint16(i+1))...)
			}
		}), "reservedPorts"},
		{"device model", value, node(func(v *placement.Node, n int) { v.Devices = placement.Devices{Count: 1, Model: long(n)} }), "devices.model"},
		{"taint key", id, node(func(v *placement.Node, n int) {
			v.Taints = []placement.Taint{{Key: long(n), Effect: placement.NoSchedule}}
		}), "taints[0].key"},
		{"taint value", value, node(func(v *placement.Node, n int) {
			v.Taints = []placement.Taint{{Key: "k", Value: long(n), Effect: placement.NoSchedule}}
		}), "taints[0].value"},
		{"taints", most, node(func(v *placement.Node, n int) {
			for i := range n {
				v.Taints = append(v.Taints, placement.Taint{Key: fmt.Sprint(i), Effect: placement.NoSchedule})
			}
		}), "taints"},
	}
}

func TestLimitsAreExact(t *testing.T) {
	for _, tt := range limited() {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.build(tt.most))
			requireFields(t, tt.build(tt.most+1), tt.field)
		})
	}
}

// lengthen calls try for every text inside v with that text, or a map key or
// an element in its place, made as long as nothing may be.
func lengthen(v reflect.Value, path string, try func(path string)) {
	long := strings.Repeat("x", placement.MaxValueBytes+1)
	switch v.Kind() {
	case reflect.String:
		v.SetString(long)
		try(path)
		v.SetString("")
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[placement.Constraint]() {
			for _, c := range []placement.Constraint{placement.Exists(long), placement.In("k", "a", long)} {
				v.Set(reflect.ValueOf(c))
				try(path)
			}
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			lengthen(v.Field(i), path+"."+v.Type().Field(i).Name, try)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		lengthen(v.Index(0), path+"[0]", try)
		v.SetZero()
	case reflect.Map:
		for _, part := range []string{"key", "value"} {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			lengthen(map[string]reflect.Value{"key": key, "value": value}[part], path+" "+part, func(path string) {
				v.Set(reflect.MakeMap(v.Type()))
				v.SetMapIndex(key, value)
				try(path)
			})
			v.SetZero()
		}
	default:
	}
}

// TestEveryTextIsBounded finds by reflection what Validate does not look at.
func TestEveryTextIsBounded(t *testing.T) {
	tried := 0
	var (
		request placement.Request
		node    placement.Node
	)
	lengthen(reflect.ValueOf(&request).Elem(), "Request", func(path string) {
		tried++
		require.ErrorContains(t, request.Validate(), "(1025 bytes)", path)
	})
	lengthen(reflect.ValueOf(&node).Elem(), "Node", func(path string) {
		tried++
		require.ErrorContains(t, node.Validate(), "(1025 bytes)", path)
	})
	require.Greater(t, tried, 25)
}

// swell calls try for every list, map and constraint inside v with many elements in
// it, each as long as it may well be and different from the others.
func swell(v reflect.Value, path string, try func(path string)) {
	const many = 2000
	if v.Type() == reflect.TypeFor[placement.Constraint]() {
		var values []string
		for i := range many {
			values = append(values, fmt.Sprintf("%0100d", i))
		}
		v.Set(reflect.ValueOf(placement.In("k", values...)))
		try(path)
		v.SetZero()
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			swell(v.Field(i), path+"."+v.Type().Field(i).Name, try)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), many, many))
		for i := range many {
			fill(v.Index(i), i)
		}
		try(path)
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		swell(v.Index(0), path+"[0]", try)
		v.SetZero()
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range many {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, i)
			fill(value, i)
			v.SetMapIndex(key, value)
		}
		try(path)
		v.SetZero()
	default:
	}
}

// fill writes something into v that differs for every i and may be valid.
func fill(v reflect.Value, i int) {
	switch {
	case v.Type() == reflect.TypeFor[placement.Constraint]():
		v.Set(reflect.ValueOf(placement.Equal("k", fmt.Sprintf("%0100d", i))))
	case v.Type() == reflect.TypeFor[placement.Effect]():
		v.SetString(string(placement.NoSchedule))
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprintf("%050d", i))
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, i)
		}
	case v.CanInt():
		v.SetInt(int64(i%100) + 1)
	case v.CanUint() && v.Type() == reflect.TypeFor[uint16]():
		v.SetUint(uint64(i) + 1)
	default:
	}
}

// TestEveryListIsBounded finds by reflection what may grow without bound: a list, a
// map or a constraint of which neither the number nor the length as JSON is looked at.
func TestEveryListIsBounded(t *testing.T) {
	bounds := regexp.MustCompile(`longer than 65536 bytes as JSON|more than \d+ (rules|ports|conditions|soft rules|custom dimensions|taints)|want at most 1024`)
	tried := 0
	var (
		request placement.Request
		node    placement.Node
	)
	swell(reflect.ValueOf(&request).Elem(), "Request", func(path string) {
		tried++
		require.Regexp(t, bounds, request.Validate(), path)
	})
	swell(reflect.ValueOf(&node).Elem(), "Node", func(path string) {
		tried++
		require.Regexp(t, bounds, node.Validate(), path)
	})
	require.Greater(t, tried, 20)
}

// encodedLength returns how long a value is as JSON.
func encodedLength(tb require.TestingT, v any) int {
	encoded, err := json.Marshal(v)
	require.NoError(tb, err)
	return len(encoded)
}

// TestEncodedLengthIsExact builds requests and nodes whose JSON is about as
// long as may be, from texts that grow differently when they are written.
func TestEncodedLengthIsExact(t *testing.T) { rapid.Check(t, propertyEncodedLength) }

func propertyEncodedLength(t *rapid.T) {
	letter := rapid.SampledFrom([]string{"x", "<", "\x00", `"`, `\`, "\u2028", "\u00a0", "\U000e0001", "é"}).Draw(t, "letter")
	fill := strings.Repeat(letter, rapid.IntRange(1, 1000/len(letter)).Draw(t, "repetitions"))
	request := placement.Request{ID: "a", Labels: map[string]string{}}
	for range rapid.IntRange(0, 30).Draw(t, "conditions") {
		request.Preferences = request.Preferences.Require(placement.Not(placement.NotIn("k", fill, "b")))
	}
	node := placement.Node{ID: "n", Labels: map[string]string{}}
	for i := range rapid.IntRange(0, 100).Draw(t, "labels") {
		request.Labels[fmt.Sprint(i)], node.Labels[fmt.Sprint(i)] = fill, fill
	}
	pad := func(labels map[string]string, length int) {
		for i := 0; i < 100 && length < placement.MaxEncodedBytes; i++ {
			n := min(1000, placement.MaxEncodedBytes-length)
			labels[fmt.Sprint("pad", i)] = strings.Repeat("x", n)
			length += n + len(`"pad10":"",`)
		}
	}
	pad(request.Labels, encodedLength(t, request)-rapid.IntRange(0, 40).Draw(t, "request beyond"))
	pad(node.Labels, encodedLength(t, node)-rapid.IntRange(0, 40).Draw(t, "node beyond"))
	require.Equal(t, encodedLength(t, request) <= placement.MaxEncodedBytes, request.Validate() == nil)
	require.Equal(t, encodedLength(t, node) <= placement.MaxEncodedBytes, node.Validate() == nil)
	require.Equal(t, encodedLength(t, request.Preferences) <= placement.MaxEncodedBytes, request.Preferences.Validate() == nil)
	if request.Validate() != nil {
		return
	}
	encoded, err := json.Marshal(request)
	require.NoError(t, err)
	var decoded placement.Request
	require.NoError(t, json.Unmarshal(encoded, &decoded), "what is valid can be read back")
	require.True(t, request.Equal(decoded))
}

// TestEveryPartCountsForTheLength: a request or node of which one part takes
// some kilobytes of JSON is valid up to MaxEncodedBytes in all, and no further.
func TestEveryPartCountsForTheLength(t *testing.T) {
	texts := func(n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprint(i)
		}
		return all
	}
	shares := map[string]int{}
	ratios := map[placement.ResourceName]placement.Ratio{}
	for _, name := range texts(500) {
		shares[name] = 0
		ratios[placement.ResourceName(name)] = placement.Ratio{Numerator: 1, Denominator: 1}
	}
	tests := []struct {
		name string
		use  func(*placement.Request, *placement.Node)
	}{
		{"ports", func(r *placement.Request, _ *placement.Node) {
			for i := range placement.MaxPorts {
				r.Ports = append(r.Ports, placement.Port{Number: uint16(10_000 + i), Protocol: placement.UDP})
			}
		}},
		{"values", func(r *placement.Request, _ *placement.Node) {
			r.Preferences = r.Preferences.Require(placement.In("k", texts(1000)...))
		}},
		{"operands", func(r *placement.Request, _ *placement.Node) {
			r.Preferences = r.Preferences.Require(placement.Or(conditions(200)...))
		}},
		{"preferred", func(r *placement.Request, _ *placement.Node) {
			for _, c := range conditions(60) {
				r.Preferences = r.Preferences.Prefer(c, 1)
			}
		}},
		{"scaled", func(r *placement.Request, _ *placement.Node) {
			for _, label := range texts(60) {
				r.Preferences = r.Preferences.PreferScaled("some label "+label, -100)
			}
		}},
		{"tolerations", func(r *placement.Request, _ *placement.Node) {
			r.Preferences.Tolerations = slices.Repeat([]placement.Toleration{placement.TolerateEqual("k", "v")}, 200)
		}},
		{"affinity", func(r *placement.Request, _ *placement.Node) {
			r.Preferences = r.Preferences.Near(placement.Repel(placement.Exists("k")).Among(texts(1000)...))
		}},
		{"spread", func(r *placement.Request, _ *placement.Node) {
			r.Preferences = r.Preferences.Across(placement.ShareOver("z", shares, 1))
		}},
		{"overcommit", func(_ *placement.Request, n *placement.Node) { n.Overcommit = ratios }},
		{"taints", func(_ *placement.Request, n *placement.Node) {
			for _, key := range texts(200) {
				n.Taints = append(n.Taints, placement.Taint{Key: key, Effect: placement.NoSchedule})
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			request, node := placement.Request{ID: "a", Group: "g"}, placement.Node{ID: "n"}
			tt.use(&request, &node)
			used := max(encodedLength(t, request), encodedLength(t, node))
			require.Greater(t, used, 2000)
			labels := map[string]string{}
			request.Labels, node.Labels = labels, labels
			left := func() int {
				return placement.MaxEncodedBytes - max(encodedLength(t, request), encodedLength(t, node))
			}
			// What is written longest is what a rough count misses first.
			for i := 0; left() > 100; i++ {
				labels[fmt.Sprint(i)] = strings.Repeat("\x00", min(placement.MaxValueBytes, (left()-30)/6))
			}
			labels["pad"] = ""
			labels["pad"] = strings.Repeat("x", left())
			require.NoError(t, request.Validate())
			require.NoError(t, node.Validate())
			labels["pad"] += "x"
			require.Error(t, errors.Join(request.Validate(), node.Validate()))
		})
	}
}

func FuzzEncodedLength(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propertyEncodedLength)) }

// TestErrorsStayShort sends a megabyte in every place that takes text.
func TestErrorsStayShort(t *testing.T) {
	const most = 100 * 1024
	long := strings.Repeat("x", 1<<20)
	many := make(map[string]string)
	for i := range 50_000 {
		many[fmt.Sprint(i, "\xff")] = ""
	}
	request := placement.Request{
		ID: long, Namespace: long, Group: long, Labels: map[string]string{long: long}, Ports: make([]placement.Port, 1<<20),
		Resources: placement.Resources{Custom: map[string]int64{long: -1}},
		Preferences: placement.Use(99).Require(placement.Equal(long, long), placement.Matches("k", long), placement.Version("k", long)).
			PreferScaled(long, 1).TolerateEqual(long, long).Near(placement.Attract(placement.Exists("k")).Within(long).Among(long)).
			Across(placement.ShareOver(long, map[string]int{long: 1000}, 1)),
	}
	node := placement.Node{
		ID: long, Name: long, Labels: map[string]string{long: long, placement.LabelGPUModel: long}, Devices: placement.Devices{Model: long},
		Overcommit: map[placement.ResourceName]placement.Ratio{placement.ResourceName(long): {}},
		Reserved:   placement.Resources{Custom: map[string]int64{long: 1}},
		Taints:     []placement.Taint{{Key: long, Value: long, Effect: placement.Effect(long)}, {Key: long, Effect: placement.Effect(long)}},
	}
	errs := map[string]error{
		"request":     request.Validate(),
		"node":        node.Validate(),
		"many labels": placement.Request{ID: "a", Labels: many}.Validate(),
	}
	_, errs["constraint"] = placement.ParseConstraint("k = " + long)
	_, errs["operator"] = placement.ParseConstraint(strings.Repeat("x", 60_000))
	_, errs["number"] = placement.ParseConstraint("k > " + strings.Repeat("x", 60_000))
	_, errs["token"] = placement.ParseConstraint("k exists " + strings.Repeat("x", 60_000))
	_, errs["taint"] = placement.ParseTaint("k!" + long)
	_, errs["toleration"] = placement.ParseToleration("k!" + long)
	_, errs["quantity"] = placement.ParseQuantity(placement.NameCPU, long)
	_, errs["resources"] = placement.ParseResources(strings.Repeat("x ", 1<<20))
	_, errs["dimension"] = placement.ParseResources(long + "=x")
	errs["JSON"] = json.Unmarshal([]byte(`{"preferences":{"required":["`+long+`"]}}`), &request)
	for name, err := range errs {
		require.ErrorIs(t, err, placement.ErrInvalid, name)
		require.Less(t, len(err.Error()), most, name)
	}
	require.ErrorContains(t, errs["many labels"], "and 49936 more mistakes")
	require.ErrorContains(t, errs["node"], `x"… (1048576 bytes)`)
}

func TestCutErrorEndsBetweenCharacters(t *testing.T) {
	for n := range 4 {
		text := strings.Repeat("x", n) + strings.Repeat("é", 200)
		_, err := placement.ParseTaint("k!" + text)
		require.NotContains(t, err.Error(), `\x`)
	}
}

// TestNestedConstraintsAreCounted builds from few values what stands for more
// conditions than could ever be looked at.
func TestNestedConstraintsAreCounted(t *testing.T) {
	c := placement.Exists("k")
	for range 30 {
		c = placement.And(c, c)
	}
	requireFields(t, c.Validate(), "")
	require.Less(t, len(c.String()), 100)
	require.False(t, c.Match(map[string]string{"k": ""}))
}

func TestConstraintTextIsBounded(t *testing.T) {
	tests := []struct{ name, text, reason string }{
		{"length", "k exists" + strings.Repeat(" ", placement.MaxEncodedBytes), "longer than 65536 bytes"},
		{"conditions", "a = 1" + strings.Repeat(" or a = 1", placement.MaxRules), "more than 256 conditions"},
		{"conditions, and no more is read", "a = 1" + strings.Repeat(" or a = 1", placement.MaxRules) + " or !", "more than 256 conditions"},
		{"depth", strings.Repeat("not ", 40) + "k exists", "nested too deeply"},
		{"parentheses", strings.Repeat("(", 30_000), "nested too deeply"},
		{"repetitions", `k matches "(a{1000}){2}"`, "invalid repeat"},
		{"many repetitions", `k matches "` + strings.Repeat("a{1000}", 100) + `"`, "repeats too much"},
		{"classes", `k matches "` + strings.Repeat(`\\pL{500}`, 20) + `"`, "repeats too much"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := placement.ParseConstraint(tt.text)
			require.ErrorContains(t, err, tt.reason)
		})
	}
	_, err := placement.ParseConstraint("a = 1" + strings.Repeat(" or a = 1", placement.MaxRules-1))
	require.NoError(t, err)
	_, err = placement.ParseConstraint(`k matches "^([a-z0-9-]{1,63}\\.){0,9}[a-z0-9-]{1,63}$"`)
	require.NoError(t, err, "a host name")
}

func TestValidationLeavesTheRequestAlone(t *testing.T) {
	request := ruledRequest()
	request.Labels = maps.Clone(request.Labels)
	request.Labels["long"] = strings.Repeat("<", placement.MaxValueBytes)
	before := request.Clone()
	require.NoError(t, request.Validate())
	require.Equal(t, before, request.Clone())
}
