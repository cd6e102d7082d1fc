package index

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
)

// dice draw the contents of nodes and requests. rapid draws the seed of each,
// not every field: histories are then long enough to be of use.
//
// The generators draw from few names, so that rules meet what they look for.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0))} }

// from returns a number from low to high.
func (d dice) from(low, high int64) int64 { return low + d.Int64N(high-low+1) }

// few returns mostly none, at most two.
func (d dice) few() int { return max(0, int(d.from(-2, 2))) }

// one in n.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d dice, values ...T) T { return values[d.IntN(len(values))] }

func drawConfig(d dice) Config {
	cfg := Config{Seed: d.Uint64()}
	if d.one(2) {
		cfg.Weights = map[placement.ResourceName]int64{"cpu": 2, "tape": 5, "gpu": 64}
	}
	return cfg
}

// drawResources draws amounts up to about size, without GPUs.
func drawResources(d dice, size int64) placement.Resources {
	amount := func() int64 { return d.from(0, size) }
	if d.one(2) {
		// Few amounts, so that nodes of different shapes have equal keys.
		amount = func() int64 { return size >> d.IntN(4) }
	}
	r := placement.Resources{CPU: amount(), Memory: amount()}
	if d.one(2) {
		r.Disk, r.Network = amount(), amount()
		r.Custom = map[string]int64{}
		for _, name := range []string{"tape", "licence"} {
			if d.one(2) {
				r.Custom[name] = amount()
			}
		}
	}
	return r
}

func drawNode(d dice, id string) placement.Node {
	n := placement.Node{ID: id, Capacity: drawResources(d, 60), Labels: map[string]string{}}
	for _, key := range []string{"zone", "rack", "n"} {
		if v := int(d.from(-1, 3)); v >= 0 {
			n.Labels[key] = strconv.Itoa(v)
		}
	}
	if d.one(3) {
		n.Labels["n"] = pick(d, "1.2.0-rc", "1.2.0.1-x", "none", "", "2x")
	}
	if d.one(2) {
		n.Labels["load"] = drawLoad(d)
	}
	if d.one(2) {
		n.Devices.Count = int(d.from(1, 3))
		n.Devices.Model = pick(d, "", "A", "B")
		for i := range n.Devices.Count {
			if d.one(6) {
				n.Devices.Broken = append(n.Devices.Broken, i)
			}
		}
	}
	n.ReservedPorts = drawPorts(d, 6)
	if d.one(2) {
		n.DynamicPorts = placement.PortRange{First: uint16(d.from(78, 80)), Last: uint16(d.from(80, 84))}
	}
	if int(d.from(0, 3)) == 0 {
		n.Reserved.CPU = n.Capacity.CPU / 3
		n.Overcommit = map[placement.ResourceName]placement.Ratio{"cpu": {Numerator: 3, Denominator: 2}}
	}
	n.MaxInstances = max(0, d.from(-4, 4))
	for _, key := range []string{"a", "b"} {
		if int(d.from(0, 3)) == 0 {
			n.Taints = append(n.Taints, drawTaint(d, key))
		}
	}
	return n
}

// drawLoad draws the value of a scaled label, now and then one that is no number of
// the scale.
func drawLoad(d dice) string {
	if d.one(3) {
		return pick(d, "-1", "1001", "9223372036854775808", "0.5", "", "x", "+7", "007")
	}
	return strconv.FormatInt(pick(d, 0, 1, 500, 999, 1000, d.from(0, 1000)), 10)
}

// drawPorts draws each of a few ports one time in so many.
func drawPorts(d dice, n int) []placement.Port {
	var ports []placement.Port
	for _, port := range []placement.Port{
		{Number: 80}, {Number: 80, Protocol: placement.UDP}, {Number: 81, Protocol: placement.UDP}, {Number: 443},
	} {
		if d.one(n) {
			ports = append(ports, port)
		}
	}
	return ports
}

func drawTaint(d dice, key string) placement.Taint {
	return placement.Taint{
		Key: key, Value: pick(d, "", "1", "2"),
		Effect: pick(d, placement.NoSchedule, placement.PreferNoSchedule, placement.NoExecute),
	}
}

func drawHeld(d dice) Hold {
	if int(d.from(0, 2)) == 0 {
		return Hold{}
	}
	held := Hold{Resources: drawResources(d, 30)}
	for range int(d.from(0, 3)) {
		held.Devices = append(held.Devices, pick[int64](d, 0, 400, 1000))
	}
	for _, device := range held.Devices {
		held.Resources.GPU += device
	}
	held.Instances = max(0, d.from(-4, 3))
	return held
}

// drawLeaf draws a constraint on one label of few values.
func drawLeaf(d dice, key string) placement.Constraint {
	value := strconv.Itoa(int(d.from(0, 3)))
	switch int(d.from(0, 9)) {
	case 0:
		return placement.NotEqual(key, value)
	case 1:
		return placement.In(key, value, "1")
	case 2:
		return placement.NotIn(key, value, "1")
	case 3:
		return placement.Exists(key)
	case 4:
		return placement.NotExists(key)
	case 5:
		return placement.Greater(key, 1)
	case 6:
		return placement.Less(key, 2)
	case 7:
		return pick(d, placement.Version, placement.SemVer)(key, pick(d, ">= 1, < 3", "> 1.2"))
	case 8:
		return placement.Matches(key, "[12]")
	default:
		return placement.Equal(key, value)
	}
}

