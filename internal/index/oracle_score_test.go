package index

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// share is the free share of a dimension, or of each GPU together.
func (n *modelNode) share(name placement.ResourceName, free int64) int64 {
	allocatable := n.spec.Allocatable()
	total := allocatable.Amount(name)
	if name == placement.NameGPU {
		total = 1000
	}
	if total == 0 || free <= 0 {
		return 0
	}
	product := new(big.Int).Mul(big.NewInt(free), big.NewInt(1<<20))
	return product.Div(product, big.NewInt(total)).Int64()
}

// most returns the greatest share there may be of each dimension, of the nodes
// that are present.
func (m *model) most() map[placement.ResourceName]int64 {
	if m.memo != nil {
		return m.memo.most
	}
	most := map[placement.ResourceName]int64{}
	for _, n := range m.nodes {
		for name, amount := range n.spec.Allocatable().All() {
			most[name] = max(most[name], n.share(name, amount))
		}
	}
	return most
}

// key returns K of a node.
func (m *model) key(n *modelNode) int64 {
	sum := int64(0)
	for name := range m.dimensions {
		sum += m.weight(name) * n.share(name, n.free(name, &n.held))
	}
	return sum
}

func (m *model) weight(name placement.ResourceName) int64 {
	if w, ok := m.cfg.Weights[name]; ok {
		return w
	}
	if name == placement.NameGPU {
		return 2
	}
	return 1
}

// terms returns the score of a node, whether it fits or not.
func (m *model) terms(r *placement.Request, n *modelNode, held *Hold) (placement.Terms, []Part) {
	if held == nil {
		held = &n.held
	}
	var t placement.Terms
	for name, most := range m.most() {
		t.Bound += m.weight(name) * most
		share := n.share(name, n.free(name, held))
		cheap := slices.Contains([]placement.ResourceName{"cpu", "memory", "disk", "network"}, name)
		if r.Preferences.Strategy != placement.Spread || !cheap && r.Resources.Amount(name) == 0 {
			share = most - share
		}
		t.Strategy += m.weight(name) * share
	}
	parts := m.parts(r, n)
	for _, part := range parts {
		t.Soft += part.Weight * part.Value
		t.SoftLow += min(part.Weight, 0) << 20
		t.SoftHigh += max(part.Weight, 0) << 20
	}
	return t, parts
}

func (m *model) parts(r *placement.Request, n *modelNode) []Part {
	var parts []Part
	value := func(holds bool) int64 {
		if holds {
			return 1 << 20
		}
		return 0
	}
	for i, preference := range r.Preferences.Preferred {
		parts = append(parts, Part{PartPreferred, i, int64(preference.Weight), value(n.meets(preference.Constraint))})
	}
	for i, label := range r.Preferences.Scaled {
		parts = append(parts, Part{PartScaled, i, int64(label.Weight), n.scaled(label.Label)})
	}
	if m.avoided(r) {
		parts = append(parts, Part{PartTaint, 0, -100, value(n.unpreferred(r))})
	}
	for _, repel := range []bool{false, true} {
		for i, term := range r.Preferences.Affinity {
			if term.Weight == 0 || term.Repel != repel {
				continue
			}
			counts, _ := m.domains(term.Topology, false, func(other *placement.Request) bool { return selects(term, r, other) })
			domain, ok := n.domainOf(term.Topology)
			weight := int64(term.Weight)
			if repel {
				weight = -weight
			}
			parts = append(parts, Part{PartAffinity, i, weight, value(ok && counts[domain] > 0)})
		}
	}
	for i, rule := range r.Preferences.Spread {
		if rule.Weight == 0 {
			continue
		}
		s := m.spreading(rule, r)
		t := int64(0)
		if domain, ok := n.domainOf(rule.Topology); ok && rule.MaxSkew > 0 {
			t = (1 << 20) / (1 + max(0, s.counts[domain]-s.least))
		} else if ok {
			wanted := (int64(rule.Target(domain))*(s.total+s.self) + 99) / 100
			t = (1 << 20) / (1 + max(0, s.counts[domain]+s.self-wanted))
		}
		parts = append(parts, Part{PartSpread, i, int64(rule.Weight), t})
	}
	return parts
}

// scaled is the value of a scaled label.
func (n *modelNode) scaled(key string) int64 {
	text, _ := n.spec.Label(key)
	for number := range 1001 {
		if strings.TrimLeft(strings.TrimPrefix(text, "+"), "0") == strconv.Itoa(number) {
			return int64(number) << 20 / 1000
		}
	}
	return 0
}

func (n *modelNode) unpreferred(r *placement.Request) bool {
	return slices.ContainsFunc(n.spec.Taints, func(taint placement.Taint) bool {
		return taint.Effect == placement.PreferNoSchedule && !n.tolerable(r, taint)
	})
}

// avoided reports whether a node has a taint that the request would rather avoid.
func (m *model) avoided(r *placement.Request) bool {
	if m.memo != nil {
		return m.memo.avoided
	}
	return slices.ContainsFunc(m.nodes, func(n *modelNode) bool { return n.unpreferred(r) })
}

