package codec

import (
	"encoding/binary"
	"fmt"
	"time"
)

// integer is every type of numbers. Signed ones are written as zigzag.
type integer interface {
	~int | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// unsigned returns a number as it is written.
func unsigned[T integer](v T) uint64 {
	if signed[T]() {
		return uint64(v)<<1 ^ uint64(int64(v)>>63)
	}
	return uint64(v)
}

func signed[T integer]() bool {
	var zero T
	return zero-1 < zero
}

// readNumber reads a number that a type can hold.
func readNumber[T integer](c *Coder) T {
	read := c.varint()
	v := T(read)
	if signed[T]() {
		v = T(int64(read>>1) ^ -int64(read&1))
	}
	if unsigned(v) != read {
		c.Fail(fmt.Sprintf("number %d is too great", read))
		return 0
	}
	return v
}

// Int describes a number.
func Int[T integer](c *Coder, field int, v *T) {
	if !c.reading {
		if *v != 0 {
			c.put(field, number)
			c.data = binary.AppendUvarint(c.data, unsigned(*v))
		}
		return
	}
	if !c.is(field, number) {
		return
	}
	if *v = readNumber[T](c); *v == 0 {
		c.zero(field)
	}
	c.next()
}

// Bool describes a truth.
func Bool(c *Coder, field int, v *bool) {
	one := uint8(0)
	if *v {
		one = 1
	}
	Int(c, field, &one)
	if !c.reading {
		return // what is written may be shared with who reads it
	}
	if *v = one == 1; one > 1 {
		c.Fail(fmt.Sprintf("field %d is neither true nor false", field))
	}
}

// zero refuses what would have been left out.
func (c *Coder) zero(field int) {
	if c.reason == "" {
		c.Fail(fmt.Sprintf("field %d is there and empty", field))
	}
}

// Text describes a text.
func Text[T ~string](c *Coder, field int, v *T) {
	if !c.reading {
		if *v != "" {
			c.putText(field, string(*v))
		}
		return
	}
	if text, ok := c.text(field); ok {
		*v = T(text)
		c.next()
	}
}

// Name describes a text that is likely to come again in other values: what was
// read of it is kept, and shared.
func Name[T ~string](c *Coder, field int, v *T) {
	if !c.reading {
		Text(c, field, v)
		return
	}
	if text, ok := c.text(field); ok {
		*v = T(c.name(text))
		c.next()
	}
}

func (c *Coder) putText(field int, text string) {
	c.put(field, delimited)
	c.data = binary.AppendUvarint(c.data, uint64(len(text)))
	c.data = append(c.data, text...)
}

// text reads a text that is the next field, if it is.
func (c *Coder) text(field int) (text []byte, ok bool) {
	if !c.is(field, delimited) {
		return nil, false
	}
	if text = c.body(); len(text) == 0 {
		c.zero(field)
	}
	return text, true
}

// Bytes describes bytes. What is read of them is a part of the data.
func Bytes(c *Coder, field int, v *[]byte) {
	if !c.reading {
		if len(*v) > 0 {
			c.put(field, delimited)
			c.data = binary.AppendUvarint(c.data, uint64(len(*v)))
			c.data = append(c.data, *v...)
		}
		return
	}
	if text, ok := c.text(field); ok {
		*v = text
		c.next()
	}
}

// Message describes a message. One with nothing in it is left out.
func Message[T any](c *Coder, field int, v *T, describe func(*Coder, *T)) {
	if !c.reading {
		before := len(c.data)
		c.put(field, delimited)
		start := c.open()
		describe(c, v)
		if len(c.data) == start {
			c.data = c.data[:before]
			return
		}
		c.close(start)
		return
	}
	if body, ok := c.text(field); ok {
		outer := c.enter(body)
		describe(c, v)
		c.leave(outer)
		c.next()
	}
}

// Optional describes a message that is there or not, and may have nothing in it.
func Optional[T any](c *Coder, field int, v **T, describe func(*Coder, *T)) {
	switch {
	case !c.reading && *v != nil:
		Element(c, field, *v, describe)
	case c.reading && c.is(field, delimited):
		*v = new(T)
		Element(c, field, *v, describe)
	}
}

// Element describes a message that is there, and may have nothing in it.
func Element[T any](c *Coder, field int, v *T, describe func(*Coder, *T)) {
	if !c.reading {
		c.put(field, delimited)
		start := c.open()
		describe(c, v)
		c.close(start)
		return
	}
	if !c.is(field, delimited) {
		c.Fail(fmt.Sprintf("field %d is missing", field))
		return
	}
	outer := c.enter(c.body())
	describe(c, v)
	c.leave(outer)
	c.next()
}

// Time describes a time, which is read in UTC. The zero time is left out.
func Time(c *Coder, field int, v *time.Time) {
	if !c.reading && !v.IsZero() || c.reading && c.is(field, delimited) {
		Element(c, field, v, Instant)
	}
}

// Instant describes the message of a time that is not zero, for Element and List.
func Instant(c *Coder, v *time.Time) {
	seconds, nanoseconds := v.Unix(), uint32(v.Nanosecond())
	if c.reading {
		seconds, nanoseconds = 0, 0
	}
	Int(c, 1, &seconds)
	Int(c, 2, &nanoseconds)
	if !c.reading {
		return
	}
	*v = time.Unix(seconds, int64(nanoseconds)).UTC()
	if seconds < firstSecond || seconds > lastSecond || nanoseconds >= 1e9 || v.IsZero() {
		c.Fail("no time from the year 1 to 9999")
	}
}

// The first second of the year 1, and the last of 9999.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)
