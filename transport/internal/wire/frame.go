package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A FrameKind says what a frame is for.
type FrameKind byte

const (
	// Data carries a frame of the host.
	Data FrameKind = iota
	// Ping asks for a Pong with the same payload.
	Ping
	// Pong answers a Ping.
	Pong
)

// Overhead is what a frame needs on the wire beyond its payload, in bytes.
const Overhead = headerSize + 1

// MaxLimit is the greatest limit on the length of a frame: it fits its field on
// the wire and an int of any platform.
const MaxLimit = 1 << 30

// headerSize is the size of the length and the checksum in front of a frame.
const headerSize = 8

var (
	// ErrTooLong means that a frame claims to be longer than the reader's
	// limit.
	ErrTooLong = errors.New("transport: frame beyond the limit")
	// ErrBroken means that bytes are not what they should be: a checksum that
	// does not match, an unknown kind, an introduction that is none.
	ErrBroken = errors.New("transport: broken frame")
)

// Append appends the frame of the given kind and payload to dst.
func Append(dst []byte, kind FrameKind, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(1+len(payload)))
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(kind))
	dst = append(dst, payload...)
	binary.BigEndian.PutUint32(dst[at:], checksum(dst[at+4:]))
	return dst
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// A Reader reads frames from a stream. It holds one buffer, never longer than
// its limit allows.
type Reader struct {
	r     *bufio.Reader
	limit int
	buf   []byte
}

// NewReader returns a reader of frames with at most limit bytes of payload.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4<<10), limit: limit}
}

// Next returns the next frame. The payload is valid until the next call. The
// error is io.EOF at the end of the stream, io.ErrUnexpectedEOF within a
// frame, [ErrTooLong] or [ErrBroken], or that of the stream; after an error
// the reader is of no use.
func (r *Reader) Next() (FrameKind, []byte, error) {
	header, err := r.r.Peek(headerSize)
	if err != nil {
		if errors.Is(err, io.EOF) && len(header) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	length, sum := binary.BigEndian.Uint32(header), binary.BigEndian.Uint32(header[4:])
	if length == 0 {
		return 0, nil, fmt.Errorf("%w: no kind", ErrBroken)
	}
	if uint64(length-1) > uint64(r.limit) {
		return 0, nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLong, length-1, r.limit)
	}
	_, _ = r.r.Discard(headerSize) // Peek has them buffered.
	r.buf = slices.Grow(r.buf[:0], int(length))[:length]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if got := checksum(r.buf); got != sum {
		return 0, nil, fmt.Errorf("%w: checksum %08x, announced %08x", ErrBroken, got, sum)
	}
	kind := FrameKind(r.buf[0])
	if kind > Pong {
		return 0, nil, fmt.Errorf("%w: kind %d", ErrBroken, kind)
	}
	return kind, r.buf[1:], nil
}
