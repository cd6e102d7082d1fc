package replica_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

func TestReplicasTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		placed := 0
		for turn, id := range []string{"a", "b", "a", "c", "b"} {
			s.elect(id)
			settle()
			leader := s.leads(t, id)
			if turn == 0 {
				addNode(t, leader, "n1")
			}
			require.Equal(t, placed, leader.Stats().Allocations)
			require.Equal(t, uint64(turn+1), place(t, leader, string(rune('a'+turn))).Token)
			placed++
			settle()
			for other, r := range s.all {
				_, leads := r.Leader()
				require.Equal(t, other == id, leads, other)
				require.Equal(t, leads, r.View().Position().Promoted, "%s shows what it decides", other)
				all, err := r.View().Allocations(t.Context())
				require.NoError(t, err)
				require.Len(t, all, placed, "%s shows what %s has placed", other, id)
				require.NoError(t, r.Healthy())
			}
		}
		s.end()
		for _, ended := range s.ended {
			require.NoError(t, <-ended)
		}
		require.Zero(t, s.logged.count("level=WARN"), "all that is in order")
		require.Equal(t, 5, s.logged.count(`msg="replica: leading" `))
		require.Equal(t, 5, s.logged.count(`msg="replica: leading no more" token=`))
		require.Equal(t, 5, s.logged.count(`cause="the elector has ended it"`), "or in its words")
	})
}

// A leader that was paused believes that it leads. It keeps nobody out, cannot
// write, and shows no list that is shorter than the state.
func TestPausedLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		s.elect("a")
		settle()
		old := s.leads(t, "a")
		addNode(t, old, "n1")
		place(t, old, "x")
		view := s.all["a"].View()
		s.set(func() { s.paused["a"] = true })
		s.elect("b")
		settle()
		place(t, s.leads(t, "b"), "y")
		_, err := old.Place(t.Context(), request("z"))
		require.ErrorIs(t, err, scheduler.ErrFenced)
		_, leads := s.all["a"].Leader()
		require.False(t, leads)
		_, err = view.Allocations(t.Context())
		require.ErrorIs(t, err, scheduler.ErrFenced)
		settle() // it follows anew, though it is not told that its reign has ended
		all, err := s.all["a"].View().Allocations(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
}

// While the journal fails, nobody leads for long, and how often each of them tries
// falls off.
func TestJournalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		tried := 0
		s.journal.before(func(context.Context, string) error { tried++; return errors.New("connection lost") })
		for range 600 {
			s.elect("a")
			time.Sleep(100 * time.Millisecond)
			_, leads := s.all["a"].Leader()
			require.False(t, leads)
		}
		require.Greater(t, tried, 5)
		require.Less(t, tried, 20, "in a minute, with pauses of up to 10 s")
		s.journal.before(nil)
		time.Sleep(10 * time.Second)
		s.elect("a")
		settle()
		addNode(t, s.leads(t, "a"), "n1")
	})
}

// An append that hangs keeps neither the end of a reign nor the next leader waiting.
func TestJournalThatHangsForOneReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		s.elect("a")
		settle()
		addNode(t, s.leads(t, "a"), "n1")
		s.journal.before(func(ctx context.Context, call string) error {
			if call == "append" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		_, err := s.leads(t, "a").Place(ctx, request("x"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		s.journal.before(nil)
		s.elect("b")
		settle()
		place(t, s.leads(t, "b"), "x")
	})
}

// A replica that is elected before it has read the journal leads once it has. One
// that cannot read it leaves the lead to others.
func TestElectedBeforeTheJournalIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &unread{wait: make(chan error)}
		s := start(t, func(id string, cfg *replica.Config) {
			if id == "a" {
				slow.Journal, cfg.Journal = cfg.Journal, slow
			}
		})
		s.elect("a")
		settle()
		_, leads := s.all["a"].Leader()
		require.False(t, leads)
		require.Error(t, s.all["a"].Healthy())
		require.Nil(t, s.all["a"].View())
		slow.wait <- errors.New("connection lost")
		settle()
		require.Empty(t, s.leader, "it has stepped down")
		s.elect("a")
		time.Sleep(10 * time.Second)
		s.elect("a")
		close(slow.wait)
		time.Sleep(10 * time.Second)
		s.elect("a")
		settle()
		addNode(t, s.leads(t, "a"), "n1")
	})
}

// unread is a journal whose records are not read before a test says so.
type unread struct {
	scheduler.Journal
	wait chan error
}

func (j *unread) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		select {
		case err := <-j.wait:
			if err != nil {
				yield(scheduler.Record{}, err)
				return
			}
		case <-ctx.Done():
			yield(scheduler.Record{}, ctx.Err())
			return
		}
		j.Journal.Records(ctx)(yield)
	}
}

func TestServeRunsWhileTheReplicaLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served []uint64
		fails := errors.New("no more")
		s := start(t, func(_ string, cfg *replica.Config) {
			cfg.Serve = func(ctx context.Context, s *scheduler.Scheduler) error {
				served = append(served, s.Token())
				if s.Token() == 2 {
					return fails
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		s.elect("a")
		settle()
		require.Equal(t, []uint64{1}, served)
		s.elect("b")
		settle()
		require.Equal(t, []uint64{1, 2}, served)
		require.Empty(t, s.leader, "who cannot serve does not lead")
		s.elect("b")
		settle()
		s.leads(t, "b")
		require.Equal(t, []uint64{1, 2, 3}, served)
	})
}

func TestRunEndsWithTheElector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, nil)
		s.elect("a")
		settle()
		over := errors.New("stopped")
		s.set(func() { s.over = over })
		for _, ended := range s.ended {
			require.ErrorIs(t, <-ended, over)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newElection()
		r, err := replica.New(replica.Config{Elector: member{e, "a"}, Journal: new(scheduler.MemoryJournal)})
		require.NoError(t, err)
		e.elect("a")
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		require.NoError(t, r.Run(ctx))
		_, leads := r.Leader()
		require.False(t, leads)
		_, err = r.View().Nodes(t.Context())
		require.ErrorIs(t, err, scheduler.ErrClosed)
	})
}

func TestMistakesInTheConfiguration(t *testing.T) {
	_, err := replica.New(replica.Config{Scheduler: scheduler.Config{Token: 1, Journal: new(scheduler.MemoryJournal)}})
	require.ErrorIs(t, err, scheduler.ErrInvalid)
	for _, field := range []string{"elector", "journal", "scheduler.journal", "scheduler.token"} {
		require.ErrorContains(t, err, "invalid "+field)
	}
	synctest.Test(t, func(t *testing.T) {
		r, err := replica.New(replica.Config{
			Elector: member{newElection(), "a"}, Journal: new(scheduler.MemoryJournal),
			Scheduler: scheduler.Config{RememberReleased: -1},
		})
		require.NoError(t, err)
		require.ErrorContains(t, r.Run(t.Context()), "rememberReleased")
	})
}
