package raft

import (
	"fmt"
	"slices"
	"sort"
)

// logLevel is the protocol level of a core that keeps a log. One without speaks the
// level below, and sends and saves the same bytes as before there was any.
const logLevel = 2

// entryLog is the log of one node. Entries are never changed in place: messages and
// effects share them.
type entryLog struct {
	// base is the entry before entries. Up to it all is committed.
	base    Position
	entries []Entry
	// snapshot is the latest that the disk has kept. It ends at the base or behind it.
	snapshot Snapshot
	// durable is up to which index the disk has what stands here, commit up to
	// which it is known to be committed, and applied up to which the application has
	// applied it.
	durable, commit, applied uint64
	// written is the first entry that this call has added, 0 if none.
	written uint64
	// unproven says that entries which were durable may be missing at the end.
	unproven bool
}

// last returns where the log ends.
func (l *entryLog) last() Position {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].position()
	}
	return l.base
}

// durableEnd returns where the log ends as far as it is durable.
func (l *entryLog) durableEnd() Position {
	term, _ := l.term(l.durable)
	return Position{Term: term, Index: l.durable}
}

// term returns the term of an entry, if it is here or is the base.
func (l *entryLog) term(index uint64) (uint64, bool) {
	switch {
	case index == l.base.Index:
		return l.base.Term, true
	case index < l.base.Index || index > l.last().Index:
		return 0, false
	default:
		return l.entries[index-l.base.Index-1].Term, true
	}
}

// between returns the entries after one index and up to another.
func (l *entryLog) between(after, upTo uint64) []Entry {
	return l.entries[after-l.base.Index : upTo-l.base.Index : upTo-l.base.Index]
}

// chunk returns entries after an index: one if there is one, and as many more as
// stay within so many bytes.
func (l *entryLog) chunk(after uint64, bytes int) []Entry {
	rest := l.between(after, l.last().Index)
	for i := range rest {
		if bytes -= rest[i].size(); bytes < 0 && i > 0 {
			return rest[:i:i]
		}
	}
	return rest
}

// firstOf returns the first index of the term that stands at index, as far as
// entries that may not be committed go.
func (l *entryLog) firstOf(index uint64) uint64 {
	term, _ := l.term(index)
	rest := l.between(l.commit, index)
	return l.commit + 1 + uint64(sort.Search(len(rest), func(i int) bool { return rest[i].Term >= term }))
}

// lastOf returns the last index of a term, if there is an entry of it.
func (l *entryLog) lastOf(term uint64) (uint64, bool) {
	n := sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Term > term })
	if n == 0 || l.entries[n-1].Term != term {
		return 0, false
	}
	return l.entries[n-1].Index, true
}

// add appends entries.
func (l *entryLog) add(entries ...Entry) {
	if l.written == 0 {
		l.written = l.last().Index + 1
	}
	l.entries = append(l.entries, entries...)
}

// take makes entries that follow an entry of this log a part of it. Those that
// are here already stay, with all that follows them: an Append that comes late
// says nothing of later entries. The first that differs takes the place of what
// stands there, and that of all behind it. It reports false, and takes nothing, if
// that would change what is committed.
func (l *entryLog) take(entries []Entry) bool {
	for i, e := range entries {
		term, found := l.term(e.Index)
		switch {
		case found && term == e.Term, e.Index <= l.base.Index:
			continue
		case e.Index <= l.commit:
			return false
		case found:
			l.cut(e.Index - 1)
		}
		l.add(entries[i:]...)
		return true
	}
	return true
}

// cut drops what comes after an index. What was shared of it stays as it is.
func (l *entryLog) cut(index uint64) {
	l.entries = slices.Clip(l.between(l.base.Index, index))
	l.durable = min(l.durable, index)
	if l.written > index {
		l.written = index + 1
	}
}

// compact drops entries up to an index.
func (l *entryLog) compact(index uint64) {
	term, _ := l.term(index)
	l.entries = slices.Clone(l.between(index, l.last().Index))
	l.base = Position{Term: term, Index: index}
}

// newEntryLog returns what a valid stored log is to a node that begins.
func newEntryLog(stored StoredLog) entryLog {
	base, entries := stored.Snapshot.Last, slices.Clip(stored.Entries)
	if len(entries) > 0 && entries[0].Index <= base.Index {
		base = Position{}
		if entries[0].Index > 1 { // What is before the others is enough of it.
			base, entries = entries[0].position(), entries[1:]
		}
	}
	l := entryLog{
		base: base, entries: entries, snapshot: stored.Snapshot, commit: stored.Snapshot.Last.Index,
		unproven: stored.Unproven,
	}
	l.durable = l.last().Index
	return l
}

// validate reports whether this is a log of a node that is in a term: entries that
// follow one another, of which one is the last of the snapshot unless they begin behind
// that.
func (l StoredLog) validate(term uint64) error {
	last := l.Snapshot.Last
	before, joined := last, true
	if n := len(l.Entries); n > 0 && l.Entries[0].Index <= last.Index {
		before = Position{Index: l.Entries[0].Index - 1}
		joined = before.Index < last.Index && l.Entries[n-1].Index >= last.Index && l.Entries[last.Index-l.Entries[0].Index].Term == last.Term
	}
	if last.Term > term || (last.Term == 0) != (last.Index == 0) || !joined {
		return &StoreError{
			Reason: ErrCorrupt,
			Detail: fmt.Sprintf("a log that has not the end of its snapshot, entry %d of term %d, in term %d",
				last.Index, last.Term, term),
		}
	}
	return validateEntries(before, l.Entries, term)
}

// validateEntries reports whether entries follow one another and what is before them
// in a log of a node that is in a term.
func validateEntries(before Position, entries []Entry, term uint64) error {
	for _, e := range entries {
		if !e.follows(before, term) {
			return &StoreError{
				Reason: ErrCorrupt,
				Detail: fmt.Sprintf("%v entry %d of term %d does not follow entry %d of term %d in term %d",
					e.Kind, e.Index, e.Term, before.Index, before.Term, term),
			}
		}
		before = e.position()
	}
	return nil
}

// follows reports whether an entry may come after another in a log of some term.
func (e Entry) follows(before Position, term uint64) bool {
	known := e.Kind >= EntryStart && e.Kind <= lastEntryKind
	return known && e.Index == before.Index+1 && e.Index < termLimit && e.Term >= max(before.Term, 1) && e.Term <= term
}

func (c *Core) logStatus() LogStatus {
	l := &c.log
	return LogStatus{
		Last: l.last(), Durable: l.durable, Commit: l.commit, Applied: l.applied,
		Snapshot: l.snapshot.Last.Index, Kept: len(l.entries), Unproven: l.unproven,
	}
}
