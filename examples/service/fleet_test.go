//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/testcert"
)

// asReplica in the environment has this test binary be a replica.
const asReplica = "CONSTELLATION_SERVICE_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(asReplica) != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until the test has ended, in whatever way
			os.Exit(1)
		}()
		main()
		return
	}
	os.Exit(m.Run())
}

// fleet is a service of three replicas, each a process of its own.
type fleet struct {
	t       *testing.T
	dir     string
	db      []string // flags of the database
	http    map[string]string
	links   []*link
	client  *http.Client
	logs    syncBuffer
	ids     []string
	process map[string]*exec.Cmd
	ended   map[string]chan struct{} // closed when the process has
}

// syncBuffer takes what several processes log.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startFleet starts three replicas. Their elections go over links that can be cut.
func startFleet(t *testing.T, db ...string) *fleet {
	t.Helper()
	f := &fleet{
		t: t, dir: t.TempDir(), db: db, http: make(map[string]string), process: make(map[string]*exec.Cmd),
		ended: make(map[string]chan struct{}),
		// Two replicas that do not answer leave a worker time to reach the third within the TTL of 5 s.
		client: &http.Client{Timeout: 1500 * time.Millisecond}, ids: []string{"a", "b", "c"},
	}
	authority, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	peers := make(map[string]string)
	for i, id := range f.ids {
		peers[id], f.http[id] = freeAddress(t), freeAddress(t)
		require.NoError(t, os.MkdirAll(filepath.Join(f.dir, id), 0o700))
		require.NoError(t, authority.WriteFiles(filepath.Join(f.dir, id), int64(i+2), id))
		for from, to := range map[string]string{"tls.crt": id + ".crt", "tls.key": id + ".key"} {
			require.NoError(t, os.Rename(filepath.Join(f.dir, id, from), filepath.Join(f.dir, id, to)))
		}
	}
	for _, from := range f.ids {
		for _, to := range f.ids {
			if from != to {
				f.links = append(f.links, startLink(t, from, to, peers[to]))
			}
		}
	}
	for _, id := range f.ids {
		f.start(id, peers[id])
	}
	t.Cleanup(f.stop)
	return f
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start starts a replica, which listens for the election at an address.
func (f *fleet) start(id string, own ...string) {
	f.t.Helper()
	if previous := f.process[id]; previous != nil {
		own = []string{own0(previous.Args)}
	}
	peers := id + "=" + own[0]
	for _, l := range f.links {
		if l.from == id {
			peers += "," + l.to + "=" + l.address
		}
	}
	var addresses []string
	for _, id := range f.ids {
		addresses = append(addresses, id+"="+f.http[id])
	}
	args := append([]string{
		"-id", id, "-peers", peers, "-http", strings.Join(addresses, ","), "-dir", f.dir,
		"-tls", filepath.Join(f.dir, id), "-ttl", "5s",
	}, f.db...)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asReplica+"=1")
	cmd.Stdout, cmd.Stderr = &f.logs, &f.logs
	_, err := cmd.StdinPipe() // which ends with this process
	require.NoError(f.t, err)
	require.NoError(f.t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	f.process[id], f.ended[id] = cmd, ended
}

// revive starts a replica again that has ended by itself, as whatever runs services
// does: raft.Node gives up on a disk that takes longer than an election timeout.
func (f *fleet) revive() {
	for _, id := range f.ids {
		select {
		case <-f.ended[id]:
			f.t.Logf("replica %s has ended by itself", id)
			f.start(id)
		default:
		}
	}
}

// own0 returns the address that a replica was started with.
func own0(args []string) string {
	_, address, _ := strings.Cut(strings.Split(args[4], ",")[0], "=")
	return address
}

func (f *fleet) stop() {
	for id, cmd := range f.process {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		<-f.ended[id]
	}
	if f.t.Failed() {
		_ = os.WriteFile(filepath.Join(os.TempDir(), "service.log"), []byte(f.logs.String()), 0o600)
		f.t.Log("the replicas' logs are in service.log of the temporary folder")
	}
}

// leader waits until a replica leads.
func (f *fleet) leader() string {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, id := range f.ids {
			if status, _, _ := f.call(f.t.Context(), http.MethodGet, id, "/health?for=lead", nil); status == http.StatusOK {
				return id
			}
		}
	}
	f.t.Fatal("nobody leads for a minute")
	return ""
}

// call asks one replica. Status 0 is no answer.
func (f *fleet) call(ctx context.Context, method, id, path string, body any) (int, []byte, http.Header) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil, nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+f.http[id]+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, nil
	}
	response, err := f.client.Do(req)
	if err != nil {
		return 0, nil, nil
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, nil
	}
	return response.StatusCode, answer, response.Header
}

// insist repeats a request until it has an answer that counts: to the same replica if
// that answers at all, or else to the next one.
func (f *fleet) insist(ctx context.Context, first int, method, path string, body any) (status int, answer []byte) {
	for at := first; ctx.Err() == nil; {
		status, answer, _ = f.call(ctx, method, f.ids[at%len(f.ids)], path, body)
		if status != 0 && status < http.StatusInternalServerError {
			return status, answer
		}
		if status == 0 {
			at++
		}
		time.Sleep(20 * time.Millisecond)
	}
	return 0, nil
}

// link carries a connection from one replica to another.
type link struct {
	from, to, address string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func startLink(t *testing.T, from, to, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{from: from, to: to, address: listener.Addr().String(), conns: make(map[net.Conn]bool)}
	var carrying sync.WaitGroup
	carrying.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			carrying.Go(func() { l.carry(conn, target) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.set(true)
		carrying.Wait()
	})
	return l
}

func (l *link) carry(in net.Conn, target string) {
	out, err := net.Dial("tcp", target)
	if err != nil || !l.add(in, out) {
		_ = in.Close()
		return
	}
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = in.Close()
			_ = out.Close()
		})
	}
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, in)
	delete(l.conns, out)
}

func (l *link) add(in, out net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = out.Close()
		return false
	}
	l.conns[in], l.conns[out] = true, true
	return true
}

// set cuts the link or mends it.
func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for conn := range l.conns {
			_ = conn.Close()
		}
	}
}

// isolate cuts a replica off from the others, or mends that.
func (f *fleet) isolate(id string, cut bool) {
	for _, l := range f.links {
		if l.from == id || l.to == id {
			l.set(cut)
		}
	}
}

func jobOf(i int) string { return fmt.Sprintf("job-%06d", i) }
