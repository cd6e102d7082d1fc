package debugpage

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
	"github.com/rads-project/constellation/transport"
)

// DefaultPrefix is the path below which a page is mounted if Config says no other.
const DefaultPrefix = "/debug/scheduler/"

// Source is what the page reads of a scheduler: scheduler.Scheduler and
// scheduler.Follower have it.
type Source interface {
	Nodes(ctx context.Context) ([]scheduler.NodeInfo, error)
	Quotas(ctx context.Context) ([]scheduler.QuotaInfo, error)
	Reservations(ctx context.Context) ([]reservation.Reservation, error)
	Explain(ctx context.Context, req placement.Request) (scheduler.Explanation, error)
	ExplainNode(ctx context.Context, req placement.Request, nodeID string) (scheduler.NodeVerdict, error)
	Refused(ctx context.Context) ([]scheduler.Refusal, error)
	Watch(ctx context.Context, afterSeq uint64) iter.Seq[scheduler.Event]
	Stats() scheduler.Stats
	Inventory(ctx context.Context) (scheduler.Inventory, error)
}

// Config says what a page shows. One of State and Replica is required.
type Config struct {
	// State is the scheduler or the follower to show, for a host that has one.
	State Source
	// Replica is for a host that is one of several: the page shows its View.
	Replica *replica.Replica
	// Election returns the status of the election, such as raft.Node.Status. Nil:
	// the page says nothing about it.
	Election func() raft.Status
	// Transport returns the counters of the election's messages, such as
	// tcp.Transport.Stats. Nil: the page says nothing about them.
	Transport func() transport.Stats
	// Liveness that watches the nodes. Nil: the page says nothing about it.
	Liveness *replica.Liveness
	// Prefix is the path below which the page is mounted, with a slash at both ends.
	// Empty is DefaultPrefix.
	Prefix string
	// Authorize reports whether who asks may see all that the scheduler knows; else
	// the answer is 403 Forbidden. Nil: everybody may.
	Authorize func(*http.Request) bool
	// Changes lets whoever is authorized cordon and uncordon nodes on the page of the
	// scheduler that decides. It requires Authorize. A change is a POST, and one that
	// comes from a page of another origin is refused.
	Changes bool
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

	origin  int64         // tells this page from one before it, in the IDs of its streams
	looking chan struct{} // holds a value while the lists are read
	latest  *lists        // guarded by looking
	trend   trend
	shared  sharedFrame
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
	if cfg.Changes && cfg.Authorize == nil {
		errs = append(errs, &placement.InvalidError{Field: "changes", Reason: "requires authorize"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	page, err := template.New("page.html").Funcs(functions(cfg)).ParseFS(assets, "assets/page.html")
	if err != nil {
		return nil, err
	}
	p := &Page{
		cfg: cfg, mux: http.NewServeMux(), page: page, origin: time.Now().UnixNano(),
		closed: make(chan struct{}), looking: make(chan struct{}, 1),
	}
	p.routes()
	if err := p.routeMetrics(); err != nil {
		return nil, err
	}
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
	handle("GET icon.svg", p.serveAsset("image/svg+xml"))
	handle("GET stream", p.serveStream)
	handle("GET cells.json", p.serveCells)
	handle("GET summary.json", func(w http.ResponseWriter, r *http.Request) { answer(w, p.summary(p.look(r.Context())), nil) })
	handle("GET nodes.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.nodes, l.err) })
	handle("GET quotas.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.quotas, l.err) })
	handle("GET reservations.json", func(w http.ResponseWriter, r *http.Request) {
		l := p.look(r.Context())
		answer(w, l.reservations, l.err)
	})
	handle("GET events.json", func(w http.ResponseWriter, r *http.Request) { l := p.look(r.Context()); answer(w, l.events, l.err) })
	handle("GET refused.json", func(w http.ResponseWriter, r *http.Request) {
		refused, err := p.refused(r.Context(), p.state())
		answer(w, refused, err)
	})
	handle("GET election.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.election(), nil) })
	handle("POST explain.json", p.serveExplanation)
	handle("POST whatif", p.serveWhatIf)
	if p.cfg.Changes {
		handle("POST cordon", p.serveChange(decider.Cordon))
		handle("POST uncordon", p.serveChange(decider.Uncordon))
	}
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if p.cfg.Authorize != nil && !p.cfg.Authorize(r) {
		http.Error(w, "not for you", http.StatusForbidden)
		return
	}
	// What is posted comes from the page itself, or from no browser.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// Close ends the streams that are open, and each that is opened later: a server that
// shuts down waits for none. It is for http.Server.RegisterOnShutdown.
func (p *Page) Close() { p.close.Do(func() { close(p.closed) }) }

// state is what there is to read now; nil if the journal is being read for the first
// time.
func (p *Page) state() Source {
	if p.cfg.Replica == nil {
		return p.cfg.State
	}
	if view := p.cfg.Replica.View(); view != nil {
		return view
	}
	return nil
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
