// Package quota limits what namespaces use: exactly, at any concurrency, in a
// tree of namespaces, with bursts that end.
//
// A [Spec] declares the limits of a namespace by dimension: the resources of
// package placement, custom ones, and the number of instances. A dimension
// without a [Limit] is not limited; a limit of zero denies it. A [Ledger] keeps
// the specs and what is charged, and is what most users need. [Accounts] are the
// same without a lock, a clock and charges by ID, for those who keep these
// themselves.
//
//	var ledger quota.Ledger
//	_, err := ledger.Create(quota.Spec{
//		Namespace: "backend",
//		Limits: map[placement.ResourceName]quota.Limit{
//			placement.NameCPU: {Soft: 10 * placement.Core},
//		},
//	})
//	…
//	_, err = ledger.Charge("backend", "web-1", quota.Instance(placement.Resources{CPU: 4 * placement.Core}))
//	if errors.Is(err, quota.ErrExceeded) {
//		// err says what is missing, and in which namespace
//	}
//	// … create web-1; if that fails, or when it ends:
//	_, err = ledger.Release("backend", "web-1")
//
// # Charges
//
// A charge has an ID, unique in its namespace, and [Amounts]. [Ledger.Charge]
// checks and charges in one step: in all dimensions and for all ancestors, or
// not at all. It is idempotent: the same charge again changes nothing. Another
// charge under the same ID is [ErrConflict]. [Ledger.Release] gives back what was
// charged, whatever that was, and only once. So a caller that does not know
// whether a call went through makes it again, and usage neither drifts nor
// leaks. [Ledger.Resize] changes a charge; only dimensions that grow have to
// fit.
//
// A refusal is an [ExceededError] that lists every [Violation]: namespace,
// dimension, shortfall, and whether waiting can help. [Ledger.Check] returns the
// same [Verdict] beforehand, and [Ledger.Wait] returns once something has
// changed since the refusal.
//
// # Parents and defaults
//
// A spec may name a parent, which must have a spec. A charge to a namespace
// counts against its own limits and those of all ancestors, of which there are
// at most seven. Limits of children may add up to more than the parent has.
//
// One spec may be the default: its limits and its parent are those of every
// namespace without a spec, each with its own usage. Without a spec and a
// default nothing is limited, or everything is refused as [Undeclared] if
// RequireQuota is set.
//
// # Bursts
//
// A limit of Soft 10 and BurstPercent 150 lets usage rise to its ceiling of 15.
// With BurstFor, usage that stays above Soft for that long cannot grow until
// it is back at Soft; then the next burst may begin. Each namespace, level and
// dimension has its own timer. [Ledger.NextDeadline] tells when the next burst
// ends, and [Ledger.Sweep] which have ended. Nothing is ever evicted: usage above
// a limit, because a burst has ended or because a limit was lowered, is reported
// as [Usage] that is Over, and blocks growth in that dimension only.
//
// # Time
//
// The time of a [Ledger] never decreases. If the clock of [Config] is set back,
// the ledger's time goes at half pace until the clock has caught up, so that no
// burst lasts more than twice as long.
//
// # Concurrency
//
// A [Ledger] is safe for concurrent use; every call takes effect at one instant.
// [Accounts] are not: they belong to one goroutine or lie under the lock of
// whoever embeds them, as in package scheduler.
//
// # Determinism
//
// [Accounts] read no clock: the same calls with the same times give the same
// results, and [State] is the same byte for byte in JSON. Independent charges
// may come in any order. All amounts are integers, ceilings are computed in 128
// bits and rounded down, and no sum overflows: what would not fit an int64 is
// refused.
//
// # Cost
//
// A charge, a check, a resize and a release take time in proportion to the
// levels of the namespace times the dimensions in use: at most 8 × 17. Nothing
// of that grows with the number of namespaces, of charges or of limits, whether
// the answer is yes or no; a change of usage that begins or ends a burst adds
// the logarithm of the namespaces that burst. What a call that looks at all
// namespaces costs is said where it stands: declaring the default, deleting
// it or a parent that is in use, moving a namespace that has children, and lists
// and snapshots.
//
// # What it does not do
//
// It does not know nodes: a charge that is admitted may still find no room.
// It stores nothing: use [Ledger.Snapshot], or package scheduler, which journals
// its quotas. It does not divide a parent's limit among children, lend between
// them, queue charges or evict.
package quota
