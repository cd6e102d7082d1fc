// Package quota limits how much the namespaces of a service use: exactly, at
// any concurrency, in a tree of namespaces, with bursts that end.
//
// Most programs need two types. A [Spec] declares the limits of a namespace, and
// a [Ledger] keeps the specs and what is charged. [Accounts] are a ledger
// without a lock, a clock and IDs of charges, for a program that has its own.
//
//	var ledger quota.Ledger
//	_, err := ledger.Create(quota.Spec{
//		Namespace: "backend",
//		Limits: map[placement.ResourceName]quota.Limit{
//			placement.NameCPU: {Soft: 10 * placement.Core},
//		},
//	})
//	…
//	_, err = ledger.Charge("backend", "web-1", placement.OneInstance(placement.Resources{CPU: 4 * placement.Core}))
//	if errors.Is(err, quota.ErrExceeded) {
//		// err says what is missing, and in which namespace
//	}
//	// … create web-1; if that fails, or when it ends:
//	_, err = ledger.Release("backend", "web-1")
//
// # Limits
//
// A [Spec] has a [Limit] for each dimension that it limits: a resource of
// package placement, a custom one, or the number of instances. A dimension
// without a Limit is not limited. A limit of zero denies the dimension.
//
// # Charges
//
// A charge has [placement.Amounts] and an ID that is unique in its namespace.
// [Ledger.Charge] checks and charges in one step: in all dimensions and for all
// ancestors, or not at all. It is idempotent: the same charge again changes
// nothing. Another charge under the same ID is [ErrConflict]. [Ledger.Release]
// gives back what was charged, and only once. A caller that does not know whether
// a call went through can therefore make it again. [Ledger.Resize] changes the
// amounts of a charge; only dimensions that grow have to fit.
//
// A refusal is an [ExceededError]. It lists every [Violation] with its
// namespace, dimension and shortfall, and says whether waiting can help.
// [Ledger.Check] returns the same [Verdict] without charging. [Ledger.Wait]
// returns once something has changed since the refusal.
//
// # Parents
//
// A spec may name a parent, which must have a spec. A charge to a namespace
// counts against its own limits and those of all its ancestors. A namespace on
// this way up is a level; there are at most eight, see [MaxLevels]. The limits of
// children may add up to more than the limit of their parent.
//
// # Default
//
// One spec may be the default. Its limits and its parent are those of every
// namespace without a spec; each of these has its own usage. If there is no
// default, a namespace without a spec is not limited. With RequireQuota it is
// refused as [Undeclared] instead.
//
// # Bursts
//
// A limit of Soft 10 and BurstPercent 150 lets usage rise to its ceiling of 15.
// BurstFor bounds the time: usage that has been above Soft for so long cannot
// grow until it is back at Soft. Then the next burst may begin. Each dimension of
// each namespace has its own timer. [Ledger.NextDeadline] returns when the next
// burst ends. [Ledger.Sweep] returns those that have ended.
//
// Nothing is ever evicted. Usage is above a limit if a burst has ended or the
// limit was lowered. It is then reported as a [Usage] that is Over, and cannot
// grow in that dimension.
//
// # Over time
//
// [Ledger.ChargeOver] charges a [Timed]: amounts that begin or end at a known
// time. What is Reserved must fit within Soft, at every instant of its time and on
// every level, and is over at its end by itself. Another charge may use the
// ceiling, and one that has not been released at its end counts on until it is. So
// a limit of 8 lets 8 be reserved for each of two consecutive hours, and a charge
// be made that ends before them. A charge without an end counts forever: it has
// to fit beside all that is reserved.
//
// A refusal names the first instant at which the charge does not fit, in each
// [Violation], and [Verdict.Earliest] is the first start at which it would.
// [Ledger.Usage] is of now, [Ledger.UsageOver] the peak over a time. A [Spec] may
// bound how far ahead, how long and how much of a limit is reserved, see
// [Reservations].
//
// # Time
//
// The time of a [Ledger] never decreases. If the clock of [Config] is set back,
// the ledger's time goes at half pace until the clock has caught up. No burst
// lasts more than twice as long for it.
//
// # Cost
//
// A charge, a check, a resize and a release take time in proportion to levels
// times dimensions in use: at most 8 × 38. A burst that begins or ends adds the
// logarithm of the number of namespaces that burst. This does not grow with
// the number of namespaces, charges or limits, whether the answer is yes or no.
// In a namespace with charges that begin or end at a known time, what is asked or
// changed over a time adds the logarithm of their number per dimension and level,
// and a refusal that for each time it passes over on the way to the earliest
// start. A charge from now on that fits beside the highest peak costs no more than
// before.
//
// These calls look at all namespaces: a Create or Update of a default, an Update
// of the parent of a namespace that has children, a Delete of the default or of a
// parent in use, and lists and snapshots.
//
// # Concurrency
//
// A [Ledger] is safe for concurrent use, and every call takes effect at one
// instant. [Accounts] are not safe for concurrent use: one goroutine or the lock
// of another type guards them, as in package scheduler.
//
// # Determinism
//
// [Accounts] read no clock. The same calls with the same times give the same
// results, and [AccountsSnapshot] is the same byte for byte in JSON. Independent charges
// may come in any order. All amounts are integers. Ceilings are computed in 128
// bits and rounded down. No sum overflows: a charge that would not fit an int64 is
// refused.
//
// # What it does not do
//
// It does not know nodes: a charge that is admitted may still find no room.
// It stores nothing: use [Ledger.Snapshot], or package scheduler, which journals
// its quotas. It does not divide a parent's limit among children, lend between
// them, queue charges or evict.
package quota
