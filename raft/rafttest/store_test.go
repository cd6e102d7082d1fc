package rafttest_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

func TestFileStoreConforms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	require.NoError(t, rafttest.CheckStore(func() raft.Store { return &raft.FileStore{Path: path} }))
}

func TestMemoryStoreConforms(t *testing.T) {
	store := new(raft.MemoryStore)
	require.NoError(t, rafttest.CheckStore(func() raft.Store { return store }))
}

// A suite that passes every store is worth nothing.
func TestCheckStoreFindsBrokenStores(t *testing.T) {
	tests := []struct {
		name string
		open func() func() raft.Store
		want string
	}{
		{"loses records", func() func() raft.Store {
			return func() raft.Store { return new(raft.MemoryStore) }
		}, "Found is false, want true"},
		{"has no lock", sharing(func(s *brokenStore) { s.unlocked = true }), "exclude others"},
		{"forgets the vote", sharing(func(s *brokenStore) { s.edit = func(h *raft.HardState) { h.Vote = "" } }), "saved was"},
		{"saves while closed", sharing(func(s *brokenStore) { s.careless = true }), "use while closed"},
		{"fails to save", sharing(func(s *brokenStore) { s.fault = errors.New("broken disk") }), "broken disk"},
		{"changes its argument", sharing(func(s *brokenStore) {
			s.edit = func(h *raft.HardState) {
				if h.Configuration.Members != nil {
					h.Configuration.Members[0].Data = "changed"
				}
			}
		}), "method Save changed its argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorContains(t, rafttest.CheckStore(tt.open()), tt.want)
		})
	}
}

// brokenStore is a memory store with one mistake.
type brokenStore struct {
	raft.MemoryStore
	unlocked, careless bool
	fault              error
	edit               func(*raft.HardState)
}

func sharing(breakIt func(*brokenStore)) func() func() raft.Store {
	return func() func() raft.Store {
		store := new(brokenStore)
		breakIt(store)
		return func() raft.Store { return store }
	}
}

func (s *brokenStore) Open() (raft.StoredState, error) {
	if s.unlocked {
		_ = s.Close()
	}
	return s.MemoryStore.Open()
}

func (s *brokenStore) Save(state raft.HardState) error {
	if s.fault != nil {
		return s.fault
	}
	if s.edit != nil {
		s.edit(&state)
	}
	err := s.MemoryStore.Save(state)
	if s.careless {
		return nil
	}
	return err
}
