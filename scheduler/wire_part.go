package scheduler

import (
	"fmt"

	"github.com/rads-project/constellation/internal/codec"
)

// partBytes is how much of a snapshot is in a part: engines that take requests
// of a megabyte take it, with what they add.
const partBytes = 512 << 10

// snapshotPart is a piece of the stream of items of a snapshot, cut anywhere.
type snapshotPart struct {
	seq    uint64
	number int
	before uint32 // the checksum of the part before: of this one, and of no other
	piece  []byte
}

func partFields(c *codec.Coder, p *snapshotPart) {
	codec.Int(c, 1, &p.seq)
	codec.Int(c, 2, &p.number)
	codec.Int(c, 3, &p.before)
	codec.Bytes(c, 4, &p.piece)
}

// partWriter cuts a stream of items into records. Emit gets each of them, whose
// data is valid until it returns.
type partWriter struct {
	emit  func(Record) error
	coder codec.Coder
	next  snapshotPart
	data  []byte
	item  snapshotItem // the latest
}

// put adds an item to the stream.
func (w *partWriter) put(kind itemKind, item snapshotItem) error {
	w.item = item
	w.next.piece = codec.WriteField(&w.coder, w.next.piece, int(kind), &w.item, itemFields)
	for len(w.next.piece) > partBytes {
		rest := w.next.piece[partBytes:]
		w.next.piece = w.next.piece[:partBytes]
		if err := w.flush(RecordSnapshotPart); err != nil {
			return err
		}
		w.next.piece = append(w.next.piece[:0], rest...)
	}
	return nil
}

// end emits the last part.
func (w *partWriter) end() error { return w.flush(RecordSnapshot) }

func (w *partWriter) flush(kind RecordKind) error {
	w.data = seal(codec.Write(&w.coder, begin(w.data[:0], kind), &w.next, partFields), 0)
	r := Record{Seq: w.next.seq, Part: w.next.number, Kind: kind, Data: w.data}
	w.next.number++
	w.next.before = sealOf(w.data)
	return w.emit(r)
}

// partReader puts the parts of one snapshot together again.
type partReader struct {
	coder codec.Coder
	next  snapshotPart // that is to come, without its piece
	rest  []byte       // of an item that is not all there yet
	last  itemKind     // 0 before the first item
	items snapshotItems
	item  snapshotItem // the latest
}

// read takes the next part, and calls each for every item that is complete with
// it. The item is valid until each returns, whose error ends the reading.
func (p *partReader) read(r Record, each func(itemKind, snapshotItem) error) error {
	got, err := p.unpack(r)
	if err != nil {
		return err
	}
	whole := append(p.rest, got.piece...)
	data := whole
	for {
		field, message, rest, err := codec.Cut(data)
		if err != nil {
			return &FormatError{r.Seq, err.Error()}
		}
		if field == 0 {
			break
		}
		data = rest
		item, err := p.decode(itemKind(field), message)
		if err != nil {
			return &FormatError{r.Seq, err.Error()}
		}
		if err := each(p.last, item); err != nil {
			return err
		}
	}
	if p.rest = append(whole[:0], data...); r.Kind == RecordSnapshot && len(data) > 0 {
		return &FormatError{r.Seq, "snapshot ends within an item"}
	}
	return nil
}

// record returns the record in whose data the next part is.
func (p *partReader) record(data []byte) (Record, error) {
	if len(data) < headBytes {
		return Record{}, &FormatError{Reason: "no part of a snapshot"}
	}
	r := Record{Kind: RecordKind(data[1]), Data: data}
	message, err := unseal(r)
	if err != nil {
		return Record{}, err
	}
	var got snapshotPart
	if err := codec.Read(&p.coder, message, &got, partFields); err != nil || r.Kind == RecordEntry {
		return Record{}, &FormatError{Reason: "no part of a snapshot"}
	}
	r.Seq, r.Part = got.seq, got.number
	return r, nil
}

// unpack returns a part that is the next, and expects the one after it.
func (p *partReader) unpack(r Record) (got snapshotPart, err error) {
	message, err := unseal(r)
	if err != nil {
		return snapshotPart{}, err
	}
	if err := codec.Read(&p.coder, message, &got, partFields); err != nil {
		return snapshotPart{}, &FormatError{r.Seq, err.Error()}
	}
	if p.next.number == 0 {
		p.next.seq = r.Seq
	}
	switch {
	case got.seq != r.Seq || got.number != r.Part:
		return snapshotPart{}, &FormatError{r.Seq, fmt.Sprintf("holds part %d of snapshot %d", got.number, got.seq)}
	case got.seq != p.next.seq || got.number != p.next.number:
		return snapshotPart{}, &FormatError{r.Seq, fmt.Sprintf("comes where part %d of snapshot %d should", p.next.number, p.next.seq)}
	case got.before != p.next.before:
		return snapshotPart{}, &FormatError{r.Seq, fmt.Sprintf("part %d follows part %d of another snapshot", got.number, got.number-1)}
	}
	p.next.number++
	p.next.before = sealOf(r.Data)
	return got, nil
}

// decode returns the item in a message.
func (p *partReader) decode(kind itemKind, message []byte) (snapshotItem, error) {
	if p.item = p.items.empty(kind); p.item == nil {
		return nil, fmt.Errorf("unknown item %d", kind)
	}
	if !kind.follows(p.last) {
		return nil, fmt.Errorf("%s is not in its place", kind)
	}
	p.last = kind
	if err := codec.Read(&p.coder, message, &p.item, itemFields); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return p.item, nil
}
