// Package raftdiff runs the same scripts on this project's raft.Core and on the
// RawNode of etcd-io/raft, with pre-vote and quorum check on, and expects the
// same of both. It has no code to import, and is a module of its own so that
// nobody who uses the election downloads the other one.
//
//	go test ./...                       both keep every line of the table
//	go test -run Overlap -v ./...       how often two nodes lead at once
//	go test -run '^$' -bench . ./...    how long a fail-over takes, and entries of a log
//
// In BenchmarkLog three nodes of each, and of hashicorp/raft, keep a log in memory and in
// one process, as programs run them. The peers pass messages without encoding them.
// Everything else is in virtual time.
//
// Both run in virtual time over the same network, internal/faultnet, with 150 to
// 300 ms of election timeout, heartbeats 50 ms apart, 0.15 to 0.35 ms of latency
// and 1 ms for each save of a term or vote, in which a node does nothing else.
// A RawNode counts ticks; here one tick is 1 ms, and each node's clock ticks at
// its own offset. Whatever else could slow the peer down is free: entries
// are appended in no time, as elections are compared and not logs.
//
// A schedule is a line of a table: what is done to the cluster, who leads then,
// what becomes of the term, and within which time. In addition, whatever the
// schedule, a term has one leader at most, no node's term decreases, and a leader
// that was found stays.
//
// # What differs
//
// A node of etcd-io/raft that is cut off believes to lead until its next quorum
// check finds that nobody answers, which is after one to two minimal election
// timeouts; the others may elect after one. That is no mistake there: what it
// does is safe by its log. A raft.Core leads by a lease that ends before anybody
// else can win: two of them never lead at once, and every schedule checks that.
//
// # What it does not do
//
// It does not compare messages or states step by step: two right elections need
// not choose the same winner, nor the same term. It compares no logs but by how fast
// they are, and clocks run at the same rate.
package raftdiff
