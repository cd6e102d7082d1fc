package scheduler

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/rads-project/constellation/internal/codec"
)

// WriteJSON writes records as JSON, for people: one object in a line for each
// entry, and for each item of a snapshot. The records are those of
// Journal.Records or ReadSnapshot; the parts of a snapshot come together. Nothing
// reads this form, which may change with any version. It ends with the first
// error, a FormatError for a record that it cannot read; what the records ask of
// a state is not checked. It takes the memory of one line.
func WriteJSON(w io.Writer, records iter.Seq2[Record, error]) error {
	var (
		coder codec.Coder
		parts *partReader
		lines = json.NewEncoder(w)
	)
	lines.SetEscapeHTML(false)
	for r, err := range records {
		if err != nil {
			return err
		}
		switch r.Kind {
		case RecordEntry:
			err = writeEntryJSON(lines, &coder, r)
		case RecordSnapshot, RecordSnapshotPart:
			if parts == nil {
				parts = new(partReader)
			}
			err = parts.read(r, func(kind itemKind, item snapshotItem) error {
				return lines.Encode(itemJSON{r.Seq, kind.String(), item})
			})
			if r.Kind == RecordSnapshot {
				parts = nil
			}
		default:
			err = &FormatError{r.Seq, fmt.Sprintf("unknown kind %d", r.Kind)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type itemJSON struct {
	Snapshot uint64       `json:"snapshot"`
	Item     string       `json:"item"`
	Data     snapshotItem `json:"data"`
}

type entryJSON struct {
	Entry   uint64       `json:"entry"`
	Time    time.Time    `json:"time"`
	Token   uint64       `json:"token,omitempty"`
	Changes []changeJSON `json:"changes,omitempty"`
	Derived []changeJSON `json:"derived,omitempty"`
}

type changeJSON struct {
	Kind string `json:"kind"`
	Data Change `json:"data"`
}

func writeEntryJSON(to *json.Encoder, c *codec.Coder, r Record) error {
	e, err := decodeEntry(c, r)
	if err != nil {
		return err
	}
	shown := entryJSON{Entry: e.seq, Time: e.time, Token: e.token}
	for _, change := range e.changes {
		shown.Changes = append(shown.Changes, changeJSON{change.changeKind().String(), change})
	}
	for _, d := range e.derived {
		shown.Derived = append(shown.Derived, changeJSON{d.change.changeKind().String(), d.change})
	}
	return to.Encode(shown)
}
