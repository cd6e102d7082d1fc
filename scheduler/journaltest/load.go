package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/rads-project/constellation/scheduler"
)

func loadChecks() []check {
	return []check{
		{"TenMegabytes", "A batch of ten megabytes is made durable as one.", func(r *rig) error {
			if r.cfg.Light {
				return errUnsupported
			}
			var batch []scheduler.Record
			for seq := range uint64(r.cfg.MaxBatch >> 16) {
				batch = append(batch, scheduler.Record{Seq: seq + 1, Kind: scheduler.RecordEntry, Data: long(1<<16, seq)})
			}
			next := scheduler.Record{Seq: uint64(len(batch)) + 1, Kind: scheduler.RecordEntry, Data: []byte("next")}
			return errors.Join(r.acquire(1), r.append(1, batch...), r.append(1, next), r.holdsAfterRestart(append(batch, next)...))
		}},
		{"ManyRecords", "A hundred thousand records are read, and followed, in an amount of memory that does not grow with them.", manyRecords},
		{"AcquireStorm", "Many hosts that acquire and append at once leave the entries of those that were acknowledged, " +
			"and the highest token.", acquireStorm},
		{"TwoWriters", "Two hosts that depose each other again and again never append after a higher token was acquired.", twoWriters},
	}
}

const (
	manyCount = 100_000
	manyBytes = 600
	// manyHeap is far below manyCount * manyBytes.
	manyHeap = 24 << 20
)

func manyRecords(r *rig) error {
	if r.cfg.Light {
		return errUnsupported
	}
	if err := r.acquire(1); err != nil {
		return err
	}
	data := long(manyBytes, 1)
	batch := make([]scheduler.Record, 1000)
	for from := uint64(1); from <= manyCount; from += uint64(len(batch)) {
		for i := range batch {
			batch[i] = scheduler.Record{Seq: from + uint64(i), Kind: scheduler.RecordEntry, Data: data}
		}
		if err := r.append(1, batch...); err != nil {
			return err
		}
	}
	r.reopen()
	heap := newHeap()
	last := uint64(0)
	for record, err := range r.journal.Records(r.ctx) {
		if err == nil {
			err = heap.next(record, &last, data)
		}
		if err != nil {
			return err
		}
	}
	if last != manyCount {
		return fmt.Errorf("got %d records", last)
	}
	f, ok := r.journal.(scheduler.FollowableJournal)
	if !ok {
		return nil
	}
	last = 0
	for record, err := range f.Follow(r.ctx, 0) {
		if err == nil && !current(record) {
			err = heap.next(record, &last, data)
		}
		if err != nil || last == manyCount {
			return err
		}
	}
	return errors.New("the follower ended without an error")
}

// heapWatch looks at the live memory of the process from time to time.
type heapWatch struct{ before uint64 }

func newHeap() heapWatch { return heapWatch{liveHeap()} }

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// next checks the next record, and every so often the memory.
func (h heapWatch) next(record scheduler.Record, last *uint64, data []byte) error {
	if *last++; record.Seq != *last || !bytes.Equal(record.Data, data) {
		return fmt.Errorf("got %s in the place of entry %d, or with other bytes", name(record), *last)
	}
	if *last%(manyCount/10) != 1 {
		return nil
	}
	if now := liveHeap(); now > h.before+manyHeap {
		return fmt.Errorf("at record %d of %d bytes each the heap has grown by %d", *last, manyBytes, now-h.before)
	}
	return nil
}

func acquireStorm(r *rig) error {
	const hosts, tokens = 8, 25
	var (
		running  sync.WaitGroup
		outcomes [hosts]error
		taken    atomic.Uint64
	)
	for host := range outcomes {
		journal := r.successor()
		running.Go(func() {
			for range tokens {
				token := taken.Add(1)
				err := journal.Acquire(r.ctx, token)
				if err == nil {
					err = journal.Append(r.ctx, token, nil)
				}
				if err != nil && !errors.Is(err, scheduler.ErrFenced) {
					outcomes[host] = err
					return
				}
			}
		})
	}
	running.Wait()
	if err := errors.Join(outcomes[:]...); err != nil {
		return err
	}
	const all = hosts * tokens
	// The greatest token of all was never too low.
	err := errors.Join(refused(r.journal.Acquire(r.ctx, all), all, all), r.append(all, entry(1)))
	r.reopen()
	return errors.Join(err, refused(r.journal.Acquire(r.ctx, all), all, all), r.holds(entry(1)))
}

