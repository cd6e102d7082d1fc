package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// RecordKind tells entries from snapshots.
type RecordKind uint8

// The kinds of records.
const (
	// RecordEntry is what one call changed.
	RecordEntry RecordKind = 1
	// RecordSnapshot is the whole state after the entry of the same Seq, or the
	// last part of it. With it the snapshot counts: all records with smaller or
	// equal Seq that came before may be deleted, and a snapshot with a smaller Seq
	// than one that counts is void.
	RecordSnapshot RecordKind = 2
	// RecordSnapshotPart is a part of a snapshot that is not the last. It is for
	// nobody to see before the last is there.
	RecordSnapshotPart RecordKind = 3
	// RecordCurrent is no record that is kept: a FollowableJournal yields it to say
	// that nothing came after its Seq. It has no Data.
	RecordCurrent RecordKind = 4
)

// Record is what a Journal keeps: bytes with a place in the order.
type Record struct {
	// Seq of the entry, from 1, or of the last entry that a snapshot holds.
	Seq uint64
	// Part is the place of a part in its snapshot, from 0, and 0 for an entry.
	Part int
	// Kind tells how Data is read.
	Kind RecordKind
	// Data in the form that FORMAT.md in this package's folder describes, with a
	// version and a checksum; a journal keeps it as it is. Parts of a snapshot have
	// about half a megabyte.
	Data []byte
}

// Journal keeps records durably and in order for one scheduler at a time.
// Implementations are safe for use by several schedulers at once, in one or
// in many processes: the token decides who may write.
type Journal interface {
	// Acquire durably makes token the highest, and returns a FencedError for
	// one that is lower than or equal to the highest so far. After it has
	// returned nil nobody with a token that was acquired before can append.
	Acquire(ctx context.Context, token uint64) error
	// Records yields the newest snapshot that is complete, if there is one, part
	// by part, and the entries after it by Seq, without gaps. It ends with the
	// first error. What it yields may be reused for the next.
	Records(ctx context.Context) iter.Seq2[Record, error]
	// Append makes all records durable or none, and checks in the same atomic
	// step that no higher token has been acquired; otherwise it returns a
	// FencedError. Any other error means that the outcome is unknown. It keeps
	// nothing of records but copies.
	//
	// The parts of a snapshot come in their order, in calls of their own or with
	// other records; those of two snapshots never alternate. Part 0 begins one again:
	// parts of before that were never completed are void.
	Append(ctx context.Context, token uint64, records []Record) error
}

// FollowableJournal is a Journal that can be read while another host writes it, and
// without being acquired: it deposes nobody.
type FollowableJournal interface {
	Journal
	// Follow yields the entries after a Seq, in order and without gaps, and then
	// what is appended, until ctx ends or the caller stops; it ends with the first
	// error, of which the one of ctx is one. What it yields may be reused for the
	// next. After an error a caller goes on with the last Seq that it has whole.
	//
	// Where a snapshot has replaced entries that the caller lacks, Follow yields that
	// snapshot instead, part by part, and then the entries after it: the caller begins
	// again with what is in it. If a newer one replaces it meanwhile, that begins with
	// Part 0, and the parts of the one before, which are not complete, are void. A
	// caller that lacks nothing is spared the snapshots: one that is yielded always
	// has a greater Seq than all before. So after 0 it yields what Records does.
	//
	// Each time that it has yielded all that was durable when it looked, it
	// yields a RecordCurrent with the last Seq: once soon after the call, and again
	// each time that it has looked, which for a journal that nobody writes is at
	// least once in a few seconds, and not before the one before was consumed. So
	// what the caller has is at most as old as the RecordCurrent before the last.
	// And whoever has acquired the journal has all of it with the first
	// RecordCurrent of a Follow that was called after that.
	//
	// If the journal ends before after, it is not the one that the caller has
	// read, but perhaps an older copy: the error is ErrTruncated.
	Follow(ctx context.Context, after uint64) iter.Seq2[Record, error]
}

// MemoryJournal is a Journal in memory. It stands for a shared database in
// tests and examples: several schedulers of one process may open it, one
// after the other or at once. The zero value is empty and ready.
type MemoryJournal struct {
	mu      sync.Mutex
	token   uint64
	changed chan struct{} // closed by the next append; nil while nobody waits
	memoryRecords
}

// Acquire implements Journal.
func (j *MemoryJournal) Acquire(ctx context.Context, token uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if token <= j.token {
		return &FencedError{Token: token, Highest: j.token}
	}
	j.token = token
	return nil
}

// Records implements Journal over the records held when the iteration starts.
func (j *MemoryJournal) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		j.mu.Lock()
		records := slices.Concat(j.snapshot, j.entries)
		j.mu.Unlock()
		if err := yieldCopies(ctx, records, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Record{}, err)
		}
	}
}

// errStopped: the caller of an iterator has stopped.
var errStopped = errors.New("stopped")

// yieldCopies returns the error of ctx, which it has not yielded, or errStopped.
func yieldCopies(ctx context.Context, records []Record, yield func(Record, error) bool) error {
	for _, r := range records {
		r.Data = slices.Clone(r.Data)
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(r, nil) {
			return errStopped
		}
	}
	return nil
}

