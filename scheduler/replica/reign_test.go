package replica_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// What the work returns because its reign has ended is no failure, and nobody takes
// over before all of it has ended.
func TestTheEndOfAReignIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var winding atomic.Bool
		s := start(t, func(_ string, cfg *replica.Config) {
			cfg.Leads = func(context.Context) bool { return true } // as one that was paused believes
			cfg.Serve = func(ctx context.Context, _ *scheduler.Scheduler) error {
				<-ctx.Done()
				winding.Store(true)
				time.Sleep(3 * time.Second)
				winding.Store(false)
				return errors.New("interrupted")
			}
		})
		s.elect("a")
		settle()
		s.leads(t, "a")
		s.elect("b")
		settle()
		require.True(t, winding.Load())
		require.Empty(t, s.ends(), "it still winds up")
		_, leads := s.all["a"].Leader()
		require.False(t, leads, "but does not lead")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Equal(t, []returned{{"a", 1, nil}}, s.ends())
		require.Zero(t, s.logged.count("level=WARN"))
		s.end()
		require.NoError(t, <-s.ended["b"], "once it has wound up")
	})
}

// A scheduler that is fenced ends what is served with it, before anybody says that
// the reign has ended.
func TestAFencedSchedulerEndsWhatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var serving atomic.Bool
		s := start(t, func(_ string, cfg *replica.Config) {
			cfg.Serve = func(ctx context.Context, _ *scheduler.Scheduler) error {
				serving.Store(true)
				defer serving.Store(false)
				<-ctx.Done()
				return nil
			}
		})
		s.elect("a")
		settle()
		require.True(t, serving.Load())
		require.NoError(t, s.journal.MemoryJournal.Acquire(t.Context(), 7))
		require.ErrorIs(t, s.leads(t, "a").AddNode(t.Context(), placementNode("n1")), scheduler.ErrFenced)
		settle()
		require.False(t, serving.Load())
		require.Len(t, s.ends(), 1)
		require.ErrorIs(t, s.ends()[0].err, scheduler.ErrFenced, "it has stepped down by itself")
		require.Equal(t, 1, s.logged.count(`level=WARN msg="replica: a reign has failed" token=1 error=`))
		require.Zero(t, s.logged.count("leading no more"), "one line says it")
	})
}

func TestLeaderLooksWhetherTheReignGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		s := start(t, func(_ string, cfg *replica.Config) {
			cfg.Leads = func(ctx context.Context) bool { return ctx.Err() == nil && !over.Load() }
		})
		s.elect("a")
		settle()
		s.leads(t, "a")
		over.Store(true) // its context does not know yet
		_, leads := s.all["a"].Leader()
		require.False(t, leads)
	})
}

// reader is a journal whose reading is as a test says.
type reader struct {
	scheduler.Journal
	reads  atomic.Int64
	before atomic.Pointer[func(ctx context.Context, after uint64) (scheduler.Record, error)]
}

func (j *reader) set(before func(ctx context.Context, after uint64) (scheduler.Record, error)) {
	j.before.Store(&before)
}

func (j *reader) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		j.reads.Add(1)
		if before := j.before.Load(); before != nil {
			if r, err := (*before)(ctx, after); err != nil || r.Kind != 0 {
				yield(r, err)
				return
			}
		}
		if followed, ok := j.Journal.(scheduler.FollowableJournal); ok {
			followed.Follow(ctx, after)(yield)
		}
	}
}

// reading has replicas of which a reads its journal as a test says.
func reading(t *testing.T) (*replicas, *reader) {
	t.Helper()
	j := new(reader)
	return start(t, func(id string, cfg *replica.Config) {
		if id == "a" {
			j.Journal, cfg.Journal = cfg.Journal, j
		}
	}), j
}

// Elected again while it reads the journal anew, a replica waits for that, and leads
// then.
func TestElectedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := reading(t)
		s.elect("a")
		settle()
		addNode(t, s.leads(t, "a"), "n1")
		j.set(func(context.Context, uint64) (scheduler.Record, error) {
			time.Sleep(5 * time.Second)
			return scheduler.Record{}, nil
		})
		s.elect("")
		settle()
		require.ErrorIs(t, s.all["a"].Healthy(), scheduler.ErrClosed)
		s.elect("a")
		time.Sleep(15 * time.Second) // it reads once to follow and once to promote
		synctest.Wait()
		require.Equal(t, 1, s.leads(t, "a").Stats().Nodes)
		require.NoError(t, s.all["a"].Healthy())
		require.Zero(t, s.logged.count("level=WARN"))
	})
}

// A replica that is deposed while it waits for the journal makes way.
func TestDeposedBeforeTheJournalIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := reading(t)
		j.set(func(ctx context.Context, _ uint64) (scheduler.Record, error) {
			<-ctx.Done()
			return scheduler.Record{}, ctx.Err()
		})
		s.elect("a")
		settle()
		s.elect("b")
		settle()
		s.leads(t, "b")
		require.Equal(t, []returned{{"a", 1, context.Canceled}}, s.ends())
	})
}

