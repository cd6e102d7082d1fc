package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// api is the service by HTTP. Any replica takes any request: reads are answered from
// its view, and writes by the leader.
type api struct {
	replica  *replica.Replica
	liveness *replica.Liveness
}

func (a api) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /health", a.replica.Status(10*time.Second))
	mux.Handle("POST /nodes", write(a, func(r *http.Request, s *scheduler.Scheduler, n placement.Node) (any, error) {
		err := s.AddNode(r.Context(), n)
		if errors.Is(err, scheduler.ErrConflict) {
			_, err = s.UpdateNode(r.Context(), n)
		}
		return n, err
	}))
	mux.Handle("POST /nodes/{id}/heartbeat", write(a, func(r *http.Request, s *scheduler.Scheduler, _ struct{}) (any, error) {
		return a.liveness.Beat(r.Context(), s, r.PathValue("id")) // what its worker is to stop
	}))
	mux.Handle("POST /jobs", write(a, func(r *http.Request, s *scheduler.Scheduler, job placement.Request) (any, error) {
		return s.Place(r.Context(), job)
	}))
	mux.Handle("DELETE /jobs/{id}", write(a, func(r *http.Request, s *scheduler.Scheduler, _ struct{}) (any, error) {
		return struct{}{}, s.Release(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("DELETE /jobs/{id}/stale/{generation}", write(a, func(r *http.Request, s *scheduler.Scheduler, _ struct{}) (any, error) {
		generation, _ := strconv.ParseUint(r.PathValue("generation"), 10, 64) // there is none of 0
		return struct{}{}, s.ReleaseGeneration(r.Context(), r.PathValue("id"), generation)
	}))
	mux.Handle("PUT /quotas/{team}", write(a, func(r *http.Request, s *scheduler.Scheduler, body teamQuota) (any, error) {
		spec := quota.Spec(body)
		spec.Namespace = r.PathValue("team")
		over, err := s.CreateQuota(r.Context(), spec)
		if errors.Is(err, scheduler.ErrConflict) {
			over, err = s.UpdateQuota(r.Context(), spec)
		}
		return over, err
	}))
	mux.Handle("POST /reservations", write(a, func(r *http.Request, s *scheduler.Scheduler, spec reservation.Spec) (any, error) {
		return s.Reserve(r.Context(), spec)
	}))
	mux.Handle("POST /reservations/{id}/jobs", write(a, func(r *http.Request, s *scheduler.Scheduler, job placement.Request) (any, error) {
		return s.PlaceFromReservation(r.Context(), r.PathValue("id"), job)
	}))
	mux.Handle("POST /explain", read(a, func(r *http.Request, v *scheduler.Follower, job placement.Request) (any, error) {
		return v.Explain(r.Context(), job)
	}))
	mux.Handle("GET /nodes", list(a, (*scheduler.Follower).Nodes))
	mux.Handle("GET /nodes/{id}/jobs", read(a, func(r *http.Request, v *scheduler.Follower, _ struct{}) (any, error) {
		return v.AllocationsOn(r.Context(), r.PathValue("id"))
	}))
	mux.Handle("GET /jobs", list(a, (*scheduler.Follower).Allocations))
	mux.Handle("GET /quotas", list(a, (*scheduler.Follower).Quotas))
	mux.Handle("GET /reservations", list(a, (*scheduler.Follower).Reservations))
	return mux
}

// teamQuota is a quota whose team is in the path, so that it is checked only with that.
type teamQuota quota.Spec

// write is a handler that the leader runs, with what the body says.
func write[T any](a api, do func(*http.Request, *scheduler.Scheduler, T) (any, error)) http.Handler {
	return a.replica.Forward(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := context.WithTimeout(r.Context(), 5*time.Second) // for the journal
		defer end()
		body, err := decode[T](w, r)
		var got any
		if err == nil {
			got, err = do(r.WithContext(ctx), replica.SchedulerFrom(ctx), body)
		}
		answer(w, got, err)
	}))
}

// read is a handler that any replica runs. It says as of which entry it answers, and
// how old that may be.
func read[T any](a api, do func(*http.Request, *scheduler.Follower, T) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		view := a.replica.View()
		body, err := decode[T](w, r)
		if view == nil || err != nil {
			answer(w, nil, cmp.Or(err, errors.New("the journal is being read")))
			return
		}
		at := view.Position() // before: what is read is at least as new
		w.Header().Set("State-Seq", strconv.FormatUint(at.Seq, 10))
		w.Header().Set("State-Age", at.Age(time.Now()).String())
		got, err := do(r, view, body)
		answer(w, got, err)
	})
}

func list[T any](a api, all func(*scheduler.Follower, context.Context) ([]T, error)) http.Handler {
	return read(a, func(r *http.Request, v *scheduler.Follower, _ struct{}) (any, error) { return all(v, r.Context()) })
}

// decode reads the body, if one is wanted.
func decode[T any](w http.ResponseWriter, r *http.Request) (body T, err error) {
	if _, none := any(body).(struct{}); none {
		return body, nil
	}
	sent, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return body, &placement.InvalidError{Field: "body", Reason: err.Error()}
	}
	return body, placement.DecodeJSON(sent, &body) // with everything that is wrong
}

// answer writes what was got, or an error with the status for it. Whatever the request is
// not to blame for is unavailable: the change may have been made, and repeating the
// request tells.
func answer(w http.ResponseWriter, got any, err error) {
	code, status := scheduler.Code(err)
	if err != nil {
		got = map[string]string{"error": err.Error(), "code": code}
	}
	if status >= http.StatusInternalServerError {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(got) // or the client has gone
}
