package placement

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Protocol is what a port is of. The zero value is TCP.
type Protocol uint8

// The protocols. A port of one does not conflict with that of the other.
const (
	TCP Protocol = iota
	UDP
)

// String returns tcp or udp.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	default:
		return "protocol(" + strconv.Itoa(int(p)) + ")"
	}
}

// Port is a port of a node, on all of the node's addresses.
type Port struct {
	// Number from 1 to 65535.
	Number uint16
	// Protocol, TCP unless said.
	Protocol Protocol
}

// String writes a port as its number, with /udp if it is of UDP.
func (p Port) String() string {
	text := strconv.Itoa(int(p.Number))
	if p.Protocol != TCP {
		text += "/" + p.Protocol.String()
	}
	return text
}

// ParsePort reads a number from 1 to 65535, followed by /tcp, /udp or nothing,
// which is TCP.
func ParsePort(text string) (Port, error) {
	digits, protocol, named := strings.Cut(text, "/")
	p := Port{}
	switch {
	case protocol == UDP.String():
		p.Protocol = UDP
	case named && protocol != TCP.String():
		return Port{}, invalid("port", text, "want a number with /tcp, /udp or nothing")
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || !isNumber(digits) || number == 0 {
		return Port{}, invalid("port", text, "want a number from 1 to 65535")
	}
	p.Number = uint16(number)
	return p, nil
}

// Validate reports a number of 0 and an unknown protocol.
func (p Port) Validate() error {
	switch {
	case p.Number == 0:
		return invalid("", "0", "want 1 to 65535")
	case p.Protocol > UDP:
		return invalid("", p.String(), "want TCP or UDP")
	default:
		return nil
	}
}

// MarshalText writes the text form.
func (p Port) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the text form.
func (p *Port) UnmarshalText(text []byte) error {
	parsed, err := ParsePort(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// MarshalJSON writes a port of TCP as a bare number, and one of UDP as its text form.
func (p Port) MarshalJSON() ([]byte, error) {
	if p.Protocol == TCP {
		return []byte(p.String()), nil
	}
	return strconv.AppendQuote(nil, p.String()), nil
}

// UnmarshalJSON reads the text form, or a bare number as one of TCP. null changes
// nothing.
func (p *Port) UnmarshalJSON(data []byte) error {
	text := string(data)
	switch {
	case text == "null":
		return nil
	case text != "" && text[0] == '"':
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	return p.UnmarshalText([]byte(text))
}

// Compare orders ports by number, then TCP before UDP.
func (p Port) Compare(other Port) int {
	return cmp.Or(cmp.Compare(p.Number, other.Number), cmp.Compare(p.Protocol, other.Protocol))
}

// PortRange is the ports from First to Last, both included. The zero value is none.
type PortRange struct {
	First uint16 `json:"first,omitempty"`
	Last  uint16 `json:"last,omitempty"`
}

// Len returns how many numbers the range has.
func (r PortRange) Len() int {
	if r == (PortRange{}) {
		return 0
	}
	return int(r.Last) - int(r.First) + 1
}

// Contains reports whether the number is in the range.
func (r PortRange) Contains(number uint16) bool {
	return r.First <= number && number <= r.Last && number > 0
}

// String writes the range as 20000-32000, and none as "none".
func (r PortRange) String() string {
	if r == (PortRange{}) {
		return "none"
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// Validate reports a range that begins with 0 or ends before it begins.
func (r PortRange) Validate() error {
	if r != (PortRange{}) && (r.First == 0 || r.Last < r.First) {
		return invalid("", r.String(), "want a first port of at least 1 and a last one that is not below it")
	}
	return nil
}

// checkPorts reports ports that are none or given twice, and more than MaxPorts.
// It compares few with each other, which is cheapest, and keeps a set of many.
func (m *mistakes) checkPorts(field string, ports []Port) {
	const few = 16
	if len(ports) > MaxPorts {
		m.addAmount(field, int64(len(ports)), tooMany(MaxPorts, "ports"))
		return
	}
	var seen map[Port]bool
	if len(ports) > few {
		seen = make(map[Port]bool, len(ports))
	}
	for i, port := range ports {
		if err := port.Validate(); err != nil {
			m.addAt(field, i, err)
		} else if seen[port] || seen == nil && slices.Contains(ports[:i], port) {
			m.addAt(field, i, invalid("", port.String(), "given twice"))
		}
		if seen != nil {
			seen[port] = true
		}
	}
}
