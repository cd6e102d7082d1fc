package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rads-project/constellation/scheduler"
)

func checks() []check {
	return slices.Concat(fencingChecks(), contentChecks(), snapshotChecks(), followChecks(), loadChecks(), hostChecks(), []check{
		{"ContextEnded", "Under a context that has ended, Acquire, Records and Append end with an error, " +
			"and an append that said so is there as a whole or not at all.", contextEnded},
		{"HangingAppend", "An append that hangs returns once its context has ended, and says that it failed. What became " +
			"of it is decided when a successor has acquired: all of it is there by then, or none ever is.", hangingAppend},
		{"StopReading", "A reader may stop at any record, and read again.", stopReading},
		{"ReadWhileAppending", "Reading and appending at once harm neither: a reader sees a list without gaps.", readWhileAppending},
	})
}

func contentChecks() []check {
	return []check{
		{"Empty", "A new journal has no records, and token 1 can have it.", func(r *rig) error {
			return errors.Join(r.holds(), r.acquire(1), r.append(1), r.holdsAfterRestart())
		}},
		{"InOrder", "Entries come back by Seq, without gaps, as they were appended, also after a restart.", inOrder},
		{"SameBytes", "Data comes back byte for byte, whatever bytes it has, and is the journal's own copy.", sameBytes},
		{"BigBatch", "A batch of thousands of records is made durable as one.", func(r *rig) error {
			batch := entries(1, 5000)
			return errors.Join(r.acquire(1), r.append(1, batch...), r.holdsAfterRestart(batch...))
		}},
		{"BigRecord", "Records as long as the journal says that it takes are kept, entries and snapshots.", bigRecord},
	}
}

func inOrder(r *rig) error {
	// Past 255 and 9 to 10, 99 to 100: keys that sort as text give it away.
	if err := r.acquire(1); err != nil {
		return err
	}
	next := uint64(1)
	for _, batch := range []uint64{1, 1, 7, 90, 1, 160} {
		if err := r.append(1, entries(next, next+batch-1)...); err != nil {
			return err
		}
		next += batch
	}
	if err := r.holdsAfterRestart(entries(1, next-1)...); err != nil {
		return err
	}
	return errors.Join(r.acquire(2), r.append(2, entry(next)), r.holdsAfterRestart(entries(1, next)...))
}

func sameBytes(r *rig) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	want := []scheduler.Record{
		{Seq: 1, Kind: scheduler.RecordEntry, Data: every},
		{Seq: 2, Kind: scheduler.RecordEntry, Data: []byte{}},
		{Seq: 3, Kind: scheduler.RecordEntry, Data: []byte("\xff\xfe'\"\\\n\x00%s{}")},
		{Seq: 4, Kind: scheduler.RecordEntry, Data: bytes.Repeat([]byte{0}, 100)},
	}
	given := slices.Clone(want)
	for i := range given {
		given[i].Data = bytes.Clone(want[i].Data)
	}
	if err := errors.Join(r.acquire(1), r.append(1, given...)); err != nil {
		return err
	}
	for i := range given {
		clear(given[i].Data)
	}
	return r.holdsAfterRestart(want...)
}

func bigRecord(r *rig) error {
	first := scheduler.Record{Seq: 1, Kind: scheduler.RecordEntry, Data: long(r.cfg.MaxRecord, 1)}
	if err := errors.Join(r.acquire(1), r.append(1, first), r.holds(first)); err != nil {
		return err
	}
	whole := scheduler.Record{Seq: 1, Kind: scheduler.RecordSnapshot, Data: long(r.cfg.MaxRecord, 2)}
	if err := errors.Join(r.append(1, whole), r.append(1, entry(2)), r.holdsAfterRestart(whole, entry(2))); err != nil {
		return err
	}
	// A shorter one must not leave the tail of the longer one behind it.
	return errors.Join(r.acquire(2), r.append(2, snapshot(2)), r.holdsAfterRestart(snapshot(2)))
}

