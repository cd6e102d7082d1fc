// Package raft elects one leader among the members of a cluster, one at a time,
// and tells the application while it leads and under which fencing token. A
// service uses it to do something in one process at a time, and to go on elsewhere
// when that process is lost.
//
// Most users need three types. A [Config] says who the members are, and has the
// [FileStore] that keeps a member's state and a transport, for instance that of
// package transport/tcp. A [Node] is one member, running; its WhileLeader runs a
// function in each reign. Package raft/cluster makes all of it from one list of
// addresses.
//
//	node, err := raft.New(raft.Config{
//		Cluster: "orders", ID: "a",
//		Start: raft.Bootstrap(0, raft.Member{ID: "a", Voter: true},
//			raft.Member{ID: "b", Voter: true}, raft.Member{ID: "c", Voter: true}),
//		Store:     &raft.FileStore{Path: "/var/lib/orders/raft"},
//		Transport: t, // carries frames to b and c
//	})
//	go node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
//		for raft.Leads(ctx) { // looks at the lease just before each effect
//			err := work(ctx, token)
//			// …
//		}
//		return ctx.Err()
//	})
//	err = node.Run(ctx) // until ctx ends
//
// It is the election of Raft with the parts that are usually options always on:
// pre-vote, promises to the leader, a lease with a bound on clock drift, transfer,
// and single-server changes of the membership. [Core] is the protocol alone, a pure
// state machine for those who bring their own loop. Package raft/rafttest has an
// in-memory cluster in virtual time for the tests of an embedder.
//
// # What is promised
//
//   - At most one node is ever leader of a term, and terms never decrease, also
//     across crashes and restarts.
//   - Two reigns never overlap in true time, as long as every clock runs within
//     [Config].MaxClockDriftPPM. A reign is the time in which a node holds a
//     valid lease of its term; there is at most one in a term.
//   - The term is the fencing token: it is greater in every later reign, also
//     where clocks break their bound. Whoever acts on a resource that must not
//     be touched twice checks the token there, atomically with the effect.
//   - With a majority connected, of which a node is fit to lead, there is a leader
//     within a few election timeouts, and a leader that a majority answers is not
//     disturbed.
//
// # The log
//
// With [Config].Log and [Config].Machine the members replicate a log. The leader
// proposes commands ([Node.Propose]); each that is committed is on the disks of a
// majority and is applied by every member's Machine in the same order. A reign
// begins once the leader's own Machine has applied all that was committed before it,
// so that who leads has everything. A [FileLog] keeps it on disk; FORMAT.md says how. Now
// and then a snapshot of the Machine takes the place of the entries in it
// ([Config].CompactAfter); a member that lacks them is sent the snapshot. Without a log
// no byte more is sent or saved.
//
// # The rules
//
// PROTOCOL.md beside this file has the numbered rules that comments name: what each
// says, the schedule that breaks without it, and the tests that show it. PROOF.md has
// what they add up to, and how much of it was checked. In short: a node that has
// answered a leader helps nobody else to win for as long as the leader asked it to
// (rule 1), and the leader acts only while a majority's promises certainly last
// (rule 2). Two majorities share a node, so a second leader begins only after the
// first one's lease has ended.
//
// The base is Ongaro's dissertation, "Consensus: Bridging Theory and Practice"
// (2014). Membership follows Schultz, Dardik and Tripakis, "Design and Analysis
// of a Logless Dynamic Reconfiguration Protocol" (OPODIS 2021).
//
// # Operating a cluster
//
//   - Restart members one after the other, the next once the one before knows a
//     leader again ([Node.Leader]). Ending Run's ctx makes a leader hand over,
//     which takes milliseconds.
//   - To grow, make the new member known to all transports, start it with [Join],
//     call [Node.AddMember] on the leader, and [Node.Promote] until it has
//     answered. Two voters tolerate no failure, so do not rest there.
//   - With two machines that can do the work, let a third and small one be a
//     witness ([Member].Witness): it votes and never leads, and any one of the
//     three may fail. Without a third there is no safe way: when two do not hear
//     each other, neither can tell whether the other is dead.
//   - To shrink, call [Node.RemoveMember], then stop the member. A leader that is
//     to go is made a follower by [Node.Transfer] first.
//   - To replace a machine that is dead, or whose disk is lost, remove the member
//     and add it as a new one, under the same name or another. Start it with [Join],
//     on an empty store, when [Node.AddMember] has returned and not before: until
//     then not all may know that the name has another owner.
//   - To move a member to another address, call [Node.UpdateMember].
//   - Never put a state back from a backup. Its node may vote twice in a term; those
//     who have heard it later refuse it ([RefusedRestored]), but others cannot know.
//   - A member whose log ends with something that cannot be read, as after a power
//     failure, has a vote only beside all others until a leader has proven its log
//     ([LogStatus].Unproven). After a power failure of all let all come up. A member whose
//     log is corrupt before its end ([LogError]) does not start: replace it as if its disk
//     were lost, or set [FileLog].CutCorrupt.
//   - To begin again after losing a majority of the disks, remove the state that is
//     left, which would win over [Bootstrap], and give that the highest token that
//     the cluster's journal or any other target has seen.
//
// # Concurrency
//
// A Node is safe for concurrent use; one goroutine steps its core. A Core, a
// Configuration under construction and a FileStore are for one goroutine at a
// time. A Configuration that a Core has returned is immutable and may be shared.
//
// # Determinism
//
// A Core reads no clock and no global randomness: the same calls with the same
// [Config].Rand give the same effects, byte for byte. All its effects are in
// member order.
//
// # What it does not do
//
//   - It does not make an effect safe that began before a pause of the process:
//     a lease can end at any instruction. That is what the token is for.
//   - It does not detect a store that is wiped before a leader has bound it to
//     its member's name, nor with certainty a store that is copied: safety
//     assumes one disk per identity, and that the disk keeps what it has synced.
//   - It does not authenticate. The transport does; messages carry their own
//     identity besides.
//   - A priority moves elections, it does not depose a leader.
package raft
