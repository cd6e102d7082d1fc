package index

import (
	"math/bits"

	"github.com/rads-project/constellation/placement"
)

// hash is a running 64-bit hash. It is the same in every process; buckets and
// draws depend on it.
type hash uint64

const (
	hashStart  = hash(0x9E3779B97F4A7C15)
	hashFactor = 0xD6E8FEB86659FD93
)

func (h hash) word(v uint64) hash {
	high, low := bits.Mul64(uint64(h)^v, hashFactor)
	return hash(high^low^v>>32) + hashStart
}

func (h hash) text(s string) hash { return hashText(h, s) }

func hashText[T string | []byte](h hash, s T) hash {
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

func (h hash) flag(on bool) hash {
	if on {
		return h.word(1)
	}
	return h.word(0)
}

// constraint mixes in a constraint; room is scratch for its text, so that
// nothing is allocated unless it is too small.
func (h hash) constraint(c placement.Constraint, room []byte) hash {
	h = h.word(uint64(c.Operator())).text(c.Key()).word(uint64(c.Bound()))
	switch c.Operator() {
	case 0, placement.OpExists, placement.OpNotExists, placement.OpGreater, placement.OpLess:
		return h
	case placement.OpEqual, placement.OpNotEqual:
		return h.text(c.Values()[0])
	default:
		text, _ := c.AppendText(room[:0])
		return hashText(h, text)
	}
}

func (h hash) tolerations(tolerations []placement.Toleration) hash {
	h = h.word(uint64(len(tolerations)))
	for _, t := range tolerations {
		h = h.text(t.Key).text(t.Value).flag(t.Exists).text(string(t.Effect)).word(uint64(t.Seconds))
	}
	return h
}

func (h hash) constraints(constraints []placement.Constraint, room []byte) hash {
	h = h.word(uint64(len(constraints)))
	for i := range constraints {
		h = h.constraint(constraints[i], room)
	}
	return h
}

// hashRules hashes everything of a request but its ID and amounts. Labels and
// ports are sets: their order does not matter.
func hashRules(r *placement.Request, room []byte) hash {
	h := hashStart.text(r.Namespace).text(r.Group)
	sum := hash(0)
	for key, value := range r.Labels {
		sum += hashStart.text(key).text(value)
	}
	for _, port := range r.Ports {
		sum += hashStart.word(uint64(port))
	}
	h = h.word(uint64(sum)).word(uint64(uint32(r.Priority))).word(uint64(r.Duration)).flag(r.Yield)
	return h.preferences(&r.Preferences, room)
}

func (h hash) preferences(p *placement.Preferences, room []byte) hash {
	h = h.word(uint64(p.Strategy)).constraints(p.Required, room).tolerations(p.Tolerations)
	for i := range p.Preferred {
		h = h.constraint(p.Preferred[i].Constraint, room).word(uint64(p.Preferred[i].Weight))
	}
	for i := range p.Affinity {
		term := &p.Affinity[i]
		h = h.constraint(term.Selector, room).text(term.Topology).flag(term.Repel).word(uint64(term.Weight))
		for _, namespace := range term.Namespaces {
			h = h.text(namespace)
		}
	}
	for i := range p.Spread {
		rule := &p.Spread[i]
		h = h.text(rule.Topology).constraint(rule.Selector, room).word(uint64(rule.MaxSkew)).
			word(uint64(rule.MinDomains)).word(uint64(rule.MaxPerDomain)).word(uint64(rule.Weight))
	}
	return h
}