func snapshotChecks() []check {
	return []check{
		{"SnapshotReplaces", "A snapshot comes first and replaces the entries up to its Seq, not the ones after it, " +
			"even if those were appended before it.", snapshotReplaces},
		{"NewestSnapshot", "Only the newest snapshot counts: a later one replaces it, and one with a smaller Seq, " +
			"from somebody who was slow, changes nothing.", newestSnapshot},
		{"SnapshotAmongEntries", "A batch may hold entries and a snapshot.", func(r *rig) error {
			batch := []scheduler.Record{entry(1), entry(2), snapshot(2), entry(3)}
			return errors.Join(r.acquire(1), r.append(1, batch...), r.holdsAfterRestart(snapshot(2), entry(3)))
		}},
		{"PartsCountWithTheLast", "A snapshot in parts counts once its last part is there, with all of them in their order. " +
			"Until then readers see what they saw before, and entries are appended in between.", partsCountWithTheLast},
		{"SnapshotAgain", "Parts of the next snapshot leave the one that counts as it is, also where both have the same Seq.", snapshotAgain},
		{"UnfinishedSnapshot", "Parts that were never followed by the last are void once another snapshot begins, " +
			"and nothing of them is in that.", unfinishedSnapshot},
		{"SlowSnapshotInParts", "A snapshot in parts with a smaller Seq than the one that counts changes nothing.", func(r *rig) error {
			err := errors.Join(r.acquire(1), r.append(1, entries(1, 4)...), r.append(1, snapshot(3)))
			for _, part := range parts(2, 3) {
				err = errors.Join(err, r.append(1, part))
			}
			return errors.Join(err, r.append(1, entry(5)), r.holdsAfterRestart(snapshot(3), entry(4), entry(5)))
		}},
		{"SnapshotFirst", "A journal may begin with a snapshot of any Seq: one that is moved from elsewhere does.", func(r *rig) error {
			return errors.Join(r.acquire(1), r.append(1, snapshot(70)), r.append(1, entry(71)),
				r.holdsAfterRestart(snapshot(70), entry(71)))
		}},
	}
}

func snapshotReplaces(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 9)...), r.append(1, snapshot(6))); err != nil {
		return err
	}
	want := append([]scheduler.Record{snapshot(6)}, entries(7, 9)...)
	if err := r.holdsAfterRestart(want...); err != nil {
		return err
	}
	if err := errors.Join(r.acquire(2), r.append(2, entries(10, 12)...)); err != nil {
		return err
	}
	return r.holdsAfterRestart(append(want, entries(10, 12)...)...)
}

func newestSnapshot(r *rig) error {
	err := errors.Join(r.acquire(1), r.append(1, entries(1, 4)...), r.append(1, snapshot(2)),
		r.append(1, snapshot(3)), r.holds(snapshot(3), entry(4)))
	if err != nil {
		return err
	}
	return errors.Join(r.append(1, snapshot(2)), r.append(1, entry(5)), r.holdsAfterRestart(snapshot(3), entry(4), entry(5)))
}

func partsCountWithTheLast(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 4)...)); err != nil {
		return err
	}
	last := uint64(4)
	all := parts(3, 11)
	for _, part := range all[:10] {
		last++
		err := errors.Join(r.append(1, part), r.holds(entries(1, last-1)...), r.append(1, entry(last)))
		if err != nil {
			return fmt.Errorf("after part %d: %w", part.Part, err)
		}
	}
	if err := r.append(1, all[10]); err != nil {
		return err
	}
	if err := r.holdsAfterRestart(append(all, entries(4, last)...)...); err != nil {
		return err
	}
	// All at once, and fewer of them.
	all = parts(last, 2)
	return errors.Join(r.acquire(2), r.append(2, all...), r.append(2, entry(last+1)), r.holdsAfterRestart(append(all, entry(last+1))...))
}

func snapshotAgain(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 3)...)); err != nil {
		return err
	}
	for _, count := range []int{3, 3, 2, 4} {
		before, err := read(r.ctx, r.journal)
		if err != nil {
			return err
		}
		all := parts(2, count)
		for _, part := range all[:count-1] {
			if err := errors.Join(r.append(1, part), r.holds(before...)); err != nil {
				return fmt.Errorf("after part %d of the next snapshot: %w", part.Part, err)
			}
		}
		if err := errors.Join(r.append(1, all[count-1]), r.holds(append(all, entry(3))...)); err != nil {
			return err
		}
	}
	return r.holdsAfterRestart(append(parts(2, 4), entry(3))...)
}

