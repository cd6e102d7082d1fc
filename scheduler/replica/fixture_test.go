package replica_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// election has lead whom a test says.
type election struct {
	mu      sync.Mutex
	leader  string
	token   uint64
	paused  map[string]bool // who is not told that its reign has ended
	over    error           // why there are no more elections
	changed chan struct{}

	returned []returned // of each reign
}

// returned is what the work of a reign has returned.
type returned struct {
	id    string
	token uint64
	err   error
}

// ends returns what the reigns that have ended have returned.
func (e *election) ends() []returned {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.returned)
}

func newElection() *election {
	return &election{changed: make(chan struct{}), paused: make(map[string]bool)}
}

// set changes the election.
func (e *election) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *election) elect(id string) { e.set(func() { e.leader = id; e.token++ }) }

// member is who takes part in an election.
type member struct {
	*election
	id string
}

// reigns waits until the member leads, or leads no more.
func (m member) reigns(ctx context.Context, leads bool) (uint64, error) {
	for {
		m.mu.Lock()
		is, token, over, changed := m.leader == m.id, m.token, m.over, m.changed
		is = is || !leads && m.paused[m.id]
		m.mu.Unlock()
		if over != nil || ctx.Err() != nil || is == leads {
			return token, errors.Join(over, ctx.Err())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (m member) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	for {
		token, err := m.reigns(ctx, true)
		if err != nil {
			return err
		}
		reign, end := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { _, _ = m.reigns(reign, false); end() })
		err = fn(reign, token)
		over := reign.Err() != nil
		m.set(func() { m.returned = append(m.returned, returned{m.id, token, err}) })
		end()
		watching.Wait()
		if !over {
			m.set(func() { m.leader = "" })
			return err
		}
	}
}

// replicas is a service of several replicas in one process.
type replicas struct {
	*election
	journal *journal
	all     map[string]*replica.Replica
	ended   map[string]chan error
	end     context.CancelFunc // of all
	logged  *log
}

// log is what replicas have logged, as text.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how often something was logged.
func (l *log) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// journal is a journal in memory that fails or hangs when a test says so.
type journal struct {
	scheduler.MemoryJournal
	mu   sync.Mutex
	fail func(ctx context.Context, call string) error
}

// before has a function called before each write, which fails as it does. None
// fails if it is nil.
func (j *journal) before(fail func(ctx context.Context, call string) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = fail
}

func (j *journal) Acquire(ctx context.Context, token uint64) error {
	if err := j.step(ctx, "acquire"); err != nil {
		return err
	}
	return j.MemoryJournal.Acquire(ctx, token)
}

func (j *journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	if err := j.step(ctx, "append"); err != nil {
		return err
	}
	return j.MemoryJournal.Append(ctx, token, records)
}

func (j *journal) step(ctx context.Context, call string) error {
	j.mu.Lock()
	fail := j.fail
	j.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, call)
}

// start runs replicas until the test ends. edit changes the configuration of each.
func start(t *testing.T, edit func(id string, cfg *replica.Config)) *replicas {
	t.Helper()
	s := &replicas{
		election: newElection(), journal: new(journal), logged: new(log),
		all: make(map[string]*replica.Replica), ended: make(map[string]chan error),
	}
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	s.end = end
	for _, id := range []string{"a", "b", "c"} {
		cfg := replica.Config{Elector: member{s.election, id}, Journal: s.journal, Leader: func() (string, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return "http://" + s.leader, s.leader != "" && s.leader != id
		}, Logger: slog.New(slog.NewTextHandler(s.logged, nil))}
		if edit != nil {
			edit(id, &cfg)
		}
		r, err := replica.New(cfg)
		require.NoError(t, err)
		ended := make(chan error, 1)
		s.all[id], s.ended[id] = r, ended
		go func() { ended <- r.Run(ctx) }()
	}
	return s
}

// leads returns the scheduler of a replica that must lead.
func (s *replicas) leads(t *testing.T, id string) *scheduler.Scheduler {
	t.Helper()
	leader, ok := s.all[id].Leader()
	require.True(t, ok, "%s leads", id)
	return leader
}

func addNode(t *testing.T, s *scheduler.Scheduler, id string) {
	t.Helper()
	require.NoError(t, s.AddNode(t.Context(), placementNode(id)))
}

func placementNode(id string) placement.Node {
	return placement.Node{ID: id, Capacity: placement.Resources{CPU: 64 * placement.Core}}
}

func request(id string) placement.Request {
	return placement.Request{ID: id, Resources: placement.Resources{CPU: placement.Core}}
}

func place(t *testing.T, s *scheduler.Scheduler, id string) scheduler.Decision {
	t.Helper()
	d, err := s.Place(t.Context(), request(id))
	require.NoError(t, err)
	return d
}

// network carries requests to handlers by their host, without a connection.
type network map[string]http.Handler

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	h, ok := n[req.URL.Host]
	if !ok {
		return nil, http.ErrServerClosed
	}
	answered := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		answered <- w.Result()
	}()
	select {
	case response := <-answered:
		return response, nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// get returns the answer of a handler.
func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for _, name := range header {
		req.Header.Set(name, "1")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// settle lets everything happen that happens within a second.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}
