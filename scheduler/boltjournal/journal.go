package boltjournal

import (
	"context"
	"errors"
	"fmt"
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

	commit func(*bolt.Tx) error // of tests that let it fail; nil is (*bolt.Tx).Commit
	sizes  sizes                // of tests that want many steps; zero is the default
}

// sizes of the steps in which long things are done.
type sizes struct {
	part  int // bytes of a snapshot in a transaction
	prune int // entries deleted in a transaction
	read  int // bytes of entries read in a transaction
}

// Journal is a journal in a directory. It is safe for concurrent use. Close
// it.
type Journal struct {
	db        *bolt.DB
	commit    func(*bolt.Tx) error
	sizes     sizes
	snapshots chan struct{} // holds one token, for who writes a snapshot

	mu      sync.Mutex // guards below; not held during I/O
	readers int        // iterations under way, whose records must stay
	failure error      // of a transaction whose outcome is unknown
}

// Close waits for transactions under way, closes the file and unlocks it. It
// can be called again. Everything else returns ErrClosed afterwards.
func (j *Journal) Close() error {
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	return nil
}

// Acquire implements scheduler.Journal.
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
	tx, err := j.begin(true)
	if err != nil {
		return err
	}
	// The wait for the transaction before this one may have been long.
	if err = ctx.Err(); err == nil {
		err = j.guard(func() error { return j.apply(tx, change) })
	}
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := j.guard(func() error { return j.commit(tx) }); err != nil {
		err = fmt.Errorf("boltjournal: commit: %w", err)
		j.mu.Lock()
		j.failure = err
		j.mu.Unlock()
		return errors.Join(err, rollback(tx))
	}
	return nil
}

// guard turns a panic into an error: bbolt panics where its pages contradict
// one another, which they do if the file has changed under it.
func (j *Journal) guard(do func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = &CorruptError{j.db.Path(), "pages", fmt.Sprint(reason)}
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

// begin starts a transaction, unless the journal has failed.
func (j *Journal) begin(writable bool) (*bolt.Tx, error) {
	tx, err := j.db.Begin(writable)
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return nil, ErrClosed
	case err != nil:
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	j.mu.Lock()
	failure := j.failure
	j.mu.Unlock()
	if failure != nil {
		return nil, errors.Join(failure, rollback(tx))
	}
	return tx, nil
}

// rollback ends a transaction that may have ended.
func rollback(tx *bolt.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
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
	return errors.Join(j.guard(func() error { return look(tx) }), rollback(tx))
}

func (j *Journal) head(tx *bolt.Tx) (head, error) {
	h, version, reason := decodeHead(tx.Bucket([]byte(headBucket)).Get([]byte(headKey)))
	switch {
	case version > formatVersion:
		return head{}, &VersionError{j.db.Path(), version, formatVersion}
	case reason != "":
		return head{}, &CorruptError{j.db.Path(), "head", reason}
	}
	return h, nil
}

func put(b *bolt.Bucket, key, value []byte) error {
	if err := b.Put(key, value); err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	return nil
}
