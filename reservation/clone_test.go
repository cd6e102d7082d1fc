package reservation_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// sharedMemory returns the paths of the lists and maps that two values share, and of
// those that are empty, so that this says nothing of them.
func sharedMemory(path string, a, b reflect.Value) (shared, empty []string) {
	inner := func(name string, a, b reflect.Value) {
		s, e := sharedMemory(path+name, a, b)
		shared, empty = append(shared, s...), append(empty, e...)
	}
	if a.Type() == reflect.TypeFor[time.Time]() {
		return nil, nil
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			inner("."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Slice, reflect.Map:
		switch {
		case a.Len() == 0:
			empty = append(empty, path)
		case a.UnsafePointer() == b.UnsafePointer():
			shared = append(shared, path)
		}
		for i := 0; a.Kind() == reflect.Slice && i < a.Len(); i++ {
			inner(fmt.Sprint("[", i, "]"), a.Index(i), b.Index(i))
		}
	default:
	}
	return shared, empty
}

// TestCloneSharesNothing fills every list and map of a reservation outside of
// Preferences, which are of package placement.
func TestCloneSharesNothing(t *testing.T) {
	amounts := func() placement.Amounts {
		return placement.Amounts{Resources: placement.Resources{Custom: map[string]int64{"fpga": 1}}}
	}
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.FixedZone("CET", 3600))
	r := reservation.Reservation{
		Spec: reservation.Spec{
			ID: "r", Shape: amounts().Resources, Owners: []string{"a"}, Start: start, End: start.Add(time.Hour),
			Preferences: placement.Use(placement.Spread).Require(placement.Exists("ssd")),
			Repeat:      reservation.Repeat{Until: start.Add(2 * time.Hour)},
		},
		Params: reservation.Params{Shape: amounts().Resources, Count: 1},
		Slots: []reservation.Slot{{
			Node: "n", Devices: []int{1}, Awaits: []string{"x"},
			Claims: []reservation.Claim{{ID: "i", Held: amounts(), Excess: amounts(), Devices: []int{1}}},
		}},
	}
	c := r.Clone()
	before, after := reflect.ValueOf(r), reflect.ValueOf(c)
	shared, empty := sharedMemory("", before, after)
	require.Empty(t, shared)
	for _, path := range empty {
		require.Contains(t, path, ".Preferences.")
	}
	require.True(t, r.Spec.Preferences.Equal(c.Spec.Preferences))
	for _, at := range []time.Time{c.Spec.Start, c.Spec.End, c.Spec.Repeat.Until} {
		require.Equal(t, time.UTC, at.Location())
	}
	require.True(t, r.Spec.Equal(c.Spec))
	require.Equal(t, r.Slots, c.Slots)
}
