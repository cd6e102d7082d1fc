package debugpage_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/jsontest"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/tcp"
)

// What the packages below and beside the scheduler answer with reads back from its JSON
// too: whoever adds a result without names for it meets this test.
func TestAnswersOfAllPackagesReadBack(t *testing.T) {
	found := jsontest.Answers([]reflect.Type{
		reflect.TypeFor[*raft.Node](), reflect.TypeFor[*tcp.Transport](), reflect.TypeFor[*replica.Replica](),
		reflect.TypeFor[*replica.Liveness](), reflect.TypeFor[*reservation.Book](), reflect.TypeFor[*reservation.Plan](),
		reflect.TypeFor[*quota.Ledger](), reflect.TypeFor[*quota.Accounts](), reflect.TypeFor[placement.Node](),
	}, reflect.TypeFor[placement.Request](), reflect.TypeFor[replica.Health](), reflect.TypeFor[quota.Spec](), reflect.TypeFor[reservation.Spec]())
	names := make(map[string]bool)
	for _, answer := range found {
		if handle(answer) {
			continue
		}
		names[answer.String()] = true
		t.Run(answer.String(), func(t *testing.T) { jsontest.RequireReadsBack(t, answer, exampleOf, differ) })
	}
	for _, name := range []string{
		"raft.Status", "raft.Member", "transport.Stats", "replica.LivenessStats", "reservation.Reservation", "quota.Usage", "placement.Node",
	} {
		require.True(t, names[name], name)
	}
}

// handle reports whether a result is something to call rather than to answer with.
func handle(t reflect.Type) bool {
	return t == reflect.TypeFor[raft.Leadership]() || t == reflect.TypeFor[scheduler.Scheduler]() || t == reflect.TypeFor[scheduler.Follower]()
}

// exampleOf is a value of a type of which not every value is valid.
func exampleOf(t reflect.Type) (any, bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), true
	case reflect.TypeFor[placement.Constraint]():
		return placement.In("zone", "a", "b"), true
	case reflect.TypeFor[placement.Resources]():
		return placement.Resources{CPU: 1, Memory: 2, Disk: 3, Network: 4, GPU: 5, Custom: map[string]int64{"licence": 6}}, true
	case reflect.TypeFor[reservation.PlanChangeKind]():
		return reservation.Tell, true
	case reflect.TypeFor[reservation.PlanChange](): // which always has a kind
		return reservation.PlanChange{Kind: reservation.Fill, ID: "r", Claim: &reservation.Claim{ID: "a"}}, true
	case reflect.TypeFor[error]():
		return placement.ErrConflict, true
	case reflect.TypeFor[map[placement.ResourceName]quota.Limit]():
		return map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 1, BurstPercent: 150, BurstFor: time.Hour}}, true
	}
	return nil, false
}

func TestAnElectionInJSON(t *testing.T) {
	status := raft.Status{ID: "a", Role: raft.PreCandidate, StoreID: raft.StoreID{1}, Refused: raft.RefusedTwin, Abstains: raft.AbstainsFailing}
	text := jsontest.Text(t, status)
	require.Contains(t, text, `"role":"pre-candidate"`)
	require.Contains(t, text, `"storeID":"01000000000000000000000000000000"`)
	require.Contains(t, text, `"refused":"twin","abstains":"failing"`)
	require.NotContains(t, jsontest.Text(t, raft.Status{}), "storeID", "what is unknown is absent")
	require.NotContains(t, jsontest.Text(t, transport.PeerStats{}), "roundTrip")
}

// differ finds differences, but of errors only in their texts.
func differ(want, got any) string {
	isError := func(p cmp.Path) bool { return p.Last().Type() == reflect.TypeFor[error]() }
	sameText := cmp.FilterPath(isError, cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) }))
	return cmp.Diff(want, got, cmp.Exporter(func(reflect.Type) bool { return true }), sameText)
}
