package debugpage

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// DefaultPrefix is the path below which a page is mounted if Config says no other.
const DefaultPrefix = "/debug/scheduler/"

// State is what the page reads of a scheduler: scheduler.Scheduler and
// scheduler.Follower have it.
type State interface {
	Nodes(ctx context.Context) ([]scheduler.NodeInfo, error)
	Quotas(ctx context.Context) ([]scheduler.QuotaInfo, error)
	Reservations(ctx context.Context) ([]reservation.Reservation, error)
	Explain(ctx context.Context, req placement.Request) (scheduler.Explanation, error)
	ExplainNode(ctx context.Context, req placement.Request, nodeID string) (scheduler.NodeVerdict, error)
	Watch(ctx context.Context, afterSeq uint64) iter.Seq[scheduler.Event]
	Stats() scheduler.Stats
}

// Config says what a page shows. One of State and Replica is required.
type Config struct {
	// State is what a host has that runs one scheduler, or follows one.
	State State
	// Replica is what a host has that runs several: the page shows its View.
	Replica *replica.Replica
	// Election returns the status of the election, such as raft.Node.Status. Nil:
	// the page says nothing about it.
	Election func() raft.Status
	// Liveness that watches the nodes. Nil: the page says nothing about it.
	Liveness *replica.Liveness
	// Prefix is the path below which the page is mounted, with a slash at both ends.
	// Empty is DefaultPrefix.
	Prefix string
	// Authorize reports whether who asks may see all that the scheduler knows; else
	// the answer is 403 Forbidden. Nil: everybody may.
	Authorize func(*http.Request) bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Page is the handler. Close it as the server shuts down.
type Page struct {
	cfg    Config
	mux    *http.ServeMux
	page   *template.Template
	closed chan struct{}
	close  sync.Once

	looking chan struct{} // holds a value while the lists are read
	latest  *lists        // guarded by looking
}

//go:embed assets
var assets embed.FS

// New returns a page. It reports every mistake in the configuration at once, and
// reads nothing.
func New(cfg Config) (*Page, error) {
	var errs []error
	if (cfg.State == nil) == (cfg.Replica == nil) {
		errs = append(errs, &placement.InvalidError{Field: "state", Reason: "want either it or replica"})
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if !strings.HasPrefix(cfg.Prefix, "/") || !strings.HasSuffix(cfg.Prefix, "/") || strings.ContainsAny(cfg.Prefix, "{} ") {
		errs = append(errs, &placement.InvalidError{Field: "prefix", Value: cfg.Prefix, Reason: "want a path with a slash at both ends"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	page, err := template.New("page.html").Funcs(functions()).ParseFS(assets, "assets/page.html")
	if err != nil {
		return nil, err
	}
	p := &Page{cfg: cfg, mux: http.NewServeMux(), page: page, closed: make(chan struct{}), looking: make(chan struct{}, 1)}
	p.routes()
	return p, nil
}

func (p *Page) routes() {
	handle := func(pattern string, h http.HandlerFunc) {
		method, path, _ := strings.Cut(pattern, " ")
		p.mux.HandleFunc(method+" "+p.cfg.Prefix+path, h)
	}
	handle("GET {$}", p.serveHTML)
	handle("GET page.css", p.serveAsset("text/css; charset=utf-8"))
	handle("GET page.js", p.serveAsset("text/javascript; charset=utf-8"))
	handle("GET stream", p.serveStream)
	handle("GET summary.json", func(w http.ResponseWriter, r *http.Request) { answer(w, p.summary(p.look(r.Context())), nil) })
	handle("GET nodes.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.nodes, l.err) })
	handle("GET quotas.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.quotas, l.err) })
	handle("GET reservations.json", func(w http.ResponseWriter, r *http.Request) {
		l := p.look(r.Context())
		answer(w, l.reservations, l.err)
	})
	handle("GET events.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.events, l.err) })
	handle("GET election.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.election(), nil) })
	handle("POST explain.json", p.serveExplanation)
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if p.cfg.Authorize != nil && !p.cfg.Authorize(r) {
		http.Error(w, "not for you", http.StatusForbidden)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// Close ends the streams that are open, and each that is opened later: a server that
// shuts down waits for none. It is for http.Server.RegisterOnShutdown.
func (p *Page) Close() { p.close.Do(func() { close(p.closed) }) }

// state is what there is to read now; nil if the journal is being read for the first
// time.
func (p *Page) state() State {
	if p.cfg.Replica == nil {
		return p.cfg.State
	}
	if view := p.cfg.Replica.View(); view != nil {
		return view
	}
	return nil
}

// lists are what a page shows, as of one look.
type lists struct {
	at           time.Time
	of           State
	stats        scheduler.Stats
	nodes        []scheduler.NodeInfo
	quotas       []scheduler.QuotaInfo
	reservations []reservation.Reservation
	events       []scheduler.Event
	err          error // why they are not whole
}

// Lists are shown for so long though the state has changed, and read with so much
// patience: a journal may hang, and the page is to say so.
const (
	maxAge   = 500 * time.Millisecond
	patience = 2 * time.Second
)

var errUnread = errors.New("debugpage: the journal is being read")

// look returns the lists, those of another viewer if they are new enough.
func (p *Page) look(ctx context.Context) *lists {
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	select {
	case p.looking <- struct{}{}:
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return &lists{at: p.cfg.Now(), of: p.state(), err: ctx.Err()}
	}
	now, of := p.cfg.Now(), p.state()
	l := &lists{at: now, of: of}
	if of == nil {
		l.err = errUnread
		return l
	}
	l.stats = of.Stats() // never waits
	if before := p.latest; before != nil && before.serves(l) {
		kept := *before
		kept.stats = l.stats
		return &kept
	}
	l.read(ctx)
	p.latest = l
	return l
}

// serves reports whether the lists are still those that somebody who looks now is to
// see.
func (l *lists) serves(now *lists) bool {
	if l.of != now.of || l.err != nil || now.stats.Closed != nil {
		return false
	}
	age := now.at.Sub(l.at)
	return l.stats.Version == now.stats.Version && l.stats.Durable == now.stats.Durable || age >= 0 && age < maxAge
}

func (l *lists) read(ctx context.Context) {
	var errs [3]error
	l.nodes, errs[0] = l.of.Nodes(ctx)
	l.quotas, errs[1] = l.of.Quotas(ctx)
	l.reservations, errs[2] = l.of.Reservations(ctx)
	l.err = errors.Join(errs[:]...)
	l.events = latestEvents(l.of, l.stats.Durable)
}

// maxEvents is how many entries back the page shows what happened.
const maxEvents = 1000

// latestEvents returns the events in memory of the latest entries, the last first.
func latestEvents(of State, last uint64) []scheduler.Event {
	ended, end := context.WithCancel(context.Background())
	end() // wait for nothing, and read no journal
	var events []scheduler.Event
	for e := range of.Watch(ended, last-min(last, maxEvents)) {
		events = append(events, e)
	}
	slices.Reverse(events)
	return events[:min(len(events), maxEvents)]
}

func (p *Page) election() *raft.Status {
	if p.cfg.Election == nil {
		return nil
	}
	s := p.cfg.Election()
	return &s
}

// answer writes JSON, or an error with the status for it.
func answer(w http.ResponseWriter, got any, err error) {
	status := http.StatusOK
	if err != nil {
		var code string
		if code, status = scheduler.Code(err); errors.Is(err, errUnread) {
			status = http.StatusServiceUnavailable
		}
		got = map[string]string{"error": err.Error(), "code": code}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(got) // or the viewer has gone
}

func (p *Page) serveAsset(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := assets.ReadFile("assets/" + strings.TrimPrefix(r.URL.Path, p.cfg.Prefix))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(data) // or the viewer has gone
	}
}

// maxBody is the longest request that is explained.
const maxBody = 1 << 17

func (p *Page) serveExplanation(w http.ResponseWriter, r *http.Request) {
	var req placement.Request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&req); err != nil {
		answer(w, nil, &placement.InvalidError{Field: "body", Reason: err.Error()})
		return
	}
	of := p.state()
	if of == nil {
		answer(w, nil, errUnread)
		return
	}
	e, err := of.Explain(r.Context(), req)
	answer(w, e, err)
}

// usageOver are the limits that are passed.
func usageOver(quotas []scheduler.QuotaInfo) []quota.Usage {
	var over []quota.Usage
	for _, q := range quotas {
		for _, u := range q.Usage {
			if u.Over() {
				over = append(over, u)
			}
		}
	}
	return over
}
