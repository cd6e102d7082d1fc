// Package scheduler decides which node runs an instance and keeps the books:
// nodes, instances, and everything that was decided about them.
//
//	s, err := scheduler.New(scheduler.Config{Seed: 1})
//	err = s.AddNode(ctx, placement.Node{ID: "n1", Capacity: …, Labels: …})
//	d, err := s.Place(ctx, placement.Request{ID: "web-1", Resources: …})
//	err = s.Release(ctx, "web-1")
//
// The decision is exact: it is the node that a look at every node would
// choose, whichever structure found it. [Scheduler.Place] decides and commits
// in one step; [Scheduler.Schedule] only decides; [Scheduler.Allocate] commits
// on a node of the caller's choice after the same checks. A refusal is an
// [UnschedulableError] that counts the nodes under the rule that each failed
// first; [Scheduler.Explain] tells the rest.
//
// # Identity
//
// A request's ID names its allocation. Placing the same request again returns
// the existing decision, so that a caller who has not heard the answer can
// simply repeat the call; another request under that ID is [ErrConflict].
//
// # Refusals and explanations
//
// An [UnschedulableError] counts each node under the rule that it fails first,
// in the order of placement.CompareReasons. [Scheduler.Explain] adds all the
// rules that fail, which node lacks least of each resource, the nearest miss,
// and on which node waiting, preemption or a twin would help; of a request that
// fits or is placed it shows the best nodes with every term of the score.
// [Scheduler.ExplainNode] says it of one node. All of it is data, with a text
// form and JSON that reads back.
//
// # Entries and events
//
// Every call that changes something applies one entry. Its changes are events
// with its sequence number, told in order to [Config.Hooks] and
// [Scheduler.Watch], after they are durable. No lock is held meanwhile: a hook
// may call the scheduler.
//
// # Durability
//
// [Open] makes a scheduler with a [Journal], which keeps every entry:
//
//	journal, err := boltjournal.Open("/var/lib/service/journal", boltjournal.Config{})
//	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
//
// An entry is durable before anybody sees what it changed: every answer, also
// a refusal, a read and a [Scheduler.Snapshot], waits until all that it rests
// on has been appended, and callers that wait share one append. Open replays
// the journal to the very same state, byte for byte. [Scheduler.Checkpoint]
// appends a snapshot, which makes all records before it deletable. Records are
// JSON with a version and a checksum; one that is damaged or of a later
// version is a [FormatError], and nothing is skipped.
//
// An append that fails closes the scheduler: it, and what waits behind it,
// return a [JournalError], and so does every call that follows. Where its
// Unknown is set the change may be durable all the same; open the journal
// again and repeat the call under its ID to learn that.
//
// A journal is for one scheduler at a time, and the token decides for which:
// [Config.Token] is the term of the election, and once a higher one has been
// acquired no append under a lower one gets through, whatever a deposed or
// paused leader believes. That closes its scheduler with a [FencedError]; until
// it writes, it answers from what it knows. [Decision] carries the token, so
// that workers can refuse an old one too.
//
// With package raft, open the scheduler in the function given to WhileLeader,
// under the token given to that. A token serves one Open: return its error and
// lead again. Then wait until the reign or the scheduler ends, whichever is
// first, with [Scheduler.Wait]. examples/failover does so.
//
// scheduler/boltjournal keeps the journal in a directory of one host,
// [MemoryJournal] in this process, for tests. To keep it in what a service
// already has takes three short methods: see examples/journals for SQL, etcd
// and hashicorp/raft, and scheduler/journaltest for the suite that tests them.
//
// # Quota
//
// Each running instance is charged to its namespace and the parents of that,
// in the same step as the placement. [Scheduler.CreateQuota] and its sisters
// declare the limits. A refusal by quota is a quota.ExceededError; where no
// node fits either, both errors are joined. Instances of a lost node are
// refunded, and charged again when they come back.
//
// [ErrNotFound], [ErrConflict], [ErrInUse] and [ErrInvalid] are the values of
// package placement, which packages quota and reservation return too.
//
// # Reservations
//
// [Scheduler.Reserve] holds capacity on concrete nodes, now or from a later
// time on; ordinary placements keep off it. [Scheduler.PlaceFromReservation]
// uses a slot. A request with a Duration may stand where capacity is held for
// after it, and one that yields until it is told to leave. Slots move or are
// lost with their nodes; a slot that is lost stays owed, and is held again as soon
// as there is room and quota for it.
//
// # Time
//
// The state's time is that of [Config.Now], or of the journal where that is
// later, and never decreases. If the clock is set back by an hour, state time
// goes at half pace for two hours, until both agree again: durations and bursts
// last no more than twice as long meanwhile.
//
// What falls due by itself (an eviction, the end of a Duration, of a reservation
// or of a burst) falls due at its own instant and in order, on the next call
// whatever it is, or on [Scheduler.Sweep]; [Scheduler.NextDeadline] and
// [Scheduler.DeadlineChanged] say when to call it. Nothing runs in the
// background.
//
// # Lost nodes
//
// After [Scheduler.MarkLost] the instances of a node are lost: they stay on
// its books, and their IDs may be placed anew as the next generation. After
// [Scheduler.MarkReady] those that were not placed anew run again; the others
// are stale and hold capacity until [Scheduler.ReleaseGeneration].
//
// A leader without the journal of those before it takes nodes in with
// [Scheduler.AdoptNode], from what their workers report as running. With
// [Config.RequireReports] a node takes nothing new before that.
//
// # Concurrency
//
// A Scheduler is safe for concurrent use. One mutex orders all calls; it is
// not held while the journal is written or a hook runs. Lists, snapshots and
// [Scheduler.VerifyQuota] are of one instant and hold it for 64 records at a
// time: decisions go on meanwhile, and copy first what they are about to change.
// [Scheduler.Stats], [Scheduler.Version] and [Scheduler.NextDeadline] never wait
// for the journal.
//
// Contexts bound the caller's wait only: a call whose context ends while it waits
// for the journal still takes effect if the journal gets through, and repeating
// it under its ID tells. The journal is written for all callers that wait, under
// a context that [Scheduler.Close] ends, and on a goroutine of its own if the
// caller's context may end before it returns.
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
// goroutine but while the journal is written.
package scheduler
