package cow

import (
	"bytes"
	"hash/maphash"
	"iter"
	"slices"
)

// mapPage is how many entries a page of a Map has.
const mapPage = 32

// Map maps strings to values. The zero value is empty.
//
// It is an extendible hash table: the leading bits of a key's hash choose its page,
// and a page that is full is split by the next bit. Where the pages that there are
// have all bits in use, the list of them, and no page, is doubled first.
//
// Invariant: a page of depth d stands at all places of pages of which the first d bits
// are those that the hashes of its keys begin with.
type Map[V any] struct {
	seed  maphash.Seed
	pages []*entryPage[V] // 1<<depth; none while the map is empty
	depth int
	n     int
	owner *Owner
}

type entryPage[V any] struct {
	owner   *Owner
	depth   int
	tags    []byte // the trailing bits of the hashes of entries, which say where to look
	entries []keyed[V]
}

// keyed is a value under its key.
type keyed[V any] struct {
	key   string
	value V
}

// mapDepth is how many bits of a hash choose a page at most. More keys than a page has
// that begin with the same bits stay together in one that is longer.
const mapDepth = 32

// Len returns the number of entries.
func (m *Map[V]) Len() int { return m.n }

// At returns the value of a key, the zero value if it has none. It takes constant time.
func (m *Map[V]) At(key string) V {
	value, _ := m.Get(key)
	return value
}

// Get returns the value of a key and whether it has one. It takes constant time.
func (m *Map[V]) Get(key string) (value V, ok bool) {
	if m.n == 0 {
		return value, false
	}
	hash := maphash.String(m.seed, key)
	p := m.pages[m.place(hash)]
	if i := p.find(hash, key); i >= 0 {
		return p.entries[i].value, true
	}
	return value, false
}

// place returns where the page of a hash stands.
func (m *Map[V]) place(hash uint64) int { return int(hash >> (64 - m.depth)) } // of depth 0 all bits go

// find returns where the entry of a key is, and -1 if there is none.
func (p *entryPage[V]) find(hash uint64, key string) int {
	for from := 0; ; from++ {
		next := bytes.IndexByte(p.tags[from:], byte(hash))
		if next < 0 {
			return -1
		}
		if from += next; p.entries[from].key == key {
			return from
		}
	}
}

// Set sets the value of a key, in constant time but for what it takes to make room for
// more pages.
func (m *Map[V]) Set(key string, value V) {
	if m.pages == nil {
		m.seed = maphash.MakeSeed()
		m.own()
		m.pages = []*entryPage[V]{{owner: m.owner}}
	}
	hash := maphash.String(m.seed, key)
	for {
		p := m.page(hash)
		if i := p.find(hash, key); i >= 0 {
			p.entries[i].value = value
			return
		}
		if len(p.entries) < mapPage || p.depth == mapDepth {
			p.tags, p.entries = append(p.tags, byte(hash)), append(p.entries, keyed[V]{key, value})
			m.n++
			return
		}
		m.split(hash)
	}
}

// Delete takes a key out if it is there, in constant time.
func (m *Map[V]) Delete(key string) {
	if m.n == 0 {
		return
	}
	hash := maphash.String(m.seed, key)
	i := m.pages[m.place(hash)].find(hash, key)
	if i < 0 {
		return
	}
	p := m.page(hash)
	last := len(p.entries) - 1
	p.tags[i], p.entries[i] = p.tags[last], p.entries[last]
	p.entries[last] = keyed[V]{}
	p.tags, p.entries = p.tags[:last], p.entries[:last]
	m.n--
}

// All yields the entries in no order.
func (m *Map[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for at := 0; at < len(m.pages); {
			p := m.pages[at]
			for i := range p.entries {
				if !yield(p.entries[i].key, p.entries[i].value) {
					return
				}
			}
			at += 1 << (m.depth - p.depth) // which are all the places of the page
		}
	}
}

// Clone returns a map of the same entries, in time in proportion to the pages.
func (m *Map[V]) Clone() Map[V] {
	m.owner = nil // whose pages are shared from now on
	clone := *m
	clone.pages = slices.Clone(m.pages)
	return clone
}

func (m *Map[V]) own() {
	if m.owner == nil {
		m.owner = new(Owner)
	}
}

// page returns the page of a hash, which may be changed.
func (m *Map[V]) page(hash uint64) *entryPage[V] {
	m.own()
	at := m.place(hash)
	p := m.pages[at]
	if p.owner != m.owner {
		p = &entryPage[V]{m.owner, p.depth, slices.Clone(p.tags), slices.Clone(p.entries)}
		m.put(at, p)
	}
	return p
}

// put puts a page at all of its places, one of which is at.
func (m *Map[V]) put(at int, p *entryPage[V]) {
	places := 1 << (m.depth - p.depth)
	first := at &^ (places - 1)
	for i := range places {
		m.pages[first+i] = p
	}
}

// split divides a page, which is of the map's own, by the next bit of the hashes.
func (m *Map[V]) split(hash uint64) {
	if m.pages[m.place(hash)].depth == m.depth {
		doubled := make([]*entryPage[V], 0, 2*len(m.pages))
		for _, p := range m.pages {
			doubled = append(doubled, p, p)
		}
		m.pages = doubled
		m.depth++
	}
	at := m.place(hash)
	p := m.pages[at]
	halves := [2]*entryPage[V]{}
	for i := range halves {
		halves[i] = &entryPage[V]{m.owner, p.depth + 1, make([]byte, 0, mapPage/2), make([]keyed[V], 0, mapPage/2)}
	}
	bit := 64 - halves[0].depth
	for i, e := range p.entries {
		half := halves[maphash.String(m.seed, e.key)>>bit&1]
		half.tags, half.entries = append(half.tags, p.tags[i]), append(half.entries, e)
	}
	places := 1 << (m.depth - halves[0].depth)
	first := at &^ (2*places - 1)
	m.put(first, halves[0])
	m.put(first+places, halves[1])
}
