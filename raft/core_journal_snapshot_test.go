package raft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
)

// contentsOf returns a snapshot of an application that has applied these entries: how
// many, a hash of them all, and more, so that there are several chunks of it.
func contentsOf(applied []Entry) []byte {
	h := fnv.New64a()
	for _, e := range applied {
		_, _ = fmt.Fprintln(h, e.Index, e.Term, e.Kind, string(e.Data))
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(len(applied)))
	b = binary.BigEndian.AppendUint64(b, h.Sum64())
	return append(b, make([]byte, 2_000+h.Sum64()%4_000)...)
}

// read returns the entries that an application has applied whose snapshot this is: those
// that others have, or O12 is broken.
func (o *oracle) read(s *server, contents []byte) []Entry {
	var applied []Entry
	for i := range binary.BigEndian.Uint64(contents) {
		applied = append(applied, o.log.committed[i+1])
	}
	if !bytes.Equal(contents, contentsOf(applied)) {
		o.breaks("O12: %s restores a snapshot of other entries than the first %d", s.cfg.ID, len(applied))
	}
	return applied
}

// snapshot has a server keep a snapshot of what it has applied, after a while.
func (s *server) snapshot() {
	if len(s.log.applied) == 0 {
		return
	}
	contents := contentsOf(s.log.applied)
	shot := Snapshot{
		Last: s.log.applied[len(s.log.applied)-1].position(), Size: int64(len(contents)),
		Checksum: crc32.Checksum(contents, castagnoli()),
	}
	s.log.free = max(s.log.free, s.c.now) + s.log.takes
	s.while(s.log.free-s.c.now, func() { // behind what was to be appended before
		s.keep(shot, contents)
		s.call(func(now time.Duration) Effects { return s.core.Compact(now, shot) })
	})
}

// keep makes a snapshot that of the disk.
func (s *server) keep(shot Snapshot, contents []byte) {
	j := &s.log
	if shot.Last.Index <= j.snapshot.Last.Index {
		return
	}
	at := slices.IndexFunc(j.entries, func(e Entry) bool { return e.position() == shot.Last })
	if at < 0 {
		j.entries = nil
	}
	if j.contents == nil {
		j.contents = make(map[Snapshot][]byte)
	}
	j.snapshot = shot
	j.contents[shot] = contents
}

// compact drops entries but for the last of those that are not needed.
func (j *journal) compact(upTo uint64) {
	j.entries = slices.DeleteFunc(slices.Clone(j.entries), func(e Entry) bool { return e.Index < upTo })
}

// fill puts the contents into a chunk.
func (j *journal) fill(m *Message) {
	if m.Kind == InstallSnapshot {
		copy(m.Chunk, j.contents[m.Snapshot][m.Offset:])
	}
}

// keepChunk writes a chunk, behind what is being written.
func (s *server) keepChunk(chunk Chunk) {
	if chunk.Snapshot == (Snapshot{}) {
		return
	}
	s.log.free = max(s.log.free, s.c.now) + s.log.takes
	s.while(s.log.free-s.c.now, func() {
		if chunk.Offset == 0 {
			s.log.chunks = nil
		}
		require.EqualValues(s.c.t, chunk.Offset, len(s.log.chunks))
		s.log.chunks = append(s.log.chunks, chunk.Data...)
		received := int64(len(s.log.chunks))
		switch {
		case !chunk.IsLast():
		case crc32.Checksum(s.log.chunks, castagnoli()) != chunk.Snapshot.Checksum:
			received = 0
		default:
			s.keep(chunk.Snapshot, s.log.chunks)
		}
		s.call(func(now time.Duration) Effects { return s.core.Received(now, chunk.Snapshot, received) })
	})
}

// restore has the application take the state of a snapshot.
func (s *server) restore(shot Snapshot) {
	if shot == (Snapshot{}) {
		return
	}
	s.log.applied = s.c.oracle.read(s, s.log.contents[shot])
	s.while(s.log.slow, func() {
		s.call(func(now time.Duration) Effects { return s.core.Applied(now, shot.Last.Index) })
	})
}
