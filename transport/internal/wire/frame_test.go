package wire_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const limit = 1 << 10

func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payloads := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, limit)).Draw(t, "payloads")
		kinds := rapid.SliceOfN(rapid.SampledFrom([]wire.FrameKind{wire.Data, wire.Ping, wire.Pong}),
			len(payloads), len(payloads)).Draw(t, "kinds")
		var stream []byte
		for i, p := range payloads {
			before := len(stream)
			stream = wire.Append(stream, kinds[i], p)
			require.Equal(t, before+wire.Overhead+len(p), len(stream))
		}
		// One byte at a time: a frame need not arrive in one piece.
		r := wire.NewReader(iotest.OneByteReader(bytes.NewReader(stream)), limit)
		for i, p := range payloads {
			kind, got, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, kinds[i], kind)
			require.True(t, bytes.Equal(p, got))
		}
		_, _, err := r.Next()
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestBadFrames(t *testing.T) {
	good := wire.Append(nil, wire.Data, []byte("payload"))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name   string
		stream []byte
		want   error
	}{
		{"half a header", good[:5], io.ErrUnexpectedEOF},
		{"half a payload", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"header only", good[:8], io.ErrUnexpectedEOF},
		{"one bit flipped", flipped, wire.ErrBroken},
		{"unknown kind", wire.Append(nil, 7, nil), wire.ErrBroken},
		{"no kind", make([]byte, 8), wire.ErrBroken},
		{"one byte too long", wire.Append(nil, wire.Data, make([]byte, limit+1)), wire.ErrTooLong},
		{"a gigabyte", binary.BigEndian.AppendUint32(nil, 1<<30), io.ErrUnexpectedEOF},
		{"a gigabyte with a header", append(binary.BigEndian.AppendUint32(nil, 1<<30), 0, 0, 0, 0), wire.ErrTooLong},
		{"the longest length", bytes.Repeat([]byte{0xff}, 100), wire.ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := wire.NewReader(bytes.NewReader(tt.stream), limit).Next()
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	frame := wire.Append(nil, wire.Data, make([]byte, 200))
	src := &repeated{data: frame}
	r := wire.NewReader(src, limit)
	_, _, err := r.Next()
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _, _ = r.Next() }))
}

// repeated is an endless stream of the same bytes.
type repeated struct {
	data []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.data[r.at:])
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// Whatever the bytes, the reader ends without a panic, never yields more than
// its limit, and what it yields encodes to the bytes that it read.
func FuzzReader(f *testing.F) {
	good := wire.Append(nil, wire.Data, []byte("payload"))
	f.Add(good)
	f.Add(append(good, good...))
	f.Add(good[:9])
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Add(wire.Append(nil, wire.Ping, make([]byte, limit+1)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := wire.NewReader(bytes.NewReader(stream), limit)
		var again []byte
		for {
			kind, payload, err := r.Next()
			if err != nil {
				break
			}
			require.LessOrEqual(t, len(payload), limit)
			again = wire.Append(again, kind, payload)
		}
		require.True(t, bytes.HasPrefix(stream, again))
	})
}
