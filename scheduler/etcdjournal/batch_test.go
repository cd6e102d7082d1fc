package etcdjournal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

// FuzzBatch decodes any bytes: those that are a batch are the one that encoding
// what was read gives, but for numbers that are written longer than they must be.
func FuzzBatch(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 200, 1})
	f.Add(encodeBatch([]scheduler.Record{{Seq: 1, Data: []byte("a")}, {Seq: 300, Data: make([]byte, 200)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, ok := decodeBatch(data)
		if !ok {
			return
		}
		again, ok := decodeBatch(encodeBatch(entries))
		require.True(t, ok)
		require.Equal(t, entries, again)
	})
}

func decodeBatch(data []byte) (entries []scheduler.Record, ok bool) {
	for len(data) > 0 {
		var e scheduler.Record
		if e, data, ok = nextEntry(data); !ok {
			return nil, false
		}
		entries = append(entries, e)
	}
	return entries, true
}
