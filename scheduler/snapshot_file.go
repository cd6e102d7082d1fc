package scheduler

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/rads-project/constellation/internal/statetime"
	"github.com/rads-project/constellation/placement"
)

// What WriteSnapshot writes is the records of the snapshot one after the other,
// each behind the length of its data in four bytes, the most significant first.

// mostPart is more than the data of a part ever has.
const mostPart = partBytes + 64

func writePart(w io.Writer, r Record) error {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(r.Data)))
	if _, err := w.Write(length[:]); err != nil {
		return err
	}
	_, err := w.Write(r.Data)
	return err
}

// ReadSnapshot yields the records of a snapshot that WriteSnapshot has written:
// to append to a journal, or for WriteJSON. The data of each is valid until the
// next. It ends with the last of them, or with an error: of r, or a FormatError
// for what is no snapshot or only a part of one. It checks what it needs to tell
// the records apart; the rest is up to who reads them.
func ReadSnapshot(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		source := bufio.NewReader(r)
		var p partReader
		var data []byte
		for {
			var record Record
			var err error
			if data, err = readData(source, data); err == nil {
				record, err = p.record(data)
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !yield(record, nil) || record.Kind == RecordSnapshot {
				return
			}
		}
	}
}

// readData reads the data of a record into a buffer.
func readData(r io.Reader, into []byte) ([]byte, error) {
	var head [4]byte
	_, err := io.ReadFull(r, head[:])
	stated := binary.BigEndian.Uint32(head[:]) // which an int of 32 bits may not hold
	if err == nil && stated > mostPart {
		return nil, &FormatError{Reason: fmt.Sprintf("%d bytes are no part of a snapshot", stated)}
	}
	length := int(stated)
	if cap(into) < length {
		into = make([]byte, length)
	}
	if err == nil {
		_, err = io.ReadFull(r, into[:length])
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &FormatError{Reason: "snapshot is cut off"}
	}
	return into[:length], err
}

// Restore returns a scheduler that continues from a snapshot that WriteSnapshot
// has written. With a journal, which must be empty, it begins that with the
// snapshot: so a state moves to another journal, or comes back from a backup. The
// workload is that of the snapshot, as with a journal.
//
// Token 0 is the one after the greatest that the snapshot and the journal have
// seen. Restore returns a FencedError for another that is not greater, and a
// FormatError for what it cannot read; nothing in the journal counts then, and its
// next use needs a higher token. It takes time linear in the state, and beside it
// the memory of what is being read.
func Restore(ctx context.Context, cfg Config, r io.Reader) (*Scheduler, error) {
	if err := errors.Join(cfg.validate(), cfg.validateJournal(cfg.Journal != nil)); err != nil {
		return nil, err
	}
	cfg.Workload = nil
	s := newScheduler(cfg)
	s.token = cfg.Token
	if s.cfg.Journal != nil {
		if err := s.acquireEmpty(ctx); err != nil {
			return nil, err
		}
	}
	p := replayer{cfg: s.cfg, st: s.state}
	for record, err := range ReadSnapshot(r) {
		if err == nil {
			err = p.replay(record)
		}
		if err == nil && s.cfg.Journal != nil {
			err = s.appendRecords(ctx, []Record{record})
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
	}
	s.begin(&p)
	if err := s.outgrow(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// acquireEmpty acquires a journal that must be empty.
func (s *Scheduler) acquireEmpty(ctx context.Context) (err error) {
	if s.token, err = acquire(ctx, s.cfg.Journal, s.cfg.Token); err != nil {
		return err
	}
	for _, err := range s.cfg.Journal.Records(ctx) {
		if err != nil {
			return err
		}
		return &placement.InvalidError{
			Field: "journal", Value: fmt.Sprintf("%T", s.cfg.Journal), Reason: "Restore needs an empty one",
		}
	}
	return nil
}

// outgrow makes the token greater than any of which the state has decisions.
func (s *Scheduler) outgrow(ctx context.Context) error {
	seen := s.state.token
	if s.cfg.Token == 0 && s.token <= seen && seen < math.MaxUint64 {
		if s.token = seen + 1; s.cfg.Journal != nil {
			return s.cfg.Journal.Acquire(ctx, s.token)
		}
	}
	if s.token <= seen {
		return &FencedError{Token: s.token, Highest: seen}
	}
	return nil
}

// begin takes a state that was replayed, at whose time the clock goes on.
func (s *view) begin(p *replayer) {
	st := p.st
	s.state = st
	s.outbox.last, s.outbox.durable, s.outbox.checkpoint = st.seq, st.seq, p.read
	s.history.lost = st.seq
	s.now, s.clock = st.now, statetime.At(st.now)
}
