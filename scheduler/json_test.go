package scheduler

import (
	"fmt"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/jsontest"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// answers returns the types that a service answers with: what the calls of a
// scheduler and of a follower return, what happens, and the errors that have data.
func answers() []reflect.Type {
	var given []reflect.Type
	add := func(t reflect.Type) { given = append(given, t) }
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
	return jsontest.Answers([]reflect.Type{reflect.TypeFor[*Scheduler](), reflect.TypeFor[*Follower]()}, given...)
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
		t.Run(answer.String(), func(t *testing.T) { jsontest.RequireReadsBack(t, answer, example, differ) })
	}
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

// differ finds differences, but of errors only in their texts.
func differ(want, got any) string {
	isError := func(p cmp.Path) bool { return p.Last().Type() == reflect.TypeFor[error]() }
	sameText := cmp.FilterPath(isError, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }))
	return cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true }), sameText)
}
