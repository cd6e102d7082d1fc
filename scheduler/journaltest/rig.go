package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/rads-project/constellation/scheduler"
)

// rig is a journal under test. Its methods return what broke a rule.
type rig struct {
	cfg     Config
	ctx     context.Context // of the case
	open    func() scheduler.Journal
	journal scheduler.Journal
}

// reopen restarts the host.
func (r *rig) reopen() { r.journal = r.open() }

// successor returns the journal as the next host has it while the one before
// still runs: opened once more if hosts can share it.
func (r *rig) successor() scheduler.Journal {
	if r.cfg.Shared {
		return r.open()
	}
	return r.journal
}

func (r *rig) acquire(token uint64) error {
	if err := r.journal.Acquire(r.ctx, token); err != nil {
		return fmt.Errorf("Acquire(%d): %w", token, err)
	}
	return nil
}

func (r *rig) append(token uint64, records ...scheduler.Record) error {
	if err := r.journal.Append(r.ctx, token, records); err != nil {
		return fmt.Errorf("Append(%d) of %s: %w", token, describe(records), err)
	}
	return nil
}

// holds compares what the journal yields with what it should hold.
func (r *rig) holds(want ...scheduler.Record) error {
	got, err := read(r.ctx, r.journal)
	if err != nil {
		return fmt.Errorf("reading the records: %w", err)
	}
	return same(got, want)
}

// holdsAfterRestart is holds now and after a restart.
func (r *rig) holdsAfterRestart(want ...scheduler.Record) error {
	if err := r.holds(want...); err != nil {
		return err
	}
	r.reopen()
	if err := r.holds(want...); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return nil
}

func read(ctx context.Context, j scheduler.Journal) ([]scheduler.Record, error) {
	var all []scheduler.Record
	for r, err := range j.Records(ctx) {
		if err != nil {
			return nil, err
		}
		// What is yielded may be reused for the next.
		r.Data = bytes.Clone(r.Data)
		all = append(all, r)
	}
	return all, nil
}

// refused returns what is wrong with the answer to a token that is too low.
func refused(err error, token, highest uint64) error {
	var fenced *scheduler.FencedError
	if !errors.As(err, &fenced) {
		return fmt.Errorf("want a *scheduler.FencedError, got %w", err)
	}
	if fenced.Token != token || fenced.Highest != highest {
		return fmt.Errorf("want token %d refused because of %d, got token %d because of %d",
			token, highest, fenced.Token, fenced.Highest)
	}
	return nil
}

func same(got, want []scheduler.Record) error {
	for i := range min(len(got), len(want)) {
		if got[i].Seq != want[i].Seq || got[i].Kind != want[i].Kind || got[i].Part != want[i].Part {
			return fmt.Errorf("record %d of the list is %s, want %s", i, name(got[i]), name(want[i]))
		}
		if !bytes.Equal(got[i].Data, want[i].Data) {
			return fmt.Errorf("%s has other bytes than were appended: %d of them, want %d",
				name(got[i]), len(got[i].Data), len(want[i].Data))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("got %s, want %s", describe(got), describe(want))
	}
	return nil
}

func name(r scheduler.Record) string {
	switch {
	case r.Kind == scheduler.RecordEntry:
		return fmt.Sprintf("entry %d", r.Seq)
	case r.Kind == scheduler.RecordSnapshotPart:
		return fmt.Sprintf("part %d of snapshot %d", r.Part, r.Seq)
	case r.Part > 0:
		return fmt.Sprintf("part %d of snapshot %d, the last", r.Part, r.Seq)
	default:
		return fmt.Sprintf("snapshot %d", r.Seq)
	}
}

func describe(records []scheduler.Record) string {
	switch len(records) {
	case 0:
		return "no records"
	case 1:
		return name(records[0])
	default:
		return fmt.Sprintf("%d records from %s to %s", len(records), name(records[0]), name(records[len(records)-1]))
	}
}

// entry returns a made-up entry. No two have the same bytes.
func entry(seq uint64) scheduler.Record {
	return scheduler.Record{Seq: seq, Kind: scheduler.RecordEntry, Data: fmt.Appendf(nil, "entry %d", seq)}
}

// entries returns the entries of a range, both ends included.
func entries(from, to uint64) []scheduler.Record {
	var list []scheduler.Record
	for seq := from; seq <= to; seq++ {
		list = append(list, entry(seq))
	}
	return list
}

func snapshot(seq uint64) scheduler.Record {
	return scheduler.Record{Seq: seq, Kind: scheduler.RecordSnapshot, Data: fmt.Appendf(nil, "snapshot %d", seq)}
}

// parts returns a snapshot in so many parts.
func parts(seq uint64, count int) []scheduler.Record {
	list := make([]scheduler.Record, count)
	for i := range list {
		list[i] = scheduler.Record{
			Seq: seq, Part: i, Kind: scheduler.RecordSnapshotPart,
			Data: fmt.Appendf(nil, "part %d of %d of snapshot %d", i, count, seq),
		}
	}
	list[count-1].Kind = scheduler.RecordSnapshot
	return list
}

// long returns n bytes in which no piece repeats another at the same place.
func long(n int, seed uint64) []byte {
	data := make([]byte, n)
	x := seed
	for i := range data {
		x = x*6364136223846793005 + 1442695040888963407
		data[i] = byte(x >> 56)
	}
	return data
}
