package journaltest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

// plain is a journal that keeps the contract, except for one fault.
type plain struct {
	fault string

	mu       sync.Mutex
	token    uint64
	snapshot []scheduler.Record // the parts of the one that counts
	parts    []scheduler.Record // of one that is not complete
	entries  map[uint64]scheduler.Record
	hanging  chan struct{}      // not nil while the store stalls
	givenUp  []scheduler.Record // of appends whose context ended meanwhile
}

// stall is Config.Stall.
func (p *plain) stall() (hanging <-chan struct{}, resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = make(chan struct{})
	return p.hanging, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hanging = nil
		if p.fault == "keeps half of what hung" {
			p.keepLocked(p.givenUp[0])
		}
	}
}

// hang waits while the store stalls.
func (p *plain) hang(ctx context.Context, records []scheduler.Record) error {
	p.mu.Lock()
	hanging := p.hanging
	if hanging != nil {
		p.givenUp = records
	}
	p.mu.Unlock()
	if hanging == nil || p.fault == "acknowledges what hangs" {
		if hanging != nil {
			close(hanging)
		}
		return nil
	}
	close(hanging)
	<-ctx.Done()
	return ctx.Err()
}

func (p *plain) Acquire(ctx context.Context, token uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil && p.fault != "acquires under an ended context" {
		return err
	}
	switch {
	case p.fault == "acquires any token":
	case p.fault == "acquires the same token twice" && token == p.token:
	case p.fault == "keeps tokens as signed numbers" && int64(token) <= int64(p.token),
		p.fault != "keeps tokens as signed numbers" && token <= p.token:
		return p.fenced(token)
	}
	p.token = token
	return nil
}

func (p *plain) fenced(token uint64) error {
	switch p.fault {
	case "hides the highest token":
		return &scheduler.FencedError{Token: token}
	case "refuses without a FencedError":
		return scheduler.ErrFenced
	}
	return &scheduler.FencedError{Token: token, Highest: p.token}
}

// Follow looks again and again.
func (p *plain) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		for {
			p.mu.Lock()
			list, last := p.sinceLocked(after)
			p.mu.Unlock()
			err := ctx.Err()
			if p.fault == "follows for ever" {
				err = nil
			}
			if last < after && p.fault != "follows another journal" {
				err = scheduler.ErrTruncated
			}
			if err != nil {
				yield(scheduler.Record{}, err)
				return
			}
			for _, r := range append(list, scheduler.Record{Seq: last, Kind: scheduler.RecordCurrent}) {
				if !yield(r, nil) {
					return
				}
			}
			if after = last; p.fault == "follows twice" && len(list) > 0 {
				after--
			}
			runtime.Gosched()
		}
	}
}

// sinceLocked returns what comes after a Seq, and the last Seq.
func (p *plain) sinceLocked(after uint64) (since []scheduler.Record, last uint64) {
	if len(p.snapshot) > 0 {
		last = p.snapshot[0].Seq
	}
	behind := last > after
	for _, r := range p.listLocked() {
		last = max(last, r.Seq)
		snapshot := r.Kind != scheduler.RecordEntry
		switch {
		case !snapshot && r.Seq <= after,
			snapshot && !behind && p.fault != "follows with every snapshot" && p.fault != "shows parts before the last",
			snapshot && p.fault == "follows without snapshots",
			!snapshot && p.fault == "follows without some" && r.Seq%40 == 7:
		default:
			since = append(since, r)
		}
	}
	if p.fault == "follows late" && len(since) > 1 && since[0].Kind == scheduler.RecordEntry {
		since, last = since[:1], since[0].Seq
	}
	return since, last
}

