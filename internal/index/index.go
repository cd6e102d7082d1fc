package index

import (
	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/placement"
)

// Row is the number of a node's row in the index. It is used again after Remove.
type Row int32

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

	// The scale of the score: see share.go.
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
	key      []int64    // K, the sum of weighted shares; see share.go
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
