package scheduler

import (
	"encoding/json"
	"fmt"
)

// stepJSON is a Step, or a StepConflict, as JSON.
type stepJSON struct {
	Step   int             `json:"step,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Change json.RawMessage `json:"change,omitempty"`
	Rests  uint64          `json:"rests,omitempty"`
	Error  *errorJSON      `json:"error,omitempty"`
}

// write writes a change with its kind beside it, as Event does.
func (wire *stepJSON) write(c Change) ([]byte, error) {
	if c != nil {
		data, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		wire.Kind, wire.Change = c.changeKind().String(), data
	}
	return json.Marshal(wire)
}

// read returns the change of what write has written.
func (wire *stepJSON) read(data []byte) (Change, error) {
	if err := json.Unmarshal(data, wire); err != nil || wire.Kind == "" {
		return nil, err
	}
	c := changeOf(wire.Kind)
	if c == nil {
		return nil, fmt.Errorf("scheduler: a step of a plan is of the unknown kind %.64q", wire.Kind)
	}
	return c, json.Unmarshal(wire.Change, c)
}

// MarshalJSON writes the kind of the change beside it, as Event does.
func (s Step) MarshalJSON() ([]byte, error) {
	wire := stepJSON{Rests: s.Rests}
	return wire.write(s.Change)
}

// UnmarshalJSON reads what MarshalJSON writes. A kind that it does not know is an
// error.
func (s *Step) UnmarshalJSON(data []byte) error {
	var wire stepJSON
	c, err := wire.read(data)
	if err == nil {
		*s = Step{Change: c, Rests: wire.Rests}
	}
	return err
}

// MarshalJSON writes the kind of the change beside it, and the error as its text and its
// Code.
func (c StepConflict) MarshalJSON() ([]byte, error) {
	wire := stepJSON{Step: c.Step, Error: toJSON(c.Err)}
	return wire.write(c.Change)
}

// UnmarshalJSON reads what MarshalJSON writes. The error has the text, and errors.Is
// knows what it was; its data stayed behind.
func (c *StepConflict) UnmarshalJSON(data []byte) error {
	var wire stepJSON
	change, err := wire.read(data)
	if err == nil {
		*c = StepConflict{Step: wire.Step, Change: change, Err: wire.Error.err()}
	}
	return err
}
