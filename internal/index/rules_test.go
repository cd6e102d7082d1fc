package index

import (
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// everyRule is a request in which every field is set.
func everyRule() placement.Request {
	return placement.Request{
		ID: "r", Namespace: "ns", Group: "g", Labels: map[string]string{"app": "x", "tier": "y"},
		Resources: placement.Resources{CPU: 1}, Ports: []placement.Port{{Number: 80}, {Number: 443}}, DynamicPorts: 1, Priority: 1, Duration: 1, Yield: true,
		Preferences: placement.Preferences{
			Strategy: placement.Spread,
			Required: []placement.Constraint{placement.Equal("k", "a")},
			Preferred: []placement.Preference{
				{Constraint: placement.Equal("k", "a"), Weight: 1},
			},
			Scaled:      []placement.ScaledLabel{{Label: "load", Weight: 1}},
			Tolerations: []placement.Toleration{{Key: "k", Value: "v", Exists: true, Effect: placement.NoExecute, Seconds: 1}},
			Affinity: []placement.AffinityTerm{{
				Selector: placement.Equal("app", "x"), Namespaces: []string{"a", "b"}, Topology: "zone", Repel: true, Weight: 1,
			}},
			Spread: []placement.SpreadRule{{
				Topology: "zone", Selector: placement.Equal("app", "x"), MaxSkew: 1, MinDomains: 1,
				Targets: map[string]int{"a": 1, "b": 2}, MaxPerDomain: 1, Weight: 1,
			}},
		},
	}
}

// TestEveryRuleMakesAClass changes each field of a request, of all that it is
// made of: only one that differs in ID and amounts is of the same class. A field
// that everyRule leaves out fails, so that a new one cannot be forgotten.
func TestEveryRuleMakesAClass(t *testing.T) {
	x := New(Config{})
	base := everyRule()
	known := map[*Class]string{x.Class(&base): "the request itself"}
	eachChange(t, reflect.TypeFor[placement.Request](), "", func(path string, change func(reflect.Value)) {
		r := everyRule()
		change(reflect.ValueOf(&r).Elem())
		c := x.Class(&r)
		if path == ".ID" || path == ".Resources" {
			require.Equal(t, "the request itself", known[c], path)
			return
		}
		require.NotContains(t, known, c, path)
		known[c] = path
		x.Retain(c)
	})
	require.Greater(t, len(known), 30)
}

// eachChange calls visit with a change for every field under a type.
func eachChange(t *testing.T, of reflect.Type, path string, visit func(path string, change func(reflect.Value))) {
	t.Helper()
	if of == reflect.TypeFor[placement.Constraint]() {
		visit(path, func(v reflect.Value) { v.Set(reflect.ValueOf(placement.Equal("other", "value"))) })
		return
	}
	if of == reflect.TypeFor[placement.Resources]() {
		visit(path, func(v reflect.Value) { v.FieldByName("CPU").SetInt(77) })
		return
	}
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			eachChange(t, of.Field(i).Type, path+"."+of.Field(i).Name, func(path string, change func(reflect.Value)) {
				visit(path, func(v reflect.Value) { change(v.Field(i)) })
			})
		}
	case reflect.Slice:
		visit(path+" emptied", func(v reflect.Value) { v.SetZero() })
		visit(path+" twice", func(v reflect.Value) { v.Set(reflect.AppendSlice(v, v)) })
		eachChange(t, of.Elem(), path+"[0]", func(path string, change func(reflect.Value)) {
			visit(path, func(v reflect.Value) {
				require.Positive(t, v.Len(), "%s: everyRule has none", path)
				change(v.Index(0))
			})
		})
	case reflect.Map:
		visit(path+" emptied", func(v reflect.Value) { v.SetZero() })
		visit(path+" with another key", func(v reflect.Value) { v.SetMapIndex(reflect.ValueOf("other"), v.MapIndex(v.MapKeys()[0])) })
		eachChange(t, of.Elem(), path+" value", func(path string, change func(reflect.Value)) {
			visit(path, func(v reflect.Value) {
				value := reflect.New(of.Elem()).Elem()
				change(value)
				v.SetMapIndex(v.MapKeys()[0], value)
			})
		})
	default:
		visit(path, func(v reflect.Value) { changeScalar(t, path, v) })
	}
}

