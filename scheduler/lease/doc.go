// Package lease elects a leader by a lease in a store that all replicas reach:
// for a service that runs on a database or on etcd and wants no second quorum
// beside it. The stores are in scheduler/sqljournal and scheduler/etcdjournal; a
// store of your own is three methods, see [Store].
//
//	elector, err := lease.New(lease.Config{Store: store})
//	if err != nil {
//		return err
//	}
//	err = elector.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
//		s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: token})
//		if err != nil {
//			return err
//		}
//		defer s.Close()
//		return serve(ctx, s)
//	})
//
// # Two leaders
//
// The store counts the time of a lease by its own clock, and gives it to one at a
// time. The holder believes in it from before it sent the request until a
// twentieth before its end, by its monotonic clock and by its wall clock. So two
// never both believe that they lead as long as the clock of the store does not run
// faster than theirs by more than that; it must not be set forward by more. Where
// that is not enough the token decides: a journal refuses a lower one.
//
// # What is tried again
//
// The lease is renewed after a third of its time. A renewal that fails takes
// nothing away: it is tried again, each attempt for a sixth of the time at most,
// until the lease is over. A leader of a store that does not answer loses its lease
// by its own clock, and others by that of the store.
//
// # Concurrency
//
// An [Elector] is safe for concurrent use. WhileLeader starts one goroutine and
// leaves none behind.
//
// # What it does not do
//
// It does not lead without the store: while that is down nobody does. Package raft
// elects without one.
package lease
