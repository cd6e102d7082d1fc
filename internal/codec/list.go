package codec

import (
	"encoding/binary"
	"slices"
)

// List describes a list of messages.
func List[T any](c *Coder, field int, list *[]T, describe func(*Coder, *T)) {
	if !c.reading {
		for i := range *list {
			Element(c, field, &(*list)[i], describe)
		}
		return
	}
	if n := c.count(field); n > 0 {
		*list = make([]T, n)
		for i := range *list {
			Element(c, field, &(*list)[i], describe)
		}
	}
}

// count returns how many fields of this number follow one another.
func (c *Coder) count(field int) (n int) {
	if !c.is(field, delimited) {
		return 0
	}
	ahead := Coder{data: c.data, tag: c.tag}
	for ahead.is(field, delimited) {
		ahead.body()
		ahead.next()
		n++
	}
	if ahead.reason != "" {
		c.Fail(ahead.reason)
		return 0
	}
	return n
}

// Names describes a list of texts that are likely to come again, as Name does.
func Names[T ~string](c *Coder, field int, list *[]T) {
	if !c.reading {
		for _, text := range *list {
			c.putText(field, string(text))
		}
		return
	}
	if n := c.count(field); n > 0 {
		*list = make([]T, n)
		for i := range *list {
			(*list)[i] = T(c.name(c.body()))
			c.next()
		}
	}
}

// Ints describes a list of numbers.
func Ints[T integer](c *Coder, field int, list *[]T) {
	if !c.reading {
		if len(*list) == 0 {
			return
		}
		c.put(field, delimited)
		start := c.open()
		for _, v := range *list {
			c.data = binary.AppendUvarint(c.data, unsigned(v))
		}
		c.close(start)
		return
	}
	body, ok := c.text(field)
	if !ok {
		return
	}
	n := 0
	for _, b := range body {
		if b < 0x80 {
			n++
		}
	}
	*list = make([]T, 0, n)
	outer := c.data
	for c.data = body; len(c.data) > 0; {
		*list = append(*list, readNumber[T](c))
	}
	if c.reason == "" {
		c.data = outer
	}
	c.next()
}

// mapEntry is an element of a map.
type mapEntry[K ~string, V any] struct {
	key   K
	value V
}

// Map describes a map; value describes field 2 of an element of it.
func Map[K ~string, V any](c *Coder, field int, m *map[K]V, value func(*Coder, int, *V)) {
	if c.reading && !c.is(field, delimited) || !c.reading && len(*m) == 0 {
		return
	}
	var p mapEntry[K, V]
	describe := func(c *Coder, p *mapEntry[K, V]) {
		Name(c, 1, &p.key)
		value(c, 2, &p.value)
	}
	if !c.reading {
		from := len(c.keys)
		for key := range *m {
			c.keys = append(c.keys, string(key))
		}
		slices.Sort(c.keys[from:])
		for i := range len(*m) {
			p.key = K(c.keys[from+i])
			p.value = (*m)[p.key]
			Element(c, field, &p, describe)
		}
		clear(c.keys[from:])
		c.keys = c.keys[:from]
		return
	}
	n := c.count(field)
	*m = make(map[K]V, n)
	for i := range n {
		before := p.key
		p = mapEntry[K, V]{}
		Element(c, field, &p, describe)
		if i > 0 && p.key <= before {
			c.Fail("keys that do not ascend")
			return
		}
		(*m)[p.key] = p.value
	}
}