func twoWriters(r *rig) error {
	var (
		running sync.WaitGroup
		tokens  atomic.Uint64
		writers [2]*writer
		errs    [2]error
	)
	for i := range writers {
		w := &writer{
			journal: r.successor(), rounds: r.cfg.Rounds, tokens: &tokens,
			pauses: rand.New(rand.NewPCG(1, uint64(i))), began: make(map[uint64]uint64), acked: make(map[uint64]uint64),
		}
		writers[i] = w
		running.Go(func() { errs[i] = w.run(r.ctx) })
	}
	running.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	got, err := read(r.ctx, r.journal)
	if err != nil {
		return err
	}
	if len(got) < 2 {
		return fmt.Errorf("only %d entries were appended", len(got))
	}
	return errors.Join(writers[0].check(got), writers[1].check(got))
}

// writer is a host that acquires and appends, again and again.
type writer struct {
	journal scheduler.Journal
	rounds  int
	tokens  *atomic.Uint64
	pauses  *rand.Rand
	began   map[uint64]uint64 // token to the last Seq that was there when it had been acquired
	acked   map[uint64]uint64 // Seq to the token under which it was acknowledged
	seen    follower
}

// pause lets others go first, for a while that differs.
func (w *writer) pause() {
	for range w.pauses.IntN(30) {
		runtime.Gosched()
	}
}

func (w *writer) run(ctx context.Context) error {
	for range w.rounds {
		token := w.tokens.Add(1)
		if err := w.round(ctx, token); err != nil && !errors.Is(err, scheduler.ErrFenced) {
			return fmt.Errorf("token %d: %w", token, err)
		}
	}
	return nil
}

func (w *writer) round(ctx context.Context, token uint64) error {
	w.pause()
	if err := w.journal.Acquire(ctx, token); err != nil {
		return err
	}
	w.pause()
	last, err := w.last(ctx)
	if err != nil {
		return err
	}
	w.began[token] = last
	for range 2 {
		w.pause()
		last++
		written := scheduler.Record{Seq: last, Kind: scheduler.RecordEntry, Data: fmt.Appendf(nil, "%d", token)}
		if err := w.journal.Append(ctx, token, []scheduler.Record{written}); err != nil {
			return err
		}
		w.acked[last] = token
	}
	return nil
}

// last reads what was appended since.
func (w *writer) last(ctx context.Context) (uint64, error) {
	if j, ok := w.journal.(scheduler.FollowableJournal); ok {
		err := followJournal(ctx, j, &w.seen, w.seen.last, current)
		return w.seen.last, err
	}
	all, err := read(ctx, w.journal)
	return uint64(len(all)), err
}

// check looks for entries that others appended under a lower token after this
// writer had acquired one, and for its own.
func (w *writer) check(got []scheduler.Record) error {
	for i, r := range got {
		var token uint64
		if _, err := fmt.Sscanf(string(r.Data), "%d", &token); err != nil || r.Seq != uint64(i)+1 {
			return fmt.Errorf("got %s in the place of entry %d", name(r), i+1)
		}
		if of, ok := w.acked[r.Seq]; ok && of != token {
			return fmt.Errorf("entry %d was acknowledged to token %d and is of token %d", r.Seq, of, token)
		}
		delete(w.acked, r.Seq)
		for higher, last := range w.began {
			if r.Seq > last && token < higher {
				return fmt.Errorf("entry %d of token %d was appended after token %d had been acquired at %d", r.Seq, token, higher, last)
			}
		}
	}
	if len(w.acked) > 0 {
		return fmt.Errorf("%d acknowledged entries are missing", len(w.acked))
	}
	return nil
}
