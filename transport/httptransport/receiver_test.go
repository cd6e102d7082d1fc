package httptransport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/stretchr/testify/require"
)

func newTransport(t *testing.T, change func(*httptransport.Config)) *httptransport.Transport {
	t.Helper()
	cfg := httptransport.Config{
		Cluster: "test", Name: "a", Peers: map[string]string{"b": "http://127.0.0.1:1/"}, Insecure: true,
	}
	change(&cfg)
	tr, err := httptransport.New(cfg)
	require.NoError(t, err)
	return tr
}

// An arrival is a frame that a handler was given.
type arrival struct{ from, text string }

// serve serves tr until stop is called or the test ends.
func serve(t *testing.T, tr *httptransport.Transport) (arrivals <-chan arrival, stop func()) {
	t.Helper()
	ch := make(chan arrival, 1000)
	stop = serveWith(t, tr, func(from string, frame []byte) { ch <- arrival{from, string(frame)} })
	return ch, stop
}

// serveWith serves tr with handle; it returns once requests are answered.
func serveWith(t *testing.T, tr *httptransport.Transport, handle func(string, []byte)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tr.Serve(ctx, handle) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
	})
	t.Cleanup(stop)
	return stop
}

func drain(arrivals <-chan arrival) []arrival {
	var all []arrival
	for {
		select {
		case a := <-arrivals:
			all = append(all, a)
		default:
			return all
		}
	}
}

// request returns a good request of b with the given body.
func request(body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Constellation-Version", "1")
	r.Header.Set("Constellation-Cluster", "test")
	r.Header.Set("Constellation-From", "b")
	r.Header.Set("Constellation-To", "a")
	return r
}

func frames(texts ...string) []byte {
	var body []byte
	for _, text := range texts {
		body = wire.Append(body, wire.Data, []byte(text))
	}
	return body
}

// post gives tr a request once it serves and returns the answer.
func post(t *testing.T, tr http.Handler, r *http.Request) *http.Response {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return w.Result()
		}
	}
}

func TestFramesOfARequestArriveInOrder(t *testing.T) {
	tr := newTransport(t, func(*httptransport.Config) {})
	arrivals, _ := serve(t, tr)
	resp := post(t, tr, request(frames("one", "", "three")))
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Equal(t, []arrival{{"b", "one"}, {"b", ""}, {"b", "three"}}, drain(arrivals))
	require.Equal(t, uint64(3), tr.Stats().Peers[0].Received)
}

func TestRequestsBeforeAndAfterServe(t *testing.T) {
	tr := newTransport(t, func(*httptransport.Config) {})
	status := func() int {
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, request(frames("x")))
		return w.Code
	}
	require.Equal(t, http.StatusServiceUnavailable, status())
	arrivals, stop := serve(t, tr)
	post(t, tr, request(frames("during")))
	stop()
	require.Equal(t, http.StatusServiceUnavailable, status())
	require.Equal(t, []arrival{{"b", "during"}}, drain(arrivals))
	require.Zero(t, tr.Stats().Refused.Total())
}

func TestRefusedRequests(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		want   transport.Refused
	}{
		{"not a POST", func(r *http.Request) { r.Method = http.MethodGet }, 405, transport.Refused{Handshake: 1}},
		{"no headers", func(r *http.Request) { clear(r.Header) }, 400, transport.Refused{Handshake: 1}},
		{"another version", header("Constellation-Version", "2"), 400, transport.Refused{Version: 1}},
		{"a garbled name", header("Constellation-From", "%zz"), 400, transport.Refused{Handshake: 1}},
		{"another cluster", header("Constellation-Cluster", "prod"), 421, transport.Refused{Cluster: 1}},
		{"another receiver", header("Constellation-To", "c"), 421, transport.Refused{Receiver: 1}},
		{"an unknown sender", header("Constellation-From", "z"), 403, transport.Refused{Sender: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTransport(t, func(*httptransport.Config) {})
			arrivals, _ := serve(t, tr)
			r := request(frames("forged"))
			tt.change(r)
			unread := &counter{r: bytes.NewReader(frames("forged"))}
			r.Body = io.NopCloser(unread)
			w := httptest.NewRecorder()
			tr.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.want, tr.Stats().Refused)
			require.Empty(t, drain(arrivals))
			require.Zero(t, unread.n, "the body of a stranger is not read")
		})
	}
}

