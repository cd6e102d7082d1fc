package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// patience is how long a test waits for what must happen; it is no claim
	// about how fast it happens.
	patience = time.Minute
	// poll is the time between two looks.
	poll = 5 * time.Millisecond
)

// event is a line that a member has printed.
type event struct {
	index  int // in the history
	at     time.Time
	member string
	text   string
	term   uint64 // 0: none is in it
	began  bool   // the member began to lead
	ended  bool   // its lead ended
	report bool   // it reports who leads
	leader string // in the report; empty: unknown
}

var (
	beganLine  = regexp.MustCompile(`: leads with token (\d+)$`)
	endedLine  = regexp.MustCompile(`: (?:leads no more with|gives up) token (\d+): `)
	reportLine = regexp.MustCompile(`: \S+ in term (\d+), leader (\S+), `)
)

func parseEvent(member, text string) event {
	e := event{at: time.Now(), member: member, text: text}
	var found []string
	if found = beganLine.FindStringSubmatch(text); found != nil {
		e.began = true
	} else if found = endedLine.FindStringSubmatch(text); found != nil {
		e.ended = true
	} else if found = reportLine.FindStringSubmatch(text); found != nil {
		e.report = true
		e.leader = strings.TrimPrefix(found[2], "unknown")
	}
	if found != nil {
		e.term, _ = strconv.ParseUint(found[1], 10, 64) // The pattern has digits only.
	}
	return e
}

// fleet is a cluster of members, each a process of its own.
type fleet struct {
	names    []string
	commands map[string][]string // how to start each

	mu       sync.Mutex
	children map[string]*child // those that run
	events   []event           // in the order in which they were read
}

// child is a process that runs a member.
type child struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed after all it has printed was read
	err    error         // how it ended, once exited
}

// newFleet returns a fleet whose members are started by these commands. None of
// its processes outlives the test.
func newFleet(t *testing.T, commands map[string][]string) *fleet {
	t.Helper()
	f := &fleet{commands: commands, children: make(map[string]*child)}
	for name := range commands {
		f.names = append(f.names, name)
	}
	slices.Sort(f.names)
	t.Cleanup(func() {
		for _, c := range f.children {
			_ = c.cmd.Process.Kill() // It may have ended by itself.
		}
		for _, c := range f.children {
			<-c.exited
		}
		if t.Failed() {
			for _, e := range f.history(0) {
				t.Logf("%s %s", e.at.Format("05.000"), e.text)
			}
		}
	})
	return f
}

// program returns the command that runs the program in a process of its own.
func program(t *testing.T, args ...string) []string {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	return append([]string{executable}, args...)
}

// start starts a member that does not run.
func (f *fleet) start(t *testing.T, name string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	command := f.commands[name]
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), asMember+"=1")
	cmd.Stdout, cmd.Stderr = writer, writer
	// Even if the test itself is killed, nothing is left.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	require.NoError(t, writer.Close())
	c := &child{name: name, cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(c.exited)
		defer func() { _ = reader.Close() }()
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			f.record(parseEvent(name, lines.Text()))
		}
		c.err = cmd.Wait()
	}()
	f.mu.Lock()
	f.children[name] = c
	f.mu.Unlock()
}

func (f *fleet) startAll(t *testing.T) {
	t.Helper()
	for _, name := range f.names {
		f.start(t, name)
	}
}

func (f *fleet) record(e event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.index = len(f.events)
	f.events = append(f.events, e)
}

// history returns what was printed since a mark.
func (f *fleet) history(mark int) []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events[mark:])
}

// mark returns the place in the history that is now the end.
func (f *fleet) mark() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

func (f *fleet) child(name string) *child {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.children[name]
}

// signal sends a signal to a member.
func (f *fleet) signal(t *testing.T, name string, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, f.child(name).cmd.Process.Signal(signal))
}

// reap waits until a member has ended and returns its exit status, -1 if a
// signal has ended it.
func (f *fleet) reap(t *testing.T, name string) int {
	t.Helper()
	c := f.child(name)
	select {
	case <-c.exited:
	case <-time.After(patience):
		require.Failf(t, "does not end", "member %s", name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.children, name)
	return c.cmd.ProcessState.ExitCode()
}

// await waits until an event since the mark is as wanted, and returns the first.
func (f *fleet) await(t *testing.T, what string, mark int, wanted func(event) bool) event {
	t.Helper()
	var found event
	require.Eventually(t, func() bool {
		for _, e := range f.history(mark) {
			if wanted(e) {
				found = e
				return true
			}
		}
		return false
	}, patience, poll, what)
	return found
}

// awaitSuccessor waits for another member to lead in a later term than the old
// leader.
func (f *fleet) awaitSuccessor(t *testing.T, old event) event {
	t.Helper()
	return f.await(t, "nobody follows "+old.text, old.index, func(e event) bool {
		return e.began && e.term > old.term && e.member != old.member
	})
}

// settled waits until one member leads and all that run agree on it, and returns
// the event with which its lead began.
func (f *fleet) settled(t *testing.T) event {
	t.Helper()
	var leader event
	require.Eventually(t, func() bool {
		var agreed bool
		leader, agreed = f.agreement()
		return agreed
	}, patience, poll, "no leader that all agree on")
	return leader
}

// agreement looks for a leader that all agree on.
func (f *fleet) agreement() (leader event, agreed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reports := make(map[string]event)
	for _, e := range f.events {
		switch {
		case e.began:
			leader = e
		case e.ended && e.member == leader.member && e.term == leader.term:
			leader = event{}
		case e.report:
			reports[e.member] = e
		}
	}
	if f.children[leader.member] == nil {
		return event{}, false
	}
	for name := range f.children {
		r := reports[name]
		if name != leader.member && (r.leader != leader.member || r.term != leader.term) {
			return event{}, false
		}
	}
	return leader, true
}

// lastTerm returns the highest term that a member has printed.
func (f *fleet) lastTerm(name string) uint64 {
	var term uint64
	for _, e := range f.history(0) {
		if e.member == name {
			term = max(term, e.term)
		}
	}
	return term
}

// stop ends all members. The leader hands over as long as others run.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	for _, name := range f.names {
		f.signal(t, name, syscall.SIGTERM)
	}
	for _, name := range f.names {
		require.Zero(t, f.reap(t, name), fmt.Sprintf("exit status of %s", name))
	}
}