func unfinishedSnapshot(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 5)...)); err != nil {
		return err
	}
	for _, part := range parts(3, 6)[:5] {
		if err := r.append(1, part); err != nil {
			return err
		}
	}
	if err := r.holdsAfterRestart(entries(1, 5)...); err != nil {
		return err
	}
	next := parts(4, 3)
	if err := r.acquire(2); err != nil {
		return err
	}
	for _, part := range next {
		if err := r.append(2, part); err != nil {
			return err
		}
	}
	if err := r.holdsAfterRestart(append(next, entry(5))...); err != nil {
		return err
	}
	// One that is whole begins again as well.
	return errors.Join(r.acquire(3), r.append(3, parts(5, 2)[0]), r.append(3, snapshot(5)), r.holdsAfterRestart(snapshot(5)))
}

func contextEnded(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 3)...)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if r.journal.Append(ctx, 1, entries(4, 6)) == nil {
		return errors.New("append returned nil")
	}
	if r.journal.Acquire(ctx, 2) == nil {
		return errors.New("acquire returned nil")
	}
	if _, err := read(ctx, r.journal); err == nil {
		return errors.New("the records ended without an error")
	}
	r.reopen()
	if err := r.holds(entries(1, 3)...); err != nil && r.holds(entries(1, 6)...) != nil {
		return err
	}
	return nil
}

func hangingAppend(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, entries(1, 3)...)); err != nil {
		return err
	}
	var hanging <-chan struct{}
	resume := func() {}
	if r.cfg.Stall != nil {
		hanging, resume = r.cfg.Stall()
	}
	old := r.journal
	ctx, cancel := context.WithCancel(r.ctx)
	outcome := make(chan error, 1)
	go func() { outcome <- old.Append(ctx, 1, entries(4, 6)) }()
	if hanging != nil {
		<-hanging
	}
	cancel()
	answer := <-outcome
	resume()
	if hanging != nil && answer == nil {
		return errors.New("append returned nil while the store hung")
	}
	r.journal = r.successor()
	if err := r.acquire(2); err != nil {
		return err
	}
	last := uint64(6)
	if err := r.holds(entries(1, last)...); err != nil {
		if last = 3; answer == nil || r.holds(entries(1, last)...) != nil {
			return err
		}
	}
	if err := refused(old.Append(r.ctx, 1, entries(last+1, last+3)), 1, 2); err != nil {
		return err
	}
	return errors.Join(r.holdsAfterRestart(entries(1, last)...), r.append(2, entry(last+1)), r.holdsAfterRestart(entries(1, last+1)...))
}

func stopReading(r *rig) error {
	if err := errors.Join(r.acquire(1), r.append(1, snapshot(1)), r.append(1, entries(2, 4)...)); err != nil {
		return err
	}
	for stop := range 4 {
		seen := 0
		for _, err := range r.journal.Records(r.ctx) {
			if err != nil {
				return err
			}
			if seen++; seen > stop {
				break
			}
		}
	}
	return errors.Join(r.append(1, entry(5)), r.holds(append([]scheduler.Record{snapshot(1)}, entries(2, 5)...)...))
}

func readWhileAppending(r *rig) error {
	if err := r.acquire(1); err != nil {
		return err
	}
	const total = 200
	var (
		writer   sync.WaitGroup
		writeErr error
	)
	writer.Go(func() {
		for seq := uint64(1); seq <= total && writeErr == nil; seq++ {
			writeErr = r.append(1, entry(seq))
			if seq%50 == 0 && writeErr == nil {
				writeErr = r.append(1, snapshot(seq-10))
			}
		}
	})
	readErr := readRepeatedly(r)
	writer.Wait()
	want := append([]scheduler.Record{snapshot(total - 10)}, entries(total-9, total)...)
	return errors.Join(writeErr, readErr, r.holdsAfterRestart(want...))
}

// readRepeatedly checks that what a reader sees is always a whole history.
func readRepeatedly(r *rig) error {
	for range 50 {
		got, err := read(r.ctx, r.journal)
		if err != nil {
			return fmt.Errorf("reading while another appends: %w", err)
		}
		if len(got) == 0 {
			continue
		}
		first := got[0].Seq
		want := entries(first, first+uint64(len(got))-1)
		if got[0].Kind == scheduler.RecordSnapshot {
			want[0] = snapshot(first)
		}
		if want[0].Kind == scheduler.RecordEntry && first != 1 {
			return fmt.Errorf("got %s, which begin in the middle", describe(got))
		}
		if err := same(got, want); err != nil {
			return err
		}
	}
	return nil
}
