package raft

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// journal is the disk and the application of a server that keeps a log.
type journal struct {
	entries  []Entry             // on disk
	snapshot Snapshot            // on disk, with its contents
	contents map[Snapshot][]byte // also of earlier ones, as long as the process may read them
	chunks   []byte              // of a snapshot that is received
	takes    time.Duration       // how long an append takes to be there
	free     time.Duration       // when the last one will be
	applied  []Entry             // by this process
	slow     time.Duration       // how long applying takes
	// unproven says that the end may be missing, until something is written once proven
	// is set.
	unproven, proven bool
}

// start returns what the disk has to a process that begins.
func (j *journal) start(now time.Duration) StoredLog {
	j.free, j.applied, j.chunks, j.proven = now, nil, nil, false
	if j.snapshot != (Snapshot{}) {
		j.contents = map[Snapshot][]byte{j.snapshot: j.contents[j.snapshot]}
	}
	return StoredLog{Snapshot: j.snapshot, Entries: slices.Clone(j.entries), Unproven: j.unproven}
}

// begin has the application of a process that begins take the state of the snapshot.
func (s *server) begin() {
	if last := s.log.snapshot.Last.Index; last > 0 {
		s.log.applied = s.c.oracle.read(s, s.log.contents[s.log.snapshot])
		s.while(s.log.slow, func() {
			s.call(func(now time.Duration) Effects { return s.core.Applied(now, last) })
		})
	}
}

// write makes entries durable, after those before them. A crash meanwhile loses
// them.
func (s *server) write(entries []Entry) {
	if len(entries) == 0 {
		return
	}
	s.log.free = max(s.log.free, s.c.now) + s.log.takes
	s.while(s.log.free-s.c.now, func() {
		keep := slices.IndexFunc(s.log.entries, func(e Entry) bool { return e.Index >= entries[0].Index })
		if keep < 0 {
			keep = len(s.log.entries)
		}
		s.log.entries = append(s.log.entries[:keep:keep], entries...)
		s.log.unproven = s.log.unproven && !s.log.proven
		for i, e := range s.log.entries {
			require.Equal(s.c.t, s.log.entries[0].Index+uint64(i), e.Index, "the disk has no gap")
		}
		require.LessOrEqual(s.c.t, s.log.entries[0].Index, s.log.snapshot.Last.Index+1, "nor is there one behind the snapshot")
		last := entries[len(entries)-1].position()
		s.call(func(now time.Duration) Effects { return s.core.Saved(now, last) })
	})
}

// apply has the application apply what is committed.
func (s *server) apply(commit uint64) {
	if commit == 0 {
		return
	}
	for _, e := range s.core.Committed(uint64(len(s.log.applied))) {
		require.EqualValues(s.c.t, len(s.log.applied)+1, e.Index)
		s.c.oracle.apply(s, e)
		s.log.applied = append(s.log.applied, e)
	}
	s.while(s.log.slow, func() {
		s.call(func(now time.Duration) Effects { return s.core.Applied(now, commit) })
	})
}

// while does something later, if this process still runs then.
func (s *server) while(after time.Duration, run func()) {
	boot := s.boot
	s.c.at(after, func() {
		if s.up && s.boot == boot {
			run()
		}
	})
}

// propose has a server propose commands.
func (s *server) propose(commands ...string) error {
	s.c.t.Helper()
	data := make([][]byte, len(commands))
	for i, command := range commands {
		data[i] = []byte(command)
	}
	return s.try(func(now time.Duration) (Effects, error) {
		_, e, err := s.core.Propose(now, data...)
		return e, err
	})
}

// commands lists what a server's application has applied but for starts of terms.
func (s *server) commands() []string {
	var commands []string
	for _, e := range s.log.applied {
		if e.Kind == EntryCommand {
			commands = append(commands, strings.TrimLeft(string(e.Data), "0"))
		}
	}
	return commands
}

