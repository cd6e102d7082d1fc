// Package rafttest tests what is built on package raft: fail-over of a service
// in a Cluster of real nodes in one process, a raft.Store of one's own with
// CheckStore, and a raft.Log with CheckLog.
//
// A Cluster uses the clock of package time only. Inside a testing/synctest
// bubble that is virtual time: a test that crashes the leader and waits for the
// next one takes a millisecond or two.
//
//	func TestFailover(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := rafttest.Start(t, rafttest.Config{Nodes: 3})
//			old := c.WaitLeader()
//			c.Crash(old)
//			next := c.WaitLeader()
//			// … next serves what old has served.
//		})
//	}
//
// # Concurrency
//
// The methods of a Cluster are safe for concurrent use.
//
// # Determinism
//
// Election timeouts are drawn from Config.Seed. What happens at the same instant
// happens in any order, as the Go scheduler likes.
//
// # What it does not do
//
// It does not import package testing, loses no frames at random, and does not
// tear writes: package raft is tested for that.
package rafttest
