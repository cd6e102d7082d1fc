package httptransport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/httptransport"
	"github.com/stretchr/testify/require"
)

// A pipeListener hands out the ends of net.Pipes, so that HTTP runs within a
// testing/synctest bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A pipeNet finds listeners by the host of a URL.
type pipeNet struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

func newPipeNet() *pipeNet { return &pipeNet{listeners: map[string]*pipeListener{}} }

func (n *pipeNet) find(name string) *pipeListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[name]
}

func (n *pipeNet) listen(name string) *pipeListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[name] = newPipeListener()
	return n.listeners[name]
}

// errNobody is what dialing a host without a listener gives.
var errNobody = errors.New("nobody listens")

func (n *pipeNet) client(t *testing.T) *http.Client {
	t.Helper()
	return clientOf(t, &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			l := n.find(name)
			if l == nil {
				return nil, errNobody
			}
			return l.dial(ctx)
		},
	})
}

// mount serves handler as the host name until stop is called or the test
// ends.
func (n *pipeNet) mount(t *testing.T, name string, handler http.Handler) (stop func()) {
	t.Helper()
	l := n.listen(name)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	stop = sync.OnceFunc(func() {
		_ = server.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	t.Cleanup(stop)
	return stop
}

// member mounts a member under its name.
func (n *pipeNet) member(t *testing.T, name string, peers ...string) *httptransport.Transport {
	t.Helper()
	urls := map[string]string{}
	for _, p := range peers {
		urls[p] = "http://" + p + "/"
	}
	tr, err := httptransport.New(httptransport.Config{
		Cluster: "test", Name: name, Peers: urls, Client: n.client(t), Insecure: true,
	})
	require.NoError(t, err)
	n.mount(t, name, tr)
	return tr
}

func TestFramesThatWaitShareARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		requests := 0
		b := newTransport(t, func(cfg *httptransport.Config) {
			cfg.Name, cfg.Peers = "b", map[string]string{"a": "http://a/"}
		})
		n.mount(t, "b", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			b.ServeHTTP(w, r)
		}))
		for i := range 50 {
			require.NoError(t, a.Send("b", strconv.AppendInt(nil, int64(i), 10)))
		}
		arrivals, _ := serve(t, b)
		synctest.Wait()
		serve(t, a)
		time.Sleep(time.Second)
		require.Len(t, drain(arrivals), 50)
		require.Equal(t, 1, requests)
		ps := a.Stats().Peers[0]
		require.Equal(t, transport.PeerStats{Peer: "b", Sent: 50, RoundTrip: ps.RoundTrip}, ps)
	})
}

// A flood in one flow pushes out no frame of another.
func TestFlowsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
		require.NoError(t, a.SendFlow("quiet", "b", []byte("quiet")))
		for range 10 * transport.QueueFrames {
			require.NoError(t, a.SendFlow("loud", "b", []byte("loud")))
		}
		arrivals, _ := serve(t, b)
		synctest.Wait()
		serve(t, a)
		time.Sleep(time.Second)
		require.Equal(t, arrival{"a", "quiet"}, drain(arrivals)[0])
		require.Equal(t, transport.Dropped{Full: 9 * transport.QueueFrames}, a.Stats().Peers[0].Dropped)
	})
}

// A peer that accepts and never answers: Send does not block, others get
// their frames, and what waits is bounded in number and in age.
func TestPeerThatNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, c := n.member(t, "a", "b", "c"), n.member(t, "c", "a")
		deaf := n.listen("b")
		go func() {
			for {
				conn, err := deaf.Accept()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
			}
		}()
		defer func() { _ = deaf.Close() }()
		serve(t, a)
		atC, _ := serve(t, c)
		synctest.Wait()
		start := time.Now()
		for i := range 1000 {
			require.NoError(t, a.Send("b", make([]byte, 1000)))
			require.NoError(t, a.Send("c", strconv.AppendInt(nil, int64(i), 10)))
			synctest.Wait()
		}
		require.Zero(t, time.Since(start), "no call may wait for the deaf peer")
		require.Len(t, drain(atC), 1000)
		b := a.Stats().Peers[0]
		require.LessOrEqual(t, b.Queued, transport.QueueFrames)
		require.Positive(t, b.Dropped.Full)
		time.Sleep(3 * time.Second)
		b = a.Stats().Peers[0]
		require.Zero(t, b.Queued)
		require.Positive(t, b.Dropped.Stale)
		require.Positive(t, b.Dropped.Lost)
		require.Equal(t, uint64(1000), b.Dropped.Total())
		require.ErrorIs(t, b.LastError, context.DeadlineExceeded)
	})
}

func TestAttemptsAtADeadPeerAreDamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newPipeNet().member(t, "a", "dead")
		serve(t, a)
		for range 600 { // A frame each 100 ms for a minute.
			require.NoError(t, a.Send("dead", nil))
			time.Sleep(100 * time.Millisecond)
		}
		dead := a.Stats().Peers[0]
		require.Less(t, dead.Failures, uint64(130))
		require.Greater(t, dead.Failures, uint64(50))
		require.ErrorIs(t, dead.LastError, errNobody)
	})
}

// A peer that comes back is tried at once, because it shows itself.
func TestPeerThatComesBackIsReachedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		for range 600 {
			require.NoError(t, a.Send("b", []byte("are you there?")))
			time.Sleep(100 * time.Millisecond)
		}
		b := n.member(t, "b", "a")
		atB, _ := serve(t, b)
		synctest.Wait()
		require.NoError(t, b.Send("a", []byte("I am back")))
		synctest.Wait()
		require.NotEmpty(t, drain(atB))
		require.NoError(t, a.Stats().Peers[0].LastError)
	})
}

// A thousand silent connections: the limits of the host's server end them,
// and the members' traffic goes on.
func TestFloodOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b", "a")
		arrivals, _ := serve(t, a)
		serve(t, b)
		synctest.Wait()
		open := make([]net.Conn, 1000)
		for i := range open {
			var err error
			open[i], err = n.find("a").dial(t.Context())
			require.NoError(t, err)
			if i%100 == 0 {
				require.NoError(t, b.Send("a", []byte("ordinary")))
				synctest.Wait()
			}
		}
		require.Len(t, drain(arrivals), 10)
		start := time.Now()
		for _, conn := range open {
			_, err := io.ReadAll(conn)
			require.NoError(t, err)
		}
		require.Equal(t, time.Second, time.Since(start), "the server's ReadHeaderTimeout")
	})
}

// That a peer has sent while it was reached does not hurry the attempts after
// its end.
func TestPeerThatGoesIsNotTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		b := newTransport(t, func(cfg *httptransport.Config) {
			cfg.Name, cfg.Peers, cfg.Client = "b", map[string]string{"a": "http://a/"}, n.client(t)
		})
		stop := n.mount(t, "b", b)
		serve(t, a)
		serve(t, b)
		synctest.Wait()
		require.NoError(t, b.Send("a", nil))
		require.NoError(t, a.Send("b", nil))
		synctest.Wait()
		require.NoError(t, a.Stats().Peers[0].LastError)
		stop()
		for range 3 {
			require.NoError(t, a.Send("b", nil))
			synctest.Wait()
		}
		require.Equal(t, uint64(1), a.Stats().Peers[0].Failures)
	})
}

// After a success the pauses begin anew with the shortest.
func TestPausesBeginAnewAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		send := func(frames int) {
			for range frames {
				require.NoError(t, a.Send("b", nil))
				time.Sleep(10 * time.Millisecond)
			}
		}
		send(3000)
		b := newTransport(t, func(cfg *httptransport.Config) {
			cfg.Name, cfg.Peers = "b", map[string]string{"a": "http://a/"}
		})
		stop := n.mount(t, "b", b)
		serve(t, b)
		send(200)
		stop()
		before := a.Stats().Peers[0].Failures
		send(20) // Two pauses of at most 50 and 100 ms.
		require.GreaterOrEqual(t, a.Stats().Peers[0].Failures, before+3)
	})
}

// A peer that draws out its answer is given up, however much it says.
func TestEndlessAnswerIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		var written atomic.Int64
		n.mount(t, "b", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				size, err := w.Write(make([]byte, 4<<10))
				if err != nil {
					return
				}
				written.Add(int64(size))
			}
		}))
		serve(t, a)
		require.NoError(t, a.Send("b", nil))
		synctest.Wait()
		require.ErrorContains(t, a.Stats().Peers[0].LastError, "200 OK")
		require.Less(t, written.Load(), int64(64<<10))
	})
}

