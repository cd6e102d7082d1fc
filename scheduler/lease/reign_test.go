package lease

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is a store that does what a test says.
type scripted struct {
	acquire func(ctx context.Context) (Grant, error)
	renew   func(ctx context.Context, g Grant) (Grant, error)
	release func(ctx context.Context) error
}

const leaseTime = 30 * time.Second

// scriptedStore gives a lease to whoever asks, and renews it.
func scriptedStore() *scripted {
	return &scripted{
		acquire: func(context.Context) (Grant, error) {
			return Grant{Token: 1, Begun: time.Now(), For: leaseTime}, nil
		},
		renew: func(_ context.Context, g Grant) (Grant, error) {
			g.Begun = time.Now()
			return g, nil
		},
		release: func(context.Context) error { return nil },
	}
}

func (s *scripted) Acquire(ctx context.Context) (Grant, error)        { return s.acquire(ctx) }
func (s *scripted) Renew(ctx context.Context, g Grant) (Grant, error) { return s.renew(ctx, g) }
func (s *scripted) Release(ctx context.Context, _ Grant) error        { return s.release(ctx) }
func (s *scripted) elector(t *testing.T, logged *bytes.Buffer) *Elector {
	t.Helper()
	e, err := New(Config{Store: s, Pause: 2 * time.Second, Logger: slog.New(slog.NewTextHandler(logged, nil))})
	require.NoError(t, err)
	return e
}

// reignOf is the reign of the work that has a context.
func reignOf(ctx context.Context, t *testing.T) *reign {
	t.Helper()
	r, ok := ctx.Value(reignKey{}).(*reign)
	require.True(t, ok)
	return r
}

// expire has a lease be over though nobody has noticed: the process was paused.
func (r *reign) expire() {
	over := time.Now().Add(-time.Nanosecond)
	r.until.Store(&over)
}

func TestALeaseRunsByBothClocks(t *testing.T) {
	r, now := new(reign), time.Now()
	r.extend(Grant{Begun: now, For: 20 * time.Second})
	later := func(d time.Duration) (monotonic, wall time.Time) { return now.Add(d), now.Add(d).Round(0) }
	soon, soonShown := later(19*time.Second - 1)
	late, lateShown := later(19 * time.Second)
	require.True(t, r.validBy(soon, soonShown))
	require.False(t, r.validBy(late, soonShown), "the clock was set back")
	require.False(t, r.validBy(soon, lateShown), "the machine was suspended, and the monotonic clock with it")
}

func TestAReignThatEndedUnnoticed(t *testing.T) {
	for _, returns := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var logged bytes.Buffer
			s := scriptedStore()
			ctx, end := context.WithCancel(t.Context())
			reigns := 0
			err := s.elector(t, &logged).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
				if reigns++; reigns == 2 {
					end()
					return nil
				}
				require.True(t, Leads(ctx))
				reignOf(ctx, t).expire()
				require.False(t, Leads(ctx), "though ctx has not ended")
				require.NoError(t, ctx.Err())
				if !returns {
					<-ctx.Done() // at the next renewal, though that succeeds
					require.ErrorIs(t, context.Cause(ctx), ErrExpired)
				}
				return nil
			})
			require.ErrorIs(t, err, context.Canceled, "that the work has returned did not end it")
			require.Equal(t, 2, reigns)
			require.Empty(t, logged.String())
		})
	}
}

// A store may not look at its context.
func TestAStoreThatDoesNotReturnEndsTheReignInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := scriptedStore(), time.Now()
		renewing, renewed := 0, 0
		s.renew = func(_ context.Context, g Grant) (Grant, error) {
			renewing++
			time.Sleep(10 * leaseTime)
			renewed++
			return g, errors.New("connection lost")
		}
		s.release = func(context.Context) error {
			require.Equal(t, renewing, renewed, "nothing is renewed after it was given back")
			return nil
		}
		ctx, end := context.WithCancel(t.Context())
		var logged bytes.Buffer
		err := s.elector(t, &logged).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			require.Equal(t, leaseTime-leaseTime/driftShare, time.Since(start))
			require.ErrorIs(t, context.Cause(ctx), ErrExpired)
			end()
			return context.Cause(ctx)
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, renewed)
		require.Empty(t, logged.String(), "the end of a reign is no warning")
	})
}

