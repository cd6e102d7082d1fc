package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// The forms of fields.
const (
	number    = 0
	delimited = 2
)

// Coder is one pass over a message, in either direction. The zero value is ready
// for Write and Read, and can be used again. It is not safe for concurrent use.
type Coder struct {
	data    []byte // written so far, or left to read of the message
	reading bool
	tag     uint64 // of the field that is next to be read; 0 at the end of the message
	left    []byte // of the message, from that tag on
	reason  string // why reading failed
	keys    []string
	names   map[string]string
	shared  shared
}

// Write appends the encoding of a value.
func Write[T any](c *Coder, to []byte, value *T, describe func(*Coder, *T)) []byte {
	c.data, c.reading = to, false
	describe(c, value)
	written := c.data
	c.data = nil
	return written
}

// Read decodes data into a value that is zero. Nothing in the value points into
// data.
func Read[T any](c *Coder, data []byte, value *T, describe func(*Coder, *T)) error {
	c.data, c.reading, c.reason = data, true, ""
	c.next()
	describe(c, value)
	c.end()
	if c.reason != "" {
		return fmt.Errorf("codec: %s", c.reason)
	}
	return nil
}

// WriteField appends one field with a message, which may have nothing in it.
func WriteField[T any](c *Coder, to []byte, field int, value *T, describe func(*Coder, *T)) []byte {
	c.data, c.reading = to, false
	Element(c, field, value, describe)
	written := c.data
	c.data = nil
	return written
}

// Cut returns the number and the message of the first field in data, and what
// comes after it. It returns number 0 if the field is not all there yet.
func Cut(data []byte) (field int, message, rest []byte, err error) {
	tag, n := binary.Uvarint(data)
	length, m := binary.Uvarint(data[max(n, 0):])
	switch {
	case n < 0 || m < 0 || n > 0 && (tag&7 != delimited || tag < 8 || tag > math.MaxInt32):
		return 0, nil, nil, errors.New("codec: no message where one should be")
	case n == 0 || m == 0 || length > uint64(len(data)-n-m):
		return 0, nil, data, nil
	}
	end := n + m + int(length)
	return int(tag >> 3), data[n+m : end], data[end:], nil
}

// Reading reports whether the value is being read, and not written.
func (c *Coder) Reading() bool { return c.reading }

// Field returns the number of the field that is next to be read, 0 at the end of
// the message.
func (c *Coder) Field() int { return int(min(c.tag>>3, math.MaxInt32)) }

// Fail ends the reading with a reason. The first counts.
func (c *Coder) Fail(reason string) {
	if c.reason == "" {
		c.reason = reason
	}
	c.data, c.left, c.tag = nil, nil, 0
}

// next reads the tag of the next field.
func (c *Coder) next() {
	if c.left = c.data; len(c.data) == 0 {
		c.tag = 0
		return
	}
	c.tag = c.varint()
	if c.tag < 8 && c.reason == "" {
		c.Fail("field 0")
	}
}

// end refuses a message that goes on.
func (c *Coder) end() {
	if c.tag != 0 {
		c.Fail(fmt.Sprintf("field %d is unknown, or not in its place", c.tag/8))
	}
}

// is reports whether the next field is this one.
func (c *Coder) is(field int, form uint64) bool { return c.tag == uint64(field)<<3|form }

// put begins to write a field.
func (c *Coder) put(field int, form uint64) {
	c.data = binary.AppendUvarint(c.data, uint64(field)<<3|form)
}

// varint reads a number.
func (c *Coder) varint() uint64 {
	if len(c.data) > 0 && c.data[0] < 0x80 {
		v := uint64(c.data[0])
		c.data = c.data[1:]
		return v
	}
	v, n := binary.Uvarint(c.data)
	if n <= 0 || c.data[n-1] == 0 {
		c.Fail("a number that is cut off, too long or too great")
		return 0
	}
	c.data = c.data[n:]
	return v
}

// body reads what a length stands before.
func (c *Coder) body() []byte {
	length := c.varint()
	if length > uint64(len(c.data)) {
		c.Fail("a length beyond the end")
		return nil
	}
	body := c.data[:length]
	c.data = c.data[length:]
	return body
}

// open begins to write what a length stands before, and close ends it. Most is
// short, so that one byte for the length is where it belongs.
func (c *Coder) open() (start int) {
	c.data = append(c.data, 0)
	return len(c.data)
}

func (c *Coder) close(start int) {
	length := len(c.data) - start
	if length < 0x80 {
		c.data[start-1] = byte(length)
		return
	}
	more := (bits.Len(uint(length))+6)/7 - 1
	for range more {
		c.data = append(c.data, 0)
	}
	copy(c.data[start+more:], c.data[start:start+length])
	binary.PutUvarint(c.data[start-1:], uint64(length))
}

// enter turns to the message in a body, which has been read, and returns what
// leave needs to turn back.
func (c *Coder) enter(body []byte) (outer []byte) {
	outer, c.data = c.data, body
	c.next()
	return outer
}

func (c *Coder) leave(outer []byte) {
	c.end()
	if c.reason == "" {
		c.data = outer
	}
}

// The bounds of what is kept of names: where every name is another one, keeping
// them is of no use.
const (
	keptNames = 4096
	nameBytes = 64
)

// name returns a text that is likely to come again, as one string for all.
func (c *Coder) name(text []byte) string {
	if len(text) > nameBytes {
		return string(text)
	}
	if name, ok := c.names[string(text)]; ok {
		return name
	}
	if c.names == nil || len(c.names) >= keptNames {
		c.names = make(map[string]string)
	}
	name := string(text)
	c.names[name] = name
	return name
}
