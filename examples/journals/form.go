package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/rads-project/constellation/scheduler"
)

// What the journals share: the form of tokens and records, and the refusal.

// digits writes a number so that the greater one sorts last as text. A token
// has 64 bits, which the signed numbers of SQL do not hold.
func digits(n uint64) string { return fmt.Sprintf("%020d", n) }

// encode writes records, or what holds them, as JSON.
func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and bytes
	}
	return data
}

// deposed refuses a token, because the store holds a higher one.
func deposed(token uint64, highest string) error {
	n, err := strconv.ParseUint(highest, 10, 64)
	if err != nil {
		return fmt.Errorf("the token in the store: %w", err)
	}
	return &scheduler.FencedError{Token: token, Highest: n}
}
