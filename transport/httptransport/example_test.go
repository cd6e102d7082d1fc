package httptransport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport/httptransport"
)

// Two services mount their transports in the servers that they have anyway.
func Example() {
	member := func(name string) (*httptransport.Transport, *httptest.Server, error) {
		t, err := httptransport.New(httptransport.Config{Cluster: "example", Name: name, Insecure: true})
		mux := http.NewServeMux()
		mux.Handle("/internal/cluster", t)
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "the service itself") })
		return t, httptest.NewServer(mux), err
	}
	a, serverA, errA := member("a")
	defer serverA.Close()
	b, serverB, errB := member("b")
	defer serverB.Close()
	if err := errors.Join(
		errA, errB,
		a.SetPeer("b", serverB.URL+"/internal/cluster"),
		b.SetPeer("a", serverA.URL+"/internal/cluster"),
	); err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var once sync.Once
	wg.Go(func() {
		_ = b.Serve(ctx, func(from string, frame []byte) {
			once.Do(func() { fmt.Printf("b got %q from %s\n", frame, from) })
			cancel()
		})
	})
	wg.Go(func() { _ = a.Serve(ctx, func(string, []byte) {}) })
	// A frame may be lost, for instance while b does not serve yet: who wants
	// an answer says it again.
	for again := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; {
		if err := a.Send("b", []byte("hello")); err != nil && ctx.Err() == nil {
			fmt.Println(err)
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	wg.Wait()
	// Output: b got "hello" from a
}

// A service that gives each member a token checks it like this; any other
// proof of a name works the same way.
func ExampleConfig_authenticate() {
	tokens := map[string]string{"secret of b": "b"}
	t, err := httptransport.New(httptransport.Config{
		Cluster: "example",
		Name:    "a",
		Peers:   map[string]string{"b": "https://b.example/internal/cluster"},
		Authenticate: func(r *http.Request) (string, error) {
			name, ok := tokens[r.Header.Get("Authorization")]
			if !ok {
				return "", errors.New("unknown token")
			}
			return name, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/internal/cluster", http.NoBody)
	r.Header.Set("Constellation-Version", "1")
	r.Header.Set("Constellation-Cluster", "example")
	r.Header.Set("Constellation-From", "b")
	r.Header.Set("Constellation-To", "a")
	for _, token := range []string{"a guess", "secret of b"} {
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		t.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	fmt.Println("refused:", t.Stats().Refused.Sender)
	// Output:
	// 403
	// 204
	// refused: 1
}

// With mutual TLS the certificate says who sends.
func ExampleCertificate() {
	t, err := httptransport.New(httptransport.Config{
		Cluster:      "example",
		Name:         "a",
		Peers:        map[string]string{"b": "https://b.example/internal/cluster"},
		Authenticate: httptransport.Certificate,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{
		Handler: t,
		TLSConfig: &tls.Config{
			ClientAuth: tls.RequireAndVerifyClientCert,
			// And ClientCAs with the cluster's authority.
		},
	}
	fmt.Println(server.TLSConfig.ClientAuth)
	// Output: RequireAndVerifyClientCert
}