// A renewal that arrives after this replica has given up would keep others out.
func TestNothingIsRenewedAfterTheReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := scriptedStore(), time.Now()
		var last time.Duration
		s.renew = func(ctx context.Context, g Grant) (Grant, error) {
			<-ctx.Done()
			last = time.Since(start)
			return g, ctx.Err()
		}
		ctx, end := context.WithCancel(t.Context())
		err := s.elector(t, new(bytes.Buffer)).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			time.Sleep(leaseTime) // winds up
			end()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, leaseTime-leaseTime/driftShare, last)
	})
}

func TestAStoreThatCannotBeAskedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := scriptedStore(), time.Now()
		grant, failures := s.acquire, 0
		s.acquire = func(ctx context.Context) (Grant, error) {
			if failures++; failures <= 3 {
				return Grant{}, errors.New("connection refused")
			}
			return grant(ctx)
		}
		var logged bytes.Buffer
		require.NoError(t, s.elector(t, &logged).WhileLeader(t.Context(), func(context.Context, uint64) error { return nil }))
		require.Equal(t, 6*time.Second, time.Since(start), "a pause after each failure")
		require.Equal(t, 1, bytes.Count(logged.Bytes(), []byte("connection refused")), "once until it can be asked")
	})
}

// The store may have given the lease just before ctx ended.
func TestALeaseThatComesTooLateIsReleased(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	s := scriptedStore()
	grant, released := s.acquire, 0
	s.acquire = func(ctx context.Context) (Grant, error) {
		end()
		return grant(ctx)
	}
	s.release = func(context.Context) error { released++; return nil }
	err := s.elector(t, new(bytes.Buffer)).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
		require.False(t, Leads(ctx))
		return ctx.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, released)
}

func TestErrorsOfAnElector(t *testing.T) {
	broken := errors.New("broken")
	t.Run("of a store that does not say that ctx has ended", func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		s := scriptedStore()
		s.acquire = func(context.Context) (Grant, error) { end(); return Grant{}, broken }
		err := s.elector(t, new(bytes.Buffer)).WhileLeader(ctx, func(context.Context, uint64) error { return nil })
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, broken)
	})
	for _, test := range []struct {
		name   string
		fails  error
		logged int
	}{{"that is an echo", context.Canceled, 0}, {"that is none", broken, 1}} {
		t.Run("of work after its reign "+test.name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			var logged bytes.Buffer
			err := scriptedStore().elector(t, &logged).WhileLeader(ctx, func(context.Context, uint64) error {
				end()
				return test.fails
			})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, test.logged, bytes.Count(logged.Bytes(), []byte("work of a leader failed")))
		})
	}
}

func TestAContextEndsWithItsReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scriptedStore()
		s.release = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } // the store has gone
		start := time.Now()
		var left context.Context
		require.NoError(t, s.elector(t, new(bytes.Buffer)).WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
			left = ctx
			return nil
		}))
		require.Error(t, left.Err())
		require.Equal(t, leaseTime, time.Since(start), "by then it has ended by itself")
	})
}

func TestDefaultsOfAnElector(t *testing.T) {
	e, err := New(Config{Store: scriptedStore()})
	require.NoError(t, err)
	require.Equal(t, time.Second, e.cfg.Pause)
	require.False(t, e.cfg.Logger.Enabled(t.Context(), slog.LevelError))
}

// However often a renewal is tried again, the log says once that it fails, and once
// more after it has worked.
func TestRenewalsThatFailAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tried := scriptedStore(), 0
		renew := s.renew
		s.renew = func(ctx context.Context, g Grant) (Grant, error) {
			if tried++; tried != 4 && tried < 8 {
				return g, errors.New("connection lost")
			}
			return renew(ctx, g)
		}
		var logged bytes.Buffer
		require.NoError(t, s.elector(t, &logged).WhileLeader(t.Context(), func(context.Context, uint64) error {
			time.Sleep(2 * leaseTime)
			return nil
		}))
		require.GreaterOrEqual(t, tried, 8)
		require.Equal(t, 2, bytes.Count(logged.Bytes(), []byte(`msg="lease: the lease cannot be renewed" token=1 left=`)), logged.String())
	})
}
