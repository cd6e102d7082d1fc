package batch

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
	f.Add(Encode([]scheduler.Record{{Seq: 1, Data: []byte("a")}, {Seq: 300, Data: make([]byte, 200)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, ok := decode(data)
		if !ok {
			return
		}
		again, ok := decode(Encode(entries))
		require.True(t, ok)
		require.Equal(t, entries, again)
	})
}

func decode(data []byte) (entries []scheduler.Record, ok bool) {
	for len(data) > 0 {
		var e scheduler.Record
		if e, data, ok = Next(data); !ok {
			return nil, false
		}
		entries = append(entries, e)
	}
	return entries, true
}
