// Package quota limits what namespaces use: exactly, at any concurrency, in a
// tree of namespaces, with bursts that end.
//
// A [Spec] declares the limits of a namespace, by dimension: the resources of
// package placement, custom ones, and the number of instances. A dimension
// without a [Limit] is not limited; a limit of zero denies it. A [Ledger] keeps
// the specs and what is charged:
//
//	var ledger quota.Ledger
//	ledger.Create(quota.Spec{
//		Namespace: "backend",
//		Limits: map[placement.ResourceName]quota.Limit{
//			placement.NameCPU: {Soft: 10 * placement.Core},
//		},
//	})
//	_, err := ledger.Charge("backend", "web-1", quota.Instance(placement.Resources{CPU: 4 * placement.Core}))
//	// … create web-1; if that fails, or when it ends:
//	ledger.Release("backend", "web-1")
//
// # Charges
//
// A charge has an ID, unique in its namespace, and [Amounts]. [Ledger.Charge]
// checks and charges in one step: in all dimensions and for all ancestors, or
// not at all. It may be repeated: the same charge again changes nothing, another
// under the same ID is [ErrConflict]. [Ledger.Release] gives back what was
// charged, whatever that was, and only once. So a caller that does not know
// whether a call went through makes it again, and usage neither drifts nor
// leaks. [Ledger.Resize] changes a charge; only dimensions that grow have to
// fit.
//
// A refusal is an [ExceededError] with every [Violation]: how much of what is
// missing in which namespace, and whether waiting can help. [Ledger.Check] gives
// the same [Verdict] beforehand, and [Ledger.Wait] returns once something has
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
// With BurstFor, usage that stays above Soft for that long can not grow until
// it is back at Soft; then the next burst may begin. Each namespace, level and
// dimension has its own timer. Nothing is ever evicted: usage above a limit,
// because a burst has ended or because a limit was lowered, is reported as
// [Usage] that is Over, and blocks growth in that dimension only.
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
// # What it does not do
//
// It does not know nodes: a charge that is admitted may still find no room.
// It stores nothing: use [Ledger.Snapshot], or package scheduler, which journals
// its quotas. It does not divide a parent's limit among children, lend between
// them, queue charges or evict.
package quota