// A body that does not come is cut off.
func TestSlowBodyIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		serve(t, a)
		conn, err := n.find("a").dial(t.Context())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"+
			"Constellation-Version: 1\r\nConstellation-Cluster: test\r\nConstellation-From: b\r\n"+
			"Constellation-To: a\r\n\r\nhalf")
		require.NoError(t, err)
		start := time.Now()
		answer, _ := io.ReadAll(conn)
		require.Contains(t, string(answer), "400 Bad Request")
		require.Equal(t, 5*time.Second, time.Since(start).Truncate(time.Second))
	})
}

// Frames must not follow a redirect to a server that is not the peer's.
func TestRedirectsAreNotFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, c := n.member(t, "a", "b", "c"), n.member(t, "c", "a")
		n.mount(t, "b", http.RedirectHandler("http://c/", http.StatusTemporaryRedirect))
		serve(t, a)
		atC, _ := serve(t, c)
		require.NoError(t, a.Send("b", []byte("for b only")))
		time.Sleep(time.Second)
		require.Empty(t, drain(atC))
		require.Zero(t, c.Stats().Refused.Total())
		require.ErrorContains(t, a.Stats().Peers[0].LastError, "307")
	})
}

func TestRefusalIsReportedToTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a", "b"), n.member(t, "b")
		serve(t, a)
		serve(t, b)
		require.NoError(t, a.Send("b", nil))
		time.Sleep(10 * time.Millisecond)
		require.ErrorContains(t, a.Stats().Peers[0].LastError, `"b" answered 403 Forbidden: unknown sender`)
	})
}

func TestPeersComeMoveAndGoAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a, b := n.member(t, "a"), n.member(t, "b", "a")
		serve(t, a)
		atB, _ := serve(t, b)
		require.ErrorIs(t, a.Send("b", nil), transport.ErrUnknownPeer)
		require.NoError(t, a.SetPeer("b", "http://nowhere/"))
		require.NoError(t, a.Send("b", []byte("lost")))
		time.Sleep(time.Second)
		require.NoError(t, a.SetPeer("b", "http://b/"))
		require.NoError(t, a.Send("b", []byte("found")))
		synctest.Wait()
		require.Equal(t, []arrival{{"a", "found"}}, drain(atB))
		require.NoError(t, a.RemovePeer("b"))
		require.ErrorIs(t, a.Send("b", nil), transport.ErrUnknownPeer)
		require.Empty(t, a.Stats().Peers)
	})
}

// A server that closes each connection: every request reconnects, and nothing
// is left of it. The bubble fails if a goroutine is.
func TestThousandReconnectsLeakNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		a := n.member(t, "a", "b")
		b := newTransport(t, func(cfg *httptransport.Config) {
			cfg.Name, cfg.Peers = "b", map[string]string{"a": "http://a/"}
		})
		n.mount(t, "b", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			b.ServeHTTP(w, r)
		}))
		serve(t, a)
		arrivals, _ := serve(t, b)
		synctest.Wait()
		for i := range 1000 {
			require.NoError(t, a.Send("b", strconv.AppendInt(nil, int64(i), 10)))
			synctest.Wait()
			require.Equal(t, []arrival{{"a", strconv.Itoa(i)}}, drain(arrivals))
		}
		require.Equal(t, uint64(999), a.Stats().Peers[0].Reconnects)
	})
}

// The client of the transport's own works too, over a real socket.
func TestOwnClient(t *testing.T) {
	b := newTransport(t, func(cfg *httptransport.Config) {
		cfg.Name, cfg.Peers = "b", map[string]string{"a": "http://127.0.0.1:1/"}
	})
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(b)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Add(-1)
		default:
		}
	}
	server.Start()
	defer server.Close()
	a := newTransport(t, func(cfg *httptransport.Config) { cfg.Peers = map[string]string{"b": server.URL} })
	_, stopA := serve(t, a)
	arrivals, stopB := serve(t, b)
	eventually := func(what string, condition func() bool) {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for deadline := time.Now().Add(30 * time.Second); !condition(); <-again.C {
			require.False(t, time.Now().After(deadline), what)
		}
	}
	eventually("a frame arrives", func() bool {
		require.NoError(t, a.Send("b", []byte("hello")))
		return a.Stats().Peers[0].RoundTrip > 0
	})
	require.Positive(t, connections.Load())
	stopA()
	eventually("the client's connections end with Serve", func() bool { return connections.Load() == 0 })
	stopB()
	require.Contains(t, drain(arrivals), arrival{"a", "hello"})
}
