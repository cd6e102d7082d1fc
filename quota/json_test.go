package quota

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// readsBack returns the JSON of a value, and requires that it reads back.
func readsBack[T any](t *testing.T, want T) string {
	t.Helper()
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got T
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, want, got)
	return string(data)
}

func TestUnlimitedIsAbsentInJSON(t *testing.T) {
	none := Usage{Namespace: "a", Resource: placement.NameCPU, Used: 1, Soft: math.MaxInt64, Ceiling: math.MaxInt64}
	require.JSONEq(t, `{"namespace":"a","resource":"cpu","used":1}`, readsBack(t, none))
	denied := Usage{Namespace: "a", Resource: placement.NameCPU}
	require.JSONEq(t, `{"namespace":"a","resource":"cpu","used":0,"soft":0,"ceiling":0}`, readsBack(t, denied))
	require.NotContains(t, readsBack(t, Violation{Namespace: "a", Reason: Hard, Soft: 5, Ceiling: math.MaxInt64}), "ceiling")
	require.Contains(t, readsBack(t, Violation{Namespace: "a", Reason: Hard, Soft: 5, Ceiling: 7}), `"soft":5,"ceiling":7`)
}

func TestVerdictReadsBackWithAllThatItSays(t *testing.T) {
	require.JSONEq(t, `{"allowed":true}`, readsBack(t, Verdict{}))
	bursts := Verdict{detail: &detail{bursting: []placement.ResourceName{placement.NameCPU}}}
	require.JSONEq(t, `{"allowed":true,"bursting":["cpu"]}`, readsBack(t, bursts))
	refusal := refused([]Violation{{Namespace: "a", Reason: NeverFits}}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	require.Contains(t, readsBack(t, refusal), `"earliest":"2026-01-02T03:04:05Z"`)
}
