package raft

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The wire format of a Message. All integers are big-endian.
//
//	offset  size  what
//	0       1     version
//	1       1     kind
//	2       1     flags: bit 0 Granted, bit 1 Abstains
//	3       1     reason
//	4       16    StoreID
//	20      8     incarnation
//	28      8     boot
//	36      8     term
//	44      8     sequence
//	52      8     asker
//	60      8     promise, nanoseconds
//	68      8     transfer
//	76      4     level
//	80      8     configuration: term
//	88      8     configuration: version
//	96      8     configuration: digest
//	104     8     last: term
//	112     8     last: index
//	120     …     cluster, from, to: each a length byte and that many bytes
//
// Then come extensions to the end, each with a tag and a length of 2 bytes
// each, or a length of 4 (see longTag). A receiver skips those with tags it does
// not know, and no known tag comes twice.
const (
	wireVersion       = 1
	messageHeaderSize = 120
	flagGranted       = 1
	flagAbstains      = 2
	extensionHead     = 4
	tagConfiguration  = 1
)

// MaxMessageSize is the hard limit of an encoded message but an Append, in bytes.
const MaxMessageSize = 4096

// AppendBinary appends the encoding of m. It allocates only if b is too small,
// and fails with ErrConfig or ErrTooLarge if m cannot be decoded again.
func (m *Message) AppendBinary(b []byte) ([]byte, error) {
	if err := m.validate(); err != nil {
		return b, err
	}
	start := len(b)
	flags := byte(0)
	if m.Granted {
		flags |= flagGranted
	}
	if m.Abstains {
		flags |= flagAbstains
	}
	b = append(b, wireVersion, byte(m.Kind), flags, byte(m.Reason))
	b = append(b, m.StoreID[:]...)
	for _, v := range [...]uint64{
		m.Incarnation, m.Boot, m.Term, m.Sequence, m.Asker, uint64(m.Promise), m.Transfer,
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, m.Level)
	for _, v := range [...]uint64{
		m.ConfigurationID.Term, m.ConfigurationID.Version, m.Digest, m.Last.Term, m.Last.Index,
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = appendText(b, m.Cluster)
	b = appendText(b, m.From)
	b = appendText(b, m.To)
	if !m.Configuration.IsZero() {
		b = appendExtension(b, tagConfiguration, m.Configuration.size())
		b = m.Configuration.append(b)
	}
	b = m.appendLog(b)
	if len(b)-start > m.Kind.maxSize() {
		return b[:start], fmt.Errorf("%w: message of %d bytes", ErrTooLarge, len(b)-start)
	}
	return b, nil
}

// validate reports what cannot be encoded.
func (m *Message) validate() error {
	if len(m.Cluster) > MaxIDSize || len(m.From) > MaxIDSize || len(m.To) > MaxIDSize {
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrConfig, MaxIDSize)
	}
	if m.Promise < 0 {
		return fmt.Errorf("%w: promise of %v", ErrConfig, m.Promise)
	}
	if err := m.validateLog(); err != nil {
		return err
	}
	if m.Configuration.IsZero() {
		return nil
	}
	return m.Configuration.Validate()
}

// UnmarshalBinary replaces m by what b encodes; it keeps no part of b. It fails
// with ErrMalformed and then leaves m alone. That a message can be decoded does
// not make it one that a member would send: Core.Step sees to that.
func (m *Message) UnmarshalBinary(b []byte) error {
	if len(b) < messageHeaderSize || len(b) > MessageKind(b[1]).maxSize() {
		return fmt.Errorf("%w: message of %d bytes", ErrMalformed, len(b))
	}
	d := decoder{rest: b}
	if v := d.byte(); v != wireVersion {
		return fmt.Errorf("%w: message version %d", ErrMalformed, v)
	}
	var t Message
	t.Kind = MessageKind(d.byte())
	flags := d.byte()
	t.Granted, t.Abstains = flags&flagGranted != 0, flags&flagAbstains != 0
	t.Reason = RefusalReason(d.byte())
	copy(t.StoreID[:], d.bytes(len(t.StoreID)))
	t.Incarnation = d.uint64()
	t.Boot = d.uint64()
	t.Term = d.uint64()
	t.Sequence = d.uint64()
	t.Asker = d.uint64()
	promise := d.uint64()
	t.Promise = time.Duration(promise)
	t.Transfer = d.uint64()
	t.Level = d.uint32()
	t.ConfigurationID = ConfigurationID{Term: d.uint64(), Version: d.uint64()}
	t.Digest = d.uint64()
	t.Last = Position{Term: d.uint64(), Index: d.uint64()}
	t.Cluster = d.text()
	t.From = d.text()
	t.To = d.text()
	if d.failed || promise > math.MaxInt64 || flags&^(flagGranted|flagAbstains) != 0 {
		return fmt.Errorf("%w: message header", ErrMalformed)
	}
	if err := t.unmarshalExtensions(d.rest); err != nil {
		return err
	}
	*m = t
	return nil
}

// unmarshalExtensions reads what follows the names.
func (m *Message) unmarshalExtensions(b []byte) error {
	d := decoder{rest: b}
	for len(d.rest) > 0 {
		tag := d.uint16()
		body := d.bytes(d.extensionSize(tag))
		switch {
		case d.failed:
			return fmt.Errorf("%w: an extension is cut short", ErrMalformed)
		case tag == tagConfiguration && !m.Configuration.IsZero():
			return fmt.Errorf("%w: two configurations", ErrMalformed)
		case tag == tagConfiguration:
			if err := m.Configuration.UnmarshalBinary(body); err != nil {
				return err
			}
		case !m.unmarshalLog(tag, body):
			return fmt.Errorf("%w: extension %#x", ErrMalformed, tag)
		}
	}
	return nil
}

// extensionSize reads the length of the body that follows a tag.
func (d *decoder) extensionSize(tag uint16) int {
	if tag >= longTag {
		return int(d.uint32())
	}
	return int(d.uint16())
}

// appendText appends a text of at most 255 bytes after its length.
func appendText(b []byte, s string) []byte {
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// decoder takes values off the front of rest. After the first that is not there
// it has failed, and returns zero values.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.rest) { // Lengths of 4 bytes may not fit an int.
		d.failed, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text reads a text written by appendText, of at most MaxIDSize bytes.
func (d *decoder) text() string {
	n := int(d.byte())
	if n > MaxIDSize {
		d.failed = true
		return ""
	}
	return string(d.bytes(n))
}
