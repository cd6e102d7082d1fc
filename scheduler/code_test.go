package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

func TestCodeOfAnError(t *testing.T) {
	tests := []struct {
		err    error
		code   string
		status int
	}{
		{nil, "", 200},
		{errors.New("strange"), "", 500},
		{&placement.InvalidError{Field: "id"}, "invalid", 400},
		{placement.NotFound(placement.KindNode, "n1"), "not-found", 404},
		{placement.Conflict(placement.KindNode, "n1", "exists"), "conflict", 409},
		{&UnschedulableError{}, "unschedulable", 409},
		{fmt.Errorf("job 7: %w", &UnschedulableError{}), "unschedulable", 409},
		{errors.Join(&UnschedulableError{}, &quota.ExceededError{}), "quota-exceeded", 429},
		{&ReleasedError{}, "released", 410},
		{&JournalError{Cause: &FencedError{}}, "fenced", 503},
		{&JournalError{Cause: errors.New("connection lost")}, "journal", 503},
		{ErrClosed, "closed", 503},
	}
	for _, test := range tests {
		code, status := Code(test.err)
		require.Equal(t, test.code, code, "%v", test.err)
		require.Equal(t, test.status, status, "%v", test.err)
	}
	for _, known := range errorCodes() {
		code, status := Code(fmt.Errorf("call: %w", known.err))
		require.Equal(t, known.code, code)
		require.GreaterOrEqual(t, status, 400)
	}
}

func TestAnErrorIsTheSameOverTheWire(t *testing.T) {
	for _, known := range errorCodes() {
		data, err := json.Marshal(PlaceResult{Err: fmt.Errorf("call: %w", known.err)})
		require.NoError(t, err)
		var got PlaceResult
		require.NoError(t, json.Unmarshal(data, &got))
		require.ErrorIs(t, got.Err, known.err)
		require.EqualError(t, got.Err, "call: "+known.err.Error())
	}
}

func TestAnEventOfAnUnknownKind(t *testing.T) {
	var e Event
	err := json.Unmarshal([]byte(`{"seq":3,"kind":"exploded","change":{}}`), &e)
	require.ErrorContains(t, err, `event 3 is of the unknown kind "exploded"`)
	require.Zero(t, e)
}
