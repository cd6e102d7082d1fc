package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// entry is a line of the journal: in which term which leader wrote it, and when,
// before it looked at its lease, it had begun to.
type entry struct {
	term  uint64
	name  string
	begun time.Time
}

// interruption is a pause of a leader's process.
type interruption struct {
	term uint64
	end  time.Time // before it was woken
}

// readJournal returns the entries in the order in which they were written. The
// last line may be under way.
func readJournal(t *testing.T, path string) []entry {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var entries []entry
	for line := range strings.Lines(string(text[:bytes.LastIndexByte(text, '\n')+1])) {
		var e entry
		var nanos int64
		_, err := fmt.Sscanf(line, "%d %s %d\n", &e.term, &e.name, &nanos)
		require.NoError(t, err, "line %q", line)
		e.begun = time.Unix(0, nanos)
		entries = append(entries, e)
	}
	return entries
}

// checkJournal returns what in a journal contradicts the promises of a
// leadership:
//
//   - A term has one leader.
//   - Writes that began later, began in a later term or in the same: when one
//     began, its leader held the lease, and reigns do not overlap.
//   - Of each reign, at most the one write that was under way when it ended came
//     after those of a later term.
//   - A leader that wakes after a pause begins nothing in its old term.
func checkJournal(entries []entry, pauses []interruption) error {
	var errs []error
	leaders, late := make(map[uint64]string), make(map[uint64]int)
	var highest uint64
	for _, e := range entries {
		if leader := leaders[e.term]; leader != "" && leader != e.name {
			errs = append(errs, fmt.Errorf("%s and %s lead term %d", leader, e.name, e.term))
		}
		leaders[e.term] = e.name
		highest = max(highest, e.term)
		if e.term < highest {
			late[e.term]++
		}
		for _, p := range pauses {
			if e.term == p.term && e.begun.After(p.end) {
				errs = append(errs, fmt.Errorf("%s began to write in term %d after its pause", e.name, e.term))
			}
		}
	}
	for term, n := range late {
		if n > 1 {
			errs = append(errs, fmt.Errorf("%d late writes of term %d", n, term))
		}
	}
	byTime := slices.SortedStableFunc(slices.Values(entries), func(a, b entry) int { return a.begun.Compare(b.begun) })
	for i := 1; i < len(byTime); i++ {
		if byTime[i].term < byTime[i-1].term {
			errs = append(errs, fmt.Errorf("term %d was led after term %d", byTime[i].term, byTime[i-1].term))
		}
	}
	return errors.Join(errs...)
}

func TestCheckJournal(t *testing.T) {
	at := func(ms int64) time.Time { return time.Unix(0, ms) }
	pauses := []interruption{{term: 1, end: at(50)}}
	tests := []struct {
		name    string
		journal []entry
		want    string // empty: nothing is wrong
	}{
		{"two reigns", []entry{{1, "a", at(1)}, {1, "a", at(2)}, {2, "b", at(10)}}, ""},
		{"one late write", []entry{{1, "a", at(1)}, {2, "b", at(10)}, {1, "a", at(2)}, {2, "b", at(60)}}, ""},
		{"two leaders", []entry{{1, "a", at(1)}, {1, "b", at(2)}}, "a and b lead term 1"},
		{"reigns overlap", []entry{{1, "a", at(1)}, {2, "b", at(2)}, {1, "a", at(3)}}, "term 1 was led after term 2"},
		{"two late writes", []entry{{2, "b", at(10)}, {1, "a", at(1)}, {1, "a", at(2)}}, "2 late writes of term 1"},
		{"write after waking", []entry{{1, "a", at(1)}, {1, "a", at(60)}}, "a began to write in term 1 after its pause"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkJournal(tt.journal, pauses)
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tt.want)
			}
		})
	}
}

// testRegister is a register that checks the token in the step that takes it.
type testRegister struct {
	path string // of its socket, which is reached from all network namespaces

	mu       sync.Mutex
	highest  uint64
	leaders  map[uint64]string // who wrote with a token
	accepted map[uint64]int    // writes by token
	refused  map[uint64]int
	twins    []string // tokens of two leaders
}

// newTestRegister serves a register until the end of the test.
func newTestRegister(t *testing.T) *testRegister {
	t.Helper()
	r := &testRegister{
		path:     filepath.Join(t.TempDir(), "r"),
		leaders:  make(map[uint64]string),
		accepted: make(map[uint64]int),
		refused:  make(map[uint64]int),
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", r.path)
	require.NoError(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(conn) }) // It ends with the member's process.
		}
	})
	return r
}

func (r *testRegister) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var token uint64
		var name string
		answer := "malformed"
		if _, err := fmt.Sscanf(lines.Text(), "%d %s", &token, &name); err == nil {
			answer = r.write(token, name)
		}
		if _, err := fmt.Fprintln(conn, answer); err != nil {
			return
		}
	}
}

// write takes a token or says why not.
func (r *testRegister) write(token uint64, name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token < r.highest {
		r.refused[token]++
		return fmt.Sprintf("%d was here", r.highest)
	}
	r.highest = token
	if leader := cmp.Or(r.leaders[token], name); leader != name {
		r.twins = append(r.twins, fmt.Sprintf("%d: %s and %s", token, leader, name))
	}
	r.leaders[token] = name
	r.accepted[token]++
	return "ok"
}

// count returns how many writes with a token were accepted.
func (r *testRegister) count(token uint64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted[token]
}

// latest returns the highest token that was accepted.
func (r *testRegister) latest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.highest
}

// check reports two leaders with one token, and leaders that went on with a
// token that was refused.
func (r *testRegister) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.twins)
	for token, n := range r.refused {
		require.LessOrEqual(t, n, 1, "late writes with token %d", token)
	}
}
