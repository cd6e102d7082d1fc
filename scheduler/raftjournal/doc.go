// Package raftjournal keeps the journal of a scheduler in the replicated log of
// package raft: for a service of three processes or more that survives the loss of
// any minority of its hosts and needs no database and no etcd.
//
//	machine := new(raftjournal.Machine)
//	node, err := raft.New(raft.Config{
//		Cluster: "service", ID: id, Start: raft.Bootstrap(0, founders...),
//		Store: store, Log: log, Machine: machine, Transport: transport,
//	})
//	if err != nil {
//		return err
//	}
//	journal := raftjournal.New(node, machine)
//	r, err := replica.New(replica.Config{Elector: node, Leads: raft.Leads, Journal: journal})
//	if err != nil {
//		return err
//	}
//	// Beside each other, in each of the processes:
//	node.Run(ctx)
//	r.Run(ctx)
//
// Most users need [Machine] and [New], and package scheduler/replica: the [Journal] goes
// into its configuration, and the node is its elector.
//
// # What a majority has
//
// Append is one proposal: it returns once a majority of the members has the records
// on disk and this member has applied them. The log itself is the fence. A token is
// a command in the log, and an append counts only if no higher token stands before
// it, in the log of every member; besides, a leader of an earlier term commits
// nothing any more.
//
// Every member applies what is committed, so each has all records in memory, and a
// Follow of it costs no message. What it shows may be older than what the leader has,
// by the way of a heartbeat.
//
// # Concurrency
//
// A [Journal] and a [Machine] are safe for concurrent use, and have no goroutine of
// their own.
//
// # What it does not do
//
// It does not pass a write on: on a member that does not lead, Acquire and Append
// fail, with a scheduler.FencedError if a higher token was acquired, and otherwise
// with raft.ErrNotLeader. The records since the newest snapshot are in memory, on
// each member.
package raftjournal
