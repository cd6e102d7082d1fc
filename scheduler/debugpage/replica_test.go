package debugpage_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
	"github.com/rads-project/constellation/scheduler/replica"
)

// alone is an elector for a service of one replica.
type alone struct{}

func (alone) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	return fn(ctx, 1)
}

func TestThePageOfAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := replica.New(replica.Config{Elector: alone{}, Journal: new(scheduler.MemoryJournal)})
		require.NoError(t, err)
		p := newPage(t, debugpage.Config{Replica: r})
		verdict := section(t, html(t, p, nil), "verdict")
		require.Contains(t, verdict, "<li>The state cannot be read: debugpage: the journal is being read.</li>")
		require.Contains(t, verdict, "<dd>follower</dd>")
		require.NotEqual(t, http.StatusOK, get(t, p, "nodes.json").Code, "no list that looks empty")
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		leader, leads := r.Leader()
		require.True(t, leads)
		require.NoError(t, leader.AddNode(t.Context(), placement.Node{ID: "n1"}))
		page := html(t, p, nil)
		require.Contains(t, section(t, page, "verdict"), "<dd>leader</dd>")
		require.Contains(t, section(t, page, "nodes"), ">n1<")
		end()
		require.NoError(t, <-done)
	})
}

// hanging is a journal whose appends hang once a test says so.
type hanging struct {
	scheduler.MemoryJournal
	stuck bool
}

func (j *hanging) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	if j.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return j.MemoryJournal.Append(ctx, token, records)
}

func TestThePageOfAJournalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(hanging)
		s, err := scheduler.Open(t.Context(), scheduler.Config{Journal: j})
		require.NoError(t, err)
		require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: "n1"}))
		p := newPage(t, debugpage.Config{State: s})
		require.Contains(t, html(t, p, nil), "Nothing is known to be wrong")
		j.stuck = true
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		require.ErrorIs(t, s.Cordon(short, "n1"), context.DeadlineExceeded)
		time.Sleep(5 * time.Second)
		start := time.Now()
		verdict := section(t, html(t, p, nil), "verdict")
		require.Equal(t, 2*time.Second, time.Since(start), "it does not wait for the journal")
		require.Contains(t, verdict, "The state cannot be read: context deadline exceeded")
		require.Contains(t, verdict, "The journal has not answered for 8s")
		require.NoError(t, s.Close())
	})
}

// failing is a state whose lists fail while a test says so.
type failing struct {
	*scheduler.Scheduler
	err error
}

func (f *failing) Nodes(ctx context.Context) ([]scheduler.NodeInfo, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Scheduler.Nodes(ctx)
}

func TestAFailureIsNotKept(t *testing.T) {
	f := &failing{Scheduler: cluster(t), err: errors.New("connection lost")}
	p := newPage(t, debugpage.Config{State: f})
	require.Equal(t, http.StatusInternalServerError, get(t, p, "nodes.json").Code)
	f.err = nil
	require.Equal(t, http.StatusOK, get(t, p, "nodes.json").Code)
}

func TestARequestThatIsTooLongIsNotExplained(t *testing.T) {
	p := newPage(t, debugpage.Config{State: cluster(t)})
	w := httptest.NewRecorder()
	body := `{"id":"a","labels":{"k":"` + strings.Repeat("x", 1<<18) + `"}}`
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, debugpage.DefaultPrefix+"explain.json", strings.NewReader(body)))
	require.Equal(t, http.StatusBadRequest, w.Code)
	var told struct{ Code, Error string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &told))
	require.Equal(t, "invalid", told.Code)
	require.Contains(t, told.Error, "too large")
}

// What happened before anybody looked is in the journal, and what happens between looks
// in memory; a page that is loaded once more has both.
func TestEventsOfAJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := new(scheduler.MemoryJournal)
		s, err := scheduler.Open(t.Context(), scheduler.Config{Journal: j})
		require.NoError(t, err)
		add := func(id string) { require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: id})) }
		add("n1")
		add("n2")
		f, err := scheduler.Follow(t.Context(), scheduler.Config{Journal: j})
		require.NoError(t, err)
		for _, state := range []debugpage.Source{s, f} {
			p := newPage(t, debugpage.Config{State: state})
			kinds := func() (all []string) {
				var events []scheduler.Event
				require.NoError(t, decode(get(t, p, "events.json"), &events))
				for _, e := range events {
					all = append(all, e.String())
				}
				return all
			}
			require.Len(t, kinds(), 2)
			if state == debugpage.Source(f) {
				continue
			}
			add("n3")
			time.Sleep(time.Second)
			got := kinds()
			require.Len(t, got, 3)
			require.Contains(t, got[0], `"n3"`)
			_, err = s.RemoveNode(t.Context(), "n3")
			require.NoError(t, err)
			time.Sleep(time.Second)
			require.Len(t, kinds(), 4)
		}
		require.NoError(t, s.Close())
	})
}
