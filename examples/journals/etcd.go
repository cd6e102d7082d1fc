package main

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
)

// etcdJournal keeps the journal in etcd, below a prefix:
//
//	token          the highest token
//	snapshots/SEQ  the newest snapshot
//	entries/SEQ    a batch of entries, the last of which has that Seq
//
// A batch is one value, because a transaction takes 128 operations. It must
// stay below the server's --max-request-bytes, 1.5 MiB unless that is raised,
// and so must a snapshot.
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

// Append implements scheduler.Journal.
func (j etcdJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	entries := slices.DeleteFunc(slices.Clone(records), func(r scheduler.Record) bool { return r.Kind == scheduler.RecordSnapshot })
	var ops []clientv3.Op
	for _, r := range records {
		if r.Kind == scheduler.RecordSnapshot {
			ops = append(ops, j.put("snapshots/", r),
				clientv3.OpDelete(j.prefix+"snapshots/", clientv3.WithRange(j.prefix+"snapshots/"+digits(r.Seq))),
				clientv3.OpDelete(j.prefix+"entries/", clientv3.WithRange(j.prefix+"entries/"+digits(r.Seq+1))))
			entries = slices.DeleteFunc(entries, func(e scheduler.Record) bool { return e.Seq <= r.Seq })
		}
	}
	if len(entries) > 0 {
		ops = append(ops, j.put("entries/", entries...))
	}
	return j.commit(ctx, "=", token, ops...)
}

func (j etcdJournal) put(kind string, records ...scheduler.Record) clientv3.Op {
	return clientv3.OpPut(j.prefix+kind+digits(records[len(records)-1].Seq), string(encode(records)))
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

// Records implements scheduler.Journal. It reads at one revision of the store.
func (j etcdJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return listed(func() (records []scheduler.Record, err error) {
		found, err := j.client.Txn(ctx).Then(
			clientv3.OpGet(j.prefix+"snapshots/", clientv3.WithLastKey()...),
			clientv3.OpGet(j.prefix+"entries/", clientv3.WithPrefix()),
		).Commit()
		if err != nil {
			return nil, err
		}
		for _, kv := range slices.Concat(found.Responses[0].GetResponseRange().Kvs, found.Responses[1].GetResponseRange().Kvs) {
			var batch []scheduler.Record
			if err := json.Unmarshal(kv.Value, &batch); err != nil {
				return nil, err
			}
			if len(records) > 0 { // the snapshot may cut a batch in two
				last := records[len(records)-1].Seq
				batch = slices.DeleteFunc(batch, func(r scheduler.Record) bool { return r.Seq <= last })
			}
			records = append(records, batch...)
		}
		return records, nil
	})
}