// A counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestHostileBodies(t *testing.T) {
	broken := frames("payload")
	broken[len(broken)-1]++
	tests := []struct {
		name   string
		body   []byte
		status int
		want   transport.Refused
	}{
		{"nothing", nil, 204, transport.Refused{}},
		{"half a frame", frames("payload")[:10], 400, transport.Refused{}},
		{"half a header", frames("payload")[:5], 400, transport.Refused{}},
		{"a broken frame", broken, 400, transport.Refused{Frame: 1}},
		{"a ping", wire.Append(nil, wire.Ping, nil), 400, transport.Refused{Frame: 1}},
		{"a gigabyte", binary.BigEndian.AppendUint64(nil, 1<<62), 413, transport.Refused{Frame: 1}},
		{"one byte too long", frames(string(make([]byte, transport.DefaultMaxFrame+1))), 413, transport.Refused{Frame: 1}},
		{
			"a body beyond the limit", bytes.Repeat(frames(string(make([]byte, transport.DefaultMaxFrame))), 5), 413,
			transport.Refused{Frame: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTransport(t, func(*httptransport.Config) {})
			serve(t, tr)
			resp := post(t, tr, request(tt.body))
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.want, tr.Stats().Refused)
			require.Equal(t, tt.status != 204, resp.Header.Get("Connection") == "close")
		})
	}
}

func TestAuthenticate(t *testing.T) {
	answer, failure := "b", error(nil)
	tr := newTransport(t, func(cfg *httptransport.Config) {
		cfg.Insecure = false
		cfg.Authenticate = func(*http.Request) (string, error) { return answer, failure }
	})
	arrivals, _ := serve(t, tr)
	require.Equal(t, 204, post(t, tr, request(frames("b"))).StatusCode)
	answer = "c"
	require.Equal(t, 403, post(t, tr, request(frames("c, who says b"))).StatusCode)
	answer, failure = "b", errors.New("no token")
	require.Equal(t, 403, post(t, tr, request(frames("somebody"))).StatusCode)
	require.Equal(t, []arrival{{"b", "b"}}, drain(arrivals))
	require.Equal(t, transport.Refused{Sender: 2}, tr.Stats().Refused)
}

// A sender that cannot prove its name gets one answer, whatever it asks for
// and whether the member serves or not.
func TestStrangersLearnNothing(t *testing.T) {
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	requests := map[string]func(*http.Request){
		"all right":         func(*http.Request) {},
		"not a POST":        func(r *http.Request) { r.Method = http.MethodGet },
		"no headers":        func(r *http.Request) { clear(r.Header) },
		"another version":   header("Constellation-Version", "2"),
		"a garbled cluster": header("Constellation-Cluster", "%zz"),
		"a garbled sender":  header("Constellation-From", "%zz"),
		"another cluster":   header("Constellation-Cluster", "prod"),
		"another receiver":  header("Constellation-To", "c"),
		"an unknown sender": header("Constellation-From", "z"),
	}
	strangers := map[string]func(*http.Request) (string, error){
		"nobody":       func(*http.Request) (string, error) { return "", errors.New("no token") },
		"somebody":     func(*http.Request) (string, error) { return "b", errors.New("expired token") },
		"another name": func(*http.Request) (string, error) { return "somebody else", nil },
	}
	for who, authenticate := range strangers {
		tr := newTransport(t, func(cfg *httptransport.Config) { cfg.Insecure, cfg.Authenticate = false, authenticate })
		ask := func(change func(*http.Request)) *http.Response {
			r, unread := request(nil), &counter{r: bytes.NewReader(frames("forged"))}
			r.Body = io.NopCloser(unread)
			change(r)
			w := httptest.NewRecorder()
			tr.ServeHTTP(w, r)
			require.Zero(t, unread.n, "the body of a stranger is not read")
			return w.Result()
		}
		same := func(when string) {
			for what, change := range requests {
				resp := ask(change)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, 403, resp.StatusCode, "%s, %s, %s", when, who, what)
				require.Equal(t, "sender not authenticated\n", string(body), "%s, %s, %s", when, who, what)
				require.Equal(t, http.Header{
					"Connection":             {"close"},
					"Content-Type":           {"text/plain; charset=utf-8"},
					"X-Content-Type-Options": {"nosniff"},
				}, resp.Header, "%s, %s, %s", when, who, what)
			}
		}
		same("before Serve")
		arrivals, stop := serve(t, tr)
		same("during Serve")
		stop()
		same("after Serve")
		require.Empty(t, drain(arrivals))
		require.Equal(t, transport.Refused{Sender: uint64(3 * len(requests))}, tr.Stats().Refused)
	}
}

