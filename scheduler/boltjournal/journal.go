package boltjournal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/rads-project/constellation/scheduler"
)

// Config of a journal. The zero value works.
type Config struct {
	// LockWait is how long Open waits for another process that has the
	// journal open. 0 does not wait. The lock is tried every 50 ms.
	LockWait time.Duration
	// Logger is told, at Warn, that what a snapshot has replaced could not be deleted:
	// the next one tries again, and until then the file grows. Nil: nothing is logged.
	Logger *slog.Logger

	commit func(*bolt.Tx) error // of tests that let it fail; nil is (*bolt.Tx).Commit
	sizes  sizes                // of tests that want many steps; zero is the default
}

// sizes of the steps in which long things are done.
type sizes struct {
	prune int // entries deleted in a transaction
	read  int // bytes of entries read in a transaction
}

// Journal is a journal in a directory. It is safe for concurrent use. Close
// it.
type Journal struct {
	db      *bolt.DB
	file    *openFile
	lock    io.Closer // of the directory
	logger  *slog.Logger
	commit  func(*bolt.Tx) error
	sizes   sizes
	writing chan struct{} // holds one token, for the writer of a transaction

	// starting is held while a transaction starts, and by Close. A fault in
	// between leaves the locks of bbolt locked, so the next caller must know.
	// It comes before mu.
	starting sync.Mutex
	stuck    bool // the locks of bbolt
	closed   bool

	mu      sync.Mutex // guards below; not held during I/O
	readers int        // iterations under way, whose records must stay
	failure error      // that ended the journal
}

// Close waits for transactions under way, closes the file and unlocks it. It
// can be called again. Everything else returns ErrClosed afterwards.
func (j *Journal) Close() error {
	j.starting.Lock()
	defer j.starting.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	var err error
	if j.stuck {
		err = j.file.abandon()
	} else {
		err = j.db.Close()
	}
	if err := errors.Join(err, j.lock.Close()); err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	return nil
}

// Acquire implements scheduler.Journal. It costs one transaction.
func (j *Journal) Acquire(ctx context.Context, token uint64) error {
	return j.update(ctx, func(_ *bolt.Tx, h *head) error {
		if token <= h.token {
			return &scheduler.FencedError{Token: token, Highest: h.token}
		}
		h.token = token
		return nil
	})
}

// updateAs is update for the holder of the journal's token only.
func (j *Journal) updateAs(ctx context.Context, token uint64, change func(*bolt.Tx, *head) error) error {
	return j.update(ctx, func(tx *bolt.Tx, h *head) error {
		if token != h.token {
			return &scheduler.FencedError{Token: token, Highest: h.token}
		}
		return change(tx, h)
	})
}

// update makes a change durable as one transaction. An error of change undoes
// it; any other leaves the outcome open and ends the journal.
func (j *Journal) update(ctx context.Context, change func(*bolt.Tx, *head) error) error {
	select {
	case j.writing <- struct{}{}:
		defer func() { <-j.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// The token and the end of ctx may have been there together.
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := j.begin(true)
	if err != nil {
		return err
	}
	if err := j.guard(func() error { return j.apply(tx, change) }); err != nil {
		return errors.Join(err, j.rollback(tx))
	}
	if err := j.file.check(); err != nil {
		return errors.Join(j.fail(err), j.rollback(tx))
	}
	if err := j.guard(func() error { return j.commit(tx) }); err != nil {
		return errors.Join(j.fail(fmt.Errorf("boltjournal: commit: %w", err)), j.rollback(tx))
	}
	// A restart would not find what went to a file that has moved.
	if err := j.file.check(); err != nil {
		return j.fail(err)
	}
	return nil
}

// fail ends the journal: everything returns this error from now on.
func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failure = cmp.Or(j.failure, err)
	return err
}

func (j *Journal) guard(do func() error) error { return guard(j.file.path, do) }

// guard turns a panic into an error: bbolt panics where its pages contradict
// one another, which they do if the file has changed under it. It also reads
// the file where it is mapped into memory, and a page that is not there any
// more, or that the disk does not give, is a fault that would otherwise end the
// process.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = &CorruptError{path, "pages", fmt.Sprint(reason)}
		}
	}()
	return do()
}

func (j *Journal) apply(tx *bolt.Tx, change func(*bolt.Tx, *head) error) error {
	h, err := j.head(tx)
	if err != nil {
		return err
	}
	if err := change(tx, &h); err != nil {
		return err
	}
	h.transaction = uint64(tx.ID())
	return put(tx.Bucket([]byte(headBucket)), []byte(headKey), h.encode())
}

// begin starts a transaction, unless the journal has ended.
func (j *Journal) begin(writable bool) (tx *bolt.Tx, err error) {
	j.starting.Lock()
	defer j.starting.Unlock()
	j.mu.Lock()
	failure := j.failure
	j.mu.Unlock()
	switch {
	case j.closed:
		return nil, ErrClosed
	case failure != nil:
		return nil, failure
	}
	j.stuck = true
	fault := j.guard(func() error {
		tx, err = j.db.Begin(writable)
		j.stuck = false
		return nil
	})
	switch {
	case fault != nil:
		return nil, j.fail(fault)
	case err != nil:
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	return tx, nil
}

// rollback ends a transaction that may have ended.
func (j *Journal) rollback(tx *bolt.Tx) error {
	err := j.guard(tx.Rollback)
	if err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
		return fmt.Errorf("boltjournal: roll back: %w", err)
	}
	return nil
}

// view runs look in a transaction that writes nothing.
func (j *Journal) view(look func(*bolt.Tx) error) error {
	tx, err := j.begin(false)
	if err != nil {
		return err
	}
	return errors.Join(j.guard(func() error { return look(tx) }), j.rollback(tx))
}

func (j *Journal) head(tx *bolt.Tx) (head, error) {
	h, version, reason := decodeHead(tx.Bucket([]byte(headBucket)).Get([]byte(headKey)))
	switch {
	case version > formatVersion:
		return head{}, &FormatVersionError{j.file.path, version, formatVersion}
	case reason != "":
		return head{}, &CorruptError{j.file.path, "head", reason}
	}
	return h, nil
}

func put(b *bolt.Bucket, key, value []byte) error {
	if err := b.Put(key, value); err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	return nil
}
