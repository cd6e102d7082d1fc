package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelLog is what a log should hold: entries that follow one another, from any index
// on, and a snapshot.
type modelLog struct {
	snapshot Snapshot
	base     Position // the entry before entries
	entries  []Entry
}

func (m modelLog) last() Position {
	if n := len(m.entries); n > 0 {
		return m.entries[n-1].position()
	}
	return m.base
}

// append returns the log with entries at its end, from the first of them on.
func (m modelLog) append(entries []Entry) modelLog {
	if len(entries) > 0 {
		keep := entries[0].Index - 1 - m.base.Index
		m.entries = append(slices.Clone(m.entries[:keep]), entries...)
	}
	return m
}

// keep returns the log with another snapshot.
func (m modelLog) keep(s Snapshot) modelLog {
	m.snapshot = s
	for _, e := range m.entries {
		if e.position() == s.Last {
			return m
		}
	}
	if s.Last != m.base {
		m.base, m.entries = s.Last, nil
	}
	return m
}

// matches reports what tells found from the log, nil if nothing does. Entries that are
// in the snapshot may be missing, those of the beginning first.
func (m modelLog) matches(found StoredLog) error {
	if found.Snapshot != m.snapshot {
		return fmt.Errorf("snapshot %+v is not %+v", found.Snapshot, m.snapshot)
	}
	if len(found.Entries) == 0 {
		if last := m.last().Index; last > m.snapshot.Last.Index {
			return fmt.Errorf("no entries, but there are some up to %d", last)
		}
		return nil
	}
	first := found.Entries[0].Index
	if first <= m.base.Index || first > m.snapshot.Last.Index+1 {
		return fmt.Errorf("entries begin with %d", first)
	}
	want := m.entries[first-1-m.base.Index:]
	if !slices.EqualFunc(found.Entries, want, equalEntry) {
		return fmt.Errorf("%d entries up to %v are not the %d up to %v", len(found.Entries),
			found.Entries[len(found.Entries)-1].position(), len(want), m.last())
	}
	return nil
}

func equalEntry(a, b Entry) bool {
	return a.position() == b.position() && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
}

// fileHistory drives a FileLog on a disk that fails and loses its power, and knows what
// the log may hold.
type fileHistory struct {
	t    *rapid.T
	disk *fakeDisk
	log  *FileLog

	model modelLog
	// maybe are what it holds instead, if what was under way when the process ended has
	// come that far.
	maybe []modelLog
	// unproven says that the log must say so, and torn that it may.
	unproven, torn bool
	written        uint64 // makes the data of every entry another one
}

// injected reports whether the disk has failed as it was told to.
func injected(err error) bool { return errors.Is(err, errFault) || errors.Is(err, io.ErrShortWrite) }

func (h *fileHistory) open() (StoredLog, error) {
	h.log = &FileLog{Dir: "dir", fs: h.disk, segmentSize: 4096, spawn: func(f func()) { f() }}
	return h.log.Open(StoreID{1}, h.model.last() != Position{})
}

// reopen opens the log and compares what it holds. Some attempts are broken off.
func (h *fileHistory) reopen() {
	h.fault("open")
	found, err := h.open()
	for err != nil {
		require.True(h.t, injected(err), "%v", err)
		h.torn = true
		h.die()
		found, err = h.open()
	}
	h.disk.failAt = 0
	candidates := append([]modelLog{h.model}, h.maybe...)
	var errs []error
	for _, m := range candidates {
		err := m.matches(found)
		if err == nil {
			h.model, h.maybe = m, nil
			break
		}
		errs = append(errs, err)
	}
	require.Less(h.t, len(errs), len(candidates), "%v", errs)
	if h.unproven {
		require.True(h.t, found.Unproven, "it is until Prove")
	}
	require.True(h.t, !found.Unproven || h.unproven || h.torn, "nothing was under way")
	h.unproven, h.torn = found.Unproven, false
	h.readSnapshot()
}

func (h *fileHistory) readSnapshot() {
	r, err := h.log.OpenSnapshot()
	if h.model.snapshot == (Snapshot{}) {
		require.Error(h.t, err)
		return
	}
	require.NoError(h.t, err)
	require.Equal(h.t, h.model.snapshot, r.Snapshot())
	contents, err := io.ReadAll(io.NewSectionReader(r, 0, r.Snapshot().Size))
	require.NoError(h.t, err)
	require.Equal(h.t, h.model.snapshot.Checksum, checksum(contents))
	require.NoError(h.t, r.Close())
}

