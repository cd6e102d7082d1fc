package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A deadline comes at the first instant at which the clock shows it, however
// wrong the clock runs.
func TestClockMeetsDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{
			since: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "since")),
			base:  time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "base")),
			ppm:   rapid.Int64Range(-100_000, 100_000).Draw(t, "ppm"),
		}
		local := c.base + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "deadline"))
		at := c.truly(local)
		require.GreaterOrEqual(t, c.local(at), local)
		require.Less(t, c.local(at-1), local)
	})
}

func TestClockRunsAtItsRate(t *testing.T) {
	c := clock{since: time.Second, base: time.Minute, ppm: 5_000}
	require.Equal(t, time.Minute, c.local(time.Second))
	require.Equal(t, time.Minute+1005*ms, c.local(2*time.Second))

	c.setRate(2*time.Second, -5_000) // It does not jump.
	require.Equal(t, time.Minute+1005*ms, c.local(2*time.Second))
	require.Equal(t, time.Minute+2*time.Second, c.local(3*time.Second))
}
