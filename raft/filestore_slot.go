package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The state file has two slots of one page each, so that a torn write spoils
// one slot only (rule 14). All integers are big-endian.
//
//	offset  size  what
//	0       8     magic
//	8       4     version of this layout
//	12      4     length of the payload
//	16      8     sequence: the slot with the higher one is newer
//	24      4     CRC-32C over the bytes before it and the payload
//	28      …     payload, then zeros
const (
	slotSize       = 4096
	slotHeaderSize = 28
	slotMaxPayload = slotSize - slotHeaderSize
	slotMagic      = "CNSTRAFT"
	slotVersion    = 1
	stateFileSize  = 2 * slotSize
)

// Reasons why a slot is bad. The other slot may still be good, except after
// errSlotVersion: then a later program wrote an intact slot, and its older twin
// must not be taken for the newest record.
var (
	errSlotMagic    = errors.New("magic is wrong")
	errSlotLength   = errors.New("length is out of range")
	errSlotChecksum = errors.New("checksum is wrong")
	errSlotVersion  = errors.New("layout version is not known")
)

// slot is the content of one half of the state file.
type slot struct {
	index    int // of the half, when read by newestSlot
	sequence uint64
	payload  []byte
}

// appendSlot appends the slotSize bytes that hold s.
func appendSlot(dst []byte, s slot) ([]byte, error) {
	if len(s.payload) > slotMaxPayload {
		return dst, fmt.Errorf("%w: record of %d bytes, at most %d", ErrTooLarge, len(s.payload), slotMaxPayload)
	}
	start := len(dst)
	dst = append(dst, slotMagic...)
	dst = binary.BigEndian.AppendUint32(dst, slotVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.payload)))
	dst = binary.BigEndian.AppendUint64(dst, s.sequence)
	dst = binary.BigEndian.AppendUint32(dst, slotChecksum(dst[start:], s.payload))
	dst = append(dst, s.payload...)
	return append(dst, make([]byte, slotSize-slotHeaderSize-len(s.payload))...), nil
}

// parseSlot reads one slot. The payload shares b's memory.
func parseSlot(b []byte) (slot, error) {
	header := b[:slotHeaderSize]
	if !bytes.Equal(header[:8], []byte(slotMagic)) {
		return slot{}, errSlotMagic
	}
	length := binary.BigEndian.Uint32(header[12:])
	if length > slotMaxPayload {
		return slot{}, errSlotLength
	}
	payload := b[slotHeaderSize : slotHeaderSize+length]
	if binary.BigEndian.Uint32(header[24:]) != slotChecksum(header[:24], payload) {
		return slot{}, errSlotChecksum
	}
	if v := binary.BigEndian.Uint32(header[8:]); v != slotVersion {
		return slot{}, fmt.Errorf("%w: %d", errSlotVersion, v)
	}
	return slot{sequence: binary.BigEndian.Uint64(header[16:]), payload: payload}, nil
}

// slotChecksum covers the header before the checksum itself, and the payload.
func slotChecksum(header, payload []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(header, table), table, payload)
}

// newestSlot chooses between the two slots of a state file. damage tells which
// one was bad; err, that no slot can be used.
func newestSlot(file []byte) (newest slot, damage, err error) {
	var slots [2]slot
	var bad [2]error
	for i := range slots {
		slots[i], bad[i] = parseSlot(file[i*slotSize : (i+1)*slotSize])
		slots[i].index = i
		if bad[i] != nil {
			bad[i] = fmt.Errorf("slot %d: %w", i, bad[i])
		}
		if errors.Is(bad[i], errSlotVersion) {
			return slot{}, nil, bad[i]
		}
	}
	a, b := slots[0], slots[1]
	switch {
	case bad[0] != nil && bad[1] != nil:
		return slot{}, nil, errors.Join(bad[0], bad[1])
	case bad[0] != nil:
		return b, bad[0], nil
	case bad[1] != nil:
		return a, bad[1], nil
	case a.sequence == b.sequence && !bytes.Equal(a.payload, b.payload):
		return slot{}, nil, fmt.Errorf("both slots have sequence %d, but they differ", a.sequence)
	case b.sequence > a.sequence:
		return b, nil, nil
	default:
		return a, nil, nil
	}
}
