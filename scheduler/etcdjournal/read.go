package etcdjournal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/internal/batch"
)

// yieldFunc takes a record and reports whether the caller goes on.
type yieldFunc = func(scheduler.Record, error) bool

// errStopped: the caller of an iterator has stopped.
var errStopped = errors.New("stopped")

// Records implements scheduler.Journal. It reads at one revision of the store, a
// part of the snapshot or some batches at a time. A compaction of that revision
// meanwhile is an error.
func (j *Journal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if _, err := j.since(ctx, 0, yield); err != nil && !errors.Is(err, errStopped) {
			yield(scheduler.Record{}, fmt.Errorf("etcdjournal: read: %w", err))
		}
	}
}

// tail is how far the journal goes at a revision.
type tail struct {
	head     head
	last     uint64
	revision int64
}

func (j *Journal) tail(ctx context.Context) (p tail, err error) {
	found, err := j.client.Txn(ctx).Then(clientv3.OpGet(j.key("head")), clientv3.OpGet(j.key("entries/"),
		clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend), clientv3.WithLimit(1), clientv3.WithKeysOnly(),
	)).Commit()
	if err != nil {
		return p, err
	}
	p.revision = found.Header.Revision
	for _, kv := range found.Responses[0].GetResponseRange().Kvs {
		if p.head, err = j.decodeHead(kv.Value); err != nil {
			return p, err
		}
	}
	p.last = p.head.Seq
	for _, kv := range found.Responses[1].GetResponseRange().Kvs {
		seq, err := j.seqOf(kv)
		if err != nil {
			return p, err
		}
		p.last = max(p.last, seq)
	}
	return p, nil
}

func (j *Journal) seqOf(kv *mvccpb.KeyValue) (uint64, error) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(string(kv.Key), j.key("entries/")), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("key %q: %w", kv.Key, err)
	}
	return seq, nil
}

// since yields what comes after a Seq, at one revision, and returns the last Seq.
func (j *Journal) since(ctx context.Context, after uint64, yield yieldFunc) (uint64, error) {
	p, err := j.tail(ctx)
	switch {
	case err != nil:
		return 0, err
	case p.last < after:
		return 0, scheduler.ErrTruncated
	case p.head.Parts > 0 && p.head.Seq > after:
		if err := j.snapshot(ctx, p, yield); err != nil {
			return 0, err
		}
		after = p.head.Seq
	}
	for after < p.last {
		next, err := j.entries(ctx, p, after, yield)
		if err != nil {
			return 0, err
		}
		if next == after {
			return 0, &scheduler.FormatError{Seq: after + 1, Reason: "it is missing"}
		}
		after = next
	}
	return after, ctx.Err()
}

func (j *Journal) snapshot(ctx context.Context, p tail, yield yieldFunc) error {
	for part := range p.head.Parts {
		r := scheduler.Record{Seq: p.head.Seq, Part: part, Kind: scheduler.RecordSnapshotPart}
		if part == p.head.Parts-1 {
			r.Kind = scheduler.RecordSnapshot
		}
		key := partKey(p.head.Generation, part)
		found, err := j.client.Get(ctx, j.key(key), clientv3.WithRev(p.revision))
		if err != nil {
			return err
		}
		if len(found.Kvs) == 0 {
			return &scheduler.FormatError{Seq: p.head.Seq, Reason: fmt.Sprintf("part %d is missing", part)}
		}
		if r.Data, err = j.value(ctx, p.revision, key, found.Kvs[0].Value); err != nil {
			return err
		}
		if !yield(r, nil) {
			return errStopped
		}
	}
	return nil
}

// readBatches is how many batches of entries one request reads.
const readBatches = 8

// entries yields entries after a Seq, up to the last of some batches, and returns
// how far they go.
func (j *Journal) entries(ctx context.Context, p tail, after uint64, yield yieldFunc) (uint64, error) {
	found, err := j.client.Get(ctx, j.key(entriesKey(after+1)), clientv3.WithRange(j.key("entries0")),
		clientv3.WithRev(p.revision), clientv3.WithLimit(readBatches))
	if err != nil {
		return 0, err
	}
	for _, kv := range found.Kvs {
		data, err := j.value(ctx, p.revision, strings.TrimPrefix(string(kv.Key), j.cfg.Prefix), kv.Value)
		if err != nil {
			return 0, err
		}
		if after, err = yieldBatch(data, after, yield); err != nil {
			return 0, err
		}
	}
	return after, nil
}

// yieldBatch yields the entries of a batch that come after a Seq.
func yieldBatch(data []byte, after uint64, yield yieldFunc) (uint64, error) {
	for len(data) > 0 {
		e, rest, ok := batch.Next(data)
		if data = rest; !ok {
			return 0, &scheduler.FormatError{Seq: after + 1, Reason: "its batch is damaged"}
		}
		switch {
		case e.Seq <= after: // the snapshot has cut the batch in two
			continue
		case e.Seq != after+1:
			return 0, &scheduler.FormatError{Seq: after + 1, Reason: "it is missing"}
		case !yield(e, nil):
			return 0, errStopped
		}
		after++
	}
	return after, nil
}

// value returns what was written under a key, the pieces of it put together.
func (j *Journal) value(ctx context.Context, revision int64, key string, value []byte) ([]byte, error) {
	damaged := fmt.Errorf("%s%s is damaged", j.cfg.Prefix, key)
	if len(value) == 0 {
		return nil, damaged
	}
	if value[0] == wholeValue {
		return value[1:], nil
	}
	count, n := binary.Uvarint(value[1:])
	if n <= 0 || value[0] != chunkedValue {
		return nil, damaged
	}
	var data []byte
	for i := range count {
		found, err := j.client.Get(ctx, j.key(chunkKey(key, int(i))), clientv3.WithRev(revision))
		if err != nil {
			return nil, err
		}
		if len(found.Kvs) == 0 {
			return nil, damaged
		}
		data = append(data, found.Kvs[0].Value...)
	}
	return data, nil
}

// idle is how long a follower waits before it looks again though it was told of
// nothing.
const idle = 2 * time.Second

// Follow implements scheduler.FollowableJournal. A watch tells it when to look. So
// nothing is missed where the watch is lost, or what it should begin with has been
// compacted: it looks at what is there.
func (j *Journal) Follow(ctx context.Context, after uint64) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if err := j.follow(ctx, after, yield); !errors.Is(err, errStopped) {
			yield(scheduler.Record{}, fmt.Errorf("etcdjournal: follow: %w", err))
		}
	}
}

// follow returns an error that has not been yielded.
func (j *Journal) follow(ctx context.Context, after uint64, yield yieldFunc) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	var news clientv3.WatchChan
	for {
		if news == nil {
			news = j.client.Watch(clientv3.WithRequireLeader(watching), j.key("entries/"), clientv3.WithPrefix(), clientv3.WithKeysOnly())
		}
		last, err := j.since(ctx, after, func(r scheduler.Record, err error) bool {
			if r.Kind != scheduler.RecordSnapshotPart {
				after = r.Seq
			}
			return yield(r, err)
		})
		if errors.Is(err, rpctypes.ErrCompacted) {
			continue // while it was read: there is a later revision
		}
		if err != nil {
			return err
		}
		if !yield(scheduler.Record{Seq: last, Kind: scheduler.RecordCurrent}, nil) {
			return errStopped
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case told, open := <-news:
			if !open || told.Err() != nil {
				news = nil
				j.cfg.Logger.Info("etcdjournal: the watch was lost, and is made again", "error", told.Err())
			}
		case <-time.After(idle):
		}
	}
}