// memoryIdle is how long a follower of a MemoryJournal waits before it looks again
// though nothing was appended.
const memoryIdle = time.Second

// Follow implements FollowableJournal. An append wakes it.
func (j *MemoryJournal) Follow(ctx context.Context, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := j.follow(ctx, after, yield); !errors.Is(err, errStopped) {
			yield(Record{}, err)
		}
	}
}

func (j *MemoryJournal) follow(ctx context.Context, after uint64, yield func(Record, error) bool) error {
	idle := time.NewTimer(memoryIdle)
	defer idle.Stop()
	for {
		records, last, changed := j.since(after)
		if last < after {
			return ErrTruncated
		}
		after = last
		if err := yieldCopies(ctx, append(records, Record{Seq: last, Kind: RecordCurrent}), yield); err != nil {
			return err
		}
		idle.Reset(memoryIdle)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-idle.C:
		}
	}
}

// since returns what somebody lacks who has everything up to a Seq, the last Seq,
// and what is closed by the next append.
func (j *MemoryJournal) since(after uint64) (records []Record, last uint64, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changed == nil {
		j.changed = make(chan struct{})
	}
	if len(j.snapshot) > 0 && j.snapshot[0].Seq > after {
		records = slices.Clone(j.snapshot)
	}
	return append(records, j.entries[j.upTo(after):]...), j.last(), j.changed
}

// Append implements Journal. It keeps copies of the records, forgets what a
// snapshot replaces, and refuses a part of one that does not follow.
func (j *MemoryJournal) Append(ctx context.Context, token uint64, records []Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if token != j.token {
		return &FencedError{Token: token, Highest: j.token}
	}
	kept := j.memoryRecords
	for _, r := range records {
		r.Data = slices.Clone(r.Data)
		if err := kept.add(r); err != nil {
			return err
		}
	}
	j.memoryRecords = kept
	j.wakeLocked()
	return nil
}

// MemoryContents is all that a MemoryJournal keeps.
type MemoryContents struct {
	// Token is the highest that was acquired, 0 if none was.
	Token uint64
	// Records are those that Records yields, and then the parts of a snapshot that is
	// not complete.
	Records []Record
}

// Contents returns what the journal keeps at one instant. The Data of records are
// shared: nobody may change them. It takes time in proportion to the number of
// records, whatever their length.
func (j *MemoryJournal) Contents() MemoryContents {
	j.mu.Lock()
	defer j.mu.Unlock()
	return MemoryContents{j.token, slices.Concat(j.snapshot, j.entries, j.parts)}
}

// Replace has the journal keep what another has returned as its contents, and
// nothing else. It keeps the Data of the records. Those that cannot be the contents of
// a journal are an error, and then nothing has changed. To whoever follows the journal
// it is as if what is new had been appended.
func (j *MemoryJournal) Replace(c MemoryContents) error {
	var records memoryRecords
	for _, r := range c.Records {
		if err := records.add(r); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.token, j.memoryRecords = c.Token, records
	j.wakeLocked()
	return nil
}

// wakeLocked wakes who follows the journal.
func (j *MemoryJournal) wakeLocked() {
	if j.changed != nil {
		close(j.changed)
		j.changed = nil
	}
}

// memoryRecords is what a MemoryJournal keeps. What it held before is left as it
// was.
type memoryRecords struct {
	snapshot []Record // the parts of the one that counts
	parts    []Record // of one that is not complete
	entries  []Record
}

func (m *memoryRecords) add(r Record) error {
	if r.Kind == RecordEntry {
		m.entries = append(m.entries, r)
		return nil
	}
	if r.Part == 0 {
		m.parts = nil
	}
	if r.Part != len(m.parts) || r.Part > 0 && r.Seq != m.parts[0].Seq {
		return fmt.Errorf("scheduler: part %d of snapshot %d does not follow the part before", r.Part, r.Seq)
	}
	m.parts = append(m.parts, r)
	if r.Kind == RecordSnapshot {
		m.complete()
	}
	return nil
}

// complete has the snapshot count whose last part has come, unless it is from
// somebody who was slow.
func (m *memoryRecords) complete() {
	parts := m.parts
	m.parts = nil
	seq := parts[0].Seq
	if len(m.snapshot) > 0 && seq < m.snapshot[0].Seq {
		return
	}
	m.snapshot = parts
	m.entries = slices.Clone(m.entries[m.upTo(seq):])
}

// upTo returns how many of the entries have a Seq that is not greater.
func (m *memoryRecords) upTo(seq uint64) int {
	n, found := slices.BinarySearchFunc(m.entries, seq, func(e Record, seq uint64) int {
		return cmp.Compare(e.Seq, seq)
	})
	if found {
		n++
	}
	return n
}

// last returns the Seq of the last record that counts.
func (m *memoryRecords) last() uint64 {
	switch {
	case len(m.entries) > 0:
		return m.entries[len(m.entries)-1].Seq
	case len(m.snapshot) > 0:
		return m.snapshot[0].Seq
	default:
		return 0
	}
}
