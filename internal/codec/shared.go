package codec

// shared keeps what was read of messages that are likely to come again.
type shared struct {
	values map[string]any // by their bytes
	bytes  int
}

// The bounds of what is kept, and of what is worth it.
const (
	keptValues  = 4096
	keptBytes   = 4 << 20
	sharedBytes = 4096
)

// Rest describes the fields that are left of the message, which are the last, of a
// value that is likely to come again: values that were read from the same bytes
// are the same, and not to be changed. It is nil if no fields are left; one that is
// nil has none.
func Rest[T any](c *Coder, v **T, describe func(*Coder, *T)) {
	if !c.reading {
		if *v != nil {
			describe(c, *v)
		}
		return
	}
	if c.tag == 0 {
		return
	}
	bytes := c.left
	if known, ok := c.shared.values[string(bytes)].(*T); ok {
		*v, c.data, c.left, c.tag = known, nil, nil, 0
		return
	}
	*v = new(T)
	describe(c, *v)
	if c.end(); c.reason == "" {
		c.shared.keep(bytes, *v)
	}
}

// keep forgets all of before when it has become too much.
func (s *shared) keep(bytes []byte, v any) {
	if len(bytes) > sharedBytes {
		return
	}
	if s.values == nil || len(s.values) >= keptValues || s.bytes > keptBytes {
		s.values, s.bytes = make(map[string]any), 0
	}
	s.values[string(bytes)] = v
	s.bytes += len(bytes)
}
