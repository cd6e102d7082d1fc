package scheduler

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// logged is a logger into memory. Before each line it asks free, which must answer.
type logged struct {
	text bytes.Buffer
	free func()
}

func (l *logged) Write(line []byte) (int, error) {
	if l.free != nil {
		l.free()
	}
	return l.text.Write(line)
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// take returns the lines since it was last called.
func (l *logged) take() []string {
	text := strings.TrimSuffix(l.text.String(), "\n")
	l.text.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func TestPlacementsLogNothing(t *testing.T) {
	var log logged
	s := newTestScheduler(t, Config{Logger: log.logger()})
	addNodes(t, s, testNode("n1", 2000))
	log.take()
	for i := range 1000 {
		id := strconv.Itoa(i)
		place(t, s, testRequest(id, 1))
		_, err := s.Resize(t.Context(), id, testRequest(id, 2).Resources)
		require.NoError(t, err)
		if i%2 == 0 {
			require.NoError(t, s.Release(t.Context(), id))
		}
	}
	_, err := s.Place(t.Context(), testRequest("huge", 5000))
	require.ErrorIs(t, err, ErrUnschedulable)
	require.Empty(t, log.take())
	require.LessOrEqual(t, cap(s.hooks.events), 1, "nothing of them is kept for the log")
}

func TestEveryChangeOfStateIsOneLine(t *testing.T) {
	now := newClock()
	var log logged
	s, err := Open(t.Context(), Config{Now: now.Now, Logger: log.logger(), Journal: new(MemoryJournal)})
	require.NoError(t, err)
	log.free = func() { s.mu.Lock(); s.mu.Unlock() } //nolint:staticcheck // nobody holds it while a line is written
	ctx := t.Context()
	hold := func(id string, in time.Duration) func() error {
		return func() error {
			_, err := s.Reserve(ctx, reservation.Spec{
				ID: id, Namespace: "ns", Shape: placement.Resources{CPU: 3 * placement.Core}, Count: 2,
				Start: now.Now().Add(in), Duration: time.Hour,
			})
			return err
		}
	}
	limit := quota.Spec{Namespace: "ns", Limits: map[placement.ResourceName]quota.Limit{
		placement.NameCPU: {Soft: 3 * placement.Core, BurstPercent: 300, BurstFor: time.Minute},
	}}
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"add", func() error { return s.AddNode(ctx, testNode("n1", 8)) }, []string{`level=INFO msg="scheduler: node added" node=n1 seq=1`}},
		{"add another", func() error { return s.AddNode(ctx, testNode("n2", 8)) }, []string{`level=INFO msg="scheduler: node added" node=n2 seq=2`}},
		{"cordon", func() error { return s.Cordon(ctx, "n2") }, []string{`level=INFO msg="scheduler: node cordoned" node=n2 seq=3`}},
		{"cordon again", func() error { return s.Cordon(ctx, "n2") }, nil},
		{"uncordon", func() error { return s.Uncordon(ctx, "n2") }, []string{`level=INFO msg="scheduler: node uncordoned" node=n2 seq=4`}},
		{"update", func() error { return s.SetLabel(ctx, "n2", "load", "7") }, []string{`level=DEBUG msg="scheduler: node updated" node=n2 seq=5`}},
		{"reserve", hold("r", time.Hour), []string{`level=INFO msg="scheduler: reservation changed" reservation=r seq=6`}},
		{"lose", func() error { return s.MarkLost(ctx, "n2") }, []string{`level=WARN msg="scheduler: node lost" node=n2 seq=7`}},
		{"degrade", func() error { return s.MarkLost(ctx, "n1") }, []string{
			`level=WARN msg="scheduler: node lost" node=n1 seq=8`,
			`level=WARN msg="scheduler: reservation degraded" reservation=r node=n1 seq=8`,
			`level=WARN msg="scheduler: reservation displaced" reservation=r seq=8`,
		}},
		{"ready", func() error { return s.MarkReady(ctx, "n1") }, []string{
			`level=INFO msg="scheduler: node ready again" node=n1 seq=9`,
			`level=INFO msg="scheduler: reservation regained" reservation=r seq=9`,
		}},
		{"cancel", func() error { return s.ReleaseReservation(ctx, "r", false) }, []string{`level=INFO msg="scheduler: reservation over" reservation=r seq=10`}},
		{"limit", func() error { _, err := s.CreateQuota(ctx, limit); return err }, []string{`level=INFO msg="scheduler: quota created" namespace=ns seq=11`}},
		{"burst", func() error { _, err := s.Place(ctx, testRequest("a", 4)); return err }, nil},
		{"expire", func() error { now.advance(time.Hour); _, err := s.Sweep(ctx); return err }, []string{
			`level=WARN msg="scheduler: burst expired" namespace=ns dimension=cpu seq=13`,
		}},
		{"checkpoint", func() error { return s.Checkpoint(ctx) }, []string{`level=INFO msg="scheduler: checkpoint written" seq=13 bytes=`}},
		{"remove", func() error { _, err := s.RemoveNode(ctx, "n2"); return err }, []string{`level=INFO msg="scheduler: node removed" node=n2 seq=14`}},
		{"release", func() error { return s.Release(ctx, "a") }, nil},
		{"unlimit", func() error { return s.DeleteQuota(ctx, "ns") }, []string{`level=INFO msg="scheduler: quota deleted" namespace=ns seq=16`}},
		{"report", func() error { _, err := s.AdoptNode(ctx, testNode("n3", 8), nil); return err }, []string{
			`level=INFO msg="scheduler: node reported" node=n3 adopted=0 seq=17`,
		}},
		{"report again", func() error { _, err := s.AdoptNode(ctx, testNode("n3", 8), nil); return err }, nil},
		{"close", s.Close, nil},
	}
	for _, step := range steps {
		require.NoError(t, step.do(), step.name)
		got := log.take()
		require.Len(t, got, len(step.want), "%s: %q", step.name, got)
		for i, want := range step.want {
			require.Contains(t, got[i], want, step.name)
		}
	}
}

