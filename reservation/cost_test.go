package reservation

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// crowd says how many there are of everything that a host has many of. The
// reservation "r" has all the claims in its slots, one slot on each node in turn. All
// that yields stands on the first node, which is to be closed for all windows of
// maintenance, one after the other, in some days.
type crowd struct {
	nodes, others, slots, claims, stays, yielders, windows int
}

// crowdHost has nodes of equal size, and a last one with a device of its own. It
// counts how often a node is looked at.
type crowdHost struct {
	nodes int
	gone  string
	looks int
}

func crowdNode(i int) string { return fmt.Sprintf("n%05d", i) }

func workers(n int64) placement.Resources {
	return placement.Resources{Custom: map[string]int64{"workers": n}}
}

func (h *crowdHost) room(node string) Room {
	r := Room{Allocatable: placement.Resources{CPU: 1 << 40}}
	if node == crowdNode(0) {
		r.Allocatable.Custom = workers(1 << 40).Custom
	}
	if node == crowdNode(h.nodes-1) {
		r.Allocatable.Disk = 1 << 40
	}
	return r
}

// Room is part of Nodes.
func (h *crowdHost) Room(node string) (Room, bool) {
	h.looks++
	return h.room(node), node != h.gone
}

// For is part of Nodes.
func (h *crowdHost) For(want *Want) iter.Seq2[string, Room] {
	return func(yield func(string, Room) bool) {
		for i := range h.nodes {
			node := crowdNode(i)
			if node == h.gone || want.Node != "" && want.Node != node {
				continue
			}
			h.looks++
			if !yield(node, h.room(node)) {
				return
			}
		}
	}
}

// plan returns a plan with all that there is, at the start of "r", which holds for an
// hour. Others begin and end at other times on the same nodes. "soon" begins after ten
// seconds on the first node, and takes all that those have that yield; "sooner" begins
// there after five, and takes none of it.
func (c crowd) plan() Snapshot {
	p := NewPlan()
	start := time.Unix(1_900_000_000, 0)
	p.Advance(start)
	put := func(id string, slots, first int, from, length time.Duration) {
		shape := placement.Resources{CPU: 1000}
		if id == "soon" {
			shape = workers(1 << 40)
		}
		r := &Reservation{
			Spec: Spec{ID: id, Shape: shape, Count: slots}, Seq: p.created + 1, Version: 1, Phase: Pending,
			Params: Params{Start: start.Add(from), End: start.Add(from + length), Shape: shape, Count: slots},
		}
		for i := range slots {
			r.Slots = append(r.Slots, Slot{Node: crowdNode((first + i) % c.nodes)})
		}
		p.Apply(PlanChange{Kind: Put, Reservation: r})
	}
	for i := range c.others {
		put(fmt.Sprint("other", i), 1, i, time.Minute+time.Duration(i)*time.Second, 2*time.Hour)
	}
	put("r", c.slots, 0, 0, time.Hour)
	for i := range c.claims {
		p.Apply(PlanChange{Kind: Fill, ID: "r", Slot: i % c.slots, Claim: &Claim{
			ID: fmt.Sprint("claim", i), Held: placement.OneInstance(placement.Resources{CPU: 1}),
		}})
	}
	put("sooner", 1, 0, 5*time.Second, time.Second)
	put("soon", 1, 0, 10*time.Second, time.Second)
	for i := range c.windows {
		from := start.Add(100*time.Hour + time.Duration(i)*10*time.Second)
		p.Apply(PlanChange{Kind: Put, Reservation: &Reservation{
			Spec:   Spec{ID: fmt.Sprint("window", i), Node: crowdNode(0), Maintenance: true},
			Params: Params{Start: from, End: from.Add(time.Second)}, Seq: p.created + 1, Version: 1, Phase: Pending,
			Slots: []Slot{{Node: crowdNode(0)}},
		}})
	}
	for i := range c.yielders {
		p.Apply(PlanChange{Kind: Arrive, Stay: &Stay{
			ID: fmt.Sprint("yielder", i), Node: crowdNode(0), Yield: true, Load: placement.OneInstance(workers(1)),
			Window: Window{Start: start},
		}})
	}
	for i := range c.stays {
		p.Apply(PlanChange{Kind: Arrive, Stay: &Stay{
			ID: fmt.Sprint("stay", i), Node: crowdNode(i % c.nodes), Load: placement.OneInstance(placement.Resources{CPU: 1}),
			Window: Window{start, start.Add(3 * time.Hour)},
		}})
	}
	return p.Snapshot()
}

// work returns how much a call does on such a plan: the nodes that it looks at and the
// pieces of memory that it takes, the least of some runs, since the pieces that the
// runtime takes meanwhile count too; and the steps of skylines that it looks at.
func (c crowd) work(call func(p *Plan, h *crowdHost)) (least, steps int) {
	s := c.plan()
	least = math.MaxInt
	for range 5 {
		h := &crowdHost{nodes: c.nodes}
		plans := []*Plan{Restore(s), Restore(s)}
		for _, p := range plans {
			countSteps(p, &steps)
		}
		allocs := testing.AllocsPerRun(1, func() {
			h.looks, h.gone, steps = 0, "", 0
			call(plans[0], h)
			plans = plans[1:]
		})
		least = min(least, h.looks+int(allocs))
	}
	return least, steps
}

// countSteps has the skylines of a plan count the steps that calls look at.
func countSteps(p *Plan, steps *int) {
	for _, g := range p.timelines {
		for i := range g.lanes {
			g.lanes[i].line.Visited, g.lanes[i].lent.Visited = steps, steps
		}
	}
}

