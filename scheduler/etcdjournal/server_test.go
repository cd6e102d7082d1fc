//go:build unix

package etcdjournal

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startEtcd runs a server in this process and returns its address.
func startEtcd(tb testing.TB) string {
	tb.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.UnsafeNoFsync = tb.TempDir(), "panic", true
	cfg.TickMs, cfg.ElectionMs = 50, 500
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = "revision", "1000"
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = anyPort, anyPort
	server, err := embed.StartEtcd(cfg)
	require.NoError(tb, err)
	tb.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	return server.Clients[0].Addr().String()
}

// startDebian runs the server that Debian has installed, or skips.
func startDebian(tb testing.TB) string {
	tb.Helper()
	const bin = "/usr/bin/etcd"
	if _, err := os.Stat(bin); err != nil {
		tb.Skip("no /usr/bin/etcd: apt-get install etcd-server")
	}
	var addresses []string
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(tb, err)
		addresses = append(addresses, listener.Addr().String())
		require.NoError(tb, listener.Close())
	}
	client, peer := "http://"+addresses[0], "http://"+addresses[1]
	run := exec.Command("/bin/sh", "-c", `"$0" "$@" 2>/dev/null & cat; kill -KILL $!; wait`, bin,
		"--data-dir", filepath.Join(tb.TempDir(), "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	alive, err := run.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, run.Start())
	tb.Cleanup(func() {
		require.NoError(tb, alive.Close())
		_ = run.Wait()
	})
	return addresses[0]
}

func connect(tb testing.TB, address string) *clientv3.Client {
	tb.Helper()
	client, err := newClient(address)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

func newClient(address string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + address}, DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second, Logger: zap.NewNop(),
	})
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// proxy stands between hosts and the server. It can fall silent.
type proxy struct {
	address, target string

	mu     sync.Mutex
	moved  *sync.Cond
	left   int           // bytes that hosts may still send
	silent chan struct{} // closed when the first one is held back; nil if there is no limit
	closed bool
}

func startProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &proxy{address: listener.Addr().String(), target: target}
	p.moved = sync.NewCond(&p.mu)
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			host, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { p.serve(host) })
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		p.set(func() { p.closed = true })
		connections.Wait()
	})
	return p
}

func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.moved.Broadcast()
}

// cut lets so many more bytes through.
func (p *proxy) cut(after int) <-chan struct{} {
	silent := make(chan struct{})
	p.set(func() { p.left, p.silent = after, silent })
	return silent
}

// resume lets everything through, what was held back first.
func (p *proxy) resume() { p.set(func() { p.silent = nil }) }

// admit waits until some of n bytes may pass, and returns how many; 0 at the end.
func (p *proxy) admit(n int, fromHost bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed {
		if p.silent == nil {
			return n
		}
		if p.left > 0 {
			if fromHost {
				n = min(n, p.left)
				p.left -= n
			}
			return n
		}
		select {
		case <-p.silent:
		default:
			close(p.silent)
		}
		p.moved.Wait()
	}
	return 0
}

func (p *proxy) serve(host net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = host.Close()
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { p.forward(server, host, true) })
	directions.Go(func() { p.forward(host, server, false) })
	finished := make(chan struct{})
	go func() { // ends what blocks in a read once the proxy is closed
		defer close(finished)
		p.mu.Lock()
		for !p.closed {
			p.moved.Wait()
		}
		p.mu.Unlock()
		_, _ = host.Close(), server.Close()
	}()
	directions.Wait()
	_, _ = host.Close(), server.Close()
	<-finished
}

// forward holds back the end of a connection like all else.
func (p *proxy) forward(to, from net.Conn, fromHost bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		for rest := buffer[:n]; len(rest) > 0; {
			admitted := p.admit(len(rest), fromHost)
			if admitted == 0 {
				return
			}
			if _, err := to.Write(rest[:admitted]); err != nil && !fromHost {
				return
			}
			rest = rest[admitted:]
		}
		if err != nil {
			break
		}
	}
	if p.admit(1, fromHost) > 0 {
		_ = to.Close()
	}
}
