//go:build unix

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

const (
	workers = 6
	clients = 4
	pause   = 5 * time.Second // of a process or a database
)

// times is how often each thing is done.
func times() int {
	if os.Getenv("CONSTELLATION_LONG") != "" {
		return 20
	}
	return 2
}

// load is clients that submit jobs, workers that send heartbeats, and an observer
// of what lists show.
type load struct {
	*fleet
	mu      sync.Mutex
	acked   map[string]string // node by job
	moved   []string          // jobs that were acknowledged on two nodes, and other faults
	last    time.Time         // of the latest acknowledgement
	longest time.Duration     // between two, since the last reset
	shown   map[string]int64  // jobs that each replica has shown last
	seq     uint64            // as of which at least so many
	least   int64             // jobs have been shown
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = append(l.moved, fmt.Sprintf(format, args...))
}

// ack notes a decision that a client has got.
func (l *load) ack(job, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on, known := l.acked[job]; known && on != node {
		l.moved = append(l.moved, fmt.Sprintf("%s was on %s and is on %s", job, on, node))
	}
	l.acked[job] = node
	now := time.Now()
	l.longest, l.last = max(l.longest, now.Sub(l.last)), now
}

// reset begins to look for the longest time without a decision.
func (l *load) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = 0
}

func (l *load) longestGap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.longest, time.Since(l.last))
}