// What is tried on a fork has not happened, and a follower hears only what others have
// decided.
func TestOnlyTheSchedulerThatDecidesLogs(t *testing.T) {
	var log logged
	journal := new(MemoryJournal)
	s, err := Open(t.Context(), Config{Logger: log.logger(), Journal: journal})
	require.NoError(t, err)
	addNodes(t, s, testNode("n1", 8))
	require.Len(t, log.take(), 1)
	f, err := s.Fork(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Cordon(t.Context(), "n1"))
	require.Empty(t, log.take())
	follower, err := Follow(t.Context(), Config{Logger: log.logger(), Journal: journal})
	require.NoError(t, err)
	require.Empty(t, log.take())
	promoted, err := follower.Promote(t.Context(), 0)
	require.NoError(t, err)
	require.NoError(t, promoted.Cordon(t.Context(), "n1"))
	require.Len(t, log.take(), 1)
	require.ErrorIs(t, s.Cordon(t.Context(), "n1"), ErrFenced)
	require.Empty(t, log.take(), "the caller is told, and nothing became durable")
}

// A logger that panics keeps no hook from hearing of the event.
func TestAPanickingLoggerCostsNoHookItsCall(t *testing.T) {
	heard := 0
	log := logged{free: func() { panic("disk full") }}
	s := newTestScheduler(t, Config{Logger: log.logger(), Hooks: Hooks{Event: func(Event) { heard++ }}})
	require.Panics(t, func() { _ = s.AddNode(t.Context(), testNode("n1", 8)) })
	require.Equal(t, 1, heard)
}

// A checkpoint that Run could not append is told to nobody, and so it is logged; one
// that has ended the scheduler is what Run returns.
func TestACheckpointOfRunThatFailsIsLogged(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails error
		want  int
	}{{"for now", errors.New("disk full"), 1}, {"for good", &FencedError{Token: 1, Highest: 2}, 0}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logged
				j := &snapshotless{fails: test.fails}
				s, err := Open(t.Context(), Config{Logger: log.logger(), Journal: j, CheckpointEntries: 2})
				require.NoError(t, err)
				ctx, end := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- s.Run(ctx) }()
				addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
				synctest.Wait()
				end()
				if err := <-ran; test.want == 0 {
					require.ErrorIs(t, err, ErrFenced)
				} else {
					require.NoError(t, err)
				}
				failed := 0
				for _, line := range log.take() {
					if strings.Contains(line, `level=WARN msg="scheduler: checkpoint failed" error=`) {
						failed++
					}
				}
				require.Equal(t, test.want, failed)
			})
		})
	}
}

// snapshotless is a journal that takes no snapshot.
type snapshotless struct {
	MemoryJournal
	fails error
}

func (j *snapshotless) Append(ctx context.Context, token uint64, records []Record) error {
	if records[0].Kind != RecordEntry {
		return j.fails
	}
	return j.MemoryJournal.Append(ctx, token, records)
}