// How often a journal is read that fails falls off, whatever of it fails, and starts
// afresh once it went well.
func TestAJournalThatCannotBeFollowedIsReadRarely(t *testing.T) {
	lost := errors.New("connection lost")
	tests := []struct {
		name   string
		before func(ctx context.Context, after uint64) (scheduler.Record, error)
		shows  bool // what was read before
	}{
		{"at all", func(context.Context, uint64) (scheduler.Record, error) { return scheduler.Record{}, lost }, true},
		{"on", func(_ context.Context, after uint64) (scheduler.Record, error) {
			if after > 0 {
				return scheduler.Record{}, lost
			}
			return scheduler.Record{}, nil
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := reading(t)
				s.elect("a")
				settle()
				addNode(t, s.leads(t, "a"), "n1")
				j.set(test.before)
				s.elect("b")
				before := s.logged.count("the journal cannot be followed")
				for range 2 {
					began := j.reads.Load()
					time.Sleep(time.Minute)
					synctest.Wait()
					require.InDelta(t, 12, j.reads.Load()-began, 6)
					require.ErrorIs(t, s.all["a"].Healthy(), lost)
				}
				require.Equal(t, before+1, s.logged.count("the journal cannot be followed"), "one line while it lasts")
				j.set(func(context.Context, uint64) (scheduler.Record, error) { return scheduler.Record{}, nil })
				time.Sleep(time.Minute)
				synctest.Wait()
				require.NoError(t, s.all["a"].Healthy())
				s.elect("a")
				settle()
				s.leads(t, "a")
				j.set(func(context.Context, uint64) (scheduler.Record, error) { return scheduler.Record{}, lost })
				s.elect("b")
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, before+2, s.logged.count("the journal cannot be followed"), "and one for the next time")
				j.set(func(context.Context, uint64) (scheduler.Record, error) { return scheduler.Record{}, nil })
				time.Sleep(time.Minute)
				synctest.Wait()
				all, err := s.all["a"].View().Nodes(t.Context())
				require.NoError(t, err)
				require.Len(t, all, 1)
				s.end()
				require.NoError(t, <-s.ended["a"])
			})
		})
	}
}

// scriptedElector lets a test say how each reign goes.
type scriptedElector func(ctx context.Context, work func(ctx context.Context, token uint64) error) error

func (e scriptedElector) WhileLeader(ctx context.Context, work func(ctx context.Context, token uint64) error) error {
	return e(ctx, work)
}

func TestHowAnElectorEnds(t *testing.T) {
	failed, broken := errors.New("cannot serve"), errors.New("broken")
	tests := []struct {
		name    string
		elector func(ctx context.Context, work func(context.Context, uint64) error) error
		want    error // of Run; nil: goes on
	}{
		{"the work has returned", func(ctx context.Context, work func(context.Context, uint64) error) error {
			return work(ctx, 1)
		}, nil},
		{"by itself, after the work has returned", func(ctx context.Context, work func(context.Context, uint64) error) error {
			_ = work(ctx, 1)
			return broken
		}, broken},
		{"by itself, after a reign", func(ctx context.Context, work func(context.Context, uint64) error) error {
			reign, end := context.WithCancel(ctx)
			end()
			return work(reign, 1)
		}, context.Canceled},
		{"by itself, after a reign, and does not say why", func(ctx context.Context, work func(context.Context, uint64) error) error {
			reign, end := context.WithCancel(ctx)
			end()
			_ = work(reign, 1)
			return nil
		}, nil},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reigns := 0
				r, err := replica.New(replica.Config{
					Journal: new(scheduler.MemoryJournal),
					Serve:   func(context.Context, *scheduler.Scheduler) error { return failed },
					Elector: scriptedElector(func(ctx context.Context, work func(context.Context, uint64) error) error {
						reigns++
						return test.elector(ctx, work)
					}),
				})
				require.NoError(t, err)
				ctx, end := context.WithTimeout(t.Context(), time.Minute)
				defer end()
				err = r.Run(ctx)
				if i == 0 {
					require.NoError(t, err)
					require.Greater(t, reigns, 5, "with pauses")
					require.Less(t, reigns, 20)
					return
				}
				require.ErrorContains(t, err, "the elector has ended")
				require.Equal(t, 1, reigns)
				if test.want != nil {
					require.ErrorIs(t, err, test.want)
				}
			})
		})
	}
}

// A replica that pauses after a failure ends at once with its context.
func TestAPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := reading(t)
		j.set(func(context.Context, uint64) (scheduler.Record, error) {
			return scheduler.Record{}, errors.New("connection lost")
		})
		time.Sleep(50 * time.Second)
		ending := time.Now()
		s.end()
		require.NoError(t, <-s.ended["a"])
		require.Equal(t, ending, time.Now())
	})
}
