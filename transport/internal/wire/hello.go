package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is the protocol version that this package speaks.
const Version = 1

// NameLimit is the longest name in bytes of a cluster or a member.
const NameLimit = 255

// CheckName reports a name that is empty or too long; what says whose it is.
func CheckName(what, name string) error {
	if name == "" || len(name) > NameLimit {
		return fmt.Errorf("transport: the name of a %s must have 1 to %d bytes, not %d", what, NameLimit, len(name))
	}
	return nil
}

const (
	magic = "cnst"
	// preambleSize is the size of the part that never changes: magic and
	// version.
	preambleSize = len(magic) + 2
	// namesLimit is the longest encoding of the three names.
	namesLimit = 3 * (1 + NameLimit)
)

// ErrVersion means that the other side speaks another protocol version. See
// [ProtocolVersionError].
var ErrVersion = errors.New("transport: unknown protocol version")

// A ProtocolVersionError says which version the other side speaks. It unwraps to
// [ErrVersion].
type ProtocolVersionError struct{ Version uint16 }

// Error implements error.
func (e *ProtocolVersionError) Error() string {
	return fmt.Sprintf("%v: %d, this side speaks %d", ErrVersion, e.Version, Version)
}

// Unwrap returns [ErrVersion].
func (e *ProtocolVersionError) Unwrap() error { return ErrVersion }

// A Hello is what the side that connects says first.
type Hello struct {
	// Cluster is the cluster that both sides must belong to.
	Cluster string
	// From and To are the names of the side that connects and of the one that
	// it looks for.
	From, To string
}

// Append appends h to dst. Names must not be longer than [NameLimit].
func (h Hello) Append(dst []byte) []byte {
	at := len(dst)
	dst = appendPreamble(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(3+len(h.Cluster)+len(h.From)+len(h.To)))
	for _, name := range [...]string{h.Cluster, h.From, h.To} {
		dst = append(dst, byte(len(name)))
		dst = append(dst, name...)
	}
	return binary.BigEndian.AppendUint32(dst, checksum(dst[at:]))
}

func appendPreamble(dst []byte) []byte {
	return binary.BigEndian.AppendUint16(append(dst, magic...), Version)
}

// ReadHello reads a hello and not a byte more. The error is [ErrBroken],
// [ErrVersion], or that of the stream.
func ReadHello(r io.Reader) (Hello, error) {
	var buf [preambleSize + 2 + namesLimit + 4]byte
	if err := readPreamble(r, buf[:preambleSize]); err != nil {
		return Hello{}, err
	}
	head := preambleSize + 2
	if err := readFull(r, buf[preambleSize:head]); err != nil {
		return Hello{}, err
	}
	size := int(binary.BigEndian.Uint16(buf[preambleSize:]))
	if size > namesLimit {
		return Hello{}, fmt.Errorf("%w: names of %d bytes", ErrBroken, size)
	}
	end := head + size
	if err := readFull(r, buf[head:end+4]); err != nil {
		return Hello{}, err
	}
	if checksum(buf[:end]) != binary.BigEndian.Uint32(buf[end:]) {
		return Hello{}, fmt.Errorf("%w: checksum of the hello", ErrBroken)
	}
	return parseNames(buf[head:end])
}

// readPreamble reads magic and version into buf and checks both.
func readPreamble(r io.Reader, buf []byte) error {
	if err := readFull(r, buf); err != nil {
		return err
	}
	if string(buf[:len(magic)]) != magic {
		return fmt.Errorf("%w: no introduction", ErrBroken)
	}
	if v := binary.BigEndian.Uint16(buf[len(magic):]); v != Version {
		return &ProtocolVersionError{Version: v}
	}
	return nil
}

// readFull fills buf; a stream that ends before is unexpected.
func readFull(r io.Reader, buf []byte) error {
	_, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseNames(b []byte) (Hello, error) {
	var names [3]string
	for i := range names {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return Hello{}, fmt.Errorf("%w: a name beyond its end", ErrBroken)
		}
		end := 1 + int(b[0])
		names[i], b = string(b[1:end]), b[end:]
	}
	if len(b) > 0 {
		return Hello{}, fmt.Errorf("%w: %d bytes after the names", ErrBroken, len(b))
	}
	return Hello{Cluster: names[0], From: names[1], To: names[2]}, nil
}

// A Reply answers a hello.
type Reply byte

// Replies; all but Accepted are refusals.
const (
	Accepted Reply = iota
	RefusedVersion
	RefusedCluster
	RefusedReceiver
	RefusedSender
	RefusedBusy
)

// String says the reply in words.
func (r Reply) String() string {
	names := [...]string{"accepted", "unknown version", "other cluster", "other receiver", "unknown sender", "busy"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("reply %d", byte(r))
}

// Append appends the reply to dst.
func (r Reply) Append(dst []byte) []byte { return append(appendPreamble(dst), byte(r)) }

// ReadReply reads a reply and not a byte more. The error is [ErrBroken],
// [ErrVersion], or that of the stream.
func ReadReply(r io.Reader) (Reply, error) {
	var buf [preambleSize + 1]byte
	if err := readPreamble(r, buf[:preambleSize]); err != nil {
		return 0, err
	}
	if err := readFull(r, buf[preambleSize:]); err != nil {
		return 0, err
	}
	return Reply(buf[preambleSize]), nil
}
