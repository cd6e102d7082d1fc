package raft

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// Extensions of messages about the log. None of them is there without one. Those
// whose tag is longTag or above have a length of 4 bytes.
//
//	tag     body
//	2       match: index 8
//	3       conflict: term 8, index 8
//	4       commit: index 8
//	5       check: index 8, hash 8
//	0x8001  entries: term 8 and index 8 of the one before them, then of each
//	        entry the term 8, kind 1, length 4 and data; they follow one another
//	0x8002  snapshot: term 8 and index 8 of its last entry, size 8, checksum 4, hash 8,
//	        offset 8, CRC-32C of the chunk 4, and the chunk
const (
	tagMatch        = 2
	tagConflict     = 3
	tagCommit       = 4
	tagCheck        = 5
	longTag         = 0x8000
	tagEntries      = longTag + 1
	tagSnapshot     = longTag + 2
	positionSize    = 16
	entryHeaderSize = 13
	chunkHeaderSize = 48
)

// MaxAppendSize is the hard limit of an encoded Append, in bytes. Other messages
// are at most MaxMessageSize.
const MaxAppendSize = 1 << 20

// maxSize is the hard limit of an encoded message of this kind.
func (k MessageKind) maxSize() int {
	if k == Append || k == InstallSnapshot {
		return MaxAppendSize
	}
	return MaxMessageSize
}

// appendLog appends what m says about a log.
func (m *Message) appendLog(b []byte) []byte {
	if m.Match != 0 {
		b = appendExtension(b, tagMatch, 8)
		b = binary.BigEndian.AppendUint64(b, m.Match)
	}
	if m.Conflict != (Position{}) {
		b = appendExtension(b, tagConflict, positionSize)
		b = appendPosition(b, m.Conflict)
	}
	if m.Commit != 0 {
		b = appendExtension(b, tagCommit, 8)
		b = binary.BigEndian.AppendUint64(b, m.Commit)
	}
	if m.Check != (Checkpoint{}) {
		b = appendExtension(b, tagCheck, positionSize)
		b = binary.BigEndian.AppendUint64(b, m.Check.Index)
		b = binary.BigEndian.AppendUint64(b, m.Check.Hash)
	}
	b = m.appendSnapshot(b)
	if m.Previous == (Position{}) && len(m.Entries) == 0 {
		return b
	}
	b = appendExtension(b, tagEntries, positionSize+entriesSize(m.Entries))
	b = appendPosition(b, m.Previous)
	return appendEntries(b, m.Entries)
}

// appendEntries appends entries without their index.
func appendEntries(b []byte, entries []Entry) []byte {
	for i := range entries {
		e := &entries[i]
		b = binary.BigEndian.AppendUint64(b, e.Term)
		b = append(b, byte(e.Kind))
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// appendSnapshot appends what m says about a snapshot.
func (m *Message) appendSnapshot(b []byte) []byte {
	s := m.Snapshot
	if s == (Snapshot{}) {
		return b
	}
	b = appendExtension(b, tagSnapshot, chunkHeaderSize+len(m.Chunk))
	b = appendPosition(b, s.Last)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Size))
	b = binary.BigEndian.AppendUint32(b, s.Checksum)
	b = binary.BigEndian.AppendUint64(b, s.Hash)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Offset))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(m.Chunk, castagnoli()))
	return append(b, m.Chunk...)
}

// castagnoli is the polynomial of every checksum here.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendExtension appends the head of an extension.
func appendExtension(b []byte, tag uint16, size int) []byte {
	b = binary.BigEndian.AppendUint16(b, tag)
	if tag >= longTag {
		return binary.BigEndian.AppendUint32(b, uint32(size))
	}
	return binary.BigEndian.AppendUint16(b, uint16(size))
}

func appendPosition(b []byte, p Position) []byte {
	b = binary.BigEndian.AppendUint64(b, p.Term)
	return binary.BigEndian.AppendUint64(b, p.Index)
}

// size is how much room the entry takes in a message.
func (e Entry) size() int { return entryHeaderSize + len(e.Data) }

func entriesSize(entries []Entry) int {
	n := 0
	for i := range entries {
		n += entries[i].size()
	}
	return n
}

