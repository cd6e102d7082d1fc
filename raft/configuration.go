package raft

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a configuration (rule 14: it is part of a record of one page).
const (
	// MaxMembers is the greatest number of members.
	MaxMembers = 32
	// MaxIDSize is the greatest size of a name, of a member or of a cluster, in
	// bytes.
	MaxIDSize = 64
	// MaxConfigurationSize is the greatest size of an encoded configuration, in
	// bytes; 32 members with the longest IDs leave about 700 for their Data.
	MaxConfigurationSize = 3584
	// MinPriority is the lowest priority of a member (rule 10).
	MinPriority = -3
)

// Member is one node of a cluster.
type Member struct {
	// ID is the node's name, 1 to MaxIDSize bytes, unique in the cluster.
	ID string `json:"id"`
	// Voter says that the member votes and, unless it is a Witness, may lead.
	// Others only listen.
	Voter bool `json:"voter,omitempty"`
	// Witness says that the member never stands for election: as a voter it votes,
	// keeps the state and counts for every quorum, but never leads (rule 10). At
	// least one voter is no witness. A founder that is one must be a Voter as well;
	// to add one later, add it as a witness and promote it. UpdateMember changes it.
	Witness bool `json:"witness,omitempty"`
	// Priority is 0 or less, down to MinPriority: the lower, the later the
	// member campaigns when a leader is lost (rule 10), and the later it is
	// chosen when one resigns. It does nothing for a witness. UpdateMember changes
	// it.
	Priority int `json:"priority,omitempty"`
	// Data is the application's, for instance the address to redirect to. Founders
	// must be given the same; later UpdateMember changes it.
	Data string `json:"data,omitempty"`
	// StoreID is the store bound to the name, zero until a leader has bound it
	// (rule 15). Leave it zero when adding a member.
	StoreID StoreID `json:"storeID,omitzero"`
}

// electable reports whether the member may lead.
func (m Member) electable() bool { return m.Voter && !m.Witness }

// ConfigurationID orders configurations: by term, then by version (rule 17).
// The zero value is before all others and stands for none.
type ConfigurationID struct {
	// Term is the leader's term that the configuration was made or confirmed in.
	Term uint64 `json:"term"`
	// Version counts the changes, from 1.
	Version uint64 `json:"version"`
}

// Compare returns -1, 0 or +1.
func (id ConfigurationID) Compare(o ConfigurationID) int {
	return cmp.Or(cmp.Compare(id.Term, o.Term), cmp.Compare(id.Version, o.Version))
}

// String returns "term.version".
func (id ConfigurationID) String() string { return fmt.Sprintf("%d.%d", id.Term, id.Version) }

// Configuration is the membership of a cluster. It is immutable: nothing in the package
// changes Members once they are part of a configuration, and copies share them. The
// zero value is no configuration. Its methods take time in proportion to the members,
// unless they say otherwise.
type Configuration struct {
	ConfigurationID
	// Level is the protocol level that every member is known to speak
	// (rule 20), from 1.
	Level uint32 `json:"level"`
	// Members are sorted by ID.
	Members []Member `json:"members,omitempty"`
}

// NewConfiguration returns the first configuration of a cluster, with the
// members sorted. It is the same, bit for bit, on every node that is given the
// same members in any order.
func NewConfiguration(members ...Member) (Configuration, error) {
	c := Configuration{ConfigurationID: ConfigurationID{Version: 1}, Level: 1, Members: slices.Clone(members)}
	slices.SortFunc(c.Members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return c, c.Validate()
}

// IsZero reports whether there is no configuration.
func (c Configuration) IsZero() bool { return c.Version == 0 }

// Equal reports whether two configurations are the same.
func (c Configuration) Equal(o Configuration) bool {
	return c.ConfigurationID == o.ConfigurationID && c.Level == o.Level && slices.Equal(c.Members, o.Members)
}

// Clone returns a copy that shares no memory with c.
func (c Configuration) Clone() Configuration {
	c.Members = slices.Clone(c.Members)
	return c
}

// Member returns the member of that ID. It takes logarithmic time.
func (c Configuration) Member(id string) (Member, bool) {
	i, found := c.index(id)
	if !found {
		return Member{}, false
	}
	return c.Members[i], true
}

// Voters returns the number of voters.
func (c Configuration) Voters() int {
	n := 0
	for _, m := range c.Members {
		if m.Voter {
			n++
		}
	}
	return n
}

// Validate reports everything that is wrong, joined.
func (c Configuration) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if c.Version == 0 || c.Level == 0 {
		bad("a configuration has a version and a level, from 1")
	}
	if c.Term >= termLimit || c.Version >= termLimit {
		errs = append(errs, ErrTermLimit)
	}
	if len(c.Members) > MaxMembers {
		bad("%d members, at most %d", len(c.Members), MaxMembers)
	}
	switch {
	case c.Voters() == 0:
		bad("no voter")
	case !slices.ContainsFunc(c.Members, Member.electable):
		bad("all voters are witnesses")
	}
	for i, m := range c.Members {
		if err := validateID("member", m.ID); err != nil {
			errs = append(errs, err)
		}
		if m.Priority > 0 || m.Priority < MinPriority {
			bad("member %q has priority %d, not in [%d, 0]", m.ID, m.Priority, MinPriority)
		}
		if i > 0 && c.Members[i-1].ID >= m.ID {
			bad("member %q is there twice or out of order", m.ID)
		}
	}
	if n := c.size(); n > MaxConfigurationSize {
		bad("%d bytes, at most %d", n, MaxConfigurationSize)
	}
	return errors.Join(errs...)
}