func changeScalar(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "-other")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanInt():
		v.SetInt(v.Int() + 70)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	default:
		require.Fail(t, "unknown kind of field", path)
	}
}

// TestTheOrderOfSetsMakesNoClass: labels, targets and ports are sets.
func TestTheOrderOfSetsMakesNoClass(t *testing.T) {
	x := New(Config{})
	base := everyRule()
	want := x.Class(&base)
	for range 20 {
		r := everyRule() // its maps are ranged over in another order
		r.Ports = []placement.Port{{Number: 443}, {Number: 80}}
		require.Same(t, want, x.Class(&r))
	}
	require.Equal(t, []placement.Port{{Number: 80}, {Number: 443}}, want.Request().Ports)
}

// TestNeighboursAreToldApart has requests whose texts run into each other when
// they are only put one after the other.
func TestNeighboursAreToldApart(t *testing.T) {
	x := New(Config{})
	known := map[*Class]bool{}
	for _, r := range []placement.Request{
		{Namespace: "ab"},
		{Namespace: "a", Group: "b"},
		{Group: "ab"},
		{Labels: map[string]string{"a": "b"}},
		{Labels: map[string]string{"ab": ""}},
		{Preferences: placement.Preferences{}.Require(placement.Equal("k", "a"), placement.Equal("k", "b"))},
		{Preferences: placement.Preferences{}.Require(placement.And(placement.Equal("k", "a"), placement.Equal("k", "b")))},
		{Preferences: placement.Preferences{}.Require(placement.Equal("k", "a")).Prefer(placement.Equal("k", "b"), 1)},
		{Preferences: placement.Preferences{}.Require(placement.Equal("k", "a\x00"))},
		{Preferences: placement.Preferences{}.TolerateExists("k").TolerateEqual("l", "")},
		{Preferences: placement.Preferences{}.TolerateEqual("k", "l").TolerateExists("")},
		{Preferences: placement.Preferences{}.PreferScaled("k", 1).PreferScaled("l", 1)},
		{Preferences: placement.Preferences{}.PreferScaled("k", 1).Prefer(placement.Exists("l"), 1)},
	} {
		c := x.Class(&r)
		require.False(t, known[c], "%+v", r)
		known[c] = true
	}
}

// TestKnownClassesAllocateNothing looks up rules of every kind, among many that
// differ from them in the shares of domains alone.
func TestKnownClassesAllocateNothing(t *testing.T) {
	x := New(Config{})
	for i := range 1000 {
		r := everyRule()
		r.Preferences.Spread[0].Targets = map[string]int{"a": i}
		x.Retain(x.Class(&r))
	}
	require.Equal(t, 1000, x.Stats().Classes)
	for _, c := range []placement.Constraint{
		placement.Equal("k", "a"), placement.In("k", "a", "c"), placement.Greater("k", 2), placement.Version("k", ">= 1"), placement.SemVer("k", ">= 1"),
		placement.Matches("k", "a"), placement.Exists("k"),
		placement.Or(placement.Equal("k", "a"), placement.Not(placement.In("k", "a", "b"))),
	} {
		r := everyRule()
		r.Preferences.Required = []placement.Constraint{c}
		x.Class(&r)
		require.Zero(t, testing.AllocsPerRun(10, func() { x.Class(&r) }), c.String())
	}
}

// TestForgottenClassesComeBack retains a class that so many others followed that
// it was forgotten: what runs keeps its class, and there are never two of it.
func TestForgottenClassesComeBack(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprint("asked for again ", asked), func(t *testing.T) {
			x := newIndex(Config{}, tinyThresholds())
			r := placement.Request{ID: "r", Group: "kept"}
			stale := x.Class(&r)
			others := func() {
				for i := range 5 {
					x.Class(&placement.Request{ID: "r", Group: strconv.Itoa(i)})
				}
			}
			others()
			require.Nil(t, x.stateOf(stale))
			want := stale
			if asked {
				want = x.Class(&r)
			}
			kept := x.Retain(stale)
			require.Equal(t, want.Request(), kept.Request())
			if asked {
				require.Same(t, want, kept)
			}
			others()
			require.Same(t, kept, x.Class(&r))
			x.Release(kept)
			others()
			require.Nil(t, x.stateOf(kept))
		})
	}
}