// validateLog reports what of a message about a log cannot be encoded.
func (m *Message) validateLog() error {
	if m.Snapshot == (Snapshot{}) && (m.Offset != 0 || len(m.Chunk) > 0) {
		return fmt.Errorf("%w: a chunk of no snapshot", ErrConfig)
	}
	for i, e := range m.Entries {
		if m.Previous.Index > math.MaxUint64-uint64(len(m.Entries)) || e.Index != m.Previous.Index+1+uint64(i) {
			return fmt.Errorf("%w: entry %d does not follow %d", ErrConfig, e.Index, m.Previous.Index)
		}
		if len(e.Data) > MaxAppendSize {
			return fmt.Errorf("%w: entry of %d bytes", ErrTooLarge, len(e.Data))
		}
	}
	return nil
}

// unmarshalLog reads an extension about a log. It reports whether the body is what
// the tag says; a tag that it does not know says nothing. What it has read before
// under the same tag must be zero.
func (m *Message) unmarshalLog(tag uint16, body []byte) bool {
	d := decoder{rest: body}
	switch tag {
	case tagMatch:
		again := m.Match != 0
		m.Match = d.uint64()
		return d.done() && !again && m.Match != 0
	case tagConflict:
		again := m.Conflict != Position{}
		m.Conflict = d.position()
		return d.done() && !again && m.Conflict != Position{}
	case tagCommit:
		again := m.Commit != 0
		m.Commit = d.uint64()
		return d.done() && !again && m.Commit != 0
	case tagCheck:
		again := m.Check != Checkpoint{}
		m.Check = Checkpoint{Index: d.uint64(), Hash: d.uint64()}
		return d.done() && !again && m.Check != Checkpoint{}
	case tagEntries:
		again := m.Previous != Position{} || len(m.Entries) > 0
		m.Previous = d.position()
		return m.unmarshalEntries(&d) && !again && (m.Previous != Position{} || len(m.Entries) > 0)
	case tagSnapshot:
		again := m.Snapshot != Snapshot{}
		return m.unmarshalSnapshot(&d) && !again
	default:
		return true
	}
}

// unmarshalSnapshot reads a snapshot and a chunk to the end of d.
func (m *Message) unmarshalSnapshot(d *decoder) bool {
	s := &m.Snapshot
	s.Last = d.position()
	s.Size = int64(d.uint64())
	s.Checksum, s.Hash = d.uint32(), d.uint64()
	m.Offset = int64(d.uint64())
	sum := d.uint32()
	if len(d.rest) > 0 {
		m.Chunk = slices.Clone(d.rest)
	}
	return !d.failed && *s != Snapshot{} && sum == crc32.Checksum(m.Chunk, castagnoli())
}

// unmarshalEntries reads entries to the end of d, which they share no memory with.
func (m *Message) unmarshalEntries(d *decoder) (ok bool) {
	m.Entries, ok = d.entries(m.Previous.Index)
	return ok
}

// entries reads those that follow an index to the end of d. They share no memory with
// it.
func (d *decoder) entries(after uint64) ([]Entry, bool) {
	n := countEntries(*d)
	if d.failed || n < 0 || after > math.MaxUint64-uint64(n) {
		return nil, false
	}
	if n == 0 {
		return nil, true
	}
	d.rest = slices.Clone(d.rest)
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		e.Index = after + 1 + uint64(i)
		e.Term = d.uint64()
		e.Kind = EntryKind(d.byte())
		if size := int(d.uint32()); size > 0 {
			e.Data = slices.Clip(d.bytes(size))
		}
	}
	return entries, true
}

// countEntries returns how many entries there are to the end of d, or -1.
func countEntries(d decoder) int {
	n := 0
	for ; len(d.rest) > 0; n++ {
		d.bytes(entryHeaderSize - 4)
		d.bytes(int(d.uint32()))
	}
	if d.failed {
		return -1
	}
	return n
}

func (d *decoder) position() Position { return Position{Term: d.uint64(), Index: d.uint64()} }

// done reports whether d has given all that there was and no more.
func (d *decoder) done() bool { return !d.failed && len(d.rest) == 0 }