// submit places one job after the other, each until it is acknowledged.
func (l *load) submit(ctx context.Context, client int) {
	for i := client; ctx.Err() == nil; i += clients {
		job := placement.Request{ID: jobOf(i), Namespace: "team-a", Resources: placement.Resources{CPU: 1}}
		status, answer := l.insist(ctx, client, http.MethodPost, "/jobs", job)
		var d scheduler.Decision
		switch err := json.Unmarshal(answer, &d); {
		case ctx.Err() != nil:
		case status != http.StatusOK || err != nil:
			l.fault("%s: status %d %s", job.ID, status, answer)
		default:
			l.ack(job.ID, d.NodeID)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// beat sends the heartbeats of a worker.
func (l *load) beat(ctx context.Context, first int, worker string) {
	for ctx.Err() == nil {
		l.insist(ctx, first, http.MethodPost, "/nodes/"+worker+"/heartbeat", nil)
		time.Sleep(500 * time.Millisecond)
	}
}

// observe asserts that no list shows less than another one has shown as of an
// earlier entry.
func (l *load) observe(ctx context.Context) {
	for ctx.Err() == nil {
		for _, id := range l.ids {
			status, answer, header := l.call(ctx, http.MethodGet, id, "/nodes", nil)
			if status != http.StatusOK {
				continue
			}
			var nodes []scheduler.NodeInfo
			seq, err := strconv.ParseUint(header.Get("State-Seq"), 10, 64)
			if json.Unmarshal(answer, &nodes) != nil || err != nil {
				l.fault("%s answers %s", id, answer)
				continue
			}
			l.compare(id, seq, nodes)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *load) compare(id string, seq uint64, nodes []scheduler.NodeInfo) {
	jobs := int64(0)
	for _, n := range nodes {
		jobs += n.Instances
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seq > 0 && seq >= l.seq && (jobs < l.least || len(nodes) != workers) {
		l.moved = append(l.moved, fmt.Sprintf("%s shows %d nodes with %d jobs as of entry %d, after %d jobs as of %d",
			id, len(nodes), jobs, seq, l.least, l.seq))
	}
	// What a replica has shown before, which was perhaps as of a later entry than it
	// had said, is as of this one at the latest.
	if seq >= l.seq {
		l.seq, l.least = seq, max(l.least, l.shown[id])
	}
	l.shown[id] = jobs
}

// torments are what is done to the leader, each with how long it lasts.
func torments(f *fleet, hang func(d time.Duration)) []struct {
	name string
	do   func(leader string)
} {
	signal := func(id string, s os.Signal) { _ = f.process[id].Process.Signal(s) }
	restart := func(id string) {
		<-f.ended[id]
		time.Sleep(time.Second)
		f.start(id)
	}
	return []struct {
		name string
		do   func(leader string)
	}{
		{"kill -9", func(id string) { signal(id, syscall.SIGKILL); restart(id) }},
		{"SIGTERM", func(id string) { signal(id, syscall.SIGTERM); restart(id) }},
		{"SIGSTOP for 5 s", func(id string) { signal(id, syscall.SIGSTOP); time.Sleep(pause); signal(id, syscall.SIGCONT) }},
		{"links cut for 5 s", func(id string) { f.isolate(id, true); time.Sleep(pause); f.isolate(id, false) }},
		{"the store hangs for 5 s", func(string) { hang(pause) }},
	}
}

// begin adds the workers, a quota and a reservation, and starts the load.
func begin(t *testing.T, f *fleet) *load {
	t.Helper()
	l := &load{fleet: f, acked: make(map[string]string), shown: make(map[string]int64), last: time.Now()}
	post := func(method, path string, body any) {
		status, answer := f.insist(t.Context(), 0, method, path, body)
		require.Equal(t, http.StatusOK, status, "%s %s: %s", method, path, answer)
	}
	for i := range workers {
		post(http.MethodPost, "/nodes", placement.Node{ID: fmt.Sprint("w", i), Capacity: placement.Resources{CPU: 1000 * placement.Core}})
	}
	post(http.MethodPut, "/quotas/team-a", map[string]any{"limits": map[string]any{"cpu": map[string]any{"soft": 100 * placement.Core}}})
	post(http.MethodPost, "/reservations", map[string]any{"id": "r", "namespace": "team-b", "count": 1, "shape": map[string]any{"cpu": placement.Core}, "duration": time.Hour})
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() { l.submit(ctx, i) })
	}
	for i := range workers {
		running.Go(func() { l.beat(ctx, i, fmt.Sprint("w", i)) })
	}
	running.Go(func() { l.observe(ctx) })
	t.Cleanup(func() { end(); running.Wait() })
	return l
}

// jobs returns all jobs as the leader has them: a long answer, for which it waits
// longer than for others.
func (l *load) jobs(t *testing.T) (jobs []scheduler.Allocation) {
	t.Helper()
	patient := *l.client
	patient.Timeout = time.Minute
	for range 10 {
		answer, err := patient.Get("http://" + l.http[l.leader()] + "/jobs")
		if err == nil && answer.StatusCode == http.StatusOK {
			err = json.NewDecoder(answer.Body).Decode(&jobs)
			_ = answer.Body.Close()
			require.NoError(t, err)
			return jobs
		}
	}
	t.Fatal("no leader lists the jobs")
	return nil
}

// check asserts that whatever was acknowledged is there, once, and where it was.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make(map[string]string)
	for _, a := range l.jobs(t) {
		_, twice := found[a.Request.ID]
		require.False(t, twice, "%s is there twice", a.Request.ID)
		require.Equal(t, uint64(1), a.Generation)
		found[a.Request.ID] = a.NodeID
	}
	for job, node := range l.acked {
		require.Equal(t, node, found[job], "%s was acknowledged", job)
	}
	require.Empty(t, l.moved)
	require.NotContains(t, l.logs.String(), "scheduler: node lost", "nothing has happened to the workers")
	t.Logf("%d jobs were acknowledged; none was lost, doubled or moved", len(l.acked))
}

func torment(t *testing.T, f *fleet, hang func(time.Duration)) {
	t.Helper()
	l := begin(t, f)
	for _, kind := range torments(f, hang) {
		var gaps []time.Duration
		for range times() {
			f.revive()
			leader := f.leader()
			time.Sleep(time.Second + rand.N(500*time.Millisecond)) // at a random instant
			l.reset()
			kind.do(leader)
			f.leader()
			time.Sleep(time.Second)
			gaps = append(gaps, l.longestGap())
		}
		longest := time.Duration(0)
		for _, gap := range gaps {
			longest = max(longest, gap)
		}
		t.Logf("%s: at most %d ms without a decision (%v)", kind.name, longest.Milliseconds(), gaps)
	}
	l.check(t)
}

func TestTormentedOnSQLite(t *testing.T) {
	f := startFleet(t)
	torment(t, f, func(d time.Duration) {
		// Another process that writes: the lock is the file's.
		db, err := sql.Open("sqlite", filepath.Join(f.dir, "journal.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate")
		require.NoError(t, err)
		defer func() { _ = db.Close() }()
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		time.Sleep(d)
		require.NoError(t, tx.Rollback())
	})
}

// Without a database, a follower that is stopped is what hangs.
func TestTormentedOnItsLog(t *testing.T) {
	f := startFleet(t, "-log")
	torment(t, f, func(d time.Duration) {
		leader := f.leader()
		for _, id := range f.ids {
			if id != leader {
				_ = f.process[id].Process.Signal(syscall.SIGSTOP)
				time.Sleep(d)
				_ = f.process[id].Process.Signal(syscall.SIGCONT)
				return
			}
		}
	})
}

func TestTormentedOnPostgreSQL(t *testing.T) {
	source := startPostgres(t)
	f := startFleet(t, "-postgres", source)
	db, err := sql.Open("pgx", source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	torment(t, f, func(d time.Duration) {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		var tables []string
		rows, err := tx.QueryContext(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			tables = append(tables, name)
		}
		require.NoError(t, rows.Err())
		_, err = tx.ExecContext(t.Context(), "LOCK TABLE "+strings.Join(tables, ", ")+" IN ACCESS EXCLUSIVE MODE")
		require.NoError(t, err)
		time.Sleep(d)
		require.NoError(t, tx.Rollback())
	})
}
