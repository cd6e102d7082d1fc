package raft

import (
	"encoding/binary"
	"io"
)

// The lock file is told the sequence of each record once that is durable, so
// that Open can tell a state file that was restored from a backup (rule 14). The
// mark is not synced, and an error is of no account: a mark that is lost, torn
// or older says nothing, and none is ever ahead of the state file.
//
//	offset  size  what
//	0       8     magic
//	8       8     sequence
//	16      4     CRC-32C over the bytes before it
const (
	markMagic = "CNSTMARK"
	markSize  = 20
)

// writeMark notes the sequence of the newest durable record.
func writeMark(w io.WriterAt, sequence uint64) {
	b := append(make([]byte, 0, markSize), markMagic...)
	b = binary.BigEndian.AppendUint64(b, sequence)
	b = binary.BigEndian.AppendUint32(b, slotChecksum(b, nil))
	_, _ = w.WriteAt(b, 0)
}

// readMark returns the sequence noted last, 0 if there is none to be read.
func readMark(r io.ReaderAt) uint64 {
	b := make([]byte, markSize)
	if n, _ := r.ReadAt(b, 0); n < markSize || string(b[:8]) != markMagic {
		return 0
	}
	if binary.BigEndian.Uint32(b[16:]) != slotChecksum(b[:16], nil) {
		return 0
	}
	return binary.BigEndian.Uint64(b[8:])
}
