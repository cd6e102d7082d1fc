package index

import "math/bits"

// hash is a running 64-bit hash. It is the same in every process: draws depend
// on it.
type hash uint64

const (
	hashStart  = hash(0x9E3779B97F4A7C15)
	hashFactor = 0xD6E8FEB86659FD93
)

func (h hash) word(v uint64) hash {
	high, low := bits.Mul64(uint64(h)^v, hashFactor)
	return hash(high^low^v>>32) + hashStart
}

func (h hash) text(s string) hash {
	h = h.word(uint64(len(s)))
	for len(s) >= 8 {
		h = h.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
		s = s[8:]
	}
	tail := uint64(0)
	for i := range len(s) {
		tail = tail<<8 | uint64(s[i])
	}
	return h.word(tail)
}
