package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/rads-project/constellation/transport/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestHelloRoundTrips(t *testing.T) {
	longest := strings.Repeat("x", wire.NameLimit)
	tests := []struct {
		name  string
		hello wire.Hello
	}{
		{"ordinary", wire.Hello{Cluster: "prod", From: "a", To: "b"}},
		{"empty names", wire.Hello{}},
		{"longest names", wire.Hello{Cluster: longest, From: longest, To: longest}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := bytes.NewReader(append(tt.hello.Append(nil), "rest"...))
			got, err := wire.ReadHello(stream)
			require.NoError(t, err)
			require.Equal(t, tt.hello, got)
			require.Equal(t, len("rest"), stream.Len(), "not a byte more than the hello")
		})
	}
}

// sealed appends the checksum that a hello ends with.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func TestBadHellos(t *testing.T) {
	good := wire.Hello{Cluster: "prod", From: "a", To: "b"}.Append(nil)
	flipped := bytes.Clone(good)
	flipped[10] ^= 1
	tests := []struct {
		name   string
		stream []byte
		want   error
	}{
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"half a preamble", good[:3], io.ErrUnexpectedEOF},
		{"half a hello", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"another protocol", []byte("GET / HTTP/1.1\r\n"), wire.ErrBroken},
		{"another version", []byte("cnst\x00\x02anything"), wire.ErrVersion},
		{"one bit flipped", flipped, wire.ErrBroken},
		{"too many bytes of names", append([]byte("cnst\x00\x01\xff\xff"), make([]byte, 70_000)...), wire.ErrBroken},
		{"a name beyond its end", sealed([]byte("cnst\x00\x01\x00\x03\x05ab")), wire.ErrBroken},
		{"a name missing", sealed([]byte("cnst\x00\x01\x00\x02\x00\x00")), wire.ErrBroken},
		{"bytes after the names", sealed([]byte("cnst\x00\x01\x00\x04\x00\x00\x00z")), wire.ErrBroken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wire.ReadHello(bytes.NewReader(tt.stream))
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestVersionErrorSaysWhich(t *testing.T) {
	_, err := wire.ReadHello(strings.NewReader("cnst\x01\x02"))
	var version *wire.ProtocolVersionError
	require.ErrorAs(t, err, &version)
	require.Equal(t, uint16(0x0102), version.Version)
	require.ErrorContains(t, err, "258")
}

func TestReplies(t *testing.T) {
	seen := map[string]bool{}
	for v := wire.Accepted; v <= wire.RefusedBusy+1; v++ {
		got, err := wire.ReadReply(bytes.NewReader(v.Append(nil)))
		require.NoError(t, err)
		require.Equal(t, v, got)
		require.False(t, seen[v.String()], "each reply has its own words")
		seen[v.String()] = true
	}
	_, err := wire.ReadReply(strings.NewReader("cnst\x00\x01"))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = wire.ReadReply(strings.NewReader("HTTP/1.1 400"))
	require.ErrorIs(t, err, wire.ErrBroken)
}

// Whatever the bytes, a hello is refused with one of the documented errors or
// encodes to the bytes that were read; the same for a reply.
func FuzzHello(f *testing.F) {
	f.Add(wire.Hello{Cluster: "prod", From: "a", To: "b"}.Append(nil))
	f.Add(wire.RefusedBusy.Append(nil))
	f.Add([]byte("cnst\x00\x02"))
	f.Add(sealed([]byte("cnst\x00\x01\x00\x03\x05ab")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		check := func(again []byte, err error) {
			if err == nil {
				require.True(t, bytes.HasPrefix(stream, again))
				return
			}
			require.True(t, errors.Is(err, wire.ErrBroken) || errors.Is(err, wire.ErrVersion) ||
				errors.Is(err, io.ErrUnexpectedEOF), "undocumented error %v", err)
		}
		hello, err := wire.ReadHello(bytes.NewReader(stream))
		check(hello.Append(nil), err)
		reply, err := wire.ReadReply(bytes.NewReader(stream))
		check(reply.Append(nil), err)
	})
}
