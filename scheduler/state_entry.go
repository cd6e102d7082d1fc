package scheduler

import (
	"fmt"
	"time"

	"github.com/rads-project/constellation/internal/codec"
)

// entry is what one call changed. It holds everything that was decided, so
// that to apply its changes neither searches nor reads a clock nor fails. An
// entry without changes lets time pass.
type entry struct {
	seq     uint64
	time    time.Time
	token   uint64
	changes []decided
	derived []derivedEvent // for those who read events without having the state
}

// derivedEvent is what came of the first so many changes of an entry, or of the
// time before them. A replay has no use for it: it derives it again.
type derivedEvent struct {
	after  int
	time   time.Time
	change Change
}

// noteDerived keeps those events of the entry that are not its changes.
func (e *entry) noteDerived(events []Event) {
	after := 0
	for _, event := range events {
		if after < len(e.changes) && event.Change == Change(e.changes[after]) {
			after++
			continue
		}
		e.derived = append(e.derived, derivedEvent{after, event.Time, event.Change})
	}
}

// events returns what noteDerived was given.
func (e *entry) events() []Event {
	events := make([]Event, 0, len(e.changes)+len(e.derived))
	derived := e.derived
	for i := range len(e.changes) + 1 {
		for len(derived) > 0 && derived[0].after <= i {
			events = append(events, Event{Seq: e.seq, Time: derived[0].time, Token: e.token, Change: derived[0].change})
			derived = derived[1:]
		}
		if i < len(e.changes) {
			events = append(events, Event{Seq: e.seq, Time: e.time, Token: e.token, Change: e.changes[i]})
		}
	}
	return events
}

func entryFields(c *codec.Coder, e *entry) {
	codec.Int(c, 1, &e.seq)
	codec.Time(c, 2, &e.time)
	codec.Int(c, 3, &e.token)
	codec.List(c, 4, &e.changes, changeField)
	codec.List(c, 5, &e.derived, derivedFields)
}

func derivedFields(c *codec.Coder, d *derivedEvent) {
	codec.Int(c, 1, &d.after)
	codec.Time(c, 2, &d.time)
	codec.Message(c, 3, &d.change, derivedField)
}

// encode appends the data of the entry's record.
func (e *entry) encode(c *codec.Coder, to []byte) []byte {
	return seal(codec.Write(c, begin(to, RecordEntry), e, entryFields), len(to))
}

func decodeEntry(c *codec.Coder, r Record) (*entry, error) {
	message, err := unseal(r)
	if err != nil {
		return nil, err
	}
	e := new(entry)
	if err := codec.Read(c, message, e, entryFields); err != nil {
		return nil, &FormatError{r.Seq, err.Error()}
	}
	if e.seq != r.Seq {
		return nil, &FormatError{r.Seq, fmt.Sprintf("holds entry %d", e.seq)}
	}
	after := 0
	for _, d := range e.derived {
		if d.change == nil || d.after < after || d.after > len(e.changes) {
			return nil, &FormatError{r.Seq, "derived changes without a place"}
		}
		after = d.after
	}
	return e, nil
}
