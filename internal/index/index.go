package index

import "github.com/rads-project/constellation/placement"

// Slot is a node's place in the index. It is used again after Remove.
type Slot int32

// Engine chooses how decisions are found. All engines decide the same.
type Engine uint8

// The engines.
const (
	// Auto uses whatever structure is fastest.
	Auto Engine = iota
	// Columns scans the columns of all nodes for every decision.
	Columns
)

// Config sets up an Index.
type Config struct {
	// Seed of the draws of strategy Random.
	Seed uint64
	// Reference amounts to begin with; they grow with the nodes.
	Reference placement.Resources
	// Weights of dimensions in the score; see placement.Scale.
	Weights map[placement.ResourceName]int64
	// Engine is Auto unless a test or benchmark wants another.
	Engine Engine
}

// Index is not safe for concurrent use, not even its queries.
type Index struct {
	classes map[uint64][]*Class
}

// New returns an empty index. The configuration must be valid.
func New(cfg Config) *Index { return &Index{} }

// Admits reports whether the dimensions of r are known or can still be
// registered: a cluster has at most placement.MaxDimensions.
func (x *Index) Admits(r placement.Resources) bool { return true }

// Add takes in a node that is valid and canonical and returns its slot. The
// index keeps the pointer and treats the node as read-only. join must be
// unique; it breaks ties and normally grows. The node is Ready.
func (x *Index) Add(n *placement.Node, join uint64) Slot { return 0 }

// Update replaces the node of a slot; its join number, its state and what
// runs there stay.
func (x *Index) Update(slot Slot, n *placement.Node) {}

// Remove takes the node out. Nothing may be on its books any more.
func (x *Index) Remove(slot Slot) {}

// SetState sets the state of a node.
func (x *Index) SetState(slot Slot, state State) {}

// Reference returns the reference amounts, powers of two.
func (x *Index) Reference() placement.Resources { return placement.Resources{} }

// SetReference raises the references to at least these amounts, rounded up to
// powers of two.
func (x *Index) SetReference(r placement.Resources) {}

// Scale returns the yardstick of the score.
func (x *Index) Scale() placement.Scale { return placement.Scale{} }

// Occupy puts an instance on the books of a node: its amounts, its devices,
// its ports and its place among the instances. More than is free is accepted.
func (x *Index) Occupy(slot Slot, c *Class, r *placement.Resources, devices []uint16) {}

// Vacate undoes Occupy with the same arguments.
func (x *Index) Vacate(slot Slot, c *Class, r *placement.Resources, devices []uint16) {}

// Join counts an instance of the class on the node for affinity, repulsion,
// spread rules and the Spread strategy.
func (x *Index) Join(slot Slot, c *Class) {}

// Leave undoes Join.
func (x *Index) Leave(slot Slot, c *Class) {}

// Held is capacity of a node that reservations hold.
type Held struct {
	Resources placement.Resources
	// Devices is what is held of each GPU by index, in thousandths; missing
	// entries are zero.
	Devices []int64
}

// SetHeld sets what reservations hold of the node.
func (x *Index) SetHeld(slot Slot, held Held) {}

// Allocatable, Used, Held and Free return the amounts of a node; free =
// allocatable − used − held and may be negative.
func (x *Index) Allocatable(slot Slot) placement.Resources { return placement.Resources{} }

// Used returns what is on the books of the node.
func (x *Index) Used(slot Slot) placement.Resources { return placement.Resources{} }

// Held returns what reservations hold of the node.
func (x *Index) Held(slot Slot) Held { return Held{} }

// Free returns allocatable − used − held. Amounts may be negative.
func (x *Index) Free(slot Slot) placement.Resources { return placement.Resources{} }

// DeviceFree returns what is left of each GPU, holds not subtracted.
func (x *Index) DeviceFree(slot Slot) []int64 { return nil }

// Instances returns how many instances are on the books of the node.
func (x *Index) Instances(slot Slot) int64 { return 0 }

// Class is everything of a request but its ID and amounts, interned.
type Class struct {
	request placement.Request
}

// Request returns the rules as a request without ID and Resources. It is
// shared and must not be changed.
func (c *Class) Request() *placement.Request { return &c.request }

// Class returns the class of a valid request. It allocates nothing when the
// class is known. A class that nobody retains may be forgotten after some
// hundred other classes were asked for.
func (x *Index) Class(req *placement.Request) *Class { return &Class{request: *req} }

// Retain keeps the class known until as many calls of Release.
func (x *Index) Retain(c *Class) {}

// Release undoes Retain.
func (x *Index) Release(c *Class) {}

// Query is a request to the index.
type Query struct {
	Class     *Class
	Resources *placement.Resources
	// ID of the request and Seq of the state, for the draws of Random.
	ID  string
	Seq uint64
}

// Choice is a node and its score for a query.
type Choice struct {
	Slot  Slot
	Terms placement.Terms
}

// Best returns the first node in the order of the query's strategy among
// those that fit.
func (x *Index) Best(q *Query) (Choice, bool) { return Choice{}, false }

// Fits reports whether the query fits on the node.
func (x *Index) Fits(q *Query, slot Slot) bool { return false }

// Evaluate reports whether the query fits on the node and how it scores there,
// with other held amounts in place of the node's own; nil means its own.
func (x *Index) Evaluate(q *Query, slot Slot, held *Held) (placement.Terms, bool) {
	return placement.Terms{}, false
}

// Devices returns which GPUs the query takes on a node that it fits on, with
// other held amounts in place of the node's own; nil means its own. It returns
// nil if the query asks for no GPU.
func (x *Index) Devices(q *Query, slot Slot, held *Held) []uint16 { return nil }

// Tally is how many nodes failed a rule first.
type Tally struct {
	Reason placement.Reason
	Nodes  int
}

// Count returns, in filter order, how many nodes failed each rule first.
func (x *Index) Count(q *Query) []Tally { return nil }

// Failure is one rule that a node fails.
type Failure struct {
	Reason placement.Reason
	// Shortfall is what is missing, for instances, resources and holds.
	Shortfall int64
}

// Part is one soft term of the score.
type Part struct {
	Kind   PartKind
	Index  int // the rule's place in its list
	Detail string
	Weight int64
	Value  int64 // t, from 0 to placement.Unit
}

// PartKind is the sort of rule that a Part comes from.
type PartKind uint8

// The kinds of parts.
const (
	PartPreferred PartKind = iota + 1
	PartTaint
	PartAffinity
	PartSpread
)

// Verdict is all that the index can say about one node for a query.
type Verdict struct {
	// Failures in filter order; none means that the query fits.
	Failures []Failure
	// Terms and Parts are the score of a node that fits.
	Terms placement.Terms
	Parts []Part
	// Group is how many instances of the request's namespace and group count
	// on the node.
	Group int64
}

// Verdict says which rules the node fails, all of them, or how it scores.
func (x *Index) Verdict(q *Query, slot Slot) Verdict { return Verdict{} }

// Top returns the first k nodes in the order of the query's strategy.
func (x *Index) Top(q *Query, k int) []Choice { return nil }

// Stats tells how decisions were found.
type Stats struct {
	Nodes   int
	Classes int
}

// Stats returns counters and sizes.
func (x *Index) Stats() Stats { return Stats{} }

// Kind is one sort of the typical work that LeastFragmentation expects.
type Kind struct {
	Resources placement.Resources
	// Models of GPUs that it runs on; none means any.
	Models []string
	Count  int64
}

// SetMix sets the typical mix of work for LeastFragmentation.
func (x *Index) SetMix(kinds []Kind) {}