// fault has one of the next steps of the disk fail, perhaps.
func (h *fileHistory) fault(what string) {
	h.disk.steps, h.disk.failAt = 0, 0
	if rapid.IntRange(0, 2).Draw(h.t, what+" fails") == 0 {
		h.disk.failAt = rapid.IntRange(1, 12).Draw(h.t, "step")
		h.disk.short = rapid.Bool().Draw(h.t, "short")
		h.disk.forget = rapid.Bool().Draw(h.t, "forget")
	}
}

// die ends the process, with its power or without.
func (h *fileHistory) die() {
	if rapid.Bool().Draw(h.t, "power failure") {
		h.disk = h.disk.crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(h.t, "seed"), 0)))
	} else {
		h.disk.kill()
		h.disk.failAt = 0
	}
}

// outcome takes in what an operation has done that should lead to next, or, if it fails,
// to one of some logs.
func (h *fileHistory) outcome(err error, next modelLog, partly ...modelLog) {
	if err == nil {
		h.model = next
		return
	}
	require.True(h.t, injected(err), "%v", err)
	h.maybe, h.torn = append(partly, next), true
	again := h.log.Append([]Entry{{Index: h.model.last().Index + 1, Term: 99, Kind: EntryCommand}})
	require.Equal(h.t, err, again, "a failed write is never followed by another")
	h.die()
	h.reopen()
}

func (h *fileHistory) append(t *rapid.T) {
	last := h.model.last()
	lowest := max(h.model.base.Index, h.model.snapshot.Last.Index) + 1
	first := max(lowest, last.Index+1-min(last.Index, rapid.Uint64Range(0, 3).Draw(t, "taken back")))
	term := last.Term + rapid.Uint64Range(0, 1).Draw(t, "term")
	var entries []Entry
	for i := range rapid.Uint64Range(1, 5).Draw(t, "entries") {
		h.written++
		data := binary.BigEndian.AppendUint64(nil, h.written)
		data = append(data, make([]byte, rapid.SampledFrom([]int{0, 0, 100, 700}).Draw(t, "size"))...)
		entries = append(entries, Entry{Index: first + i, Term: max(term, 1), Kind: EntryCommand, Data: data})
	}
	h.fault("append")
	err := h.log.Append(entries)
	var partly []modelLog
	for n := 1; n < len(entries); n++ {
		partly = append(partly, h.model.append(entries[:n]))
	}
	h.outcome(err, h.model.append(entries), partly...)
}

func (h *fileHistory) compact(t *rapid.T) {
	h.fault("compact")
	h.outcome(h.log.Compact(rapid.Uint64Range(0, h.model.last().Index+1).Draw(t, "up to")), h.model)
}

// keep keeps a snapshot up to an entry of the log, or up to one that it has not.
func (h *fileHistory) keep(t *rapid.T) {
	at := h.model.last()
	if n := len(h.model.entries); n > 0 && rapid.Bool().Draw(t, "own") {
		at = h.model.entries[rapid.IntRange(0, n-1).Draw(t, "at")].position()
	} else {
		at.Index += rapid.Uint64Range(0, 3).Draw(t, "ahead")
		at.Term++
	}
	if at.Index < h.model.snapshot.Last.Index || at.Index == h.model.snapshot.Last.Index && at != h.model.snapshot.Last || at.Index == 0 {
		return
	}
	h.written++
	contents := append(binary.BigEndian.AppendUint64(nil, h.written), make([]byte, 1000)...)
	s := Snapshot{Last: at, Size: int64(len(contents)), Checksum: checksum(contents), Hash: h.written}
	h.fault("keep")
	w, err := h.log.CreateSnapshot()
	if err != nil {
		require.True(h.t, injected(err), "%v", err)
		return
	}
	_, err = w.Write(contents)
	if err == nil {
		err = w.Sync()
	}
	if err != nil {
		require.NoError(t, w.Discard())
		return
	}
	h.outcome(w.Keep(s), h.model.keep(s))
}

func (h *fileHistory) prove(*rapid.T) {
	h.log.Prove()
	h.torn, h.unproven = h.torn || h.unproven, false
}

func (h *fileHistory) close(t *rapid.T) {
	require.NoError(t, h.log.Close())
	h.reopen()
}

func (h *fileHistory) crash(*rapid.T) {
	h.die()
	h.reopen()
}

// What was answered for is there after every crash, and of what was under way nothing but
// a beginning.
func TestFileLogKeepsWhatItAnswered(t *testing.T) { rapid.Check(t, checkFileLogHistory) }

func checkFileLogHistory(t *rapid.T) {
	h := &fileHistory{t: t, disk: newFakeDisk()}
	h.reopen()
	t.Repeat(map[string]func(*rapid.T){
		"append": h.append, "append more": h.append, "append again": h.append,
		"compact": h.compact, "keep": h.keep, "prove": h.prove, "close": h.close, "crash": h.crash,
	})
}
