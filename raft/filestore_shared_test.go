//go:build unix

package raft

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// openFileStore opens a store on a real file.
func openFileStore(t *testing.T, path string) (*FileStore, StoredState) {
	t.Helper()
	s := &FileStore{Path: path}
	record, err := s.Open()
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, record
}

// A file that is removed or replaced under an open store ends its saves: what
// would be written then, nobody would find again.
func TestFileStoreNoticesRemovedFiles(t *testing.T) {
	remove := func(suffix string) func(path string) error {
		return func(path string) error { return os.Remove(path + suffix) }
	}
	tests := []struct {
		name   string
		meddle func(path string) error
	}{
		{"state file removed", remove("")},
		{"lock file removed", remove(".lock")},
		{"state file replaced", func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+".copy", content, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".copy", path)
		}},
		{"lock file replaced", func(path string) error {
			if err := os.WriteFile(path+".copy", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".copy", path+".lock")
		}},
	}
	for _, tt := range tests {
		for saves := range uint64(2) { // by this process, before
			t.Run(fmt.Sprintf("%s after %d saves", tt.name, saves), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "raft")
				s, _ := openFileStore(t, path)
				require.NoError(t, s.Save(stateNumber(1)))
				require.NoError(t, s.Close())
				s, _ = openFileStore(t, path)
				for n := range saves {
					require.NoError(t, s.Save(stateNumber(2+n)))
				}
				require.NoError(t, tt.meddle(path))
				require.Error(t, s.Save(stateNumber(9)))
				require.Error(t, s.Save(stateNumber(10)), "a failed save is never retried")
			})
		}
	}
}

// With the lock file gone, the state file keeps a second store out, so that no
// answered save is lost.
func TestFileStoreIsLockedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	first, _ := openFileStore(t, path)
	require.NoError(t, first.Save(stateNumber(1)))
	require.NoError(t, os.Remove(path+".lock"))
	second := &FileStore{Path: path}
	_, err := second.Open()
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, first.Close())
	openFileStore(t, path)
	require.NoError(t, os.Remove(path+".lock"))
	_, err = second.Open()
	require.ErrorIs(t, err, ErrLocked, "locked from Open on, not from the first Save")
}

// Two stores that both found no file: the one that lost its lock answers nothing.
func TestFileStoreLosesTheRaceToCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	first, _ := openFileStore(t, path)
	require.NoError(t, os.Remove(path+".lock"))
	second, _ := openFileStore(t, path)
	require.NoError(t, second.Save(stateNumber(1)))
	require.Error(t, first.Save(stateNumber(2)))
	require.NoError(t, second.Close())
}

// A file system that cannot sync directories, as procfs cannot, is good enough.
func TestSyncDirWhereThereIsNone(t *testing.T) {
	d, err := os.Open("/proc/self")
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = d.Close() }()
	if d.Sync() == nil {
		t.Skip("procfs syncs directories")
	}
	require.NoError(t, syncDir("/proc/self"))
	require.ErrorIs(t, syncDir("/proc/self/missing"), os.ErrNotExist)
}

// A state file that comes out of a backup is refused by that name, and is not
// taken for the newest.
func TestFileStoreRefusesABackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	s, _ := openFileStore(t, path)
	require.NoError(t, s.Save(stateNumber(1)))
	backup, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, s.Save(stateNumber(2)))
	require.NoError(t, s.Close())
	newest, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, backup, 0o600))

	s = &FileStore{Path: path}
	_, err = s.Open()
	require.ErrorIs(t, err, ErrStale)
	require.ErrorContains(t, err, "it holds record 1, but record 2 was saved")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, backup, after, "a refusal changes nothing")

	require.NoError(t, os.WriteFile(path, newest, 0o600))
	s, record := openFileStore(t, path)
	require.EqualValues(t, 2, record.State.Term)
	require.NoError(t, s.Close())
}

// A new file under an old lock file is not stale, nor is one whose mark cannot
// be read.
func TestFileStoreMarkFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	s, _ := openFileStore(t, path)
	for n := range uint64(5) {
		require.NoError(t, s.Save(stateNumber(n)))
	}
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(path))
	s, record := openFileStore(t, path)
	require.False(t, record.Found)
	require.NoError(t, s.Save(stateNumber(1)))
	require.NoError(t, s.Close())
	s, _ = openFileStore(t, path)
	require.NoError(t, s.Close())

	mark, err := os.ReadFile(path + ".lock")
	require.NoError(t, err)
	require.EqualValues(t, 1, readMark(bytes.NewReader(mark)))
	mark[15] = 9
	require.NoError(t, os.WriteFile(path+".lock", mark, 0o600))
	openFileStore(t, path)
}

// A store without a name, or without itself, is found out by New already.
func TestFileStoreNeedsAPath(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, store := range map[string]Store{"no path": &FileStore{}, "nil": (*FileStore)(nil), "nil in memory": (*MemoryStore)(nil)} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{ID: "a", Cluster: "c", Start: Bootstrap(0, Member{ID: "a", Voter: true}), Store: store})
			require.ErrorIs(t, err, ErrConfig)
			require.ErrorContains(t, err, "Store")
		})
	}
	_, err := new(FileStore).Open()
	require.ErrorIs(t, err, ErrConfig)
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries)
}
