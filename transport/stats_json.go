package transport

import (
	"encoding/json"
	"errors"
)

// peerFields has the fields of PeerStats and none of its methods.
type peerFields PeerStats

// peerJSON is a PeerStats as JSON.
type peerJSON struct {
	peerFields
	LastError string `json:"lastError,omitempty"`
}

// MarshalJSON writes LastError as its text.
func (s PeerStats) MarshalJSON() ([]byte, error) {
	wire := peerJSON{peerFields: peerFields(s)}
	if s.LastError != nil {
		wire.LastError = s.LastError.Error()
	}
	return json.Marshal(wire)
}

// UnmarshalJSON reads what MarshalJSON writes. LastError has the text; what it was
// stayed behind.
func (s *PeerStats) UnmarshalJSON(data []byte) error {
	var wire peerJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*s = PeerStats(wire.peerFields)
	if wire.LastError != "" {
		s.LastError = errors.New(wire.LastError)
	}
	return nil
}
