package scheduler

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The data of a record is a version, the kind of the record, a message in the
// form of package codec, and a checksum of all that. FORMAT.md describes all
// messages.
const (
	// formatVersion goes up when records of before cannot be read any more, or
	// mean something else. One that only adds fields or kinds keeps it: whoever
	// does not know them refuses the records in which they are.
	formatVersion = 1

	headBytes = 2
	sumBytes  = crc32.Size
)

// begin appends what stands before the message of a record.
func begin(to []byte, kind RecordKind) []byte { return append(to, formatVersion, byte(kind)) }

// seal ends a record that begins at a place, with the checksum by which damage
// is noticed whatever journal keeps it.
func seal(data []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(data, checksum(data[from:]))
}

// unseal returns the message in a record. It tells one of a later version, of
// which nothing else is known, from a damaged one.
func unseal(r Record) (message []byte, err error) {
	if len(r.Data) > 0 && r.Data[0] != formatVersion {
		return nil, &FormatError{r.Seq, fmt.Sprintf("version %d, this library reads version %d", r.Data[0], formatVersion)}
	}
	if len(r.Data) < headBytes+sumBytes {
		return nil, &FormatError{r.Seq, fmt.Sprintf("%d bytes are no record", len(r.Data))}
	}
	end := len(r.Data) - sumBytes
	if checksum(r.Data[:end]) != sealOf(r.Data) {
		return nil, &FormatError{r.Seq, "checksum does not match"}
	}
	if kind := RecordKind(r.Data[1]); kind != r.Kind {
		return nil, &FormatError{r.Seq, fmt.Sprintf("is of kind %d, and not %d", kind, r.Kind)}
	}
	return r.Data[headBytes:end], nil
}

// sealOf returns the checksum at the end of a record's data.
func sealOf(data []byte) uint32 { return binary.LittleEndian.Uint32(data[len(data)-sumBytes:]) }

func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}
