package batch

import (
	"encoding/binary"

	"github.com/rads-project/constellation/scheduler"
)

// Encode returns a batch of entries.
func Encode(entries []scheduler.Record) []byte {
	size := 0
	for _, e := range entries {
		size += 2*binary.MaxVarintLen64 + len(e.Data)
	}
	batch := make([]byte, 0, size)
	for _, e := range entries {
		batch = binary.AppendUvarint(batch, e.Seq)
		batch = binary.AppendUvarint(batch, uint64(len(e.Data)))
		batch = append(batch, e.Data...)
	}
	return batch
}

// Next takes the first entry of a batch that is not empty, whose memory it shares. It
// reports false if that is damaged.
func Next(batch []byte) (e scheduler.Record, rest []byte, ok bool) {
	seq, n := binary.Uvarint(batch)
	if n <= 0 {
		return e, nil, false
	}
	batch = batch[n:]
	length, n := binary.Uvarint(batch)
	if n <= 0 || length > uint64(len(batch)-n) {
		return e, nil, false
	}
	batch = batch[n:]
	return scheduler.Record{Seq: seq, Kind: scheduler.RecordEntry, Data: batch[:length:length]}, batch[length:], true
}
