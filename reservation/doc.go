// Package reservation promises capacity for now or for later and keeps the
// promise.
//
// A reservation is a number of slots of one shape over a closed-open window of
// time: "three times 8 cores and a GPU, from nine to ten". Each slot is held on
// a concrete node, with concrete GPUs; nothing else is placed there while it is
// needed. Owners claim slots for their instances, in parts and repeatedly.
//
// Most users need four types. [Spec] asks for a reservation and [Reservation] is
// what became of it. [Book] holds them, safe for concurrent use, for hosts that
// have no scheduler; package scheduler has the same calls. [RefusedError] says
// why there is no room, and from when on there is. Whoever embeds the core in a
// host of his own finds [Plan] under "Plan and its host".
//
//	book, err := reservation.New(reservation.Config{})
//	err = book.SetNode(placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 32 * placement.Core}})
//	r, err := book.Reserve(reservation.Spec{
//		Namespace: "team-launch", Count: 3, Shape: placement.Resources{CPU: 8 * placement.Core},
//		Start: nine, Duration: time.Hour,
//	})
//	node, claim, err := book.Claim(r.Spec.ID, placement.Request{ID: "web-1", Namespace: "team-launch", …}) // after nine
//
// # Time axis
//
// Windows are closed-open: what ends at an instant makes room for what begins
// at it. How long capacity is held depends on what becomes of instances at the
// end: Drain holds [Start, End), Evict [Start, End+Grace), Keep [Start, ∞).
// Each node has a skyline per dimension and per GPU, the sum of its holds over
// time; it answers the peak over a window in O(log n).
//
// The states of a reservation:
//
//	Pending ──Start──▶ Active ──End──▶ Ended ──instances gone──▶ forgotten
//	                        └─Evict─▶ Expiring ──Grace──▶ Ended
//
// Pending and Active with slots that are lost or wait is Degraded; while every
// slot is lost it is Displaced. Both pass. An ended reservation is forgotten with
// its last instance; the last 1024 are remembered by their state.
//
// # When promises break
//
// No decision lets instances use more of a node than it has; only promises can be
// broken. A claim is checked against what instances use on the node at that
// moment, so that a node which shrank, or on which more runs than was thought,
// takes nothing more.
//
// A slot leaves its node only for one of these reasons:
//
//   - Its node is lost, shrinks or fills up by instances that nobody asked
//     about. Slots with instances in them stay on a node that shrinks until the
//     last instance has left.
//   - A reservation of higher priority displaces it, never with an instance in
//     it.
//   - An instance that should have gone is still there when it begins: one past
//     its Duration (overstayed), or one that was placed with Yield and was asked
//     to leave. Where several reservations begin at once, the one of the highest
//     priority decides first.
//   - Maintenance closes the node.
//   - It is lent, and moves to where its first claim need not wait.
//
// It goes to another node if there is room. If there is none, it waits on its
// node for an instance that is leaving: it keeps everybody else off, and cannot
// be claimed until that has gone. Otherwise it is lost, and stays owed: it is
// looked for again on every node on which room comes up, on the one that it was
// lost from first, until the reservation ends. A Book looks by itself, and so
// does a scheduler; the host of a Plan calls Repair. Each of these is an event,
// SlotMoved, SlotWaiting, SlotLost or SlotRegained, which names who is in the way.
//
// # Lent slots
//
// A reservation with Lend lets instances that yield stand in slots that nobody has
// claimed. A claim has its slot at once if there is room beside them and all that is
// held for others, and those in the way of the rest of it are asked to leave. If not,
// the slot moves to a node with room for all of it. If there is none, the claim is
// ErrWaiting: it names whom it waits for and until when, the slot is kept for it, and
// the same claim succeeds once they have gone.
//
// # Instances that run already
//
// [Plan.Attach] and [Book.Attach] give an instance that runs beside all reservations a
// slot on its node, with the GPUs that it uses: after a host has lost its reservations
// and made them again, or a reservation its slot. A slot without instances comes to it,
// if there is room for the rest of it.
//
// # Maintenance
//
// A reservation with Maintenance closes its Node for the window. From Notice before
// Start on the node takes nothing new, and each instance there is asked to leave.
// Slots of others move when it is reserved, whatever their priority. Those that find
// no room stay until it begins, or until their last instance has left, and are then
// lost and owed. An instance that says when it leaves is not placed where
// maintenance would interrupt it; one that does not may come until notice is given.
// What a host finds there later all the same, on a node that comes back or by report,
// it asks to leave as Plan.AskedOn says.
//
// # Windows that repeat
//
// A reservation with Repeat has one window every day or week, by the clocks of a
// place, and each finds its own nodes. All are worked out when it is made and are
// recorded as instants: a replay asks no time zones. Under the one ID a call means
// the window that is on or comes next.
//
// # Words of others
//
//	Slurm       ReservationName, Users or Accounts  Spec.ID, Owners
//	Slurm       Flags=DAILY, WEEKLY                 Repeat
//	Slurm       Flags=MAINT                         Maintenance
//	Slurm       scontrol delete, unless in use      Release, without force
//	Slurm       backfill by time limits             an instance with a Duration
//	Rayon       a reservation over time             Start and Duration or End
//	Rayon       unused capacity, lent until used    Lend, and instances with Yield
//	Kubernetes  cordon and drain                    Maintenance, with events in place of evictions
//	Kubernetes  ResourceClaim of named devices      a slot with its GPUs
//	Kueue       preemption by priority              Priority, of slots without instances
//
// # Driving a Book
//
// Nothing depends on anybody watching the time: every call first does what has
// fallen due. A host that wants to hear of it in time sleeps until
// NextDeadline, wakes on DeadlineChanged and calls Sweep:
//
//	for {
//		changed := book.DeadlineChanged()
//		for _, e := range book.Sweep() {
//			…
//		}
//		var due <-chan time.Time
//		if next, ok := book.NextDeadline(); ok {
//			due = time.After(time.Until(next))
//		}
//		select {
//		case <-due:
//		case <-changed:
//		case <-ctx.Done():
//			return
//		}
//	}
//
// # Costs
//
// Let a reservation have s slots, and a node h holds: slots and instances that
// the Plan counts there. Of all other reservations and nodes nothing depends but
// the looks named here. A host that brings a charge up to date after every change
// of a reservation, as a scheduler does, adds O(s) for Plan.Owes.
//
//   - Reserve looks at each node once for all slots, O(log h) each, and again
//     for every slot if there are rules among the slots, or if others are
//     displaced for it. A refusal looks at each node some more times, and tries
//     to place all slots at up to a thousand starts if rules keep them apart.
//   - Claim takes O(s log s), looks at each claim of the reservation, and takes
//     O(log h) on one node. Unclaim takes O(s) and looks at each claim.
//   - Attach takes what Claim takes, and O(log h) for each slot that could come.
//   - Admit looks at each node until one has room; removing takes O(log h).
//   - Update is Reserve for slots that are new, and O(log h) for each slot and
//     claim that stays.
//   - Advance takes O(log d) in the deadlines for everything that falls due, and
//     O(log h) for each slot and claim of a reservation that begins or ends.
//   - A node that changes costs a look at each slot of the reservations that it
//     holds, and for each slot that has to go a look at the nodes.
//   - What reservations lack costs nothing while they lack nothing; else every
//     call that changes a node looks once at that node for each slot lacking.
//   - Mark takes constant time, and each reservation and stay is copied once when it
//     changes after that. Rollback takes O(log h) for each slot, claim and stay of those.
//   - Memory is in proportion to slots, claims and transient instances, and per node to the
//     instants at which its holds begin and end.
//
// # Concurrency
//
// All methods of Book may be called at once. Iterators yield from a snapshot
// without a lock. A Plan, its Nodes and everything else is for one goroutine
// at a time.
//
// # Determinism
//
// The same calls with the same times give the same decisions, events and
// snapshots, byte for byte. Nothing depends on the order of maps, on the clock
// or on chance. A plan that is given only the times and the changes of another
// ends in the same state.
//
// # What it does not do
//
// It starts, stops and moves no instances; it says when one should have gone.
// It keeps no quota and no journal. It does not move slots of equal or higher
// priority to make room for others, nor any slot with instances. Preferences are for
// Nodes to interpret; those of a Book keep required constraints, taints and hard
// spread rules and refuse all others.
//
// # Plan and its host
//
// The rest is for who embeds a [Plan], the pure core: its time is moved by Advance,
// it asks its host about nodes through [Nodes], and every decision comes back as
// [PlanChange] values, plain data that Apply carries out without looking for
// anything. A host that has its own index, rules, quota and journal puts itself
// between deciding and applying. So the arrows point inward: the Plan knows no
// index and no node, and what knows the nodes needs to know nothing of time.
//
//	            host: scheduler, or Book
//	   ┌──────────────────────────────────────────┐
//	   │ index, rules      quota       journal    │
//	   └──┬────▲───────────────▲──────────▲───────┘
//	 Room,│    │Touched,       │Owes      │PlanChanges,
//	 For  │    │Peak           │          │Events
//	   ┌──▼────┴───────────────┴──────────┴───────┐
//	   │ Plan: decide(Nodes) ──▶ Apply(changes)   │
//	   │ reservations, claims, transient instances│
//	   │ one timeline per node: skylines          │
//	   └──────────────────────────────────────────┘
//
//	changes, err := plan.Reserve(nodes, spec) // nothing has changed yet
//	… charge changes[len(changes)-1].Reservation.Owes(), journal the changes …
//	events := plan.Apply(changes...)
//	for plan.Unsettled() { // instances may be in the way of what begins
//		events = append(events, plan.Apply(plan.ResolveConflicts(nodes)...)...)
//	}
//	… show the index plan.Peak of each of plan.Touched() …
//
// Book is a Plan with a mutex, a clock and nodes of its own, for hosts that
// want only that.
//
// # Who counts what
//
// The Plan tracks slots, claims (instances in slots) and transient instances
// (instances outside slots that will leave at a known time or on request; a [Stay]
// each). The host counts all others and passes them as Room.Used. An instance that
// the Plan counts (Counts) is counted until Remove or Unclaim, even when its
// reservation has ended or its node is lost.
//
// A slot counts as a whole until its reservation ends, whoever stands in it.
// An instance in it counts beside it with its Excess only: what it takes in
// dimensions that the shape does not have. So for any window
//
//	free = allocatable − used by others − Peak over the window
//
// and with the window from now forever that is what an instance without an
// end may take. One with a Duration looks at its own window only: it fills the
// time before a reservation begins (backfill).
//
// # Quota
//
// The Plan charges nobody. Reservation.Owes says what the reservation's
// namespace has to pay for now; it changes with changes and events that name
// the reservation, and setting the charge of a reservation's ID to Plan.Owes
// after each is all that a host has to do. A claim converts what is held, so
// it changes nothing there; its Excess is the claimant's. A host whose quota looks
// ahead charges what Reservation.OwesOver and OwesBeyond say.
package reservation
