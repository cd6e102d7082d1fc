package index

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRandomHistories(t *testing.T) {
	rapid.Check(t, runHistory)
}

func FuzzRandomHistories(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(runHistory))
}

// runHistory draws a history of changes and questions, and compares every
// answer of the index with the oracle's.
func runHistory(t *rapid.T) {
	limits := defaultThresholds()
	if rapid.Bool().Draw(t, "tiny") {
		limits = tinyThresholds()
		limits.walkNodes = rapid.SampledFrom([]int{2, 1000}).Draw(t, "walk")
		limits.slice = rapid.SampledFrom([]int{3, 1000}).Draw(t, "slice")
		limits.scanSlice = rapid.SampledFrom([]int{5, 1000}).Draw(t, "scanSlice")
	}
	h := history{world: newWorld(drawConfig(drawDice(t)), limits), clones: new([]world)}
	for range rapid.IntRange(0, 12).Draw(t, "nodes") {
		h.addNode(t)
	}
	t.Repeat(map[string]func(*rapid.T){
		"add":    h.addNode,
		"update": func(t *rapid.T) { h.update(h.node(t), drawNode(drawDice(t), "")) },
		"load": func(t *rapid.T) {
			n := h.node(t)
			labels := map[string]string{}
			maps.Copy(labels, n.spec.Labels)
			labels["load"] = drawLoad(drawDice(t))
			spec := n.spec
			spec.Labels = labels
			h.update(n, spec)
		},
		"state": func(t *rapid.T) {
			n := h.node(t)
			n.state = rapid.SampledFrom([]NodeState{Ready, Cordoned, Lost, Unreported}).Draw(t, "state")
			h.x.SetState(n.row, n.state)
		},
		"remove":     h.removeNode,
		"place":      func(t *rapid.T) { h.place(t, h.drawRequest(drawDice(t))) },
		"overcommit": h.overcommit,
		"vacate": func(t *rapid.T) {
			n, i := h.instance(t)
			h.vacate(n, i)
		},
		"lose": func(t *rapid.T) {
			n, i := h.instance(t)
			h.setCounts(n, i, rapid.Bool().Draw(t, "counts"), rapid.Bool().Draw(t, "leaves"))
		},
		"leave out": h.leaveOut,
		"close":     h.thinkClosed,
		"hold":      func(t *rapid.T) { h.setHeld(h.node(t), drawHeld(drawDice(t))) },
		"drop":      func(*rapid.T) { h.x.DropUnused() },
		"mix": func(t *rapid.T) {
			h.m.mix = drawMix(drawDice(t))
			h.x.SetWorkload(h.m.mix)
		},
		"ask":     h.ask,
		"clone":   h.cloneOrSwitch,
		"rebuild": func(t *rapid.T) { h.checkRebuilt(t, h.drawRequest(drawDice(t))) },
		"":        func(t *rapid.T) { h.checkBooks(t) },
	})
	h.ask(t)
	h.checkRebuilt(t, h.drawRequest(drawDice(t)))
	for _, clone := range *h.clones {
		*h.world = clone
		h.checkBooks(t)
		h.ask(t)
	}
}

// history is a world with actions that draw what they act on, and the worlds that it was
// cloned from.
type history struct {
	*world
	clones *[]world
}

// cloneOrSwitch goes on with a clone of the index, or with what was cloned before.
func (h history) cloneOrSwitch(t *rapid.T) {
	if all := *h.clones; len(all) > 0 && rapid.Bool().Draw(t, "switch") || len(all) == 3 {
		i := rapid.IntRange(0, len(all)-1).Draw(t, "to")
		*h.world, all[i] = all[i], *h.world
		return
	}
	clone := *h.world
	clone.x, clone.m = h.x.Clone(), h.m.clone()
	*h.clones = append(*h.clones, *h.world)
	*h.world = clone
}

// clone returns a model that nothing of this one's fate happens to.
func (m *model) clone() *model {
	c := *m
	c.dimensions, c.nodes = maps.Clone(m.dimensions), slices.Clone(m.nodes)
	for i, n := range c.nodes {
		copied := *n
		copied.instances = slices.Clone(n.instances)
		for j, instance := range n.instances {
			same := *instance
			copied.instances[j] = &same
		}
		c.nodes[i] = &copied
	}
	return &c
}

func drawDice(t *rapid.T) dice { return newDice(rapid.Uint64().Draw(t, "dice")) }

func (h history) addNode(t *rapid.T) {
	if len(h.m.nodes) < 20 {
		h.add(drawNode(drawDice(t), id("n", h.joins)))
	}
}

func (h history) removeNode(t *rapid.T) {
	n := h.node(t)
	for len(n.instances) > 0 {
		h.vacate(n, 0)
	}
	h.remove(n)
}

func (h history) overcommit(t *rapid.T) { h.overcommitOn(t, h.node(t)) }

func (h history) overcommitOn(t *rapid.T, n *modelNode) {
	r := h.drawRequest(drawDice(t))
	var taken Taken
	for range (r.Resources.GPU + 999) / 1000 {
		taken.Devices = append(taken.Devices, uint16(len(taken.Devices)))
	}
	for range r.DynamicPorts {
		taken.Ports = append(taken.Ports, uint16(79+len(taken.Ports)))
	}
	h.occupy(n, r, taken)
}

func (h history) ask(t *rapid.T) {
	d := drawDice(t)
	h.check(t, h.drawRequest(d), drawHeld(d))
	var on []*modelNode
	for range rapid.IntRange(0, 3).Draw(t, "joined") {
		on = append(on, h.node(t))
	}
	r := h.drawRequest(d)
	h.checkJoined(t, &r, on)
}

// node draws a node, and instance an instance; they make one where there is
// none. An action that skipped could be the only one that a fuzzed history
// chooses, which is no finding.
func (h history) node(t *rapid.T) *modelNode {
	if len(h.m.nodes) == 0 {
		h.addNode(t)
	}
	return rapid.SampledFrom(h.m.nodes).Draw(t, "node")
}

func (h history) instance(t *rapid.T) (*modelNode, int) {
	n := h.node(t)
	if len(n.instances) == 0 {
		h.overcommitOn(t, n)
	}
	return n, rapid.IntRange(0, len(n.instances)-1).Draw(t, "instance")
}