func (p *plain) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		p.mu.Lock()
		list := p.listLocked()
		p.mu.Unlock()
		if p.fault == "reads all at once" {
			for i := range list {
				list[i].Data = slices.Clone(list[i].Data)
			}
		}
		for i, r := range list {
			if err := ctx.Err(); err != nil && p.fault != "reads under an ended context" {
				yield(scheduler.Record{}, err)
				return
			}
			if p.fault == "skips a record" && i == 2 {
				continue
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (p *plain) listLocked() []scheduler.Record {
	var list []scheduler.Record
	list = append(list, p.snapshot...)
	if p.fault == "shows parts before the last" {
		list = append(list, p.parts...)
	}
	order := slices.Sorted(maps.Keys(p.entries))
	if p.fault == "sorts keys as text" {
		slices.SortFunc(order, func(a, b uint64) int {
			if fmt.Sprint(a) < fmt.Sprint(b) {
				return -1
			}
			return 1
		})
	}
	for _, seq := range order {
		list = append(list, p.entries[seq])
	}
	return list
}

func (p *plain) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	if err := p.hang(ctx, records); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil && p.fault != "appends under an ended context" {
		return err
	}
	switch {
	case p.fault == "appends without a look at the token":
	case p.fault == "refuses lower tokens only" && token > p.token:
	case p.fault == "takes snapshots of anybody" && len(records) == 1 && records[0].Kind != scheduler.RecordEntry:
	case p.fault == "takes empty batches of anybody" && len(records) == 0:
	case token != p.token:
		if p.fault == "looks at the token after the first record" && len(records) > 1 {
			p.keepLocked(records[0])
		}
		return p.fenced(token)
	}
	if p.fault == "has a limit of records" && len(records) > 128 {
		return errors.New("too many records")
	}
	if p.fault == "has a limit of bytes" && len(records) > 1 && len(records)*len(records[0].Data) > 4<<20 {
		return errors.New("too many bytes")
	}
	for _, r := range records {
		p.keepLocked(r)
	}
	return nil
}

func (p *plain) keepLocked(r scheduler.Record) {
	if p.fault != "keeps the caller's bytes" {
		r.Data = slices.Clone(r.Data)
	}
	switch {
	case p.fault == "keeps data as text":
		r.Data = []byte(fmt.Sprintf("%q", r.Data))
	case p.fault == "cuts long records":
		r.Data = r.Data[:min(len(r.Data), 1<<20)]
	case p.fault == "keeps the tail of a longer snapshot" && r.Kind == scheduler.RecordSnapshot && p.snapshot != nil:
		r.Data = append(r.Data, p.snapshot[0].Data[min(len(r.Data), len(p.snapshot[0].Data)):]...)
	}
	if r.Kind == scheduler.RecordEntry {
		if p.entries == nil {
			p.entries = make(map[uint64]scheduler.Record)
		}
		p.entries[r.Seq] = r
		return
	}
	if r.Part < len(p.parts) && p.fault != "goes on with parts of before" {
		p.parts = p.parts[:r.Part]
	}
	p.parts = append(p.parts, r)
	if p.fault == "overwrites the parts that count" && r.Part < len(p.snapshot) {
		p.snapshot[r.Part] = r
	}
	if r.Kind != scheduler.RecordSnapshot {
		return
	}
	whole := p.parts
	p.parts = nil
	if p.fault == "keeps the last part only" {
		whole = []scheduler.Record{r}
	}
	if p.snapshot != nil && r.Seq < p.snapshot[0].Seq && p.fault != "lets an older snapshot win" ||
		p.snapshot != nil && p.fault == "keeps the first snapshot" {
		return
	}
	p.snapshot = whole
	maps.DeleteFunc(p.entries, func(seq uint64, _ scheduler.Record) bool {
		switch p.fault {
		case "keeps what a snapshot replaces":
			return false
		case "deletes what comes after a snapshot":
			return true
		case "keeps the entry of the snapshot's own Seq":
			return seq < r.Seq
		}
		return seq <= r.Seq
	})
}

// restart is what a process that starts anew finds.
func (p *plain) restart() scheduler.Journal {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := &plain{fault: p.fault, token: p.token, snapshot: p.snapshot, parts: p.parts, entries: maps.Clone(p.entries)}
	switch p.fault {
	case "forgets the token":
		next.token = 0
	case "forgets the last batch":
		delete(next.entries, uint64(len(next.entries)))
	case "forgets the snapshot":
		next.snapshot = nil
	case "appends late what hung":
		for _, r := range p.givenUp {
			next.keepLocked(r)
		}
	}
	return next
}

func (p *plain) config() Config {
	var j *plain
	return Config{
		New: func(testing.TB) func() scheduler.Journal {
			j = p
			return func() scheduler.Journal {
				restarted := j.restart()
				j = restarted.(*plain)
				return j
			}
		},
		Stall: func() (<-chan struct{}, func()) { return j.stall() },
	}
}

func TestGoodJournalPasses(t *testing.T) { Run(t, new(plain).config()) }

func TestEachFaultIsFound(t *testing.T) {
	tests := []struct{ fault, check string }{
		{"acquires any token", "AcquireExcludes"},
		{"acquires the same token twice", "AcquireExcludes"},
		{"acquires the same token twice", "RaceForTheToken"},
		{"keeps tokens as signed numbers", "AcquireJumps"},
		{"hides the highest token", "AcquireExcludes"},
		{"refuses without a FencedError", "AcquireExcludes"},
		{"forgets the token", "AcquireExcludes"},
		{"appends without a look at the token", "DeposedCannotAppend"},
		{"refuses lower tokens only", "AppendNeedsAcquire"},
		{"takes empty batches of anybody", "DeposedCannotAppend"},
		{"takes snapshots of anybody", "DeposedSnapshot"},
		{"looks at the token after the first record", "FencedBatch"},
		{"has a limit of records", "BigBatch"},
		{"skips a record", "InOrder"},
		{"sorts keys as text", "InOrder"},
		{"forgets the last batch", "InOrder"},
		{"keeps the caller's bytes", "SameBytes"},
		{"keeps data as text", "SameBytes"},
		{"cuts long records", "BigRecord"},
		{"keeps the tail of a longer snapshot", "BigRecord"},
		{"keeps what a snapshot replaces", "SnapshotReplaces"},
		{"deletes what comes after a snapshot", "SnapshotReplaces"},
		{"keeps the entry of the snapshot's own Seq", "SnapshotReplaces"},
		{"forgets the snapshot", "SnapshotReplaces"},
		{"keeps the first snapshot", "NewestSnapshot"},
		{"lets an older snapshot win", "NewestSnapshot"},
		{"lets an older snapshot win", "SlowSnapshotInParts"},
		{"shows parts before the last", "PartsCountWithTheLast"},
		{"keeps the last part only", "PartsCountWithTheLast"},
		{"overwrites the parts that count", "SnapshotAgain"},
		{"goes on with parts of before", "UnfinishedSnapshot"},
		{"acquires under an ended context", "ContextEnded"},
		{"reads under an ended context", "ContextEnded"},
		{"appends under an ended context", "ContextEnded"},
		{"acknowledges what hangs", "HangingAppend"},
		{"keeps half of what hung", "HangingAppend"},
		{"appends late what hung", "HangingAppend"},
		{"shows parts before the last", "FollowHidesParts"},
		{"follows without some", "FollowMissesNothing"},
		{"follows twice", "FollowMissesNothing"},
		{"follows without snapshots", "FollowMissesNothing"},
		{"follows with every snapshot", "FollowAfter"},
		{"follows late", "FollowAcquired"},
		{"follows for ever", "FollowEnds"},
		{"follows another journal", "FollowTruncated"},
		{"follows without some", "FollowFromTheStart"},
		{"has a limit of bytes", "TenMegabytes"},
		{"reads all at once", "ManyRecords"},
		{"acquires any token", "AcquireStorm"},
		{"appends without a look at the token", "TwoWriters"},
	}
	for _, test := range tests {
		t.Run(test.fault+": "+test.check, func(t *testing.T) {
			i := slices.IndexFunc(checks(), func(c check) bool { return c.name == test.check })
			require.GreaterOrEqual(t, i, 0)
			err := checks()[i].against(t, (&plain{fault: test.fault}).config())
			require.Error(t, err)
			require.NotErrorIs(t, err, errUnsupported)
		})
	}
}

// unfair lets a host acquire only after a pause in which nobody appends, as
// SQLite may do, whose waiters look again from time to time.
type unfair struct {
	scheduler.Journal
	appends *atomic.Int64
}

func (u unfair) Acquire(ctx context.Context, token uint64) error {
	for seen := int64(-1); seen != u.appends.Load(); time.Sleep(time.Millisecond) {
		seen = u.appends.Load()
	}
	return u.Journal.Acquire(ctx, token)
}

func (u unfair) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	u.appends.Add(1)
	return u.Journal.Append(ctx, token, records)
}

func TestUnfairJournalPasses(t *testing.T) {
	for _, c := range checks() {
		synctest.Test(t, func(t *testing.T) {
			journal := unfair{new(scheduler.MemoryJournal), new(atomic.Int64)}
			cfg := Config{Shared: true, New: func(testing.TB) func() scheduler.Journal {
				return func() scheduler.Journal { return journal }
			}}
			if err := c.against(t, cfg); !errors.Is(err, errUnsupported) {
				require.NoError(t, err, c.name)
			}
		})
	}
}
