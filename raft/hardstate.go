package raft

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// StoreID tells one store from another, also from a later one under the same
// name: 128 random bits, drawn when the store first begins (rule 15). The zero
// value stands for none.
type StoreID [16]byte

// String returns the identity in hexadecimal.
func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// Identity says whose state this is (rule 15).
type Identity struct {
	// Cluster and Node are the names that the state belongs to.
	Cluster, Node string
	// StoreID is drawn once, when the store first begins.
	StoreID StoreID
	// Incarnation counts the openings of the store, from 1.
	Incarnation uint64
}

// HardState is the one durable record of a node. What a node sends rests on it,
// so it is saved first (rule 12).
type HardState struct {
	Identity
	// Term is the highest term the node has seen; 0 before the first.
	Term uint64
	// Vote is who got the node's vote in Term, empty if nobody.
	Vote string
	// LongestPromise is at least as long as every promise that may still bind the
	// node. A restarted node keeps silent for as long, because it no longer knows
	// whom it has promised what. It rises with the promise that is longer, and falls
	// when all that long are over (rule 4).
	LongestPromise time.Duration
	// Configuration is the newest membership known, zero if none.
	Configuration Configuration
	// HasLog says that the node keeps a Log, which was begun under this StoreID.
	HasLog bool
}

// Clone returns a copy that shares no memory with s.
func (s HardState) Clone() HardState {
	s.Configuration = s.Configuration.Clone()
	return s
}

// Equal reports whether two states are the same.
func (s HardState) Equal(o HardState) bool {
	return s.Identity == o.Identity && s.Term == o.Term && s.Vote == o.Vote &&
		s.LongestPromise == o.LongestPromise && s.HasLog == o.HasLog && s.Configuration.Equal(o.Configuration)
}

// The first byte of an encoded HardState. It differs for one that has a log: a
// program that knows of none must not go on without.
const (
	hardStateVersion        = 1
	hardStateWithLogVersion = 2
)

// AppendBinary appends the encoding of s, at most 3,840 bytes.
func (s HardState) AppendBinary(b []byte) ([]byte, error) {
	if err := s.validate(); err != nil {
		return b, err
	}
	version := byte(hardStateVersion)
	if s.HasLog {
		version = hardStateWithLogVersion
	}
	b = append(b, version)
	b = appendText(b, s.Cluster)
	b = appendText(b, s.Node)
	b = append(b, s.StoreID[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Incarnation)
	b = binary.BigEndian.AppendUint64(b, s.Term)
	b = appendText(b, s.Vote)
	b = binary.BigEndian.AppendUint64(b, uint64(s.LongestPromise))
	return s.Configuration.AppendBinary(b)
}

// UnmarshalBinary replaces s by what b encodes. It fails with ErrMalformed and
// then leaves s alone.
func (s *HardState) UnmarshalBinary(b []byte) error {
	d := decoder{rest: b}
	version := d.byte()
	if version != hardStateVersion && version != hardStateWithLogVersion {
		return fmt.Errorf("%w: hard state version %d", ErrMalformed, version)
	}
	t := HardState{HasLog: version == hardStateWithLogVersion}
	t.Cluster = d.text()
	t.Node = d.text()
	copy(t.StoreID[:], d.bytes(len(t.StoreID)))
	t.Incarnation = d.uint64()
	t.Term = d.uint64()
	t.Vote = d.text()
	t.LongestPromise = time.Duration(d.uint64())
	if d.failed {
		return fmt.Errorf("%w: hard state is cut short", ErrMalformed)
	}
	if err := t.Configuration.UnmarshalBinary(d.rest); err != nil {
		return err
	}
	if err := t.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	*s = t
	return nil
}

// validate reports what no node would have saved.
func (s HardState) validate() error {
	switch {
	case len(s.Cluster) > MaxIDSize || len(s.Node) > MaxIDSize || len(s.Vote) > MaxIDSize:
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrConfig, MaxIDSize)
	case s.Term >= termLimit:
		return ErrTermLimit
	case s.LongestPromise < 0 || s.LongestPromise > MaxPromise:
		return fmt.Errorf("%w: promise of %v", ErrConfig, s.LongestPromise)
	case s.Configuration.IsZero():
		return nil
	default:
		return s.Configuration.Validate()
	}
}