func drawConstraint(d dice, keys ...string) placement.Constraint {
	leaf := func() placement.Constraint { return drawLeaf(d, pick(d, keys...)) }
	switch int(d.from(0, 7)) {
	case 0:
		return placement.And(leaf(), leaf())
	case 1:
		return placement.Or(leaf(), leaf())
	case 2:
		return placement.Not(leaf())
	case 3:
		return placement.And(placement.Not(leaf()), placement.Or(leaf(), placement.And(leaf())))
	default:
		return leaf()
	}
}

func drawTerm(d dice) placement.AffinityTerm {
	term := placement.AffinityTerm{
		Topology: pick(d, "", "zone", "rack", placement.LabelGPUModel),
		Repel:    d.one(2),
		Weight:   max(0, int(d.from(-100, 100))),
	}
	if int(d.from(0, 4)) > 0 {
		term.Selector = drawConstraint(d, "app", "tier")
	}
	switch int(d.from(0, 4)) {
	case 0:
		term.Namespaces = []string{placement.AllNamespaces}
	case 1:
		term.Namespaces = []string{"y", "x"}
	}
	return term
}

func drawSpread(d dice) placement.SpreadRule {
	rule := placement.SpreadRule{Topology: pick(d, "", "zone", "rack")}
	if int(d.from(0, 3)) == 0 {
		rule.Selector = drawConstraint(d, "app", "tier")
	}
	switch int(d.from(0, 3)) {
	case 0:
		rule.MaxSkew = int(d.from(1, 2))
		rule.MinDomains = max(0, int(d.from(-5, 5)))
	case 1:
		rule.MaxSkew = 1
		rule.Weight = int(d.from(1, 100))
	case 2:
		rule.MaxPerDomain = int(d.from(1, 3))
	default:
		rule.Targets = map[string]int{"1": 60, "2": 10, "n2": 5, "n3": 25}
		rule.Weight = int(d.from(1, 100))
	}
	return rule
}

func drawToleration(d dice) placement.Toleration {
	switch int(d.from(0, 3)) {
	case 0:
		return placement.TolerateExists("")
	case 1:
		return placement.TolerateEqual("a", "1")
	case 2:
		return placement.TolerateExists("b")
	default:
		return placement.TolerateExists("a").OnlyFor(placement.NoExecute)
	}
}

// drawRules draws preferences, most of them with few rules.
func drawRules(d dice) placement.Preferences {
	p := placement.Use(placement.Strategy(int(d.from(0, 4))))
	for range d.few() {
		p = p.Require(drawConstraint(d, "zone", "rack", "n", placement.LabelGPUModel))
	}
	for range d.few() {
		weight := int(d.from(1, 100))
		if d.one(2) {
			weight = -weight
		}
		p = p.Prefer(drawConstraint(d, "zone", "rack", "n"), weight)
	}
	for range d.few() {
		p = p.PreferScaled(pick(d, "load", "load", "n", placement.LabelGPUModel), pick(d, -100, -1, 1, 30, 100))
	}
	for range d.few() {
		p = p.Tolerate(drawToleration(d))
	}
	for range d.few() {
		p = p.Near(drawTerm(d))
	}
	for range d.few() {
		p = p.Across(drawSpread(d))
	}
	return p
}

// drawRequest draws a request, one in three with the rules of an earlier one, so
// that what is compiled of them is asked again after the world has changed.
func (w *world) drawRequest(d dice) placement.Request {
	const most = 6
	if len(w.known) == most && d.one(3) {
		w.queries++
		r := w.known[d.IntN(most)]
		r.ID, r.Resources = strconv.Itoa(w.queries), drawResources(d, 30)
		return r
	}
	r := w.drawNewRequest(d)
	if len(w.known) < most {
		w.known = append(w.known, r)
	} else if d.one(4) {
		w.known[d.IntN(most)] = r
	}
	return r
}

func (w *world) drawNewRequest(d dice) placement.Request {
	w.queries++
	r := placement.Request{
		ID:        strconv.Itoa(w.queries),
		Namespace: pick(d, "", "x", "y"),
		Group:     pick(d, "", "g", "h"),
		Resources: drawResources(d, 30),
		Labels:    map[string]string{},
		Duration:  time.Duration(int(d.from(0, 1))) * time.Hour,
	}
	for _, key := range []string{"app", "tier"} {
		if v := int(d.from(-1, 3)); v >= 0 {
			r.Labels[key] = strconv.Itoa(v)
		}
	}
	r.Resources.GPU = pick[int64](d, 0, 0, 0, 0, 1, 300, 500, 999, 1000, 2000)
	if int(d.from(0, 4)) == 0 {
		r.Resources = r.Resources.With("unheard", 1)
	}
	r.Ports = drawPorts(d, 5)
	r.DynamicPorts = max(0, int(d.from(-4, 3)))
	if int(d.from(0, 3)) > 0 {
		r.Preferences = drawRules(d)
	}
	for i := range r.Preferences.Spread {
		if rule := &r.Preferences.Spread[i]; r.Group == "" && rule.Selector.IsZero() {
			rule.Selector = drawConstraint(d, "app", "tier")
		}
	}
	return r
}

func drawMix(d dice) []WorkloadClass {
	var mix []WorkloadClass
	for range d.from(0, 4) {
		kind := WorkloadClass{Resources: drawResources(d, 20), Count: d.from(1, 9)}
		kind.Resources.GPU = pick[int64](d, 0, 1, 300, 500, 1000, 2000)
		if d.one(3) {
			kind.Models = []string{"A", "C"}
		}
		mix = append(mix, kind)
	}
	return mix
}
