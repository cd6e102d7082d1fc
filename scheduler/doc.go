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
// simply repeat the call; another request under that ID is a [ConflictError].
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
// # Entries, events and the journal
//
// Every call that changes something applies one entry. Its changes are events
// with its sequence number, told in order to [Config.Hooks] and
// [Scheduler.Watch]. With a [Journal] the entry is durable before anybody
// sees what it changed: every answer, also of a read, waits until all that it
// rests on has been appended, and callers that wait share one append. An
// append that fails closes the scheduler. [Open] replays a journal to the
// very same state, byte for byte in [Scheduler.Snapshot].
//
// # Quota
//
// Each running instance is charged to its namespace and the parents of that,
// in the same step as the placement. [Scheduler.CreateQuota] and its sisters
// declare the limits. A refusal by quota is a quota.ExceededError; where no
// node fits either, both errors are joined. Instances of a lost node are
// refunded, and charged again when they come back.
//
// # Reservations
//
// [Scheduler.Reserve] holds capacity on concrete nodes, now or from a later
// time on; ordinary placements keep off it. [Scheduler.PlaceFromReservation]
// uses a slot. A request with a Duration may stand where capacity is held for
// after it, and one that yields until it is told to leave. Slots move or are
// lost with their nodes; what is lost is held again when a node comes or
// changes and has room, as far as the quota goes.
//
// # Time
//
// The state's time is the latest that [Config.Now] has shown; a clock that
// steps back stops it. What falls due by itself (an eviction, the end of a
// Duration) falls due at its own instant and in order, on the next call
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
// [Scheduler.AdoptNode], from what their workers report as running.
//
// # Concurrency
//
// A Scheduler is safe for concurrent use. One mutex orders all calls; it is
// not held while the journal is written or a hook runs. Contexts bound the
// caller's wait for others only: a call whose context ends while it waits for
// the journal may still take effect, and repeating it under its ID tells. The
// caller that writes the journal, for itself and those that wait, stays until
// the journal returns.
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
//	scheduler_init, scheduler_shutdown           New, Open; Scheduler.Close
//	scheduler_schedule                           Scheduler.Schedule; preferences are Request.Preferences
//	scheduler_allocate_resources                 Scheduler.Allocate
//	scheduler_release_resources                  Scheduler.Release
//	(none)                                       Scheduler.Place: both in one atomic step
//	score_node_binpack, _spread, _overall        placement.ScoreBinPack, ScoreSpread, Score
//	calculate_cpu/ram/overall_utilization        NodeInfo.Utilization, NodeInfo.Overall
//	scheduler_decision_free,
//	placement_preferences_free                   the garbage collector
//	placement_constraint_create                  placement.Equal, NotEqual, In, NotIn, Exists, NotExists, Greater, Less
//	placement_preferences_create,
//	_add_constraint, _add_affinity               placement.Use and its builder methods, or a literal
//	node_add_label, node_get_label               Scheduler.SetLabel, RemoveLabel; NodeInfo.Label
//	node_add_taint, node_has_taint               Scheduler.AddTaint, RemoveTaint; NodeInfo.HasTaint
//	scheduler_create_quota, _get_, _check_,
//	_update_quota                                Scheduler.CreateQuota, Quota, CheckQuota, UpdateQuota, DeleteQuota;
//	                                             the same on quota.Ledger
//	scheduler_reserve_resources,
//	_release_reservation,
//	_create_from_reservation                     Scheduler.Reserve, ReleaseReservation, PlaceFromReservation
//	NodeResources                                NodeInfo; node->name is Node.Name, for people
//	ResourceRequest.needs_gpu                    Resources.GPU > 0
//	SchedulingDecision                           Decision, UnschedulableError
//	raft_init, raft_shutdown                     raft.New; Node.Run returning
//	raft_is_leader, get_leader_id,
//	get_current_term                             Node.IsLeader, Leader, Term
//	raft_start_election                          Node.Campaign
//	raft_handle_request_vote, handle_heartbeat,
//	send_heartbeats                              Core.Step; heartbeats are effects of Core.Tick
//	RaftConfig                                   raft.Config
//
// # What it does not do
//
// It starts no instance and watches no node: the host does, and says so with
// Release, MarkLost and MarkReady. It has no process, no network and no
// goroutine of its own.
package scheduler
