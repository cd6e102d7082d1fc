package replica

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPauseDoublesWhileNothingGoesWell, up to its longest, and begins anew once
// something went well for longer than it was.
func TestPauseDoublesWhileNothingGoesWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pause
		fail := func(after time.Duration) time.Duration {
			p.begin(time.Now())
			time.Sleep(after)
			failed := time.Now()
			p.sleep(t.Context())
			return time.Since(failed)
		}
		for want := shortestPause; want < longestPause; want *= 2 {
			require.Equal(t, want, fail(want/4))
		}
		require.Equal(t, longestPause, fail(0))
		require.Equal(t, longestPause, fail(longestPause))
		require.Equal(t, shortestPause, fail(longestPause+1))
		ended, end := context.WithCancel(t.Context())
		end()
		begun := time.Now()
		p.sleep(ended)
		require.Zero(t, time.Since(begun))
	})
}
