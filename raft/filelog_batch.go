package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A segment begins with a header, and batches follow it. Each is one write: a header,
// the entries, zeros up to the next multiple of batchUnit, and as many zeros again, in
// place of the header of the batch to come. So a slot of zeros is where the log ends,
// also in a segment that was used before, and no header is written in two sectors. All
// integers are big-endian; FORMAT.md has the tables.
const (
	batchUnit     = 64
	segmentHeader = batchUnit
	segmentMagic  = "CNSTRLOG"

	// logVersion is that of the layout of segments and snapshots.
	logVersion = 1
)

// batchKind says what a batch does to the log.
type batchKind uint8

const (
	// batchEntries puts entries behind one that the log has.
	batchEntries batchKind = iota + 1
	// batchRestart drops all entries: the log goes on behind a snapshot.
	batchRestart
	// batchCut changes nothing. It stands where a batch was that could not be read.
	batchCut
)

// batchUnproven is a flag: see StoredLog.Unproven.
const batchUnproven = 1

// What is wrong with a batch.
var (
	errBatchHeader   = errors.New("the header of a batch is damaged")
	errBatchPlace    = errors.New("a batch stands where it does not belong")
	errBatchMissing  = errors.New("a batch is missing")
	errBatchLength   = errors.New("a batch is longer than its segment")
	errBatchChecksum = errors.New("the checksum of a batch is wrong")
	errBatchContents = errors.New("a batch does not fit the log before it")
	errSegmentHeader = errors.New("the header of a segment is damaged")
)

// batch is the header of one.
type batch struct {
	checksum uint32 // over the rest of the header
	body     uint32 // checksum over the entries
	previous uint32 // the checksum of the batch before, so that they form a chain
	length   uint32 // of the entries, in bytes
	// sequence is one more than that of the batch before, which was durable when this
	// one was written.
	sequence uint64
	segment  uint64 // the number of the segment
	offset   uint32 // in it
	flags    uint8
	kind     batchKind
	count    uint32   // of entries
	before   Position // the entry before the first
}

// put encodes the header, whose checksum it sets.
func (h *batch) put(b []byte) {
	b = b[:batchUnit]
	clear(b)
	binary.BigEndian.PutUint32(b[4:], h.body)
	binary.BigEndian.PutUint32(b[8:], h.previous)
	binary.BigEndian.PutUint32(b[12:], h.length)
	binary.BigEndian.PutUint64(b[16:], h.sequence)
	binary.BigEndian.PutUint64(b[24:], h.segment)
	binary.BigEndian.PutUint32(b[32:], h.offset)
	b[36], b[37] = h.flags, byte(h.kind)
	binary.BigEndian.PutUint32(b[40:], h.count)
	binary.BigEndian.PutUint64(b[48:], h.before.Term)
	binary.BigEndian.PutUint64(b[56:], h.before.Index)
	h.checksum = checksum(b[4:])
	binary.BigEndian.PutUint32(b, h.checksum)
}

// parseBatch decodes a header of batchUnit bytes. It fails unless that is intact.
func parseBatch(b []byte) (batch, error) {
	h := batch{
		checksum: binary.BigEndian.Uint32(b),
		body:     binary.BigEndian.Uint32(b[4:]),
		previous: binary.BigEndian.Uint32(b[8:]),
		length:   binary.BigEndian.Uint32(b[12:]),
		sequence: binary.BigEndian.Uint64(b[16:]),
		segment:  binary.BigEndian.Uint64(b[24:]),
		offset:   binary.BigEndian.Uint32(b[32:]),
		flags:    b[36],
		kind:     batchKind(b[37]),
		count:    binary.BigEndian.Uint32(b[40:]),
		before: Position{
			Term:  binary.BigEndian.Uint64(b[48:]),
			Index: binary.BigEndian.Uint64(b[56:]),
		},
	}
	if h.checksum != checksum(b[4:batchUnit]) {
		return batch{}, errBatchHeader
	}
	return h, nil
}

// size is how far the next batch stands behind this one.
func (h *batch) size() int64 { return batchUnit + roundUp(int64(h.length)) }

// roundUp returns the next multiple of batchUnit.
func roundUp(n int64) int64 { return (n + batchUnit - 1) &^ (batchUnit - 1) }

// checksum is CRC-32C.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendBatch appends the batch of entries that h describes but for what it computes, and
// the zeros behind it.
func appendBatch(b []byte, h *batch, entries []Entry) []byte {
	start := len(b)
	b = append(b, make([]byte, batchUnit)...)
	b = appendEntries(b, entries)
	body := b[start+batchUnit:]
	h.length, h.count, h.body = uint32(len(body)), uint32(len(entries)), checksum(body)
	h.put(b[start:])
	zeros := h.size() + batchUnit - int64(len(b)-start)
	return append(b, make([]byte, zeros)...)
}

// putSegmentHeader encodes the header of a segment.
func putSegmentHeader(b []byte, store StoreID, number uint64, size int64) {
	b = b[:segmentHeader]
	clear(b)
	copy(b, segmentMagic)
	binary.BigEndian.PutUint32(b[8:], logVersion)
	copy(b[16:], store[:])
	binary.BigEndian.PutUint64(b[32:], number)
	binary.BigEndian.PutUint64(b[40:], uint64(size))
	binary.BigEndian.PutUint32(b[12:], slotChecksum(b[:12], b[16:]))
}

// parseSegmentHeader returns whose log a segment is part of and how long it is.
func parseSegmentHeader(b []byte, number uint64) (store StoreID, size int64, err error) {
	switch {
	case string(b[:8]) != segmentMagic || binary.BigEndian.Uint32(b[12:]) != slotChecksum(b[:12], b[16:segmentHeader]):
		return StoreID{}, 0, errSegmentHeader
	case binary.BigEndian.Uint32(b[8:]) != logVersion:
		return StoreID{}, 0, errSlotVersion
	case binary.BigEndian.Uint64(b[32:]) != number:
		return StoreID{}, 0, errSegmentHeader
	}
	length := binary.BigEndian.Uint64(b[40:])
	if length < segmentHeader || length > math.MaxInt32 {
		return StoreID{}, 0, errSegmentHeader
	}
	return StoreID(b[16:32]), int64(length), nil
}

// isBlank reports whether there are only zeros.
func isBlank(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
