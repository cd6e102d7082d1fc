package lease_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler/lease"
)

// shelf is a store in memory, by the clock of the test.
type shelf struct {
	mu     sync.Mutex
	token  uint64
	until  time.Time
	down   bool // it answers nothing
	grants int
}

const ttl = 30 * time.Second

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// kept reports whether the store gives the lease to nobody else.
func (s *shelf) kept() (kept bool) {
	s.set(func(s *shelf) { kept = time.Now().Before(s.until) })
	return kept
}

func (s *shelf) answers(ctx context.Context) error {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down { // the connection is dead, and another one is needed
		<-ctx.Done()
	}
	return ctx.Err()
}

func (s *shelf) Acquire(ctx context.Context) (lease.Grant, error) {
	for {
		begun := time.Now()
		if err := s.answers(ctx); err != nil {
			return lease.Grant{}, err
		}
		var g lease.Grant
		s.set(func(s *shelf) {
			if !time.Now().Before(s.until) {
				s.token++
				s.grants++
				s.until = time.Now().Add(ttl)
				g = lease.Grant{Token: s.token, Begun: begun, For: ttl}
			}
		})
		if g.Token > 0 {
			return g, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *shelf) Renew(ctx context.Context, g lease.Grant) (lease.Grant, error) {
	g.Begun = time.Now()
	err := s.answers(ctx)
	s.set(func(s *shelf) {
		switch {
		case err != nil:
		case s.token != g.Token || !time.Now().Before(s.until):
			err = lease.ErrLost
		default:
			s.until = time.Now().Add(ttl)
		}
	})
	return g, err
}

func (s *shelf) Release(ctx context.Context, g lease.Grant) error {
	err := s.answers(ctx)
	s.set(func(s *shelf) {
		if err == nil && s.token == g.Token {
			s.until = time.Time{}
		}
	})
	return err
}

func elector(t *testing.T, s lease.Store) *lease.Elector {
	t.Helper()
	e, err := lease.New(lease.Config{Store: s, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, err)
	return e
}

func TestLeadsWhileItRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		done := errors.New("done")
		err := elector(t, s).WhileLeader(t.Context(), func(ctx context.Context, token uint64) error {
			require.Equal(t, uint64(1), token)
			for range 100 {
				time.Sleep(ttl)
				require.True(t, lease.Leads(ctx))
			}
			return done
		})
		require.ErrorIs(t, err, done)
		require.False(t, s.kept(), "released")
	})
}

func TestFailingRenewalsTakeNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		err := elector(t, s).WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
			for range 20 {
				s.set(func(s *shelf) { s.down = true })
				time.Sleep(ttl / 2) // the renewal at a third of it hangs
				require.True(t, lease.Leads(ctx))
				s.set(func(s *shelf) { s.down = false })
				time.Sleep(ttl)
				require.True(t, lease.Leads(ctx))
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 1, s.grants)
	})
}

func TestLeaseEndsBeforeThatOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		ctx, cancel := context.WithCancel(t.Context())
		var causes []error
		err := elector(t, s).WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			if token == 2 {
				cancel()
				return ctx.Err()
			}
			s.set(func(s *shelf) { s.down = true })
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			require.False(t, lease.Leads(ctx))
			require.True(t, s.kept(), "nobody else can have it yet")
			s.set(func(s *shelf) { s.down = false })
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []error{lease.ErrExpired}, causes)
		require.Equal(t, 2, s.grants, "it stood again")
	})
}

func TestStolenLeaseEndsTheReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		ctx, cancel := context.WithCancel(t.Context())
		err := elector(t, s).WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			if token > 1 {
				require.Equal(t, uint64(8), token)
				cancel()
				return nil
			}
			s.set(func(s *shelf) { s.token = 7 })
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), lease.ErrLost)
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestLeaseIsKeptUntilTheWorkHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		ctx, cancel := context.WithCancel(t.Context())
		err := elector(t, s).WhileLeader(ctx, func(ctx context.Context, _ uint64) error {
			cancel()
			require.False(t, lease.Leads(ctx))
			for range 10 { // winds up
				time.Sleep(ttl / 2)
				require.True(t, s.kept(), "somebody else could lead")
			}
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, s.kept())
	})
}

func TestPanicGivesTheLeaseBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		require.PanicsWithValue(t, "broken", func() {
			_ = elector(t, s).WhileLeader(t.Context(), func(context.Context, uint64) error { panic("broken") })
		})
		require.False(t, s.kept())
	})
}

func TestStoreThatIsDownEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{down: true}
		short, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := elector(t, s).WhileLeader(short, func(context.Context, uint64) error { return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestOneLeadsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(shelf)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		var (
			replicas sync.WaitGroup
			leading  int
			tokens   []uint64
		)
		for i := range 3 {
			replicas.Go(func() {
				for ctx.Err() == nil {
					_ = elector(t, s).WhileLeader(ctx, func(ctx context.Context, token uint64) error {
						s.set(func(*shelf) { leading++; tokens = append(tokens, token) })
						for range 40 + i {
							require.True(t, lease.Leads(ctx) || ctx.Err() != nil)
							require.Equal(t, 1, leading)
							time.Sleep(time.Second)
						}
						s.set(func(*shelf) { leading-- })
						return nil
					})
				}
			})
		}
		replicas.Wait()
		require.Greater(t, len(tokens), 100)
		require.IsIncreasing(t, tokens)
	})
}

func TestConfigIsChecked(t *testing.T) {
	_, err := lease.New(lease.Config{})
	require.Error(t, err)
	_, err = lease.New(lease.Config{Store: new(shelf), Pause: -1})
	require.Error(t, err)
	require.False(t, lease.Leads(t.Context()))
}
