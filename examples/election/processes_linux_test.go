package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pauseLength is how long a leader's process is stopped.
const pauseLength = 5 * time.Second

// long reports whether the long versions of the tests were asked for.
func long() bool { return os.Getenv("CONSTELLATION_LONG") != "" }

// trial is a fleet on a network, and what its leaders leave behind.
type trial struct {
	*fleet
	network  network // nil: it cannot be cut
	journal  string
	register *testRegister
	pauses   []interruption
}

// Real processes: killed, paused, told to end, cut off and started again.
func TestProcesses(t *testing.T) {
	networks := []struct {
		name string
		make func(t *testing.T, names []string) network
		tls  bool
	}{
		{"loopback", newLoopback, false},
		{"namespaces", newNamespaces, true},
	}
	cycles := 1
	if long() {
		cycles = 20
	}
	for _, tt := range networks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			names := []string{"a", "b", "c"}
			network := tt.make(t, names)
			p := plan{site: network, names: names, timeout: 300 * time.Millisecond}
			if tt.tls {
				p.authority = newAuthority(t)
			}
			r := newTrial(t, p)
			r.network = network
			r.startAll(t)
			for i := range cycles {
				t.Logf("cycle %d", i+1)
				r.cycle(t)
			}
			r.restartAll(t)
			r.stop(t)
			r.check(t)
		})
	}
}

// plan says how the members of a trial are started.
type plan struct {
	site      site
	names     []string
	absent    []string          // more members, which are not started
	timeout   time.Duration     // the minimal election timeout
	authority *authority        // nil: no TLS
	http      map[string]string // where each answers GET /status; nil: nowhere
	alone     bool              // leaders do not depend on the register, which is served by the test
}

func newTrial(t *testing.T, p plan) *trial {
	t.Helper()
	dir := dataDir(t)
	r := &trial{journal: filepath.Join(dir, "journal"), register: newTestRegister(t)}
	var peers []string
	for _, name := range slices.Concat(p.names, p.absent) {
		_, public := p.site.listen(name)
		peers = append(peers, name+"="+public)
	}
	commands := make(map[string][]string)
	for _, name := range p.names {
		own, _ := p.site.listen(name)
		args := []string{
			"-id", name, "-listen", own, "-peers", strings.Join(peers, ","), "-timeout", p.timeout.String(),
			"-data", filepath.Join(dir, name), "-journal", r.journal, "-http", p.http[name],
		}
		if !p.alone {
			args = append(args, "-register", r.register.path)
		}
		if p.authority != nil {
			certificate, key := p.authority.issue(t, name)
			args = append(args, "-tls-cert", certificate, "-tls-key", key, "-tls-ca", p.authority.file)
		}
		commands[name] = p.site.command(name, program(t, args...))
	}
	r.fleet = newFleet(t, commands)
	return r
}

// cycle does everything once to whoever leads.
func (r *trial) cycle(t *testing.T) {
	t.Helper()
	r.killLeader(t)
	r.pauseLeader(t)
	r.endLeader(t)
	r.cutLeader(t, "from", true, false)
	r.cutLeader(t, "to", false, true)
	r.cutLeader(t, "from and to", true, true)
	r.check(t)
}

// check looks at what leaders have done so far.
func (r *trial) check(t *testing.T) {
	t.Helper()
	require.NoError(t, checkJournal(readJournal(t, r.journal), r.pauses))
	r.register.check(t)
}

// killLeader kills the leader's process, waits for the next leader and starts it
// again.
func (r *trial) killLeader(t *testing.T) {
	t.Helper()
	old := r.settled(t)
	killed := time.Now()
	r.signal(t, old.member, syscall.SIGKILL)
	require.Equal(t, -1, r.reap(t, old.member))
	next := r.awaitSuccessor(t, old)
	t.Logf("%s leads %v after the kill of %s", next.member, next.at.Sub(killed).Round(time.Millisecond), old.member)
	r.startAgain(t, old.member)
}

// startAgain starts a member that has run before. It goes on in the term in
// which it ended.
func (r *trial) startAgain(t *testing.T, name string) {
	t.Helper()
	before, mark := r.lastTerm(name), r.mark()
	r.start(t, name)
	first := r.await(t, "it says nothing", mark, func(e event) bool { return e.member == name && e.term > 0 })
	require.GreaterOrEqual(t, first.term, before, "the state of %s was lost", name)
	r.settled(t)
}

