package raft

import (
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
)

// maxReaders bounds how many snapshots are open to be sent at once.
const maxReaders = 4

// bulk moves the contents of snapshots, on a goroutine of its own: what it does may take
// long. All its fields are that goroutine's.
type bulk struct {
	*worker
	replica *replica
	readers []SnapshotReader // of what is sent, the one used last at the end
	writer  SnapshotWriter   // of what is received, nil if nothing is
	sum     hash.Hash32      // of what writer has
	written int64
}

var errQuit = errors.New("raft: the node ends")

// fails ends the node because of an error of the log.
func (b *bulk) fails(err error) error {
	b.replica.saver.order(func() error { return fmt.Errorf("%w: %w", ErrSaveFailed, err) })
	return nil
}

// close gives up what is under way.
func (b *bulk) close() error {
	var errs []error
	if b.writer != nil {
		errs = append(errs, b.writer.Discard())
	}
	for _, r := range b.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// fill puts the contents into a chunk, and has the loop send it. If they are not to be
// had any more, because the log has kept a later snapshot, the core is told.
func (b *bulk) fill(m Message) error {
	r, err := b.reader(m.Snapshot)
	switch {
	case err != nil:
		return b.fails(err)
	case r == nil:
		b.tell(func(l *loop) error { return l.apply(l.core.Gone(l.node.now(), m.Snapshot)) })
		return nil
	}
	if _, err := r.ReadAt(m.Chunk, m.Offset); err != nil && !errors.Is(err, io.EOF) {
		return b.fails(err)
	}
	b.tell(func(l *loop) error { l.transmit(&m); return nil })
	return nil
}

// reader returns what reads a snapshot, nil if there is none.
func (b *bulk) reader(s Snapshot) (SnapshotReader, error) {
	i := slices.IndexFunc(b.readers, func(r SnapshotReader) bool { return r.Snapshot() == s })
	if i >= 0 {
		r := b.readers[i]
		b.readers = append(slices.Delete(b.readers, i, i+1), r)
		return r, nil
	}
	r, err := b.replica.node.cfg.Log.OpenSnapshot()
	if err != nil {
		return nil, err
	}
	if r.Snapshot() != s {
		return nil, r.Close()
	}
	if len(b.readers) == maxReaders {
		err = b.readers[0].Close()
		b.readers = slices.Delete(b.readers, 0, 1)
	}
	b.readers = append(b.readers, r)
	return r, err
}

// receive writes a chunk. With the last one the log keeps the snapshot, behind what is to
// be appended before.
func (b *bulk) receive(c Chunk) error {
	if err := b.write(c); err != nil {
		return b.fails(err)
	}
	if !c.IsLast() {
		b.received(c.Snapshot, b.written)
		return nil
	}
	w := b.writer
	b.writer = nil
	if b.sum.Sum32() != c.Snapshot.Checksum {
		b.tell(func(l *loop) error {
			l.log(slog.LevelWarn, "raft: the checksum of a snapshot is wrong", "index", c.Snapshot.Last.Index)
			return nil
		})
		b.received(c.Snapshot, 0)
		return w.Discard()
	}
	if err := w.Sync(); err != nil {
		return b.fails(err)
	}
	b.keep(w, c.Snapshot, func() { b.received(c.Snapshot, c.Snapshot.Size) })
	return nil
}

// write appends a chunk to what is written, or begins with it.
func (b *bulk) write(c Chunk) error {
	if c.Offset == 0 {
		if b.writer != nil {
			if err := b.writer.Discard(); err != nil {
				return err
			}
		}
		w, err := b.replica.node.cfg.Log.CreateSnapshot()
		if err != nil {
			return err
		}
		b.writer, b.sum, b.written = w, crc32.New(castagnoli()), 0
	}
	_, err := b.writer.Write(c.Data)
	_, _ = b.sum.Write(c.Data) // It never fails, see hash.Hash.
	b.written += int64(len(c.Data))
	return err
}

func (b *bulk) received(s Snapshot, offset int64) {
	b.tell(func(l *loop) error { return l.apply(l.core.Received(l.node.now(), s, offset)) })
}

// keep has the saver keep a snapshot, unless the log has a later one, and then calls done.
func (b *bulk) keep(w SnapshotWriter, s Snapshot, done func()) {
	r := b.replica
	r.saver.order(func() error {
		keep := func() error { return w.Keep(s) }
		if s.Last.Index <= r.kept.Last.Index {
			keep = w.Discard
		} else {
			r.kept = s
		}
		if err := keep(); err != nil {
			return fmt.Errorf("%w: %w", ErrSaveFailed, err)
		}
		done()
		return nil
	})
}

// make writes a snapshot of the machine.
func (b *bulk) make(state io.WriterTo, s Snapshot) error {
	r := b.replica
	w, err := r.node.cfg.Log.CreateSnapshot()
	if err != nil {
		return b.fails(err)
	}
	out := &measuredWriter{Writer: w, sum: crc32.New(castagnoli()), quit: b.quit}
	_, err = state.WriteTo(out)
	if err == nil {
		err = w.Sync()
	}
	if err != nil {
		_ = w.Discard() // The first error is what counts.
		if isClosed(b.quit) {
			return nil
		}
		return b.fails(err)
	}
	s.Size, s.Checksum = out.size, out.sum.Sum32()
	b.keep(w, s, func() {
		b.tell(func(l *loop) error { return l.apply(l.core.Compact(l.node.now(), s)) })
		r.applier.order(func() error {
			r.making, r.size = false, s.Size
			return nil
		})
	})
	return nil
}

// measuredWriter notes the length and the checksum of what passes, until the node ends.
type measuredWriter struct {
	io.Writer
	sum  hash.Hash32
	size int64
	quit <-chan struct{}
}

func (w *measuredWriter) Write(p []byte) (int, error) {
	if isClosed(w.quit) {
		return 0, errQuit
	}
	n, err := w.Writer.Write(p)
	_, _ = w.sum.Write(p[:n]) // It never fails, see hash.Hash.
	w.size += int64(n)
	return n, err
}
