package placement_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// populate gives every field a value, lists and maps one of each.
func populate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[placement.Constraint]() {
			v.Set(reflect.ValueOf(placement.Equal("k", "a")))
			return
		}
		for _, field := range v.Fields() {
			populate(field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		populate(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		populate(key)
		populate(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("a")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	default:
		v.SetUint(1)
	}
}

// vary empties and refills one field after the other, and tells try which is empty.
func vary(v reflect.Value, path string, try func(path string)) {
	full := reflect.New(v.Type()).Elem()
	full.Set(v)
	v.SetZero()
	try(path)
	v.Set(full)
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[placement.Constraint]():
		for of, field := range v.Fields() {
			vary(field, path+"."+of.Name, try)
		}
	case v.Kind() == reflect.Slice:
		vary(v.Index(0), path+"[0]", try)
	}
}

// TestEqualAndCloneKnowEveryField: no field of a request or a node can be forgotten
// where two are compared, and what is copied shares nothing that could be changed.
func TestEqualAndCloneKnowEveryField(t *testing.T) {
	var request placement.Request
	populate(reflect.ValueOf(&request).Elem())
	kept := request.Clone()
	require.True(t, request.Equal(kept))
	vary(reflect.ValueOf(&request).Elem(), "Request", func(path string) {
		require.False(t, request.Equal(kept), path)
	})
	request.Labels["b"], request.Resources.Custom["b"], request.Preferences.Spread[0].Targets["b"] = "b", 2, 2
	var again placement.Request
	populate(reflect.ValueOf(&again).Elem())
	require.True(t, kept.Equal(again))

	var node placement.Node
	populate(reflect.ValueOf(&node).Elem())
	same := node.Canonical()
	require.True(t, node.Equal(same))
	vary(reflect.ValueOf(&node).Elem(), "Node", func(path string) {
		if path != "Node.Capacity.GPU" { // which Canonical fills in from Devices
			require.False(t, node.Equal(same), path)
		}
	})
}
