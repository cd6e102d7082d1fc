// Package lease elects a leader by a lease in a store that all replicas reach. It is
// for a service that runs on a database or on etcd and wants no second quorum beside
// it. Most users need the Elector of scheduler/sqljournal or of scheduler/etcdjournal,
// each of which has an [Elector] of this package. A store of your own has the three
// methods of [Store] and goes into a [Config].
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
// The lease is renewed after a third of its time. A renewal that fails takes nothing
// away: it is tried again, each attempt for a sixth of the time at most, until the
// lease is over. While the store does not answer, the leader ends its reign by its own
// clock; the store gives the lease to another only later, by its own.
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
