package index

// thresholds are the sizes at which structures change their form. They change what
// a decision costs, never what it is; tests make them tiny.
type thresholds struct {
	// gridNodes is the number of nodes from which a grid pays for a search whose
	// scan compares packed words; see gridPays.
	gridNodes int
	// gridBlock is how many entries a block of a grid holds.
	gridBlock int
	// gridCost is what it costs to put one node into a grid, in nodes that a
	// search looks at.
	gridCost int
	// slice and scanSlice are how much work a decision does at most to build a
	// grid or to bring it up to date: when another grid serves meanwhile, and
	// when it looks at every node anyway; see grid_build.go.
	slice, scanSlice int
	// orders is how many orders are remembered, gridBytes how many bytes per node
	// their grids take together.
	orders, gridBytes int
	// topBytes is how many bytes per node the tops of all rules take; see bar.go.
	topBytes int
	// refusalBytes is how many bytes per node are remembered of refusals, at 0 none;
	// see refusal.go.
	refusalBytes int
	// parts is how many domains a grid is divided by.
	parts int
	// listNodes is how many nodes a search looks at one by one rather than
	// to walk a grid.
	listNodes int
	// walkNodes is how many nodes a walk may look at in any case.
	walkNodes int
	// denseSet is how many rows a set may list before it becomes bits, if
	// they are also more than one in 32.
	denseSet int
	// denseDomains is how many domains are always counted in a plain list.
	denseDomains int
	// unusedClasses is how many classes are remembered that nobody retains,
	// so that requests with few rule sets compile each once and a stream of
	// ever new ones does not grow the table.
	unusedClasses int
	// builtSets is how many sets of nodes are kept compiled: more than the 65
	// that one query may need.
	builtSets int
	// profiles is how many profiles of nodes are remembered; see fragmentation.go.
	profiles int
	// changeLog is how many changes of nodes' descriptions are remembered.
	changeLog int
}

func defaultThresholds() thresholds {
	return thresholds{
		gridNodes: 512, gridBlock: 64, gridCost: 16, slice: 1 << 12, scanSlice: 1 << 15,
		orders: 256, gridBytes: 512, topBytes: 64, refusalBytes: 128, parts: 64,
		listNodes: 256, walkNodes: 1024, denseSet: 64, denseDomains: 256,
		unusedClasses: 256, builtSets: 128, profiles: 1 << 14, changeLog: 4096,
	}
}
