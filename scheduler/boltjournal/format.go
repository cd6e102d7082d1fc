package boltjournal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/rads-project/constellation/scheduler"
)

// The file holds three buckets. All numbers are big-endian, and every value
// ends with a CRC-32C of its key and what comes before.
//
//	head       "head"                          the head below
//	entries    seq uint64                      kind uint8, data
//	snapshots  generation uint64, part uint32  data of the part
//
// Entries up to the snapshot's Seq and parts other than the head counts are
// left over and not read. The parts of the generation after the head's are those
// of a snapshot that is not complete.
const (
	formatVersion = 1

	headBucket     = "head"
	entryBucket    = "entries"
	snapshotBucket = "snapshots"
	headKey        = "head"
)

// head says what there is. It is written by every transaction.
type head struct {
	token      uint64 // highest acquired
	last       uint64 // Seq of the last record that counts
	generation uint64 // of the snapshot's parts
	snapshot   staged // without parts if there is none
	staged     staged // the parts so far of one that is not complete
	// transaction that wrote it, the latest: pages of an earlier one that have
	// come back in the place of new ones are noticed by it.
	transaction uint64
}

// staged is a snapshot, or the beginning of one.
type staged struct {
	seq   uint64
	parts uint32
	size  uint64 // of all data
}

const headSize = 2 + 8 + 8 + 8 + 2*(8+4+8) + 8

func (h head) encode() []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, headSize+checksumSize), formatVersion)
	for _, n := range []uint64{h.token, h.last, h.generation} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, s := range []staged{h.snapshot, h.staged} {
		b = binary.BigEndian.AppendUint64(b, s.seq)
		b = binary.BigEndian.AppendUint32(b, s.parts)
		b = binary.BigEndian.AppendUint64(b, s.size)
	}
	b = binary.BigEndian.AppendUint64(b, h.transaction)
	return seal([]byte(headKey), b)
}

// decodeHead returns a reason if the head is damaged or of another version,
// which it returns as well. Later versions keep the version in front and the
// checksum at the end.
func decodeHead(value []byte) (h head, version uint16, reason string) {
	b, ok := unseal([]byte(headKey), value)
	switch {
	case !ok || len(b) < 2:
		return head{}, 0, "checksum does not match"
	case binary.BigEndian.Uint16(b) != formatVersion:
		version = binary.BigEndian.Uint16(b)
		return head{}, version, fmt.Sprintf("format version %d", version)
	case len(b) != headSize:
		return head{}, formatVersion, fmt.Sprintf("%d bytes", len(b))
	}
	return head{
		token:      binary.BigEndian.Uint64(b[2:]),
		last:       binary.BigEndian.Uint64(b[10:]),
		generation: binary.BigEndian.Uint64(b[18:]),
		snapshot:   decodeStaged(b[26:]),
		staged:     decodeStaged(b[46:]),

		transaction: binary.BigEndian.Uint64(b[66:]),
	}, formatVersion, ""
}

func decodeStaged(b []byte) staged {
	return staged{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint64(b[12:])}
}

func entryKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func partKey(generation uint64, part uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, generation), part)
}

func encodeEntry(key []byte, r scheduler.Record) []byte {
	b := make([]byte, 0, 1+len(r.Data)+checksumSize)
	return seal(key, append(append(b, byte(r.Kind)), r.Data...))
}

// decodeEntry returns a record whose data is part of value, and whether value
// is what was written under the key.
func decodeEntry(key, value []byte) (scheduler.Record, bool) {
	b, ok := unseal(key, value)
	if !ok || len(b) < 1 || len(key) != 8 {
		return scheduler.Record{}, false
	}
	return scheduler.Record{Seq: binary.BigEndian.Uint64(key), Kind: scheduler.RecordKind(b[0]), Data: b[1:]}, true
}

const checksumSize = crc32.Size

// seal appends the checksum of key and b to b.
func seal(key, b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, checksum(key, b))
}

// unseal returns what was sealed, and whether key and value are undamaged.
func unseal(key, value []byte) ([]byte, bool) {
	if len(value) < checksumSize {
		return nil, false
	}
	b, sum := value[:len(value)-checksumSize], value[len(value)-checksumSize:]
	return b, checksum(key, b) == binary.BigEndian.Uint32(sum)
}

func checksum(key, b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, b)
}
