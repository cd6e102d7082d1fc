package sim

import (
	"fmt"
	"time"

	"github.com/rads-project/constellation/raft"
)

// transcript is all that happened in a world, as a hash and, if that is asked
// for, in words.
type transcript struct {
	hash  uint64
	keep  bool
	lines []string
}

// mix takes one number into the hash.
func (t *transcript) mix(v uint64) {
	const prime = 0x9E3779B97F4A7C15
	t.hash = (t.hash ^ v) * prime
	t.hash ^= t.hash >> 29
}

// write notes something that is rare.
func (t *transcript) write(now time.Duration, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mix(uint64(now))
	for _, b := range []byte(text) {
		t.mix(uint64(b))
	}
	t.line(now, text)
}

// sent notes a message.
func (t *transcript) sent(now time.Duration, m *raft.Message) {
	granted := uint64(0)
	if m.Granted {
		granted = 1
	}
	t.mix(uint64(now))
	t.mix(uint64(m.From[0])<<24 | uint64(m.To[0])<<16 | uint64(m.Kind)<<8 | granted)
	t.mix(m.Term)
	t.mix(m.Sequence)
	t.mix(m.Digest)
	if t.keep {
		t.line(now, fmt.Sprintf("%s->%s %v term=%d seq=%d.%d granted=%t transfer=%d config=%v",
			m.From, m.To, m.Kind, m.Term, m.Sequence>>32, uint32(m.Sequence), m.Granted, m.Transfer, m.ConfigurationID))
	}
}

func (t *transcript) line(now time.Duration, text string) {
	if t.keep {
		t.lines = append(t.lines, fmt.Sprintf("%10.3f %s", float64(now)/float64(time.Millisecond), text))
	}
}
