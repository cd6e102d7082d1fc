package placement_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

func TestScaledNumber(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1": 1, "999": 999, "1000": 1000, "+7": 7, "007": 7, "-0": 0} {
		number, ok := placement.ScaledNumber(text)
		require.True(t, ok, text)
		require.Equal(t, want, number, text)
	}
	for _, text := range []string{"", "-1", "1001", "1e2", "0.5", "7 ", "x", "9223372036854775808"} {
		number, ok := placement.ScaledNumber(text)
		require.False(t, ok, text)
		require.Zero(t, number, text)
	}
}

// TestScaledNumberReadsWhatGreaterReads: a label means the same number to a
// constraint and to a scaled label.
func TestScaledNumberReadsWhatGreaterReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[+-]?[0-9]{0,4}`), genWord()).Draw(t, "text")
		number, ok := placement.ScaledNumber(text)
		inRange := placement.Greater("k", -1).MatchValue(text, true) && placement.Less("k", placement.MaxScaled+1).MatchValue(text, true)
		require.Equal(t, inRange, ok)
		if ok {
			require.True(t, placement.Greater("k", number-1).MatchValue(text, true))
			require.True(t, placement.Less("k", number+1).MatchValue(text, true))
		}
	})
}

// TestScaledShare: ⌊number × 2²⁰ / 1000⌋ grows with every number, from 0 to Unit.
func TestScaledShare(t *testing.T) {
	require.EqualValues(t, 0, placement.ScaledShare(0))
	require.EqualValues(t, placement.Unit, placement.ScaledShare(placement.MaxScaled))
	for number := range int64(placement.MaxScaled) {
		share := placement.ScaledShare(number)
		require.Less(t, share, placement.ScaledShare(number+1), strconv.FormatInt(number, 10))
		require.LessOrEqual(t, share*1000, number<<20)
		require.Greater(t, (share+1)*1000, number<<20)
	}
}
