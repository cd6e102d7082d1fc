package debugpage_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
)

// A host mounts the page in the server that it has.
func Example() {
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.AddNode(context.Background(), placement.Node{ID: "n1"}); err != nil {
		log.Fatal(err)
	}
	page, err := debugpage.New(debugpage.Config{State: s})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(debugpage.DefaultPrefix, page)

	server := httptest.NewServer(mux) // an http.Server would be told: RegisterOnShutdown(page.Close)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + debugpage.DefaultPrefix)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it is not read
	fmt.Println(answer.Status, answer.Header.Get("Content-Type"))
	// Output:
	// 200 OK text/html; charset=utf-8
}