func (m *model) group(r *placement.Request, n *modelNode) int64 {
	count := int64(0)
	if r.Group == "" {
		return 0
	}
	for _, instance := range n.instances {
		if instance.counts && !instance.leaves && instance.request.Namespace == r.Namespace && instance.request.Group == r.Group {
			count++
		}
	}
	return count
}

// ranked returns the nodes that fit, best first, and the reject counts.
func (m *model) ranked(r *placement.Request) ([]*modelNode, []ReasonCount) {
	type entry struct {
		node *modelNode
		rank []int64
	}
	defer m.remember(r)()
	var fit []entry
	var refused []ReasonCount
	for _, n := range m.nodes {
		if failures := m.failures(r, n, nil); len(failures) > 0 {
			i := slices.IndexFunc(refused, func(t ReasonCount) bool { return t.Reason == failures[0].Reason })
			if i < 0 {
				i = len(refused)
				refused = append(refused, ReasonCount{Reason: failures[0].Reason})
			}
			refused[i].Nodes++
			continue
		}
		t, _ := m.terms(r, n, nil)
		score := 100*t.Strategy + t.Bound/(1<<20)*t.Soft
		rank := []int64{score}
		switch r.Preferences.Strategy {
		case placement.Spread:
			rank = []int64{-m.group(r, n), score}
		case placement.Affinity:
			rank = []int64{t.Soft, t.Strategy}
		case placement.Random:
			rank = []int64{t.Soft}
		case placement.LeastFragmentation:
			rank = []int64{t.Soft, -m.gradient(r, n), t.Strategy}
		default:
		}
		fit = append(fit, entry{n, rank})
	}
	slices.SortStableFunc(fit, func(a, b entry) int { return slices.Compare(b.rank, a.rank) })
	slices.SortFunc(refused, func(a, b ReasonCount) int { return placement.CompareReasons(a.Reason, b.Reason) })
	var nodes []*modelNode
	for _, e := range fit {
		if r.Preferences.Strategy == placement.Random && cmp.Compare(e.rank[0], fit[0].rank[0]) != 0 {
			break
		}
		nodes = append(nodes, e.node)
	}
	return nodes, refused
}

// best returns the node that is chosen, nil for none. x only lends the hash.
func (m *model) best(x *Index, q *Query, r *placement.Request) *modelNode {
	fit, _ := m.ranked(r)
	if len(fit) == 0 {
		return nil
	}
	if r.Preferences.Strategy != placement.Random {
		return fit[0]
	}
	for attempt := range uint64(drawAttempts) {
		n := m.nodes[x.random(q, attempt, len(m.nodes))]
		if slices.Contains(fit, n) {
			return n
		}
	}
	slices.SortFunc(fit, func(a, b *modelNode) int { return cmp.Compare(a.join, b.join) })
	return fit[x.random(q, drawAttempts, len(fit))]
}

// gradient is ΔF: the fragments after placing the request minus those before.
func (m *model) gradient(r *placement.Request, n *modelNode) int64 {
	before := n.deviceLeft(&n.held)
	after := slices.Clone(before)
	if gpu := r.Resources.GPU; gpu > 0 && gpu < 1000 {
		best := -1
		for i, left := range after {
			if left >= gpu && (best < 0 || left < after[best]) {
				best = i
			}
		}
		after[best] -= gpu
	} else {
		for i := range after {
			if gpu >= 1000 && after[i] == 1000 {
				after[i] = 0
				gpu -= 1000
			}
		}
	}
	gradient := m.fragments(n, after, r.Resources) - m.fragments(n, before, placement.Resources{})
	unit := int64(0)
	for _, kind := range m.mix {
		unit += 40 * kind.Count
	}
	if unit == 0 {
		return 0
	}
	return int64(math.Ceil(float64(gradient) / float64(unit)))
}

// fragments is F of a node with so much left of each GPU and so much taken of
// the rest.
func (m *model) fragments(n *modelNode, devices []int64, taken placement.Resources) int64 {
	sum := int64(0)
	for _, kind := range m.mix {
		idle, small, whole, fraction := int64(0), int64(0), int64(0), false
		gpu := kind.Resources.GPU
		for _, left := range devices {
			left = max(0, left)
			idle += left
			if left < min(gpu, 1000) {
				small += left
			}
			if left == 1000 {
				whole++
			}
			fraction = fraction || left >= gpu
		}
		runs := gpu > 0 && (gpu < 1000 && fraction || gpu >= 1000 && whole*1000 >= gpu)
		for name, amount := range kind.Resources.All() {
			if name != placement.NameGPU && amount > 0 {
				runs = runs && n.free(name, &n.held)-taken.Amount(name) >= amount
			}
		}
		if len(kind.Models) > 0 {
			runs = runs && slices.Contains(kind.Models, n.spec.Devices.Model)
		}
		if runs {
			idle = small
		}
		sum += kind.Count * idle
	}
	return sum
}
