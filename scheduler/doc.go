// Package scheduler decides which node of a cluster runs which instance, and keeps
// the books: nodes, what runs on them, quotas and reservations. Use it inside a
// service that places work (VMs, containers, jobs, game servers, tenants) on
// machines; the service starts and stops the work itself.
//
// Most programs need three types. A [Scheduler] is made with [New] and is told of
// nodes; [Scheduler.Place] puts an instance on the best of them. A [Decision] says
// on which, and an [UnschedulableError] why on none. Nodes, requests and their
// rules are described in package placement.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"github.com/rads-project/constellation/placement"
//		"github.com/rads-project/constellation/scheduler"
//	)
//
//	func main() {
//		ctx := context.Background()
//		s, err := scheduler.New(scheduler.Config{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		node := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}
//		if err := s.AddNode(ctx, node); err != nil {
//			log.Fatal(err)
//		}
//		request := placement.Request{ID: "web-1", Resources: placement.Resources{CPU: 2 * placement.Core}}
//		d, err := s.Place(ctx, request)
//		if err != nil {
//			log.Fatal(err) // 0 of 1 nodes fit web-1: …
//		}
//		fmt.Println("start", d.ID, "on", d.NodeID)
//		// … and once it has stopped:
//		if err := s.Release(ctx, d.ID); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// The decision is exact: it is the node that an exhaustive scan would choose,
// no matter which index structure found it. [Scheduler.Place] decides and commits
// in one step, [Scheduler.PlaceAll] for many requests in one entry;
// [Scheduler.Prepare] checks a request once of which many are placed.
// [Scheduler.Schedule] only decides; [Scheduler.Allocate] commits on a
// node of the caller's choice after the same checks.
//
// # What if
//
// [Scheduler.Fork] copies the state, beside decisions. A [Fork] has the calls of the
// scheduler and answers each as the scheduler would, and nobody else sees it. What was
// tried is taken back by [Fork.Rollback] to a mark, or carried out: [Fork.Plan] is what
// has been changed, and [Scheduler.Commit] decides every step of it again and makes one
// entry of all, or none where something has come in between. [Fork.Fits] counts how many
// of a request fit. examples/whatif does all of it.
//
// [Scheduler.AllocateIf] is for hosts that decide by what they have read of a node.
//
// # Identity
//
// A request's ID names its allocation. Placing is idempotent: the same request
// under the same ID returns the existing decision, so that a caller who has not
// heard the answer can repeat the call. Another request under that ID is
// [ErrConflict].
//
// # Refusals and explanations
//
// An [UnschedulableError] counts each node under the rule that it fails first,
// in the order of placement.CompareReasons. [Scheduler.Explain] adds every rule
// that fails, the node with the smallest shortfall of each resource, and the
// nearest miss. It also names a node on which waiting, preempting work of lower
// priority, or adding an identical node would help. If the request fits or is
// already placed, it lists the best nodes with every term of the score.
// [Scheduler.ExplainNode] explains one node. [Scheduler.Refused] lists the requests
// that were refused and not placed since. All of it is data, with a text form and JSON
// that reads back.
//
// # Events
//
// Every call that changes something is one entry with a sequence number. Its
// changes are events, which [Config.Hooks] and [Scheduler.Watch] receive in order
// once they are durable. No lock is held meanwhile: a hook may call the scheduler.
//
// A hook gets every event and must keep up. A watcher reads at its own pace, from
// the sequence number that it names: what is no longer in memory it reads from the
// journal, also after a restart. If the journal does not go back so far, the
// watcher sees a gap in the sequence numbers and should read the state again.
//
// # Durability
//
// [Open] makes a scheduler with a [Journal], which keeps every entry:
//
//	journal, err := boltjournal.Open("/var/lib/service/journal", boltjournal.Config{})
//	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
//
// An entry is durable before anybody sees what it changed. Every answer, including
// a refusal, a read and a [Scheduler.WriteSnapshot], waits until everything it
// depends on has been appended; callers that wait share one append. Open replays
// the journal to the same state, byte for byte. [Scheduler.Checkpoint] appends a
// snapshot, which makes all records before it deletable; it comes in parts, so
// that no record is long. Records are compact and binary, with a version and a
// checksum: FORMAT.md in this folder describes them, and [WriteJSON] shows them.
// One that is damaged or of a later version is a [FormatError], and nothing is
// skipped.
//
// [Scheduler.Run] appends checkpoints in time: after [Config.CheckpointEntries] or
// CheckpointBytes, and if neither is set, as soon as the entries are longer than the
// last snapshot.
//
// [Scheduler.WriteSnapshot] writes a backup, with or without a journal, and
// [Restore] continues from it, in a journal of another store if you like.
//
// An append that fails closes the scheduler: every call that waits for it, and
// every later call, returns a [JournalError]. If its Unknown field is set, the
// change may be durable nevertheless; open the journal again and repeat the call
// under its ID to find out.
//
// A journal serves one scheduler at a time, and the token decides which one.
// [Config.Token] is the term of the election: once a higher one has been
// acquired, no append under a lower one succeeds, whatever a deposed or
// paused leader believes. The first attempt closes its scheduler with a
// [FencedError]; until then it answers from what it knows. [Decision] carries the
// token, so that workers can refuse an old one too.
//
// With package raft, open the scheduler in the function given to WhileLeader,
// under the token that it receives. A token serves one Open: if that fails, return
// its error and lead again. Then use [Scheduler.Wait] to wait until the reign or
// the scheduler ends, whichever is first. examples/failover does so.
//
// scheduler/boltjournal keeps the journal in a directory of one host,
// scheduler/sqljournal in PostgreSQL or SQLite, scheduler/etcdjournal in etcd, and
// [MemoryJournal] in this process, for tests. The two that replicas share can elect
// the leader too. A journal in another store takes three short methods: see
// examples/journals, and scheduler/journaltest for the suite that tests them.
//
// # Following
//
// A [Follower] shows the state in a journal that another scheduler writes. [Follow]
// reads the journal without acquiring it, so it deposes nobody; [Follower.Run]
// keeps up with what is appended. A follower answers every read of a scheduler, and
// [Follower.Position] says as of when.
//
// It is also a standby: [Follower.Promote] acquires the journal, reads what has been
// appended since, and returns the scheduler that goes on from there, whatever the
// size of the state. A scheduler that was fenced or has failed is thrown away, and
// its host follows again. Package scheduler/replica does all of that.
//
// # Quota
//
// Each running instance is charged to its namespace and the namespaces above it,
// in the same step as the placement. [Scheduler.CreateQuota],
// [Scheduler.UpdateQuota] and [Scheduler.DeleteQuota] declare the limits. A refusal
// by quota is a quota.ExceededError; if no node fits either, both errors are
// joined. Instances of a lost node are refunded, and charged again when the node
// comes back.
//
// [ErrNotFound], [ErrConflict], [ErrInUse] and [ErrInvalid] are the values of
// package placement, which packages quota and reservation return too.
//
// # Changes of what runs
//
// [Scheduler.Resize] gives an instance other amounts where it is, and [Scheduler.Amend]
// another request: labels, rules, ports, until when it stays. Its rules are not
// enforced then; [Scheduler.Violations] tells of all instances which of their own hard
// rules do not hold where they are. [Scheduler.Leave] says that it is being stopped: it
// holds what it has until it is released, and counts for newcomers in required
// anti-affinity alone, as if it had gone already. [Scheduler.Stay] takes that back.
// [Scheduler.Move] places the next generation of an instance on another node and makes
// the present one leave, in one step, so that draining a node is [Scheduler.Cordon],
// [Scheduler.AllocationsOn] and a move of each. [Scheduler.KeepGeneration] takes a move
// back, or keeps the original after a lost node has come back.
//
// # Reservations
//
// [Scheduler.Reserve] holds capacity on concrete nodes, now or from a later
// time on; ordinary placements keep off it. [Scheduler.PlaceFromReservation]
// uses a slot. A request with a Duration may run on capacity that is held from
// some time after its end, and a request that yields until it is asked to leave.
// When a node is lost, its slots move or are lost. A lost slot stays owed: it is
// held again as soon as there is room and quota for it.
//
// # Time
//
// The state's time is that of [Config.Now], or of the journal if that is
// later, and never decreases. If the clock is set back by an hour, state time
// runs at half pace for two hours, until both agree again: durations and bursts
// last at most twice as long meanwhile.
//
// Deadlines (an eviction, the end of a Duration, of a reservation or of a burst)
// fall due at their own instants and in order, at the start of the next call or in
// [Scheduler.Sweep]. [Scheduler.Run] calls it in time; [Scheduler.NextDeadline] and
// [Scheduler.DeadlineChanged] are for hosts with a loop of their own. Nothing runs in
// the background. On a follower nothing falls due before its journal says so.
//
// # Lost nodes
//
// After [Scheduler.MarkLost] the instances of a node are lost: they stay on
// its books, and their IDs may be placed again, as the next generation. After
// [Scheduler.MarkReady] those that were not placed again are running; the others
// are stale and keep their capacity until [Scheduler.ReleaseGeneration].
//
// A leader without the journal of its predecessors calls [Scheduler.AdoptNode]
// with what the worker of each node reports as running. With
// [Config.RequireReports] a node accepts no new work before that. Reservations are made
// again with [Scheduler.Reserve], and a [Report] says in which of them its instance
// stands: [Scheduler.AdoptNode] and [Scheduler.PlaceFromReservation] give a running
// instance a slot of it without placing it again.
//
// # Concurrency
//
// A Scheduler is safe for concurrent use. Decisions go on while the journal is
// written, a hook runs, or a list, a snapshot or [Scheduler.VerifyQuota] is worked
// out, which are all of one instant. [Scheduler.Node], [Scheduler.Allocation] and
// those below look side by side, unless something has to fall due or to become
// durable first. [Scheduler.Stats], [Scheduler.Version] and
// [Scheduler.NextDeadline] never wait for the journal.
//
// A context bounds the caller's wait only. If it ends while the call waits for the
// journal, the change may still be committed. Repeat the call under the same ID to
// find out.
//
// # Determinism
//
// The same calls at the same times with the same seed give the same
// decisions, entries and snapshots, byte for byte. Ties go to the node that
// joined first.
//
// # From C
//
// What each function and struct of the C scheduler has become:
//
//	scheduler_init, scheduler_shutdown          New, Open; Scheduler.Close
//	scheduler_schedule(request, preferences)    Scheduler.Schedule, which decides and changes nothing;
//	                                            preferences are Request.Preferences
//	scheduler_allocate_resources(node, request) Scheduler.Allocate, which checks everything again
//	scheduler_release_resources(node, request)  Scheduler.Release, by ID
//	(none)                                      Scheduler.Place: Schedule and Allocate in one atomic step
//	score_node_binpack, _spread, _overall       placement.ScoreBinPack, ScoreSpread, Score
//	calculate_cpu_utilization, _ram_, _overall_ NodeInfo.Utilization(name); NodeInfo.Overall, the mean
//	                                            over the dimensions with capacity
//	scheduler_decision_free,
//	placement_preferences_free                  the garbage collector
//	placement_constraint_create                 placement.Equal, NotEqual, In, NotIn, Exists, NotExists,
//	                                            Greater, Less
//	placement_preferences_create,
//	_add_constraint, _add_affinity              placement.Use and its builder methods, or a literal
//	node_add_label, node_get_label              Scheduler.SetLabel, RemoveLabel; NodeInfo.Label
//	node_add_taint, node_has_taint              Scheduler.AddTaint, RemoveTaint; NodeInfo.HasTaint
//	scheduler_create_quota, _get_, _check_,
//	_update_quota                               Scheduler.CreateQuota, Quota, CheckQuota, UpdateQuota,
//	                                            DeleteQuota; much the same on quota.Ledger
//	scheduler_reserve_resources,
//	_release_reservation,
//	_create_from_reservation                    Scheduler.Reserve, ReleaseReservation, PlaceFromReservation
//	raft_init, raft_shutdown                    raft.New; Node.Run returning
//	raft_is_leader, get_leader_id,
//	get_current_term                            Node.IsLeader, Leader, Term, from one consistent Node.Status
//	raft_start_election                         Node.Campaign
//	raft_handle_request_vote,
//	_handle_heartbeat, _send_heartbeats         Core.Step on such messages; heartbeats are effects of the
//	                                            leader's Core.Tick
//	RaftConfig                                  raft.Config, whose zero fields mean 150 to 300 ms, 50 ms
//	                                            and 3 retries
//	NodeResources                               NodeInfo: total, allocated, available per dimension;
//	                                            instances, labels, taints; node->name is Node.Name
//	ResourceRequest.needs_gpu                   Resources.GPU > 0
//	SchedulingDecision                          Decision, and UnschedulableError
//
// # What it does not do
//
// It starts no instance and watches no node: the host does, and says so with
// Release, MarkLost and MarkReady. It has no process and no network, and no
// goroutine except while the journal is written.
//
// # For developers
//
// A call goes down and never up again: validate, lock, decide, commit one entry,
// unlock, wait until it is durable. The files with the prefix state_ are the pure
// core: they take the time as an argument, hold no lock and start nothing. What
// decides there changes nothing, not even for a moment; commit alone changes the
// state, and a replay applies the same entries to the same bytes. The other files are
// the shell: one mutex, the journal, hooks, waiters and watchers. The mutex is not
// held while the journal is written or a hook runs; what is copied under it for lists
// and snapshots is copied 64 records at a time, and a change copies first what has
// not been copied yet.
//
// The journal is written by one of the callers that wait for it, under a context
// that Close ends, and on a goroutine of its own if the context of that caller may
// end earlier. Which structures find the best node, and what the search costs, is
// described in internal/index. .github/CONTRIBUTING.md says how to add a rule, a
// strategy or a kind of change.
package scheduler
