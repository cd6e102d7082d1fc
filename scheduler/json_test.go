package scheduler

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

const ourModule = "github.com/rads-project/constellation"

// answers returns the types that a service answers with: what the calls of a
// scheduler and of a follower return, what happens, and the errors that have data.
func answers() []reflect.Type {
	seen := make(map[reflect.Type]bool)
	var found []reflect.Type
	add := func(t reflect.Type) {
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && strings.HasPrefix(t.PkgPath(), ourModule) && !seen[t] {
			seen[t] = true
			found = append(found, t)
		}
	}
	for _, on := range []reflect.Type{reflect.TypeFor[*Scheduler](), reflect.TypeFor[*Follower]()} {
		for m := range on.Methods() {
			for result := range m.Type.Outs() {
				add(result)
			}
		}
	}
	for kind := range changeKind(255) {
		if c := newChange(kind); c != nil {
			add(reflect.TypeOf(c))
		}
		if c := newDerived(kind); c != nil {
			add(reflect.TypeOf(c))
		}
	}
	for _, err := range []error{
		new(UnschedulableError), new(ReleasedError), new(FencedError), new(FormatError),
		new(JournalError), new(InvariantError), new(ChangedError),
		new(placement.InvalidError), new(placement.IDError),
		new(quota.ExceededError), new(quota.ConflictError), new(quota.InUseError), new(quota.NotChargedError),
		new(reservation.StateError), new(reservation.OwnerError), new(reservation.InUseError),
		new(reservation.VersionError), new(reservation.RefusedError), new(reservation.ShortError),
	} {
		add(reflect.TypeOf(err))
	}
	add(reflect.TypeFor[Event]())
	add(reflect.TypeFor[Plan]())
	add(reflect.TypeFor[PlanError]())
	return found
}

// notAnswered are results that are no data.
func notAnswered(t reflect.Type) bool {
	return t == reflect.TypeFor[Scheduler]() || t == reflect.TypeFor[Fork]() || t == reflect.TypeFor[Prepared]() || t == reflect.TypeFor[iter.Seq[Event]]()
}

func TestEveryAnswerReadsBackFromItsJSON(t *testing.T) {
	found := answers()
	require.Greater(t, len(found), 40)
	for _, answer := range found {
		if notAnswered(answer) {
			continue
		}
		t.Run(answer.String(), func(t *testing.T) {
			for _, full := range []bool{false, true} {
				want := reflect.New(answer)
				if full || answer == reflect.TypeFor[Placed]() {
					fill(t, want.Elem(), answer.String())
				}
				data, err := json.Marshal(want.Interface())
				require.NoError(t, err)
				requireLowerCase(t, data)
				got := reflect.New(answer)
				require.NoError(t, json.Unmarshal(data, got.Interface()), "%s", data)
				again, err := json.Marshal(got.Interface())
				require.NoError(t, err)
				require.JSONEq(t, string(data), string(again))
				require.Empty(t, cmp.Diff(want.Interface(), got.Interface(), cmp.Exporter(func(reflect.Type) bool { return true }), sameText()), "%s", data)
			}
		})
	}
}

// sameText takes errors for equal that have the same text.
func sameText() cmp.Option {
	isError := func(p cmp.Path) bool { return p.Last().Type() == reflect.TypeFor[error]() }
	return cmp.FilterPath(isError, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }))
}

// requireLowerCase looks at the keys of all objects.
func requireLowerCase(t *testing.T, data []byte) {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal(data, &value))
	var look func(any)
	look = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, below := range value {
				require.False(t, unicode.IsUpper(rune(key[0])), "key %q of %s", key, data)
				look(below)
			}
		case []any:
			for _, below := range value {
				look(below)
			}
		}
	}
	look(value)
}

// example is a value of a type whose values are not all valid.
func example(t reflect.Type) (any, bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), true
	case reflect.TypeFor[placement.Constraint]():
		return placement.In("zone", "a", "b"), true
	case reflect.TypeFor[placement.Resources]():
		return placement.Resources{CPU: 1, Memory: 2, Disk: 3, Network: 4, GPU: 5, Custom: map[string]int64{"licence": 6}}, true
	case reflect.TypeFor[Change]():
		return &NodeRemoved{NodeID: "n1"}, true
	case reflect.TypeFor[reservation.PlanChangeKind]():
		return reservation.Tell, true
	case reflect.TypeFor[Placed](): // which always has a request
		req := testRequest("a", 1)
		return Placed{ID: "a", Resources: req.Resources, NodeID: "n1", Score: 1, Generation: 1, rules: &req}, true
	case reflect.TypeFor[error]():
		return placement.ErrConflict, true
	case reflect.TypeFor[map[placement.ResourceName]quota.Limit]():
		return map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 1, BurstPercent: 150, BurstFor: time.Hour}}, true
	}
	return nil, false
}

// fill gives every exported field a value that is not zero.
func fill(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if value, ok := example(v.Type()); ok {
		v.Set(reflect.ValueOf(value))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Tag.Get("json") != "-" {
				fill(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i), path)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), path)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, path)
		fill(t, value, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	default:
		require.Fail(t, "a type that the test cannot fill", "%s is %s", path, v.Type())
	}
}