func TestCertificate(t *testing.T) {
	leaf := func(names ...string) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{DNSNames: names}}}}
	}
	tests := []struct {
		name  string
		state *tls.ConnectionState
		ok    bool
	}{
		{"no TLS", nil, false},
		{"no certificate", &tls.ConnectionState{}, false},
		{"unverified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{DNSNames: []string{"b"}}}}, false},
		{"another member", leaf("c"), false},
		{"wildcard", leaf("*"), false},
		{"the member", leaf("b"), true},
		{"the member among others", leaf("b.example", "b"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(nil)
			r.TLS = tt.state
			name, err := httptransport.Certificate(r)
			require.Equal(t, tt.ok, err == nil)
			require.Equal(t, tt.ok, name == "b")
		})
	}
	r := request(nil)
	r.TLS = leaf("b")
	r.Header.Set("Constellation-From", "%zz")
	_, err := httptransport.Certificate(r)
	require.Error(t, err)
}

// While a handler does not return, a peer that posts again and again holds
// two requests at most.
func TestStuckHandlerBoundsRequests(t *testing.T) {
	tr := newTransport(t, func(*httptransport.Config) {})
	stuck, entered := make(chan struct{}), make(chan struct{}, 10)
	serveWith(t, tr, func(string, []byte) {
		entered <- struct{}{}
		<-stuck
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { post(t, tr, request(frames("x"))) })
		<-entered
	}
	for range 10 {
		w := httptest.NewRecorder()
		tr.ServeHTTP(w, request(frames("x")))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
	}
	require.Equal(t, uint64(10), tr.Stats().Refused.Busy)
	close(stuck)
	wg.Wait()
	require.Equal(t, 204, post(t, tr, request(frames("x"))).StatusCode)
}

// Names may hold whatever a host likes.
func TestNamesAreEscaped(t *testing.T) {
	const name = "eu/ö b\r\n%"
	tr := newTransport(t, func(cfg *httptransport.Config) { cfg.Peers = map[string]string{name: "http://127.0.0.1:1/"} })
	arrivals, _ := serve(t, tr)
	r := request(frames("x"))
	r.Header.Set("Constellation-From", "eu%2F%C3%B6+b%0D%0A%25")
	require.Equal(t, 204, post(t, tr, r).StatusCode)
	require.Equal(t, []arrival{{name, "x"}}, drain(arrivals))
}

func TestConfigMistakesAreReportedAtOnce(t *testing.T) {
	_, err := httptransport.New(httptransport.Config{
		Peers:    map[string]string{"": "http://x", "b": "ftp://x", "c": "http://", "d": ":"},
		MaxFrame: -1,
	})
	for _, part := range []string{
		"name of a cluster", "name of a member", "name of a peer", `"ftp://x" is not a URL`, `"http://" is not a URL`,
		`peer "d"`, "MaxFrame -1", "neither Authenticate nor Insecure",
	} {
		require.ErrorContains(t, err, part)
	}
	_, err = httptransport.New(httptransport.Config{
		Cluster: "test", Name: "a", Insecure: true, Authenticate: httptransport.Certificate, MaxFrame: 1<<30 + 1,
	})
	require.ErrorContains(t, err, "both Authenticate and Insecure")
	require.ErrorContains(t, err, "MaxFrame 1073741825")
	tr := newTransport(t, func(*httptransport.Config) {})
	require.ErrorContains(t, tr.SetPeer("a", "http://x"), "this member itself")
	require.Error(t, tr.SetPeer("b", "x"))
}

// Whatever the headers and the body, the answer is one of the documented ones,
// and only the frames of b that are whole arrive.
func FuzzRequest(f *testing.F) {
	f.Add("1", "test", "b", "a", frames("one", "two"))
	f.Add("1", "test", "b", "a", frames("one")[:9])
	f.Add("2", "", "%zz", "\x00", []byte("garbage"))
	f.Fuzz(func(t *testing.T, version, cluster, from, to string, body []byte) {
		tr, err := httptransport.New(httptransport.Config{
			Cluster: "test", Name: "a", Peers: map[string]string{"b": "http://127.0.0.1:1/"}, Insecure: true,
		})
		require.NoError(t, err)
		var again []byte
		stop := serveWith(t, tr, func(from string, frame []byte) {
			require.Equal(t, "b", from)
			again = wire.Append(again, wire.Data, frame)
		})
		r := request(body)
		r.Header.Set("Constellation-Version", version)
		r.Header.Set("Constellation-Cluster", cluster)
		r.Header.Set("Constellation-From", from)
		r.Header.Set("Constellation-To", to)
		status := post(t, tr, r).StatusCode
		stop()
		require.Contains(t, []int{204, 400, 403, 413, 421}, status)
		require.True(t, bytes.HasPrefix(body, again))
		if status == http.StatusNoContent {
			require.Len(t, again, len(body), "204 means all frames")
		}
	})
}
