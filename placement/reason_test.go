package placement_test

import (
	"cmp"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestReasonOrder(t *testing.T) {
	inOrder := []placement.Reason{
		{},
		{Kind: placement.ReasonState, Detail: "cordoned"},
		{Kind: placement.ReasonState, Detail: "lost"},
		{Kind: placement.ReasonTaint, Detail: "a:NoSchedule"},
		{Kind: placement.ReasonConstraint, Index: 0, Detail: "z exists"},
		{Kind: placement.ReasonConstraint, Index: 1, Detail: "a exists"},
		{Kind: placement.ReasonInstances},
		{Kind: placement.ReasonPort, Detail: "80"},
		{Kind: placement.ReasonResource, Name: placement.NameCPU},
		{Kind: placement.ReasonResource, Name: placement.NameMemory},
		{Kind: placement.ReasonResource, Name: placement.NameDisk},
		{Kind: placement.ReasonResource, Name: placement.NameNetwork},
		{Kind: placement.ReasonResource, Name: placement.NameGPU},
		{Kind: placement.ReasonResource, Name: "a"},
		{Kind: placement.ReasonResource, Name: "b"},
		{Kind: placement.ReasonAffinity},
		{Kind: placement.ReasonAntiAffinity, Index: -1},
		{Kind: placement.ReasonAntiAffinity, Index: 0},
		{Kind: placement.ReasonSpread},
		{Kind: placement.ReasonHold},
	}
	names := map[string]bool{}
	for i, a := range inOrder {
		names[a.Kind.String()] = true
		for j, b := range inOrder {
			require.Equal(t, cmp.Compare(i, j), placement.CompareReasons(a, b), "%v %v", a, b)
		}
	}
	require.Len(t, names, 11, "every kind has a name")
	require.Equal(t, "none", (placement.ReasonHold + 1).String())
}

func TestReasonJSON(t *testing.T) {
	reason := placement.Reason{Kind: placement.ReasonResource, Index: -1, Name: placement.NameGPU, Detail: "d"}
	encoded, err := json.Marshal(reason)
	require.NoError(t, err)
	require.Equal(t, `{"kind":"resource","index":-1,"name":"gpu","detail":"d"}`, string(encoded))
	var decoded placement.Reason
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	require.Equal(t, reason, decoded)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"kind":"weather"}`), &decoded), placement.ErrInvalid)
	require.Equal(t, reason, decoded, "a failed call changes nothing")
}
