// Package etcdjournal keeps the journal of a scheduler in etcd, and elects the
// leader there. It is for a service that runs on etcd already, and wants no second quorum
// beside it.
//
// Most users need [Open], which returns a [Journal], and [NewElector], which returns an
// [Elector].
//
//	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints})
//	if err != nil {
//		return err
//	}
//	journal, err := etcdjournal.Open(ctx, client, etcdjournal.Config{Prefix: "service/journal/"})
//	if err != nil {
//		return err
//	}
//	elector, err := etcdjournal.NewElector(client, etcdjournal.ElectorConfig{Key: "service/leader"})
//	if err != nil {
//		return err
//	}
//	return elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
//		s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: token})
//		if err != nil {
//			return err
//		}
//		defer s.Close()
//		return serve(ctx, s)
//	})
//
// # One transaction
//
// Acquire and Append are one transaction each, which compares the token and writes.
// It locks nothing beyond itself: a host that is paused or cut off keeps nobody out,
// and what it sent late finds a higher token.
//
// A request to etcd has 1.5 MiB at most, unless --max-request-bytes is raised. What
// is longer than [Config.MaxRequest] goes ahead in pieces, each under the same
// comparison, and counts with the transaction that follows. What a snapshot replaces
// is deleted with its last part. etcd keeps old revisions until they are compacted:
// set --auto-compaction-retention, and a --quota-backend-bytes of several times the
// size of a snapshot.
//
// # Following
//
// A watch tells Follow when to look, and it looks at what is there: nothing is
// missed when the watch is lost, or the revision where it began was compacted.
// It also looks every two seconds unasked.
//
// # Electing
//
// An [Elector] makes a key with a lease, in one transaction that finds no such key,
// and renews the lease itself. The token is the revision at which the key was made,
// which grows forever; where etcd is restored from a backup, use --bump-revision.
// A lease that has ended for whatever reason, revoked by hand or lost with the disk
// of etcd, and a key that somebody deletes, ends the reign and not the process: the
// elector stands again, with a new lease.
//
// The election of go.etcd.io/etcd/client/v3/concurrency is not used. Its Campaign
// goes on waiting when its session has expired, and may return as the leader without
// a lease.
//
// # Concurrency
//
// A [Journal] and an [Elector] are safe for concurrent use.
//
// # What it does not do
//
// It does not compact or defragment etcd. One append takes 100 parts of a snapshot at
// most, since a transaction has 128 operations; a scheduler appends one at a time.
package etcdjournal