// terms lists the terms of a server's log, in its core.
func (s *server) terms() []uint64 {
	var terms []uint64
	for _, e := range s.core.log.entries {
		terms = append(terms, e.Term)
	}
	return terms
}

// logOracle remembers what was ever committed, and what stood in any log.
type logOracle struct {
	committed map[uint64]Entry
	seen      map[Position]Position // to the entry before
	proposed  map[Position]string   // to the data
}

// logs checks O14, log matching: an entry is the same, and so is the one before it,
// wherever it stands; so that all before is.
func (o *oracle) logs(s *server) {
	before := s.core.log.base
	from := uint64(0)
	if s.core.log.written == 0 && len(s.core.out.Append) > 0 { // What is new.
		from = s.core.out.Append[0].Index
	}
	for _, e := range s.core.log.between(max(from, before.Index+1)-1, s.core.log.last().Index) {
		if from > 1 && e.Index == from {
			term, _ := s.core.log.term(from - 1)
			before = Position{term, from - 1}
		}
		at := e.position()
		earlier, found := o.log.seen[at]
		if found && (earlier != before || o.log.proposed[at] != string(e.Data)) {
			o.breaks("O14: %s has %q at %v after %v, others %q after %v", s.cfg.ID, e.Data, at, before, o.log.proposed[at], earlier)
		}
		o.log.seen[at], o.log.proposed[at] = before, string(e.Data)
		before = at
	}
}

// apply checks O12, state machine safety: nobody applies another entry at an index
// than anybody else has.
func (o *oracle) apply(s *server, e Entry) {
	first, found := o.log.committed[e.Index]
	if found && first.position() != e.position() {
		o.breaks("O12: %s applies %v, others %v", s.cfg.ID, e.position(), first.position())
		return
	}
	o.log.committed[e.Index] = e
}

// begun checks O15: who is told that it leads has applied all that was committed
// in terms before, and the start of its own.
func (o *oracle) begun(s *server, term uint64) {
	if s.core.reign.start == 0 {
		return
	}
	applied := s.log.applied
	if len(applied) == 0 || applied[len(applied)-1].Term != term {
		o.breaks("O15: %s leads term %d with %d entries applied", s.cfg.ID, term, len(applied))
	}
}

// complete checks O13, leader completeness: who leads has all that is committed.
func (o *oracle) complete(s *server) {
	for index, e := range o.log.committed {
		if term, found := s.core.log.term(index); index > s.core.log.base.Index && e.Term < s.core.Term() && (!found || term != e.Term) {
			o.breaks("O13: %s leads term %d without %v", s.cfg.ID, s.core.Term(), e.position())
		}
	}
}

// transcribeLog writes what a message says about the log.
func transcribeLog(m Message) string {
	var b strings.Builder
	if m.Last != (Position{}) {
		fmt.Fprintf(&b, " last=%d.%d", m.Last.Term, m.Last.Index)
	}
	if m.Kind == Append {
		fmt.Fprintf(&b, " previous=%d.%d", m.Previous.Term, m.Previous.Index)
		for _, e := range m.Entries {
			fmt.Fprintf(&b, " %d.%d:%v:%s", e.Term, e.Index, e.Kind, e.Data)
		}
	}
	if m.Commit != 0 {
		fmt.Fprintf(&b, " commit=%d", m.Commit)
	}
	if m.Match != 0 {
		fmt.Fprintf(&b, " match=%d", m.Match)
	}
	if m.Snapshot != (Snapshot{}) {
		fmt.Fprintf(&b, " snapshot=%d.%d %d+%d of %d", m.Snapshot.Last.Term, m.Snapshot.Last.Index, m.Offset, len(m.Chunk), m.Snapshot.Size)
	}
	if m.Conflict != (Position{}) {
		fmt.Fprintf(&b, " conflict=%d.%d", m.Conflict.Term, m.Conflict.Index)
	}
	return b.String()
}
