package etcdjournal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/internal/batch"
)

// Append implements scheduler.Journal: one transaction, which compares the token and
// writes. What is too long for a request goes ahead in pieces, each under the same
// comparison; they count once the transaction does. With parts of a snapshot it
// reads first which one counts: whoever holds the token is the only one who changes
// that.
func (j *Journal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	a := appending{room: j.cfg.MaxRequest, chunk: j.cfg.MaxRequest}
	var entries []scheduler.Record
	for _, r := range records {
		if r.Kind == scheduler.RecordEntry {
			entries = append(entries, r)
			continue
		}
		if !a.looked {
			var err error
			if a.head, err = j.head(ctx); err != nil {
				return err
			}
			a.looked = true
		}
		a.add(partKey(a.head.Generation+1, r.Part), r.Data)
		if r.Kind == scheduler.RecordSnapshot && r.Seq >= a.head.Seq {
			a.complete(r)
			entries = slices.DeleteFunc(entries, func(e scheduler.Record) bool { return e.Seq <= r.Seq })
		}
	}
	if len(entries) > 0 {
		a.add(entriesKey(entries[len(entries)-1].Seq), batch.Encode(entries))
	}
	for _, piece := range a.pieces {
		if err := j.commit(ctx, "=", token, j.ops([]edit{piece})...); err != nil {
			return err
		}
	}
	return j.commit(ctx, "=", token, j.ops(a.changes)...)
}

func (j *Journal) head(ctx context.Context) (head, error) {
	found, err := j.client.Get(ctx, j.key("head"))
	if err != nil {
		return head{}, fmt.Errorf("etcdjournal: %w", err)
	}
	if len(found.Kvs) == 0 {
		return head{}, nil
	}
	return j.decodeHead(found.Kvs[0].Value)
}

// edit is a key to put, or a range to delete.
type edit struct {
	key, end string // end is empty for a key to write
	value    string
}

func (j *Journal) ops(changes []edit) []clientv3.Op {
	ops := make([]clientv3.Op, len(changes))
	for i, c := range changes {
		if c.end == "" {
			ops[i] = clientv3.OpPut(j.key(c.key), c.value)
		} else {
			ops[i] = clientv3.OpDelete(j.key(c.key), clientv3.WithRange(j.key(c.end)))
		}
	}
	return ops
}

// appending is an append as it is put together.
type appending struct {
	looked  bool
	head    head
	room    int // left in the transaction
	chunk   int // length of a piece
	pieces  []edit
	changes []edit
}

// The first byte of a value says what follows: the data, or how many pieces there
// are of it.
const (
	wholeValue   = 0
	chunkedValue = 1
)

// add writes data under a key.
func (a *appending) add(key string, data []byte) {
	if len(data) < a.room {
		a.room -= len(data)
		a.changes = append(a.changes, edit{key: key, value: string(append([]byte{wholeValue}, data...))})
		return
	}
	count := 0
	for piece := range slices.Chunk(data, a.chunk) {
		a.pieces = append(a.pieces, edit{key: chunkKey(key, count), value: string(piece)})
		count++
	}
	value := binary.AppendUvarint([]byte{chunkedValue}, uint64(count))
	a.changes = append(a.changes, edit{key: key, value: string(value)})
}

// complete has the snapshot count whose last part has come, and deletes what it
// replaces: the parts of the one before, later ones that were never completed, and
// entries.
func (a *appending) complete(last scheduler.Record) {
	old := a.head
	a.head = head{old.Generation + 1, last.Seq, last.Part + 1}
	value, err := json.Marshal(a.head)
	if err != nil {
		panic(err) // numbers
	}
	a.changes = append(a.changes, edit{key: "head", value: string(value)})
	for _, below := range []string{"", "chunks/"} {
		a.changes = append(
			a.changes,
			edit{key: below + "parts/", end: below + partKey(a.head.Generation, 0)},
			edit{key: below + partKey(a.head.Generation, a.head.Parts), end: below + "parts0"}, // 0 is what follows /
			edit{key: below + "entries/", end: below + entriesKey(last.Seq+1)},
		)
	}
}
