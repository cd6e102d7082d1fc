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
}

func entryFields(c *codec.Coder, e *entry) {
	codec.Int(c, 1, &e.seq)
	codec.Time(c, 2, &e.time)
	codec.Int(c, 3, &e.token)
	codec.List(c, 4, &e.changes, changeField)
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
	return e, nil
}
