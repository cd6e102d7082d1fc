package raft

import (
	"errors"
	"sync"
)

// MemoryStore keeps a node's record in memory: for tests, and for clusters
// whose members never restart. A node whose process ends has lost it, and must
// be removed and added again as a new member.
//
// The zero value is an empty store. It is safe for concurrent use, so that two
// nodes may try to open the same one.
type MemoryStore struct {
	mu     sync.Mutex
	open   bool
	record StoredState
}

var _ Store = (*MemoryStore)(nil)

// Open implements Store.
func (s *MemoryStore) Open() (StoredState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		return StoredState{}, &StoreError{Reason: ErrLocked}
	}
	s.open = true
	record := s.record
	record.State = record.State.Clone()
	return record, nil
}

// Save implements Store.
func (s *MemoryStore) Save(state HardState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return errors.New("raft: save to a store that is not open")
	}
	s.record = StoredState{State: state.Clone(), Found: true}
	return nil
}

// Close implements Store. The record stays for the next Open.
func (s *MemoryStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	return nil
}
