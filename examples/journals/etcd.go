package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/rads-project/constellation/scheduler"
)

// etcdJournal keeps the journal in etcd, below a prefix:
//
//	token              the highest token
//	snapshots/SEQ      the newest snapshot
//	entries/LAST-SEQ   a batch, under the Seq of its last entry
//
// Every write is one transaction that compares the token first. A batch is
// one key, because etcd allows 128 operations in a transaction. It must stay
// below the server's --max-request-bytes, 1.5 MiB unless that is raised, and
// so must a snapshot.
type etcdJournal struct {
	client *clientv3.Client
	prefix string
}

// Acquire implements scheduler.Journal.
func (j etcdJournal) Acquire(ctx context.Context, token uint64) error {
	for {
		highest, revision, err := j.token(ctx)
		if err != nil {
			return err
		}
		if token <= highest {
			return &scheduler.FencedError{Token: token, Highest: highest}
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(j.prefix+"token"), "=", revision)
		done, err := j.client.Txn(ctx).If(unchanged).Then(clientv3.OpPut(j.prefix+"token", digits(token))).Commit()
		if err != nil || done.Succeeded {
			return err
		}
	}
}

// Append implements scheduler.Journal.
func (j etcdJournal) Append(ctx context.Context, token uint64, records []scheduler.Record) error {
	var ops []clientv3.Op
	var entries []scheduler.Record // that no snapshot of the batch replaces
	for _, r := range records {
		if r.Kind == scheduler.RecordEntry {
			entries = append(entries, r)
			continue
		}
		entries = slices.DeleteFunc(entries, func(e scheduler.Record) bool { return e.Seq <= r.Seq })
		end := clientv3.WithRange(j.prefix + "entries/" + digits(r.Seq+1))
		older := clientv3.WithRange(j.prefix + "snapshots/" + digits(r.Seq))
		ops = append(ops, j.put("snapshots/", r), clientv3.OpDelete(j.prefix+"entries/", end),
			clientv3.OpDelete(j.prefix+"snapshots/", older))
	}
	if len(entries) > 0 {
		ops = append(ops, j.put("entries/", entries...))
	}
	held := clientv3.Compare(clientv3.Value(j.prefix+"token"), "=", digits(token))
	done, err := j.client.Txn(ctx).If(held).Then(ops...).Commit()
	if err != nil || done.Succeeded {
		return err
	}
	highest, _, err := j.token(ctx)
	return errors.Join(err, &scheduler.FencedError{Token: token, Highest: highest})
}

// Records implements scheduler.Journal. It reads at one revision of the store.
func (j etcdJournal) Records(ctx context.Context) iter.Seq2[scheduler.Record, error] {
	return func(yield func(scheduler.Record, error) bool) {
		found, err := j.client.Txn(ctx).Then(
			clientv3.OpGet(j.prefix+"snapshots/", clientv3.WithLastKey()...),
			clientv3.OpGet(j.prefix+"entries/", clientv3.WithPrefix()),
		).Commit()
		if err != nil {
			yield(scheduler.Record{}, err)
			return
		}
		var after uint64
		for _, part := range found.Responses {
			for _, kv := range part.GetResponseRange().Kvs {
				var batch []scheduler.Record
				if err := json.Unmarshal(kv.Value, &batch); err != nil {
					yield(scheduler.Record{}, err)
					return
				}
				for _, r := range batch {
					if r.Seq <= after && r.Kind == scheduler.RecordEntry {
						continue // of a batch that the snapshot cuts in two
					}
					if after = r.Seq; !yield(r, nil) {
						return
					}
				}
			}
		}
	}
}

func (j etcdJournal) put(kind string, records ...scheduler.Record) clientv3.Op {
	value, err := json.Marshal(records)
	if err != nil {
		panic(err) // numbers and bytes
	}
	return clientv3.OpPut(j.prefix+kind+digits(records[len(records)-1].Seq), string(value))
}

// token returns the highest token, and the revision of its last change.
func (j etcdJournal) token(ctx context.Context) (token uint64, revision int64, err error) {
	found, err := j.client.Get(ctx, j.prefix+"token")
	if err != nil || len(found.Kvs) == 0 {
		return 0, 0, err
	}
	token, err = strconv.ParseUint(string(found.Kvs[0].Value), 10, 64)
	return token, found.Kvs[0].ModRevision, err
}
