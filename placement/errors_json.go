package placement

import (
	"encoding/json"
	"errors"
)

// idErrorJSON is an IDError as JSON.
type idErrorJSON struct {
	Code   string `json:"code"`
	Kind   Kind   `json:"kind"`
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
}

// The codes of IDError.Err.
const (
	codeNotFound = "not-found"
	codeConflict = "conflict"
)

// MarshalJSON writes Err as its code, "not-found" or "conflict".
func (e *IDError) MarshalJSON() ([]byte, error) {
	code := ""
	switch {
	case errors.Is(e.Err, ErrNotFound):
		code = codeNotFound
	case errors.Is(e.Err, ErrConflict):
		code = codeConflict
	}
	return json.Marshal(idErrorJSON{code, e.Kind, e.ID, e.Reason})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *IDError) UnmarshalJSON(data []byte) error {
	var wire idErrorJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*e = IDError{Kind: wire.Kind, ID: wire.ID, Reason: wire.Reason}
	switch wire.Code {
	case codeNotFound:
		e.Err = ErrNotFound
	case codeConflict:
		e.Err = ErrConflict
	}
	return nil
}
