package raft

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Rule 7: exactly one of the timer and the loop ends a reign, and nothing
// prolongs it afterwards.
func TestReign(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, r *reign)
		ends time.Duration // 0: not by its timer
	}{
		{"runs out", func(*testing.T, *reign) {}, 100},
		{"is renewed", func(t *testing.T, r *reign) {
			t.Helper()
			require.True(t, r.renew(150))
			require.True(t, r.renew(120), "an older answer takes nothing away")
		}, 150},
		{"is renewed twice", func(t *testing.T, r *reign) {
			t.Helper()
			require.True(t, r.renew(150))
			time.Sleep(140)
			require.True(t, r.renew(300))
		}, 300},
		{"is finished", func(t *testing.T, r *reign) {
			t.Helper()
			r.finish()
			require.False(t, r.renew(500))
			require.False(t, r.valid())
			require.LessOrEqual(t, r.left(), time.Duration(0))
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := monotonicClock()
				var ended []time.Duration
				r := newReign(7, 100, 100, clock, func(*reign) { ended = append(ended, clock()) })
				require.True(t, r.valid())
				tt.run(t, r)
				time.Sleep(1000)
				require.False(t, r.valid())
				require.False(t, r.renew(math.MaxInt64))
				synctest.Wait()
				if tt.ends == 0 {
					require.Empty(t, ended)
					return
				}
				require.Equal(t, []time.Duration{tt.ends}, ended)
			})
		})
	}
}

// A lease that has run out is not revived, though its timer is late: a reader
// may have seen it invalid. So after a suspend.
func TestReignIsNotRevived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		ended := 0
		r := newReign(7, 100, 100, func() time.Duration { return time.Duration(now.Load()) }, func(*reign) { ended++ })
		require.True(t, r.valid())
		now.Store(100)
		require.False(t, r.valid())
		require.False(t, r.renew(200))
		require.False(t, r.valid())
		time.Sleep(100 * time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, ended)
	})
}

// Once anybody has seen the lease invalid it stays so, however renewals, the
// timer and the end race.
func TestReignRace(t *testing.T) {
	for range 200 {
		ends := make(chan struct{}, 2)
		clock := monotonicClock()
		r := newReign(7, clock()+50*time.Microsecond, 50*time.Microsecond, clock, func(*reign) { ends <- struct{}{} })
		var group sync.WaitGroup
		group.Go(func() {
			for r.renew(clock() + 50*time.Microsecond) {
				if clock() > time.Millisecond {
					return
				}
			}
		})
		group.Go(func() {
			for r.valid() {
			}
			for range 100 {
				if r.valid() {
					t.Error("a reign has resumed")
				}
			}
		})
		group.Wait()
		<-ends // The timer may still be about to tell.
		require.Empty(t, ends)
	}
}
