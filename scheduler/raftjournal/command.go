package raftjournal

import (
	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/scheduler"
)

// command is the data of an entry of the log. With a batch it appends, without one
// it acquires.
type command struct {
	token uint64
	// caller and call say who waits for the outcome: a journal, by a number that
	// no other has, and which of its calls.
	caller, call uint64
	batch        *piece
}

// piece is a part of the encoding of a batch of records: a batch longer than a command
// may be comes in several. Those of two batches never alternate, since a journal
// proposes one batch at a time, and a leader proposes nothing any more when the next one
// does. A batch whose last piece is missing is one whose caller has given up.
type piece struct {
	first, last bool
	data        []byte
}

// batch is the records of one append.
type batch struct {
	records []scheduler.Record
}

func commandFields(c *codec.Coder, m *command) {
	codec.Int(c, 1, &m.token)
	codec.Int(c, 2, &m.caller)
	codec.Int(c, 3, &m.call)
	codec.Optional(c, 4, &m.batch, pieceFields)
}

func pieceFields(c *codec.Coder, p *piece) {
	codec.Bool(c, 1, &p.first)
	codec.Bool(c, 2, &p.last)
	codec.Bytes(c, 3, &p.data)
}

func batchFields(c *codec.Coder, b *batch) {
	codec.List(c, 1, &b.records, recordFields)
}

func recordFields(c *codec.Coder, r *scheduler.Record) {
	codec.Int(c, 1, &r.Seq)
	codec.Int(c, 2, &r.Part)
	codec.Int(c, 3, &r.Kind)
	codec.Bytes(c, 4, &r.Data)
}

// pieceOverhead is at least what a command takes besides the data of its piece.
const pieceOverhead = 64

// appendCommands returns the commands that append records, each with up to so many
// bytes of them.
func appendCommands(of command, records []scheduler.Record, pieceBytes int) [][]byte {
	var c codec.Coder
	rest := codec.Write(&c, nil, &batch{records}, batchFields)
	var commands [][]byte
	for len(commands) == 0 || len(rest) > 0 {
		n := min(len(rest), pieceBytes)
		of.batch = &piece{first: len(commands) == 0, last: n == len(rest), data: rest[:n]}
		commands = append(commands, codec.Write(&c, nil, &of, commandFields))
		rest = rest[n:]
	}
	return commands
}