// pauseLeader stops the leader's process for a while. Awake again, it begins
// nothing in its old term.
func (r *trial) pauseLeader(t *testing.T) {
	t.Helper()
	old := r.settled(t)
	over := time.NewTimer(pauseLength)
	defer over.Stop()
	paused := time.Now()
	r.signal(t, old.member, syscall.SIGSTOP)
	next := r.awaitSuccessor(t, old)
	t.Logf("%s leads %v after the pause of %s", next.member, next.at.Sub(paused).Round(time.Millisecond), old.member)
	require.Eventually(t, func() bool { return r.register.latest() > old.term }, patience, poll,
		"nothing arrives at the register")
	<-over.C
	accepted := r.register.count(old.term)
	r.pauses = append(r.pauses, interruption{term: old.term, end: time.Now()})
	r.signal(t, old.member, syscall.SIGCONT)
	r.await(t, "it does not notice", old.index, func(e event) bool {
		return e.member == old.member && e.ended && e.term == old.term
	})
	r.settled(t)
	require.Equal(t, accepted, r.register.count(old.term), "the register took the token of a paused leader")
}

// endLeader tells the leader to end, which hands over, and starts it again.
func (r *trial) endLeader(t *testing.T) {
	t.Helper()
	old := r.settled(t)
	told := time.Now()
	r.signal(t, old.member, syscall.SIGTERM)
	next := r.awaitSuccessor(t, old)
	t.Logf("%s leads %v after %s was told to end", next.member, next.at.Sub(told).Round(time.Millisecond), old.member)
	require.Zero(t, r.reap(t, old.member), "exit status")
	r.startAgain(t, old.member)
}

// cutLeader cuts what the leader sends or gets or both, waits for the next
// leader and heals the cut.
func (r *trial) cutLeader(t *testing.T, what string, sends, gets bool) {
	t.Helper()
	old := r.settled(t)
	cut := time.Now()
	for _, other := range r.names {
		if sends && other != old.member {
			r.network.cut(t, old.member, other)
		}
		if gets && other != old.member {
			r.network.cut(t, other, old.member)
		}
	}
	ended := r.await(t, "it leads on", old.index, func(e event) bool {
		return e.member == old.member && e.ended && e.term == old.term
	})
	next := r.awaitSuccessor(t, old)
	t.Logf("%s leads %v after the cut %s %s, which noticed after %v", next.member, next.at.Sub(cut).Round(time.Millisecond),
		what, old.member, ended.at.Sub(cut).Round(time.Millisecond))
	healed := time.Now()
	r.network.heal(t)
	leader := r.settled(t)
	t.Logf("all follow %s %v after the cut was healed", leader.member, time.Since(healed).Round(time.Millisecond))
}

// restartAll ends all processes and starts them again: tokens go on rising.
func (r *trial) restartAll(t *testing.T) {
	t.Helper()
	r.settled(t)
	r.stop(t)
	var last uint64
	for _, name := range r.names {
		last = max(last, r.lastTerm(name))
	}
	r.startAll(t)
	require.Greater(t, r.settled(t).term, last)
}

// A state belongs to one member, and to one process at a time.
func TestStateOfAnother(t *testing.T) {
	t.Parallel()
	data := dataDir(t)
	member := func(name string) []string {
		return program(t, "-id", name, "-listen", "127.0.0.1:0", "-peers", "a=127.0.0.1:1", "-data", data)
	}
	b := program(t, "-id", "b", "-listen", "127.0.0.1:0", "-peers", "b=127.0.0.1:1", "-data", data)
	f := newFleet(t, map[string][]string{"a": member("a"), "a again": member("a"), "b": b})
	f.start(t, "a")
	f.settled(t)
	f.start(t, "a again")
	require.Equal(t, 1, f.reap(t, "a again"))
	f.await(t, "no reason", 0, func(e event) bool { return e.member == "a again" && strings.Contains(e.text, "state is locked") })
	f.signal(t, "a", syscall.SIGTERM)
	require.Zero(t, f.reap(t, "a"))
	f.start(t, "b")
	require.Equal(t, 1, f.reap(t, "b"))
	f.await(t, "no reason", 0, func(e event) bool { return e.member == "b" && strings.Contains(e.text, "state is foreign") })
}
