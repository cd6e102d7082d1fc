package scheduler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"
)

// formatVersion of entries and snapshots. A reader refuses greater ones; one
// that only adds fields keeps the number.
const formatVersion = 1

// entry is what one call changed. It holds everything that was decided, so
// that to apply its changes neither searches nor reads a clock nor fails. An
// entry without changes lets time pass.
type entry struct {
	seq     uint64
	time    time.Time
	token   uint64
	changes []decided
}

// The wire form of an entry is one JSON object in the field order below, sealed
// with a checksum.
type entryJSON struct {
	Version int          `json:"v"`
	Seq     uint64       `json:"seq"`
	Time    time.Time    `json:"time"`
	Token   uint64       `json:"token,omitempty"`
	Changes []changeJSON `json:"changes,omitempty"`
	Sum     string       `json:"sum,omitempty"` // see seal
}

type changeJSON struct {
	Kind changeKind      `json:"kind"`
	Data json.RawMessage `json:"data"`
}

func (e *entry) encode() ([]byte, error) {
	wire := entryJSON{Version: formatVersion, Seq: e.seq, Time: e.time, Token: e.token}
	for _, c := range e.changes {
		data, err := json.Marshal(c)
		if err != nil {
			return nil, fmt.Errorf("scheduler: encode %s: %w", c.changeKind(), err)
		}
		wire.Changes = append(wire.Changes, changeJSON{c.changeKind(), data})
	}
	return seal(json.Marshal(wire))
}

func decodeEntry(r Record) (*entry, error) {
	var wire entryJSON
	if err := decodeVersioned(r, &wire); err != nil {
		return nil, err
	}
	if err := unseal(r, wire.Sum); err != nil {
		return nil, err
	}
	if wire.Seq != r.Seq {
		return nil, &FormatError{r.Seq, fmt.Sprintf("holds entry %d", wire.Seq)}
	}
	e := &entry{seq: wire.Seq, time: wire.Time, token: wire.Token}
	for _, c := range wire.Changes {
		change := newChange(c.Kind)
		if change == nil {
			return nil, &FormatError{r.Seq, fmt.Sprintf("unknown change %q", c.Kind)}
		}
		if err := decodeChange(c.Data, change); err != nil {
			return nil, &FormatError{r.Seq, err.Error()}
		}
		e.changes = append(e.changes, change)
	}
	return e, nil
}

// decodeVersioned tells a record of a later version, whose fields may not
// even decode, from a damaged one.
func decodeVersioned(r Record, into any) error {
	var probe struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(r.Data, &probe); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	if probe.Version < 1 || probe.Version > formatVersion {
		return &FormatError{r.Seq, fmt.Sprintf("version %d, this library reads up to %d", probe.Version, formatVersion)}
	}
	if err := decodeStrict(r.Data, into); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	return nil
}

// decodeChange decodes what a change holds. Where earlier versions kept a reference
// of the score with a node, it is ignored.
func decodeChange(data []byte, change Change) error {
	var into any = change
	switch c := change.(type) {
	case *NodeAdded:
		into = &struct {
			*NodeAdded
			Reference json.RawMessage `json:"reference"`
		}{NodeAdded: c}
	case *NodeUpdated:
		into = &struct {
			*NodeUpdated
			Reference json.RawMessage `json:"reference"`
		}{NodeUpdated: c}
	case *NodeAdopted:
		into = &struct {
			*NodeAdopted
			Reference json.RawMessage `json:"reference"`
		}{NodeAdopted: c}
	}
	return decodeStrict(data, into)
}

func decodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// sumForm is the last field of a record: the CRC-32C of all bytes before it.
const sumForm = `,"sum":"%08x"}`

// seal adds the checksum to a JSON object, so that damage is noticed whatever
// journal keeps it.
func seal(object []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	open := object[:len(object)-1]
	return fmt.Appendf(open, sumForm, checksum(open)), nil
}

// unseal refuses a record whose bytes do not match its sum. One without is of
// a writer that knew of none.
func unseal(r Record, sum string) error {
	open := r.Data[:max(0, len(r.Data)-len(fmt.Sprintf(sumForm, 0)))]
	if sum != "" && !bytes.Equal(r.Data[len(open):], fmt.Appendf(nil, sumForm, checksum(open))) {
		return &FormatError{r.Seq, "checksum does not match"}
	}
	return nil
}

func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}
