package index

import (
	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/placement"
)

// Row is the number of a node's row in the index. It is used again after Remove.
type Row int32

// noRow is no row.
const noRow Row = -1

// Engine chooses how decisions are found. All engines decide the same.
type Engine uint8

// The engines.
const (
	// Auto uses whatever structure is fastest.
	Auto Engine = iota
	// Columns scans the columns of all nodes for every decision, for tests
	// and benchmarks.
	Columns
)

// Config sets up an Index.
type Config struct {
	// Seed of the draws of strategy Random.
	Seed uint64
	// Weights of dimensions in the score; see placement.Scale.
	Weights map[placement.ResourceName]int64
	// Engine is Auto unless a test or benchmark wants another.
	Engine Engine
}

// Index is what the scheduler searches: the nodes, what runs there, and the
// structures that find the best node for a request.
//
// Invariant of every exported method: all columns have one entry per row; a
// vacant row has no bit in present and zeros elsewhere.
type Index struct {
	cfg        Config
	thresholds thresholds
	owner      *cow.Owner // of what may be changed in place; see clone.go

	// Dimensions: see dimension.go.
	dims   []dimension
	byName []int // numbers of dims in filter order
	named  [namedNames]int8
	unused bool // some custom dimension may have no user

	// The scale of the score: see dimension.go.
	bound  int64   // W·2²⁰
	byGPUs []int32 // nodes by how many GPUs they have
	gpus   int64   // the most that a node has

	// Columns by row: see node.go and books.go.
	nodes    []node
	present  bitset
	ready    bitset
	full     bitset     // takes no more: full of instances or overused
	overused bitset     // more of some dimension used than the node has
	free     [][]int64  // by dimension: allocatable − used − held
	key      []int64    // K, the sum of weighted shares; see dimension.go
	packed   []uint64   // see lane.go
	most     []int32    // most thousandths left on one GPU, holds subtracted
	whole    []int32    // untouched GPUs, holds subtracted
	running  [][]*Class // classes of the instances that joined, each once
	shared   bitset     // what the row points to is shared with a clone; see clone.go
	held     bitset     // nodes with holds
	vacant   []Row
	byJoin   []Row  // present nodes by join number
	version  uint64 // counts all changes that a query can see

	// What rules look at.
	labels     map[string]*labelKey
	taints     taintLists
	ports      portTable
	topologies map[string]*topology
	sets       setCache
	nodeLog    changeLog
	classes    classTable
	counters   counterTable

	orders       []*ordering // see ordering.go
	searches     uint64      // counts searches
	grids        uint64      // counts grids that were begun
	tops         []*barredTops
	bookLog      changeLog // nodes whose amounts or description changed
	scratchTerms []labelTerm
	scratchAsks  []ask

	fragmentation fragmentation
	classSearch   classSearch // the last; scratch
	scratchLevels []setLevel
	scratchSet    bitset
	scratchOpen   bitset // eligible nodes of the last query, if it thinks some closed

	refusals refusalMemory
	probe    probe
	prepared uint64 // counts what probe was made ready for
	left     bitset // candidates of the scan that runs
	search   search // the last; scratch
	repeat   repeat
	stats    Stats
}

// New returns an empty index. The configuration must be valid.
func New(cfg Config) *Index { return newIndex(cfg, defaultThresholds()) }

func newIndex(cfg Config, limits thresholds) *Index {
	x := &Index{
		cfg:        cfg,
		thresholds: limits,
		owner:      new(cow.Owner),
		labels:     make(map[string]*labelKey),
		topologies: make(map[string]*topology),
	}
	for i := range x.named {
		x.named[i] = -1
	}
	x.taints.init()
	x.ports.init()
	x.sets.init()
	x.classes.init()
	x.refusals.init()
	x.counters.init()
	return x
}

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
