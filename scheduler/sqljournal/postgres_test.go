//go:build unix

package sqljournal

import (
	"database/sql"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	"github.com/stretchr/testify/require"
)

// server is a PostgreSQL of this test, in a temporary folder, on a socket in it.
type server struct{ dir string }

// ordinary returns the attributes of a process that is not root's: the server
// refuses to be.
func ordinary(tb testing.TB, dirs ...string) *syscall.SysProcAttr {
	tb.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(tb, err)
	uid, err := strconv.Atoi(nobody.Uid)
	require.NoError(tb, err)
	gid, err := strconv.Atoi(nobody.Gid)
	require.NoError(tb, err)
	for _, dir := range dirs {
		require.NoError(tb, os.Chown(dir, uid, gid))
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// shortDir returns a folder whose name leaves room for that of a socket.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/tmp", "sj") //nolint:usetesting // the name of a test is too long for a socket
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// startPostgres starts the newest server that Debian has installed, or skips.
func startPostgres(tb testing.TB) server {
	tb.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(tb, err)
	if len(found) == 0 {
		tb.Skip("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
	}
	slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) })
	bin, dir := filepath.Dir(found[len(found)-1]), shortDir(tb)
	attributes := ordinary(tb, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
	initdb.SysProcAttr, initdb.Dir = attributes, dir
	out, err := initdb.CombinedOutput()
	require.NoError(tb, err, "%s", out)
	runServer(tb, dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300")
	s := server{dir}
	db, err := sql.Open("pgx", s.dsn())
	require.NoError(tb, err)
	defer db.Close() //nolint:errcheck // of a test
	awaitServer(tb, db)
	return s
}

// runServer runs a server in a folder until the test ends, or its process does
// without having come to that. PostgreSQL waits for its clients unless it gets
// SIGQUIT, and pgbouncer only knows SIGTERM.
func runServer(tb testing.TB, dir, program string, args ...string) {
	tb.Helper()
	run := exec.Command("/bin/sh", append([]string{"-c", `"$0" "$@" & cat; kill -QUIT $!; kill $!; wait`, program}, args...)...)
	run.SysProcAttr, run.Dir = ordinary(tb, dir), dir
	alive, err := run.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, run.Start())
	tb.Cleanup(func() {
		require.NoError(tb, alive.Close())
		_ = run.Wait()
	})
}

func awaitServer(tb testing.TB, db *sql.DB) {
	tb.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := db.PingContext(tb.Context())
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-tb.Context().Done():
			tb.Fatal(err)
		}
	}
}

func (s server) dsn() string { return dsn(s.dir) }

func dsn(dir string) string { return "host=" + dir + " port=5432 user=postgres dbname=postgres" }

func openDB(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// proxy stands between hosts and the server. It can fall silent.
type proxy struct {
	dir    string
	target string

	mu     sync.Mutex
	moved  *sync.Cond
	left   int           // bytes that hosts may still send
	silent chan struct{} // closed when the first one is held back; nil if there is no limit
	closed bool
}

func socket(dir string) string { return filepath.Join(dir, ".s.PGSQL.5432") }

func startProxy(tb testing.TB, s server) *proxy {
	tb.Helper()
	p := &proxy{dir: shortDir(tb), target: socket(s.dir)}
	p.moved = sync.NewCond(&p.mu)
	listener, err := net.Listen("unix", socket(p.dir))
	require.NoError(tb, err)
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
	server, err := net.Dial("unix", p.target)
	if err != nil {
		_ = host.Close()
		return
	}
	var directions sync.WaitGroup
	copyTo := func(to, from net.Conn, fromHost bool) {
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
		// The end of a connection is held back like all else.
		if p.admit(1, fromHost) > 0 {
			_ = to.Close()
		}
	}
	directions.Go(func() { copyTo(server, host, true) })
	directions.Go(func() { copyTo(host, server, false) })
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
