package raft

import (
	"encoding/hex"
	"fmt"
	"slices"
)

// In JSON, and as other text, what is counted by numbers here has a name that stays. A
// number without a name cannot be written, and a name without a number not be read.

// name returns the name of a number, which is its place in names.
func name(names []string, number uint8, of string) ([]byte, error) {
	if int(number) >= len(names) {
		return nil, fmt.Errorf("raft: %s %d has no name", of, number)
	}
	return []byte(names[number]), nil
}

func number(names []string, text []byte, of string) (uint8, error) {
	i := slices.Index(names, string(text))
	if i < 0 {
		return 0, fmt.Errorf("raft: no %s is named %.64q", of, text)
	}
	return uint8(i), nil
}

func roleNames() []string { return []string{"follower", "pre-candidate", "candidate", "leader"} }

func refusalNames() []string {
	return []string{"", "wiped", "twin", "configuration", "removed", "restored"}
}

func abstentionNames() []string { return []string{"", "unreleased", "unhealthy", "failing"} }

// MarshalText writes the name of String.
func (r Role) MarshalText() ([]byte, error) { return name(roleNames(), uint8(r), "role") }

// UnmarshalText reads what MarshalText writes.
func (r *Role) UnmarshalText(text []byte) error {
	n, err := number(roleNames(), text, "role")
	if err == nil {
		*r = Role(n)
	}
	return err
}

// MarshalText writes wiped, twin, configuration, removed or restored, and nothing for
// 0.
func (r RefusalReason) MarshalText() ([]byte, error) {
	return name(refusalNames(), uint8(r), "refusal")
}

// UnmarshalText reads what MarshalText writes.
func (r *RefusalReason) UnmarshalText(text []byte) error {
	n, err := number(refusalNames(), text, "refusal")
	if err == nil {
		*r = RefusalReason(n)
	}
	return err
}

// MarshalText writes unreleased, unhealthy or failing, and nothing for 0.
func (a Abstention) MarshalText() ([]byte, error) {
	return name(abstentionNames(), uint8(a), "abstention")
}

// UnmarshalText reads what MarshalText writes.
func (a *Abstention) UnmarshalText(text []byte) error {
	n, err := number(abstentionNames(), text, "abstention")
	if err == nil {
		*a = Abstention(n)
	}
	return err
}

// MarshalText writes the identity in hexadecimal.
func (id StoreID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *StoreID) UnmarshalText(text []byte) error {
	var read StoreID
	if n, err := hex.Decode(read[:], text[:min(len(text), 2*len(read))]); err != nil || n != len(read) || len(text) != 2*n {
		return fmt.Errorf("raft: %.64q is no store: want %d hexadecimal digits", text, 2*len(read))
	}
	*id = read
	return nil
}
