package replica_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/replica"
)

// alone is an elector for a service of one replica. A service of several has a
// raft.Node, or the elector of its database.
type alone struct{}

func (alone) WhileLeader(ctx context.Context, fn func(ctx context.Context, token uint64) error) error {
	return fn(ctx, 1)
}

// A replica that serves HTTP: a write where it leads, or else at the leader; a read
// anywhere, with the entry that it is as of.
func Example() {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	r, err := replica.New(replica.Config{
		Elector: alone{}, Journal: new(scheduler.MemoryJournal), // of a shared store
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /instances/{id}", r.Forward(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		d, err := replica.SchedulerFrom(req.Context()).Place(req.Context(), placement.Request{
			ID: req.PathValue("id"), Resources: placement.Resources{CPU: placement.Core},
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		_, _ = fmt.Fprintln(w, d.ID, "on", d.NodeID)
	})))
	mux.HandleFunc("GET /instances", func(w http.ResponseWriter, req *http.Request) {
		view := r.View()
		all, err := view.Allocations(req.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, len(all), "as of entry", view.Position().Seq)
	})
	mux.Handle("GET /health", r.Status(10*time.Second))
	running := make(chan error)
	go func() { running <- r.Run(ctx) }()

	leader := awaitLeader(r)
	_ = leader.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, call := range []string{"POST /instances/web-1", "GET /instances", "GET /health?for=lead"} {
		fmt.Print(call, ": ", answer(server.URL, call))
	}
	end()
	fmt.Println(<-running)
	// Output:
	// POST /instances/web-1: 200 web-1 on n1
	// GET /instances: 200 1 as of entry 2
	// GET /health?for=lead: 200 …
	// <nil>
}

// awaitLeader waits until a replica leads. A service answers 503 meanwhile.
func awaitLeader(r *replica.Replica) *scheduler.Scheduler {
	for {
		if s, leads := r.Leader(); leads {
			return s
		}
		time.Sleep(time.Millisecond)
	}
}

func answer(server, call string) string {
	var method, path string
	_, _ = fmt.Sscan(call, &method, &path)
	req, err := http.NewRequestWithContext(context.Background(), method, server+path, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	if response.Header.Get("Content-Type") == "application/json" {
		body = []byte("…\n")
	}
	return fmt.Sprint(response.StatusCode, " ", string(body))
}

// A worker falls silent, its work is placed anew, and when it is back it learns what
// to stop.
func ExampleLiveness() {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"n1", "n2"} {
		_ = s.AddNode(ctx, placement.Node{ID: id, Capacity: placement.Resources{CPU: 8 * placement.Core}})
	}
	web := placement.Request{ID: "web-1", Resources: placement.Resources{CPU: placement.Core}}
	_, _ = s.Allocate(ctx, "n1", web)

	liveness, err := replica.NewLiveness(replica.LivenessConfig{TTL: 200 * time.Millisecond}) // of tests; the default is 15 s
	if err != nil {
		fmt.Println(err)
		return
	}
	watching := make(chan error)
	go func() { watching <- liveness.Run(ctx, s) }() // in a service this is Config.Serve
	for lost := false; !lost; {
		time.Sleep(10 * time.Millisecond)
		_, _ = liveness.Beat(ctx, s, "n2") // n1 is silent
		n1, _ := s.Node(ctx, "n1")
		lost = n1.State == scheduler.NodeLost
	}
	d, err := s.Place(ctx, web)
	fmt.Println("n1 is lost;", d.ID, "runs on", d.NodeID, "as generation", d.Generation, err)

	stop, err := liveness.Beat(ctx, s, "n1")
	for _, a := range stop {
		fmt.Println("n1 is back; it stops", a.Request.ID, "of generation", a.Generation, err)
		_ = s.ReleaseGeneration(ctx, a.Request.ID, a.Generation) // once it has
	}
	end()
	fmt.Println(<-watching)
	// Output:
	// n1 is lost; web-1 runs on n2 as generation 2 <nil>
	// n1 is back; it stops web-1 of generation 1 <nil>
	// <nil>
}