// TestCosts counts the work of each call beside few and beside eight times as
// many of everything, one kind at a time. A kind that a call does not name here
// adds no more than a logarithm, one that it names no more than in proportion, and a
// logarithm more to the steps of skylines.
func TestCosts(t *testing.T) {
	must := func(changes []PlanChange, err error) []PlanChange {
		if err != nil {
			panic(err)
		}
		return changes
	}
	asks := func(id string) placement.Request {
		return placement.Request{ID: id, Resources: placement.Resources{CPU: 1}}
	}
	tests := []struct {
		name  string
		call  func(p *Plan, h *crowdHost)
		grows string // kinds in proportion to which the work may grow
	}{
		{"Reserve on the first node", func(p *Plan, h *crowdHost) {
			p.Apply(must(p.Reserve(h, Spec{ID: "x", Shape: placement.Resources{CPU: 1}, Count: 4, Duration: time.Hour}))...)
		}, ""},
		{"Reserve on the last node", func(p *Plan, h *crowdHost) {
			p.Apply(must(p.Reserve(h, Spec{ID: "x", Shape: placement.Resources{Disk: 1}, Count: 4, Duration: time.Hour}))...)
		}, "nodes"},
		{"Admit on the last node", func(p *Plan, h *crowdHost) {
			p.Apply(must(p.Admit(h, placement.Request{ID: "x", Resources: placement.Resources{Disk: 1}, Duration: time.Hour}))...)
		}, "nodes"},
		{"Claim", func(p *Plan, h *crowdHost) {
			p.Apply(must(p.Claim(h, "r", asks("x"), nil))...)
		}, "claims"},
		{"Claim refused", func(p *Plan, h *crowdHost) {
			_, err := p.Claim(h, "r", placement.Request{ID: "x", Resources: placement.Resources{CPU: 1001}}, nil)
			if err == nil {
				panic("accepted")
			}
		}, "slots claims"},
		{"Unclaim", func(p *Plan, _ *crowdHost) { p.Apply(must(p.Unclaim("claim0"))...) }, "claims"},
		{"Remove a transient instance", func(p *Plan, _ *crowdHost) { p.Apply(must(p.Remove("stay0"))...) }, ""},
		{"Release", func(p *Plan, _ *crowdHost) { p.Apply(must(p.Release("r", true))...) }, "slots claims"},
		{"Update", func(p *Plan, h *crowdHost) {
			p.Apply(must(p.Update(h, "r", 0, Params{End: p.Now().Add(2 * time.Hour)}))...)
		}, "slots claims"},
		{"NodeChanged", func(p *Plan, h *crowdHost) { p.Apply(p.NodeChanged(h, crowdNode(0))...) }, "others slots"},
		{"NodeChanged of an empty node", func(p *Plan, h *crowdHost) { p.Apply(p.NodeChanged(h, "new")...) }, ""},
		{"NodeChanged of a lost node", func(p *Plan, h *crowdHost) {
			h.gone = crowdNode(0)
			p.Apply(p.NodeChanged(h, h.gone)...)
		}, "others slots claims nodes"},
		{"Repair", func(p *Plan, h *crowdHost) {
			p.Apply(PlanChange{Kind: Move, ID: "r", Slot: 1})
			h.looks = 0
			p.Apply(must(p.Repair(h, "r", crowdNode(0)))...)
		}, "claims"},
		{"Advance to nothing", func(p *Plan, _ *crowdHost) { p.Advance(p.Now().Add(time.Second)) }, ""},
		{"Advance past all ends", func(p *Plan, _ *crowdHost) { p.Advance(p.Now().Add(1000 * time.Hour)) }, "others slots claims stays yielders windows"},
		{"ResolveConflicts where nobody is in the way", func(p *Plan, h *crowdHost) {
			p.Advance(p.Now().Add(5 * time.Second))
			p.Apply(p.ResolveConflicts(h)...)
		}, ""},
		{"ResolveConflicts where all that yields is in the way", func(p *Plan, h *crowdHost) {
			p.Advance(p.Now().Add(10 * time.Second))
			p.Apply(p.ResolveConflicts(h)...)
		}, "yielders nodes"},
		{"Peak", func(p *Plan, _ *crowdHost) { p.Peak(crowdNode(0), Window{Start: p.Now()}) }, ""},
		{"Owes", func(p *Plan, _ *crowdHost) { p.Owes("r") }, ""},
		{"Counts", func(p *Plan, _ *crowdHost) { p.Counts("claim0") }, ""},
	}
	few := crowd{16, 16, 16, 16, 16, 16, 16}
	kinds := map[string]crowd{}
	for kind, count := range map[string]func(*crowd) *int{
		"nodes":    func(c *crowd) *int { return &c.nodes },
		"others":   func(c *crowd) *int { return &c.others },
		"slots":    func(c *crowd) *int { return &c.slots },
		"claims":   func(c *crowd) *int { return &c.claims },
		"stays":    func(c *crowd) *int { return &c.stays },
		"yielders": func(c *crowd) *int { return &c.yielders },
		"windows":  func(c *crowd) *int { return &c.windows },
	} {
		many := few
		*count(&many) = 128
		kinds[kind] = many
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			base, baseSteps := few.work(test.call)
			// How often a map grows depends on its seed.
			slack := 12 + base/8
			for kind, many := range kinds {
				times := 1
				if slices.Contains(strings.Fields(test.grows), kind) {
					times = 8
				}
				all, steps := many.work(test.call)
				require.LessOrEqual(t, all, times*base+slack, "eight times as many %s", kind)
				require.LessOrEqual(t, steps, 2*times*baseSteps+slack, "steps, with eight times as many %s", kind)
			}
		})
	}
}
