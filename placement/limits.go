package placement

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// The limits of what a Request or a Node holds. Validate refuses what is
// beyond them, so that whoever may send requests decides neither how much a
// scheduler remembers of each nor how long it looks at one.
const (
	// MaxIDBytes is the length of the longest ID, name or key: of an instance,
	// a node, a namespace, a group, a label, a taint or a topology.
	MaxIDBytes = 256
	// MaxValueBytes is the length of the longest value: of a label, of a
	// taint, and of what a constraint compares a label with.
	MaxValueBytes = 1024
	// MaxRules is the largest number of rules of a request: each condition on
	// a label, scaled label, toleration, affinity term and spread rule is one. Conditions
	// inside And, Or, Not and selectors count as well. It is also the largest
	// number of conditions in one Constraint and of taints on a node.
	MaxRules = 256
	// MaxPorts is the largest number of ports of a request, dynamic ones included,
	// and of reserved ports of a node.
	MaxPorts = 1024
	// MaxEncodedBytes is the length of the longest JSON, as encoding/json
	// writes it, of a request, of a node and of Preferences. It is also the
	// length of the longest text that ParseConstraint reads: the text of every
	// constraint in a valid request is shorter, and so can be read back.
	MaxEncodedBytes = 64 * KiB
)

// maxMistakes bounds a report: what is wrong everywhere is known by then.
const maxMistakes = 64

// checkID reports what cannot be an ID, a name or a key. Empty ones can.
func (m *mistakes) checkID(field, id string) { m.checkText(field, id, MaxIDBytes) }

// checkValue reports what cannot be a value.
func (m *mistakes) checkValue(field, value string) { m.checkText(field, value, MaxValueBytes) }

func (m *mistakes) checkText(field, text string, most int) {
	if reason := badText(text, most); reason != "" {
		m.add(field, text, reason)
	}
}

// badText returns why a text is refused: no encoding keeps it as it is, or it is
// too long.
func badText(text string, most int) string {
	switch {
	case len(text) > most:
		return tooLong(most)
	case !ascii(text) && !utf8.ValidString(text):
		return "not UTF-8"
	default:
		return ""
	}
}

// ascii reports in less time than utf8.ValidString of short texts that one is valid.
func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func tooLong(most int) string { return "longer than " + strconv.Itoa(most) + " bytes" }

func tooMany(most int, things string) string { return "more than " + strconv.Itoa(most) + " " + things }

// extent bounds the length of the JSON of a value without writing it: it has
// at least so many bytes, and at most mostPerByte for each of them and
// mostPerPart for each part. An element of a list is at least one byte.
type extent struct{ bytes, parts int }

const (
	mostPerByte = 6  // < is \u003c
	mostPerPart = 64 // a field's name with quotes, a number or the rest of a condition
)

// text counts a text that is the value of a field.
func (e *extent) text(text string) {
	e.bytes += len(text)
	e.parts++
}

func (e *extent) texts(texts []string) {
	e.list(len(texts))
	for _, text := range texts {
		e.bytes += len(text)
	}
}

// list counts the elements of a list, which may have more to them.
func (e *extent) list(elements int) {
	e.bytes += elements
	e.parts += 1 + elements
}

// resources counts two parts for a custom amount: its name has no bound of its
// own here, but is short if it is valid.
func (e *extent) resources(r *Resources) { e.parts += 1 + namedDimensions + 2*len(r.Custom) }

func (e *extent) constraint(c *Constraint) {
	e.bytes += len(c.key) + len(c.value)
	e.parts += 2
	if len(c.values) > 0 {
		e.texts(c.values)
	}
	for i := range c.operands {
		e.constraint(&c.operands[i])
	}
}

func (e *extent) taints(taints []Taint) {
	e.list(len(taints))
	for i := range taints {
		e.bytes += len(taints[i].Key) + len(taints[i].Value) + len(taints[i].Effect)
		e.parts += 3
	}
}

func (e *extent) preferences(p *Preferences) {
	e.parts += 2
	e.list(p.listed())
	for i := range p.Required {
		e.constraint(&p.Required[i])
	}
	for i := range p.Preferred {
		e.constraint(&p.Preferred[i].Constraint)
		e.parts += 2
	}
	for i := range p.Scaled {
		e.text(p.Scaled[i].Label)
		e.parts++
	}
	for i := range p.Tolerations {
		t := &p.Tolerations[i]
		e.bytes += len(t.Key) + len(t.Value) + len(t.Effect)
		e.parts += 5
	}
	for i := range p.Affinity {
		e.affinity(&p.Affinity[i])
	}
	for i := range p.Spread {
		e.spread(&p.Spread[i])
	}
}

func (e *extent) affinity(t *AffinityTerm) {
	e.constraint(&t.Selector)
	e.texts(t.Namespaces)
	e.text(t.Topology)
	e.parts += 2
}

func (e *extent) spread(r *SpreadRule) {
	e.constraint(&r.Selector)
	if len(r.Targets) > 0 {
		e.list(len(r.Targets))
		for domain := range r.Targets {
			e.text(domain)
		}
	}
	e.text(r.Topology)
	e.parts += 5
}

// tooLong reports whether the JSON is longer than MaxEncodedBytes. Only if that
// may be so it is written: what encode returns.
func (e extent) tooLong(encode func() ([]byte, error)) bool {
	if e.bytes > MaxEncodedBytes {
		return true
	}
	if mostPerByte*e.bytes+mostPerPart*e.parts <= MaxEncodedBytes {
		return false
	}
	encoded, _ := encode() // what has no JSON is a mistake of its own
	return len(encoded) > MaxEncodedBytes
}

func (m *mistakes) addTooLong() {
	m.add("", "", tooLong(MaxEncodedBytes)+" as JSON")
}

// checkRequestSize takes the extent of the labels.
func (m *mistakes) checkRequestSize(r *Request, e extent) {
	e.bytes += len(r.ID) + len(r.Namespace) + len(r.Group)
	e.resources(&r.Resources)
	e.list(len(r.Ports))
	e.parts += 8
	e.preferences(&r.Preferences)
	if e.tooLong(func() ([]byte, error) { whole := *r; return json.Marshal(whole) }) {
		m.addTooLong()
	}
}

// checkNodeSize takes the extent of the labels.
func (m *mistakes) checkNodeSize(n *Node, e extent) {
	e.bytes += len(n.ID) + len(n.Name) + len(n.Devices.Model)
	e.resources(&n.Capacity)
	e.resources(&n.Reserved)
	e.parts += 11
	e.list(len(n.Devices.Broken))
	e.list(len(n.ReservedPorts))
	e.list(len(n.Overcommit))
	for name := range n.Overcommit {
		e.text(string(name))
		e.parts += 2
	}
	e.taints(n.Taints)
	if e.tooLong(func() ([]byte, error) { whole := *n; return json.Marshal(whole) }) {
		m.addTooLong()
	}
}

func (m *mistakes) checkPreferencesSize(p *Preferences) {
	var e extent
	e.preferences(p)
	if e.tooLong(func() ([]byte, error) { whole := *p; return json.Marshal(whole) }) {
		m.addTooLong()
	}
}
