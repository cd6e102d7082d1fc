package replica

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/rads-project/constellation/scheduler"
)

// ForwardedHeader marks a request that one replica has passed on to another, which
// does not pass it on again: two replicas that each take the other for the leader
// answer instead of sending it around.
const ForwardedHeader = "Constellation-Forwarded"

// Forward returns a handler for what only the leader can do. While this replica
// leads it is h, which gets the scheduler from SchedulerFrom. Otherwise the request
// goes to the leader that Config.Leader names: Forward passes it on, or with
// Config.Redirect answers with 307 Temporary Redirect.
//
// While nobody leads, as far as is known, the answer is 503 Service Unavailable with
// Retry-After, and nothing was done. If the leader does not answer, or another takes
// its place before it has, the answer is 502 Bad Gateway with Retry-After, and the
// request may have been carried out: repeat it under the same ID.
func (r *Replica) Forward(h http.Handler) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetXForwarded()
			p.SetURL(leaderFrom(p.In.Context()))
			p.Out.Header.Set(ForwardedHeader, "1")
		},
		Transport: r.cfg.Transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			unavailable(w, http.StatusBadGateway, "the leader did not answer; repeat the request")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if s, leads := r.Leader(); leads {
			h.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), schedulerKey{}, s)))
			return
		}
		address, known := r.cfg.Leader()
		to, err := url.Parse(address)
		switch {
		case !known || err != nil || to.Host == "" || req.Header.Get(ForwardedHeader) != "":
			unavailable(w, http.StatusServiceUnavailable, "no leader is known")
		case r.cfg.Redirect:
			http.Redirect(w, req, to.JoinPath(req.URL.Path).String()+query(req.URL), http.StatusTemporaryRedirect)
		default:
			ctx, end := r.whileLeader(req.Context(), address)
			defer end()
			proxy.ServeHTTP(w, req.WithContext(context.WithValue(ctx, leaderKey{}, to)))
		}
	})
}

// schedulerKey is under which the context of a request that is served here has the
// scheduler.
type schedulerKey struct{}

// SchedulerFrom returns the scheduler for a request that Forward serves here, by the
// request's context. It is nil for any other. The reign may have ended since: then its
// calls return errors and change nothing. It takes constant time.
func SchedulerFrom(ctx context.Context) *scheduler.Scheduler {
	s, _ := ctx.Value(schedulerKey{}).(*scheduler.Scheduler)
	return s
}

func query(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	return "?" + u.RawQuery
}

// leaderKey is under which the context of a request that is passed on has the URL of
// the leader.
type leaderKey struct{}

func leaderFrom(ctx context.Context) *url.URL {
	to, _ := ctx.Value(leaderKey{}).(*url.URL)
	return to
}

// lookEvery is how often a request that is passed on looks whether the leader is
// still the same.
const lookEvery = 100 * time.Millisecond

// whileLeader returns a context that ends when another replica leads than that at an
// address: one that is paused would keep its clients waiting for as long.
func (r *Replica) whileLeader(ctx context.Context, address string) (context.Context, func()) {
	ctx, end := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			_, here := r.Leader()
			if now, known := r.cfg.Leader(); here || known && now != address {
				end()
			}
		}
	})
	return ctx, func() { end(); looking.Wait() }
}

// retryAfter is the least that the header can say, in seconds.
const retryAfter = "1"

func unavailable(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, reason, status)
}

// Health is the body of the answers of Status.
type Health struct {
	// Role is "leader", "follower", or "none" for a replica that can show nothing.
	Role string `json:"role"`
	// Leader is the URL of the leader, as far as it is known.
	Leader string `json:"leader,omitempty"`
	// Position of what is shown, and how old that may be in milliseconds.
	Position scheduler.Position `json:"position"`
	AgeMS    int64              `json:"ageMS"`
	// Error is what is wrong, for people.
	Error string `json:"error,omitempty"`
}

// Status returns a handler for health checks. It answers with 200 OK only where
// requests of a kind can be served now, else with 503 Service Unavailable, and with
// a Health. The kind is in the query:
//
//	?for=write  (or nothing) by this replica or by a leader that it knows, see Forward
//	?for=lead   by this replica, which leads
//	?for=read   by View, which is at most maxAge old
//
// It waits neither for the journal nor for another replica.
func (r *Replica) Status(maxAge time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		health, err := r.health(req.URL.Query().Get("for"), maxAge)
		status := http.StatusOK
		if err != nil {
			health.Error, status = err.Error(), http.StatusServiceUnavailable
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(health) // or the client has gone
	})
}

func (r *Replica) health(purpose string, maxAge time.Duration) (Health, error) {
	h := Health{Role: "none"}
	leader, known := r.cfg.Leader()
	if known {
		h.Leader = leader
	}
	_, leads := r.Leader()
	view, readable := r.View(), r.Healthy()
	if view != nil {
		h.Position = view.Position()
		h.AgeMS = h.Position.Age(r.now()).Milliseconds()
		if view.Stats().Closed == nil {
			h.Role = "follower"
		}
	}
	if leads {
		h.Role = "leader"
	}
	switch {
	case purpose == "lead" && !leads:
		return h, errors.New("this replica does not lead")
	case purpose == "read" && h.Role == "none":
		return h, readable
	case purpose == "read" && h.Position.Age(r.now()) > maxAge:
		return h, errors.New("what is shown is too old")
	case (purpose == "" || purpose == "write") && !leads && !known:
		return h, errors.New("no leader is known")
	}
	return h, nil
}

func (r *Replica) now() time.Time {
	if r.cfg.Scheduler.Now != nil {
		return r.cfg.Scheduler.Now()
	}
	return time.Now()
}
