package main

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
)

// etcdJournal keeps the journal in etcd, below a prefix:
//
//	token                  the highest token
//	snapshot               which snapshot counts: an etcdHead
//	parts/GENERATION/PART  the parts of that, or of the next
//	entries/SEQ            a batch of entries, the last of which has that Seq
//
// A batch is one value, because a transaction takes 128 operations. It must
// stay below the server's --max-request-bytes, 1.5 MiB unless that is raised;
// the parts of a snapshot do.
type etcdJournal struct {
	client *clientv3.Client
	prefix string
}

// newEtcdJournal makes sure that there is a token to compare with.
func newEtcdJournal(ctx context.Context, client *clientv3.Client, prefix string) (etcdJournal, error) {
	missing := clientv3.Compare(clientv3.CreateRevision(prefix+"token"), "=", 0)
	_, err := client.Txn(ctx).If(missing).Then(clientv3.OpPut(prefix+"token", digits(0))).Commit()
	return etcdJournal{client, prefix}, err
}

// Acquire implements scheduler.Journal.
func (j etcdJournal) Acquire(ctx context.Context, token uint64) error {
	return j.commit(ctx, "<", token, clientv3.OpPut(j.prefix+"token", digits(token)))
}

// etcdHead says which snapshot counts.
type etcdHead struct {
	Generation, Seq uint64
	Parts           int // 0 if there is none
}

// Append implements scheduler.Journal. Whoever holds the token is the only one
// who changes the head, so that it can be read before.
func (j etcdJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	found, err := j.client.Get(ctx, j.prefix+"snapshot")
	if err != nil {
		return err
	}
	head, err := decodeHead(found.Kvs)
	if err != nil {
		return err
	}
	var (
		ops     []clientv3.Op
		entries []scheduler.Record
		next    = j.prefix + "parts/" + digits(head.Generation+1) + "/"
	)
	for _, r := range records {
		if r.Kind == scheduler.RecordEntry {
			entries = append(entries, r)
			continue
		}
		ops = append(ops, clientv3.OpPut(next+digits(uint64(r.Part)), string(r.Data)))
		if r.Kind == scheduler.RecordSnapshot && r.Seq >= head.Seq {
			ops = append(ops, j.complete(head, r)...)
			entries = slices.DeleteFunc(entries, func(e scheduler.Record) bool { return e.Seq <= r.Seq })
		}
	}
	if len(entries) > 0 {
		last := entries[len(entries)-1].Seq
		ops = append(ops, clientv3.OpPut(j.prefix+"entries/"+digits(last), string(encode(entries))))
	}
	return j.commit(ctx, "=", token, ops...)
}

// complete has the snapshot count whose last part comes, and deletes what it
// replaces: earlier parts, later ones that were never completed, entries.
func (j etcdJournal) complete(head etcdHead, last scheduler.Record) []clientv3.Op {
	head = etcdHead{head.Generation + 1, last.Seq, last.Part + 1}
	parts := j.prefix + "parts/"
	return []clientv3.Op{
		clientv3.OpPut(j.prefix+"snapshot", string(encode(head))),
		clientv3.OpDelete(parts, clientv3.WithRange(parts+digits(head.Generation)+"/")),
		clientv3.OpDelete(parts+digits(head.Generation)+"/"+digits(uint64(head.Parts)), clientv3.WithRange(parts+digits(head.Generation+1))),
		clientv3.OpDelete(j.prefix+"entries/", clientv3.WithRange(j.prefix+"entries/"+digits(last.Seq+1))),
	}
}

func decodeHead(found []*mvccpb.KeyValue) (head etcdHead, err error) {
	for _, kv := range found {
		err = json.Unmarshal(kv.Value, &head)
	}
	return head, err
}

// commit runs a transaction if the token in the store is less than, or equal
// to, the given one. Comparing and writing are one step.
func (j etcdJournal) commit(ctx context.Context, relation string, token uint64, ops ...clientv3.Op) error {
	held := clientv3.Compare(clientv3.Value(j.prefix+"token"), relation, digits(token))
	done, err := j.client.Txn(ctx).If(held).Then(ops...).Else(clientv3.OpGet(j.prefix + "token")).Commit()
	if err != nil || done.Succeeded {
		return err
	}
	return deposed(token, string(done.Responses[0].GetResponseRange().Kvs[0].Value))
}

// Records implements scheduler.Journal. It reads at one revision of the store, a
// part of the snapshot at a time.
func (j etcdJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		if err := j.read(ctx, yield); err != nil {
			yield(scheduler.Record{}, err)
		}
	}
}

// read returns an error that has not been yielded.
func (j etcdJournal) read(ctx context.Context, yield func(scheduler.Record, error) bool) error {
	found, err := j.client.Txn(ctx).Then(
		clientv3.OpGet(j.prefix+"snapshot"), clientv3.OpGet(j.prefix+"entries/", clientv3.WithPrefix()),
	).Commit()
	if err != nil {
		return err
	}
	head, err := decodeHead(found.Responses[0].GetResponseRange().Kvs)
	if err != nil {
		return err
	}
	at := clientv3.WithRev(found.Header.Revision)
	for part := range head.Parts {
		value, err := j.client.Get(ctx, j.prefix+"parts/"+digits(head.Generation)+"/"+digits(uint64(part)), at)
		if err != nil {
			return err
		}
		r := scheduler.Record{Seq: head.Seq, Part: part, Kind: scheduler.RecordSnapshotPart, Data: value.Kvs[0].Value}
		if part == head.Parts-1 {
			r.Kind = scheduler.RecordSnapshot
		}
		if !yield(r, nil) {
			return nil
		}
	}
	for _, kv := range found.Responses[1].GetResponseRange().Kvs {
		var batch []scheduler.Record
		if err := json.Unmarshal(kv.Value, &batch); err != nil {
			return err
		}
		for _, r := range batch {
			// The snapshot may cut a batch in two.
			if (head.Parts == 0 || r.Seq > head.Seq) && !yield(r, nil) {
				return nil
			}
		}
	}
	return nil
}
