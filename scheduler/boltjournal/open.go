package boltjournal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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
// there. It locks the file and reads all of it: a CorruptError says what is
// damaged, a VersionError that a later version of this package wrote it, and
// ErrLocked that another process has it open. It changes nothing then.
func Open(dir string, cfg Config) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	path := filepath.Join(dir, fileName)
	if err := ensure(dir, path); err != nil {
		return nil, err
	}
	if err := verifyLocked(path, cfg.LockWait); err != nil {
		return nil, err
	}
	// Between the locks another process may have come and gone; what it left
	// is as sound as what was verified.
	db, err := openBolt(path, cfg.LockWait, false)
	if err != nil {
		return nil, err
	}
	removeUnfinished(dir)
	j := &Journal{
		db: db, commit: cfg.commit, snapshots: make(chan struct{}, 1),
		sizes: sizes{
			part: cmp.Or(cfg.sizes.part, 1<<20), prune: cmp.Or(cfg.sizes.prune, 1000), read: cmp.Or(cfg.sizes.read, 1<<20),
		},
	}
	if j.commit == nil {
		j.commit = (*bolt.Tx).Commit
	}
	return j, nil
}

// openBolt opens the file with bbolt and a lock. The list of free pages is
// not kept in the file, where damage to it would spread, but found by reading
// the tree.
func openBolt(path string, wait time.Duration, readOnly bool) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        max(wait, 1), // 0 would wait forever
		ReadOnly:       readOnly,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		NoStatistics:   true,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case err != nil:
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	return db, nil
}

// verifyLocked reads the whole file while nobody writes to it: a database
// that is open for reading locks out writers, and bbolt follows none of its
// pages but the first two.
func verifyLocked(path string, wait time.Duration) error {
	db, err := openBolt(path, wait, true)
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
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
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
	paths, _ := filepath.Glob(filepath.Join(dir, newPattern))
	for _, path := range paths {
		_ = os.Remove(path) // it is in nobody's way
	}
}

func create(path string) error {
	db, err := openBolt(path, 0, false)
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
