package index

import "math/bits"

// bitset is a set of small numbers, one bit each.
type bitset []uint64

// words returns how many words hold n bits.
func words(n int) int { return (n + 63) / 64 }

func (b bitset) has(i Row) bool {
	w := int(i >> 6)
	return w < len(b) && b[w]&(1<<(i&63)) != 0
}

func (b bitset) set(i Row)    { b[i>>6] |= 1 << (i & 63) }
func (b bitset) remove(i Row) { b[i>>6] &^= 1 << (i & 63) }

// put sets or clears one bit.
func (b bitset) put(i Row, on bool) {
	if on {
		b.set(i)
	} else {
		b.remove(i)
	}
}

func (b bitset) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// resized returns b with exactly n words, new ones zero.
func (b bitset) resized(n int) bitset {
	for len(b) < n {
		b = append(b, 0)
	}
	return b[:n]
}

// each calls yield with every member in ascending order until it returns
// false.
func (b bitset) each(yield func(Row) bool) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			if !yield(Row(w<<6 + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}

func (b bitset) invert() {
	for w := range b {
		b[w] = ^b[w]
	}
}

func (b bitset) intersect(other bitset) {
	for w := range b {
		b[w] &= other[w]
	}
}

func (b bitset) unite(other bitset) {
	for w := range b {
		b[w] |= other[w]
	}
}
