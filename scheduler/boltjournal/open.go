package boltjournal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	fileName   = "journal.bolt"
	newPattern = "journal-*.new" // files that are being made
)

// Open opens the journal in a directory, and makes both if they are not
// there. It locks both and reads the whole file: a CorruptError says what is
// damaged, a FormatVersionError that a later version of this package wrote it, an
// ExposedError that everybody may write it, and ErrLocked that another process
// has it open. It changes nothing then. It takes time in proportion to the
// length of the file.
func Open(dir string, cfg Config) (_ *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	lock, err := lockDir(dir, cfg.LockWait)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	path := filepath.Join(dir, fileName)
	if err := ensure(dir, path); err != nil {
		return nil, err
	}
	if err := verifyLocked(path, cfg.LockWait); err != nil {
		return nil, err
	}
	// Between the locks of the file another process may have come and gone,
	// where directories have none; what it left is as sound as what was verified.
	db, file, err := openBolt(path, cfg.LockWait, false)
	if err != nil {
		return nil, err
	}
	removeUnfinished(dir)
	j := &Journal{
		db: db, file: file, lock: lock, logger: cfg.Logger, commit: cfg.commit,
		writing: make(chan struct{}, 1),
		sizes:   sizes{prune: cmp.Or(cfg.sizes.prune, 1000), read: cmp.Or(cfg.sizes.read, 1<<20)},
	}
	if j.logger == nil {
		j.logger = slog.New(slog.DiscardHandler)
	}
	if j.commit == nil {
		j.commit = (*bolt.Tx).Commit
	}
	return j, nil
}

// openBolt opens the file with bbolt and a lock. The list of free pages is
// not kept in the file, where damage to it would spread, but found by reading
// the tree.
func openBolt(path string, wait time.Duration, readOnly bool) (db *bolt.DB, file *openFile, err error) {
	file = new(openFile)
	fault := guard(path, func() error {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:        max(wait, 1), // 0 would wait forever
			ReadOnly:       readOnly,
			NoFreelistSync: true,
			FreelistType:   bolt.FreelistMapType,
			NoStatistics:   true,
			OpenFile:       file.open,
		})
		return nil
	})
	switch {
	case fault != nil:
		return nil, nil, errors.Join(fault, file.abandon())
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, ErrLocked
	case err != nil:
		return nil, nil, fmt.Errorf("boltjournal: %w", err)
	}
	return db, file, nil
}

// verifyLocked reads the whole file while nobody writes to it: a database
// that is open for reading locks out writers, and bbolt follows none of its
// pages but the first two.
func verifyLocked(path string, wait time.Duration) error {
	db, _, err := openBolt(path, wait, true)
	if err != nil {
		if errors.Is(err, ErrLocked) {
			return err
		}
		// It is most likely damaged, and then this says better where.
		return cmp.Or(verify(path), err)
	}
	if err := verify(path); err != nil {
		return errors.Join(err, db.Close())
	}
	return db.Close()
}

// ensure makes an empty journal if there is none. It appears under its name
// as a whole, so that a crash in between leaves no half of it.
func ensure(dir, path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && exposed(info):
		return &ExposedError{path, info.Mode()}
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("boltjournal: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("boltjournal: %s is a symbolic link to what is not there: %w", path, fs.ErrNotExist)
	}
	file, err := os.CreateTemp(dir, newPattern)
	if err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // at worst an empty journal stays
	if err := errors.Join(file.Close(), create(file.Name())); err != nil {
		return err
	}
	// Unlike a rename, a link leaves what another process made meanwhile.
	if err := os.Link(file.Name(), path); err != nil {
		if _, missing := os.Stat(path); missing != nil {
			return fmt.Errorf("boltjournal: %w", err)
		}
	}
	return syncDir(dir)
}

// removeUnfinished deletes what a crash in ensure has left behind.
func removeUnfinished(dir string) {
	files, _ := os.ReadDir(dir)
	for _, file := range files {
		if unfinished, _ := filepath.Match(newPattern, file.Name()); unfinished {
			_ = os.Remove(filepath.Join(dir, file.Name())) // it is in nobody's way
		}
	}
}

func create(path string) error {
	db, _, err := openBolt(path, 0, false)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(fill), db.Close())
}

// fill makes what every journal has.
func fill(tx *bolt.Tx) error {
	for _, name := range []string{headBucket, entryBucket, snapshotBucket} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	return tx.Bucket([]byte(headBucket)).Put([]byte(headKey), head{transaction: uint64(tx.ID())}.encode())
}

// syncDir makes a new name in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	// Not every system can sync a directory; then there is nothing to do.
	_ = d.Sync()
	return d.Close()
}
