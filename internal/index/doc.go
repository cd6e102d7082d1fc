// Package index finds the best node for a request, exactly: the node that
// scoring every node by the rules of package placement would find. It is what
// the scheduler searches; it knows nodes, what runs on them, and rules, and
// nothing of allocations, quotas, time or events.
//
// An [Index] holds the cluster, a [Class] the compiled rules of requests that
// differ only in ID and amounts, a [Query] asks. [Index.Best] chooses,
// [Index.Fits], [Index.Evaluate] and [Index.Devices] look at one node,
// [Index.Count], [Index.Survey], [Index.FitsWithout], [Index.Diagnose] and
// [Index.Top] explain.
//
// # Why one index serves every request
//
// The strategy term of the score is a sum over dimensions, and over devices, of
// what a node has free before the placement, measured by its own size. It does
// not depend on the request. So nodes have one order for BinPack, whatever is
// asked, and the best node is the first in that order on which the request
// fits. All of the structures follow from that: they find the first node that
// fits, in an order that is kept, without looking at those that do not. The order
// says nothing of whether a request fits, since a small node and a large one may
// have the same share free: what has no room is passed over by cells and words.
//
// # Structures
//
// Each has its own file, which begins with its invariant. Let n be the nodes.
//
//   - Columns (node.go, books.go, device.go, dimension.go). Per row: what
//     is free of each dimension, the key K, the most that is left on a GPU and how
//     many are untouched. A change of a node's books costs about 100 ns and
//     one entry in a log; everything below is repaired from logs when it is
//     used next. The divisions of the score are done here, for the dimensions that
//     change, and never for a request.
//   - Packed words (lane.go). Six lanes of small floats in 64 bits say with
//     one comparison that a request does not fit; those that pass are checked
//     exactly. The scan (scan.go) compares words and keys without a branch per
//     node, 1.5 ns each. It serves clusters below 512 nodes, or below 128
//     where it has to score them, and is what a
//     search falls back to, counted in [Stats].
//   - Sets of nodes (nodeset.go, label.go, taint.go). The nodes of every label
//     value, and of every distinct list of taints, are kept as short lists or
//     bits. Required constraints and tolerations compile to AND, OR and NOT
//     over them, n/64 steps each; a set is then patched node by node when
//     labels, taints or states change. Rules on labels cost one bit test per
//     node looked at. The set of a scaled label has the nodes with a number above 0,
//     and two bytes per node for the number (label.go).
//   - Counters (counter.go, topology.go, domain_counts.go).
//     How many instances that a rule looks at run in each domain: shared by all
//     rules that look at the same, changed in constant time when an instance
//     joins or leaves. A hard rule on domains becomes a range of counts
//     (probe.go); a soft one a value per count (soft.go). Required anti-affinities of
//     what runs are counters too, found by the label that they select on.
//   - Grids (grid.go). Nodes in cells by the magnitude of what they have free;
//     in a cell by key and join number, in blocks of 64 with the greatest of
//     each lane. Cells without room are skipped by their corner, full blocks
//     by their top. A search looks at about 20 nodes and passes over a few
//     hundred cells, 1 µs at any n; the worst of 20,000 measured looked at
//     some hundred nodes. Repair costs about 150 ns per change.
//   - Orders (ordering.go, grid_build.go). The plain orders have all nodes. Where
//     rules on labels or domains would make searches walk past many nodes, the rule
//     set gets an order of its own with its set of nodes, its soft terms on labels
//     in the key and its cells divided by domain, once the walks have wasted
//     as much time as building a grid takes. It is copied from the plain grid in
//     slices, of 4,096 entries looked at or 256 nodes put in place per decision,
//     about 30 µs, while decisions go on with the plain order. The grid of a
//     plain order is built in slices that take as long as the scan of the decisions
//     that have none yet. So does a grid that was not used for long catch up.
//   - Bars (bar.go). Anti-affinity by host, at most k per node and strategy Spread
//     keep a request from just the nodes where its search begins, since its
//     replicas run there. Rules that have cost as many looks as there are blocks
//     get one bit per node that says so, kept up by what joins and leaves, and
//     per block the greatest of each lane of the nodes that it leaves: a search
//     passes over the blocks of replicas as if they were full.
//   - Overlays (overlay.go). What if instances were there, or were
//     not: a query thinks instances of its class on nodes, or one of them gone, and
//     FitsWithout leaves some of a node out of account. All of them only read.
//   - Levels (level.go). A level is a soft score that nodes may have,
//     those terms apart that the key of an order holds; the word means nothing
//     else in this package. There are few. They are walked from the greatest,
//     and the walk ends where a lower one can no longer win. Terms that only a
//     few nodes satisfy are dealt with by looking at these nodes first.
//   - Classes and compiled rules (class.go, compiled_rules.go). Rules are interned
//     and compiled once; 256 unused classes are remembered, so that a stream of
//     ever new rules keeps no memory. Looking up a known class allocates nothing, nor
//     does deciding.
//   - Classes of nodes (fragmentation.go, shelf.go, gradient.go, soft.go).
//     LeastFragmentation is not linear: no order of nodes serves all requests. But
//     ΔF is the same on nodes with as much left on their GPUs and the same use for
//     the typical work, and of such classes a cluster has few. They stand on shelves
//     by which GPUs a request may take there, in an order in which a lower bound of
//     ΔF grows. A search goes through them from the least bound on, and walks those
//     of the least ΔF in a grid that is divided by classes. It costs the same for a
//     shape that was never asked for before, and grows with the classes of the least
//     ΔF, not with the nodes. A request without GPUs looks at the fullest node first:
//     where nothing is lost, that is all.
//   - Draws (draw.go). Random takes a node out of the join order by a hash and
//     looks whether the request fits; after 16 misses it draws among those of
//     which a scan says so.
//
// How a search chooses between them is told in search.go; [Stats] counts which
// way decisions went.
//
// # Costs
//
// The index takes less than 250 bytes per node with five labels, one of them unique,
// and one grid. A grid takes 30 to 40 bytes per node that is in it, up to 100 where
// nodes are divided over many domains, and 4 per node that is not; all grids together
// take at most 512 per node, which is half of what a scheduler takes for a node without
// any. Where rule sets ask for more, those that have a grid keep it while it is used,
// and the others use the plain order. What runs takes a few bytes per distinct class on
// a node. A new custom dimension in the place of one that went, and one that goes,
// packs all nodes anew. Where the scale changes, since a node with the most GPUs or the
// only one of a dimension comes or goes, orders with soft terms lose their grids. A
// refusal's reasons are counted by filters over 64 nodes at a time (filter.go), in less
// than a scan takes, and remembered by node, in at most 128 bytes per node for all
// refusals: the same request again costs a look at the nodes that have changed
// (refusal.go). A survey for an explanation goes through the same filters. A node that
// comes, goes or changes labels costs what runs on it. A new class is compared with the
// counters that its labels, keys or namespace lead to (index_key.go).
//
// Only the grid that LeastFragmentation is searched in is built at once, by the
// first decision that needs it, since a scan costs more there. Bounds of the worst
// case: a search gives up a walk after comparing a thousand
// words and an eighth of the nodes, or four times all of them where a scan has to
// score each, and then costs the scan more. That happens while a rule set has no
// order of its own yet, or to rules on more than 64 domains whose best domains are
// full, since the fullest nodes that have room come first whatever the rules are. Soft
// rules with more than 64 different sums always scan, those apart that the key of an
// order holds. LeastFragmentation with soft rules on domains, scaled labels or more
// than six others looks at every node for the greatest soft score, and then walks the
// classes of the nodes that have it.
//
// # Determinism
//
// The same calls with the same seed give the same answers. Answers depend
// neither on rows nor on the order of calls that led to the same cluster:
// ties go to the smaller join number, and draws of strategy Random are hashes
// of seed, request and state over the nodes in join order.
//
// # Concurrency
//
// An Index is not safe for concurrent use, not even its queries: they use
// scratch memory and repair structures.
//
// # What it does not do
//
// It checks no input: requests, nodes and mixes must be valid, rows and
// classes its own. It never decides about time, priority or quota, and it
// changes nothing on its own.
package index
