package raftjournal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/scheduler"
)

// snapshot is the state of a journal after an entry of the log. It is written as
// messages, each behind its length as a varint: a head, and then the records.
type snapshot struct {
	applied  uint64
	pending  []byte
	contents scheduler.MemoryContents
}

// headFields describes what is not records.
func headFields(c *codec.Coder, s *snapshot) {
	codec.Int(c, 1, &s.applied)
	codec.Int(c, 2, &s.contents.Token)
	codec.Bytes(c, 3, &s.pending)
}

// WriteTo implements io.WriterTo.
func (s *snapshot) WriteTo(w io.Writer) (int64, error) {
	buffered := bufio.NewWriter(w)
	var c codec.Coder
	message := codec.Write(&c, nil, s, headFields)
	written, err := writeMessage(buffered, message)
	for i := 0; i < len(s.contents.Records) && err == nil; i++ {
		message = codec.Write(&c, message[:0], &s.contents.Records[i], recordFields)
		var n int
		n, err = writeMessage(buffered, message)
		written += n
	}
	return int64(written), errors.Join(err, buffered.Flush())
}

func writeMessage(w *bufio.Writer, message []byte) (int, error) {
	length := binary.AppendUvarint(w.AvailableBuffer(), uint64(len(message)))
	n, err := w.Write(length)
	if err != nil {
		return n, err
	}
	m, err := w.Write(message)
	return n + m, err
}

// readSnapshot reads what WriteTo has written.
func readSnapshot(r io.Reader) (*snapshot, error) {
	buffered := bufio.NewReader(r)
	s := new(snapshot)
	if err := readMessage(buffered, s, headFields); err != nil {
		return nil, fmt.Errorf("raftjournal: snapshot: %w", err)
	}
	for {
		var record scheduler.Record
		err := readMessage(buffered, &record, recordFields)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("raftjournal: snapshot: %w", err)
		}
		s.contents.Records = append(s.contents.Records, record)
	}
}

// readMessage reads one message, or returns io.EOF if there is no more. It takes no
// more memory than there are bytes.
func readMessage[T any](r *bufio.Reader, value *T, describe func(*codec.Coder, *T)) error {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	var message bytes.Buffer
	if n, err := io.Copy(&message, io.LimitReader(r, int64(min(length, 1<<62)))); err != nil {
		return err
	} else if uint64(n) < length {
		return io.ErrUnexpectedEOF
	}
	return codec.Read(new(codec.Coder), message.Bytes(), value, describe)
}
