package scheduler

import (
	"encoding/json"
	"fmt"
	"time"
)

// eventJSON is an Event as JSON.
type eventJSON struct {
	Seq    uint64          `json:"seq"`
	Time   time.Time       `json:"time,omitzero"`
	Token  uint64          `json:"token,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Change json.RawMessage `json:"change,omitempty"`
}

// MarshalJSON writes the kind of the change beside it, such as "placed": see
// Event.Kind.
func (e Event) MarshalJSON() ([]byte, error) {
	wire := eventJSON{Seq: e.Seq, Time: e.Time, Token: e.Token}
	if e.Change != nil {
		data, err := json.Marshal(e.Change)
		if err != nil {
			return nil, err
		}
		wire.Kind, wire.Change = e.Kind(), data
	}
	return json.Marshal(wire)
}

// UnmarshalJSON reads what MarshalJSON writes. A kind that it does not know is an
// error.
func (e *Event) UnmarshalJSON(data []byte) error {
	var wire eventJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	read := Event{Seq: wire.Seq, Time: wire.Time, Token: wire.Token}
	if wire.Kind != "" {
		if read.Change = changeOf(wire.Kind); read.Change == nil {
			return fmt.Errorf("scheduler: event %d is of the unknown kind %.64q", wire.Seq, wire.Kind)
		}
		if err := json.Unmarshal(wire.Change, read.Change); err != nil {
			return err
		}
	}
	*e = read
	return nil
}

// changeOf returns an empty change of the kind of a name, and nil for no kind.
func changeOf(name string) Change {
	for kind := kindNodeAdded; kind <= kindReservation; kind++ {
		if kind.String() != name {
			continue
		}
		if c := newChange(kind); c != nil {
			return c
		}
		return newDerived(kind)
	}
	return nil
}

// placeResultJSON is a PlaceResult as JSON.
type placeResultJSON struct {
	Decision Decision   `json:"decision,omitzero"`
	Error    *errorJSON `json:"error,omitempty"`
}

// MarshalJSON writes the error as its text and its Code.
func (r PlaceResult) MarshalJSON() ([]byte, error) {
	return json.Marshal(placeResultJSON{r.Decision, toJSON(r.Err)})
}

// UnmarshalJSON reads what MarshalJSON writes. The error has the text, and errors.Is
// knows what it was; its data stayed behind.
func (r *PlaceResult) UnmarshalJSON(data []byte) error {
	var wire placeResultJSON
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*r = PlaceResult{wire.Decision, wire.Error.err()}
	return nil
}

// statsFields and checkpointFields have the fields of Stats and CheckpointStats, and
// none of their methods.
type (
	statsFields      Stats
	checkpointFields CheckpointStats
)

// MarshalJSON writes Closed as its text and its Code.
func (s Stats) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		statsFields
		Closed *errorJSON `json:"closed,omitempty"`
	}{statsFields(s), toJSON(s.Closed)})
}

// UnmarshalJSON reads what MarshalJSON writes, as PlaceResult does.
func (s *Stats) UnmarshalJSON(data []byte) error {
	var wire struct {
		statsFields
		Closed *errorJSON `json:"closed"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*s = Stats(wire.statsFields)
	s.Closed = wire.Closed.err()
	return nil
}

// MarshalJSON writes Failed as its text and its Code.
func (c CheckpointStats) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		checkpointFields
		Failed *errorJSON `json:"failed,omitempty"`
	}{checkpointFields(c), toJSON(c.Failed)})
}

// UnmarshalJSON reads what MarshalJSON writes, as PlaceResult does.
func (c *CheckpointStats) UnmarshalJSON(data []byte) error {
	var wire struct {
		checkpointFields
		Failed *errorJSON `json:"failed"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*c = CheckpointStats(wire.checkpointFields)
	c.Failed = wire.Failed.err()
	return nil
}

// causeJSON is an error with a cause as JSON.
type causeJSON struct {
	Unknown   bool       `json:"unknown,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
	Invariant string     `json:"invariant,omitempty"`
	Cause     *errorJSON `json:"cause,omitempty"`
}

// MarshalJSON writes the cause as its text and its Code.
func (e *JournalError) MarshalJSON() ([]byte, error) {
	return json.Marshal(causeJSON{Unknown: e.Unknown, Cause: toJSON(e.Cause)})
}

// UnmarshalJSON reads what MarshalJSON writes, as PlaceResult does.
func (e *JournalError) UnmarshalJSON(data []byte) error {
	var wire causeJSON
	err := json.Unmarshal(data, &wire)
	if err == nil {
		*e = JournalError{wire.Unknown, wire.Cause.err()}
	}
	return err
}

// MarshalJSON writes the cause as its text and its Code.
func (e *InvariantError) MarshalJSON() ([]byte, error) {
	return json.Marshal(causeJSON{Seq: e.Seq, Invariant: e.Invariant, Cause: toJSON(e.Cause)})
}

// UnmarshalJSON reads what MarshalJSON writes, as PlaceResult does.
func (e *InvariantError) UnmarshalJSON(data []byte) error {
	var wire causeJSON
	err := json.Unmarshal(data, &wire)
	if err == nil {
		*e = InvariantError{wire.Seq, wire.Invariant, wire.Cause.err()}
	}
	return err
}

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