// validateID checks the name of a node or cluster.
func validateID(what, id string) error {
	if id == "" || len(id) > MaxIDSize {
		return fmt.Errorf("%w: %s %q is not 1 to %d bytes long", ErrConfig, what, id, MaxIDSize)
	}
	return nil
}

// index returns where the member is, or where it would be.
func (c Configuration) index(id string) (int, bool) {
	return slices.BinarySearchFunc(c.Members, id, func(m Member, id string) int { return strings.Compare(m.ID, id) })
}

// Encoding: term 8, version 8, level 4, count 1, then per member ID (length 1),
// Data (length 2), flags 1 (bit 0 voter, bits 1 and 2 −priority, bit 3 witness),
// StoreID 16.
// All integers are big-endian.
const (
	configurationHeaderSize = 21
	memberFixedSize         = 1 + 2 + 1 + 16
	flagVoter               = 1
	flagWitness             = 8
	flagsKnown              = 15
)

func (c Configuration) size() int {
	n := configurationHeaderSize
	for _, m := range c.Members {
		n += memberFixedSize + len(m.ID) + len(m.Data)
	}
	return n
}

// AppendBinary appends the encoding of c, at most MaxConfigurationSize bytes.
// The zero configuration can be encoded too.
func (c Configuration) AppendBinary(b []byte) ([]byte, error) {
	if c.IsZero() {
		return Configuration{}.append(b), nil
	}
	if err := c.Validate(); err != nil {
		return b, err
	}
	return c.append(b), nil
}

// append is AppendBinary for a configuration known to be valid.
func (c Configuration) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.Term)
	b = binary.BigEndian.AppendUint64(b, c.Version)
	b = binary.BigEndian.AppendUint32(b, c.Level)
	b = append(b, byte(len(c.Members)))
	for _, m := range c.Members {
		b = appendText(b, m.ID)
		b = binary.BigEndian.AppendUint16(b, uint16(len(m.Data)))
		b = append(b, m.Data...)
		flags := byte(-m.Priority) << 1
		if m.Voter {
			flags |= flagVoter
		}
		if m.Witness {
			flags |= flagWitness
		}
		b = append(b, flags)
		b = append(b, m.StoreID[:]...)
	}
	return b
}

// UnmarshalBinary replaces c by what b encodes. It fails with ErrMalformed and
// then leaves c alone.
func (c *Configuration) UnmarshalBinary(b []byte) error {
	if len(b) > MaxConfigurationSize {
		return fmt.Errorf("%w: configuration of %d bytes", ErrMalformed, len(b))
	}
	d := decoder{rest: b}
	var t Configuration
	t.Term = d.uint64()
	t.Version = d.uint64()
	t.Level = d.uint32()
	if n := int(d.byte()); n > 0 && n <= MaxMembers {
		t.Members = make([]Member, n)
	} else if n > MaxMembers {
		return fmt.Errorf("%w: %d members", ErrMalformed, n)
	}
	for i := range t.Members {
		m := &t.Members[i]
		m.ID = d.text()
		m.Data = string(d.bytes(int(d.uint16())))
		flags := d.byte()
		if flags&^flagsKnown != 0 {
			return fmt.Errorf("%w: member flags %#x", ErrMalformed, flags)
		}
		m.Voter, m.Witness = flags&flagVoter != 0, flags&flagWitness != 0
		m.Priority = -int(flags >> 1 & 3)
		copy(m.StoreID[:], d.bytes(len(m.StoreID)))
	}
	if d.failed || len(d.rest) > 0 {
		return fmt.Errorf("%w: configuration has the wrong length", ErrMalformed)
	}
	if t.IsZero() && !t.Equal(Configuration{}) {
		return fmt.Errorf("%w: configuration without a version", ErrMalformed)
	}
	if !t.IsZero() {
		if err := t.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	*c = t
	return nil
}

// Digest returns the first 64 bits of a SHA-256 over the encoding.
func (c Configuration) Digest() uint64 {
	sum := sha256.Sum256(c.append(make([]byte, 0, c.size())))
	return binary.BigEndian.Uint64(sum[:])
}
