package index

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"sort"
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// model is the oracle: the nodes and what runs there as a list, and every rule
// read from the placement values, one node at a time, the slow way. It shares
// no code with the index but the hash of the draws.
type model struct {
	cfg       Config
	nodes     []*modelNode // in join order
	reference map[placement.ResourceName]int64
	mix       []Kind
}

type modelNode struct {
	spec      placement.Node
	join      uint64
	slot      Slot
	state     State
	held      Held
	instances []*modelInstance
}

type modelInstance struct {
	request placement.Request
	devices []uint16
	counts  bool // joined
}

func newModel(cfg Config) *model {
	m := &model{cfg: cfg, reference: map[placement.ResourceName]int64{}}
	m.refer(cfg.Reference)
	return m
}

// refer raises the references to powers of two that are at least r.
func (m *model) refer(r placement.Resources) {
	for name, amount := range r.All() {
		for amount > 0 && m.reference[name] < amount && m.reference[name] < 1<<62 {
			m.reference[name] = max(1, m.reference[name]*2)
		}
	}
}

func (m *model) at(slot Slot) *modelNode {
	i := slices.IndexFunc(m.nodes, func(n *modelNode) bool { return n.slot == slot })
	return m.nodes[i]
}

func (n *modelNode) deviceLeft(held *Held) []int64 {
	left := make([]int64, n.spec.Devices.Count)
	for i := range left {
		left[i] = 1000
		if held != nil && i < len(held.Devices) {
			left[i] -= held.Devices[i]
		}
	}
	for _, instance := range n.instances {
		for _, device := range instance.devices {
			if int(device) < len(left) {
				left[device] -= min(1000, instance.request.Resources.GPU)
			}
		}
	}
	return left
}

// free returns allocatable − used − held of one dimension.
func (n *modelNode) free(name placement.ResourceName, held *Held) int64 {
	allocatable := n.spec.Allocatable()
	free := allocatable.Amount(name)
	for _, instance := range n.instances {
		free -= instance.request.Resources.Amount(name)
	}
	if held != nil {
		free -= held.Resources.Amount(name)
	}
	return free
}

// lacks returns by how much an amount fails on the node beside holds.
func (n *modelNode) lacks(name placement.ResourceName, amount int64, held *Held) int64 {
	if name != placement.NameGPU {
		return amount - n.free(name, held)
	}
	var most, untouched int64
	for _, left := range n.deviceLeft(held) {
		most = max(most, left)
		if left == 1000 {
			untouched++
		}
	}
	if amount < 1000 {
		return amount - most
	}
	return amount - untouched*1000
}

// domainOf returns the domain of a node.
func (n *modelNode) domainOf(key string) (string, bool) {
	if key == "" {
		return n.spec.ID, true
	}
	if key == placement.LabelGPUModel {
		return n.spec.Devices.Model, n.spec.Devices.Model != ""
	}
	value, ok := n.spec.Labels[key]
	return value, ok
}

// domains counts the instances that a rule looks at, by domain; all counts
// those on nodes without one too.
func (m *model) domains(key string, looksAt func(*placement.Request) bool) (counts map[string]int64, all int64) {
	counts = map[string]int64{}
	for _, n := range m.nodes {
		for _, instance := range n.instances {
			if !instance.counts || !looksAt(&instance.request) {
				continue
			}
			all++
			if domain, ok := n.domainOf(key); ok {
				counts[domain]++
			}
		}
	}
	return counts, all
}

// scopeOf returns the namespaces of a term as the request means them.
func selects(term placement.AffinityTerm, owner, other *placement.Request) bool {
	in := len(term.Namespaces) == 0 && owner.Namespace == other.Namespace
	for _, namespace := range term.Namespaces {
		in = in || namespace == "*" || namespace == other.Namespace
	}
	return in && (term.Selector.IsZero() || term.Selector.Match(other.Labels))
}

func spreadOver(rule placement.SpreadRule, owner, other *placement.Request) bool {
	if owner.Namespace != other.Namespace {
		return false
	}
	if rule.Selector.IsZero() {
		return owner.Group == other.Group
	}
	return rule.Selector.Match(other.Labels)
}

func (n *modelNode) tolerable(r *placement.Request, taint placement.Taint) bool {
	for _, t := range r.Preferences.Tolerations {
		if t.Tolerates(taint) {
			return true
		}
	}
	return false
}

func (n *modelNode) meets(c placement.Constraint) bool {
	labels := map[string]string{}
	for key, value := range n.spec.Labels {
		labels[key] = value
	}
	if n.spec.Devices.Model != "" {
		labels["gpu.model"] = n.spec.Devices.Model
	}
	return c.Match(labels)
}

// eligible: domains of such nodes exist for spread rules.
func (n *modelNode) eligible(r *placement.Request) bool {
	return len(n.describedFailures(r)) == 0
}

func (n *modelNode) describedFailures(r *placement.Request) []Failure {
	var failures []Failure
	fail := func(reason placement.Reason) { failures = append(failures, Failure{Reason: reason}) }
	if n.state != Ready {
		fail(placement.Reason{Kind: placement.ReasonState, Detail: n.state.String()})
	}
	for _, taint := range n.spec.Taints {
		if taint.Effect != placement.PreferNoSchedule && !n.tolerable(r, taint) {
			fail(placement.Reason{Kind: placement.ReasonTaint, Detail: taint.String()})
		}
	}
	for i, c := range r.Preferences.Required {
		if !n.meets(c) {
			fail(placement.Reason{Kind: placement.ReasonConstraint, Index: i, Detail: c.String()})
		}
	}
	return failures
}

// spreading is what a spread rule sees of the cluster.
type spreading struct {
	counts      map[string]int64
	total, self int64
	least       int64
	domains     int
}

func (m *model) spreading(rule placement.SpreadRule, r *placement.Request) spreading {
	var s spreading
	s.counts, _ = m.domains(rule.Topology, func(other *placement.Request) bool { return spreadOver(rule, r, other) })
	for _, count := range s.counts {
		s.total += count
	}
	if spreadOver(rule, r, r) {
		s.self = 1
	}
	exists := map[string]bool{}
	for _, n := range m.nodes {
		if domain, ok := n.domainOf(rule.Topology); ok && n.eligible(r) {
			exists[domain] = true
		}
	}
	s.domains = len(exists)
	first := true
	for domain := range exists {
		if first || s.counts[domain] < s.least {
			s.least, first = s.counts[domain], false
		}
	}
	return s
}

// failures returns all rules that the node fails, in filter order.
func (m *model) failures(r *placement.Request, n *modelNode, held *Held) []Failure {
	if held == nil {
		held = &n.held
	}
	failures := n.describedFailures(r)
	fail := func(reason placement.Reason, shortfall int64) {
		failures = append(failures, Failure{reason, shortfall})
	}
	if limit := n.spec.MaxInstances; limit > 0 && int64(len(n.instances)) >= limit {
		fail(placement.Reason{Kind: placement.ReasonInstances}, int64(len(n.instances))+1-limit)
	}
	for _, port := range r.Ports {
		if slices.ContainsFunc(n.instances, func(i *modelInstance) bool { return slices.Contains(i.request.Ports, port) }) {
			fail(placement.Reason{Kind: placement.ReasonPort, Detail: strconv.Itoa(int(port))}, 0)
		}
	}
	for name, amount := range r.Resources.All() {
		if amount == 0 {
			continue
		}
		if missing := n.lacks(name, amount, nil); missing > 0 {
			fail(placement.Reason{Kind: placement.ReasonResource, Name: name}, missing)
		} else if missing := n.lacks(name, amount, held); missing > 0 {
			fail(placement.Reason{Kind: placement.ReasonHold, Name: name}, missing)
		}
	}
	failures = append(failures, m.ruleFailures(r, n)...)
	sort.SliceStable(failures, func(i, j int) bool {
		return placement.CompareReasons(failures[i].Reason, failures[j].Reason) < 0
	})
	return slices.Compact(failures)
}

func (m *model) ruleFailures(r *placement.Request, n *modelNode) []Failure {
	var failures []Failure
	fail := func(kind placement.ReasonKind, i int, topology string) {
		failures = append(failures, Failure{Reason: placement.Reason{Kind: kind, Index: i, Detail: topology}})
	}
	for i, term := range r.Preferences.Affinity {
		if term.Weight != 0 {
			continue
		}
		counts, all := m.domains(term.Topology, func(other *placement.Request) bool { return selects(term, r, other) })
		domain, ok := n.domainOf(term.Topology)
		first := all == 0 && selects(term, r, r)
		switch {
		case term.Repel && ok && counts[domain] > 0:
			fail(placement.ReasonRepulsion, i, term.Topology)
		case !term.Repel && (!ok || counts[domain] == 0 && !first):
			fail(placement.ReasonAffinity, i, term.Topology)
		}
	}
	for _, other := range m.nodes {
		for _, instance := range other.instances {
			for _, term := range instance.request.Preferences.Affinity {
				here, ok := n.domainOf(term.Topology)
				there, known := other.domainOf(term.Topology)
				if instance.counts && term.Repel && term.Weight == 0 && ok && known && here == there &&
					selects(term, &instance.request, r) {
					fail(placement.ReasonRepulsion, -1, term.Topology)
				}
			}
		}
	}
	for i, rule := range r.Preferences.Spread {
		if rule.Weight != 0 {
			continue
		}
		s := m.spreading(rule, r)
		domain, ok := n.domainOf(rule.Topology)
		if rule.MinDomains > s.domains {
			s.least = 0
		}
		after := s.counts[domain] + s.self
		if !ok || rule.MaxSkew > 0 && after-s.least > int64(rule.MaxSkew) ||
			rule.MaxPerDomain > 0 && after > int64(rule.MaxPerDomain) {
			fail(placement.ReasonSpread, i, rule.Topology)
		}
	}
	return failures
}

// share is the free share of a dimension, by division.
func (m *model) share(name placement.ResourceName, free int64) int64 {
	reference := m.reference[name]
	if reference == 0 || free <= 0 {
		return 0
	}
	product := new(big.Int).Mul(big.NewInt(free), big.NewInt(1<<20))
	return min(product.Div(product, big.NewInt(reference)).Int64(), 1<<20)
}

func (m *model) weight(name placement.ResourceName) int64 {
	if w, ok := m.cfg.Weights[name]; ok {
		return w
	}
	if name == placement.NameGPU {
		return 8
	}
	return 1
}

// terms returns the score of a node, whether it fits or not.
func (m *model) terms(r *placement.Request, n *modelNode, held *Held) (placement.Terms, []Part) {
	if held == nil {
		held = &n.held
	}
	var t placement.Terms
	for name, reference := range m.reference {
		if reference == 0 {
			continue
		}
		t.Bound += m.weight(name) << 20
		share := m.share(name, n.free(name, held))
		cheap := slices.Contains([]placement.ResourceName{"cpu", "memory", "disk", "network"}, name)
		if r.Preferences.Strategy != placement.Spread || !cheap && r.Resources.Amount(name) == 0 {
			share = 1<<20 - share
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
	if anywhere := slices.ContainsFunc(m.nodes, func(n *modelNode) bool { return n.dreaded(r) }); anywhere {
		parts = append(parts, Part{PartTaint, 0, -100, value(n.dreaded(r))})
	}
	for _, repel := range []bool{false, true} {
		for i, term := range r.Preferences.Affinity {
			if term.Weight == 0 || term.Repel != repel {
				continue
			}
			counts, _ := m.domains(term.Topology, func(other *placement.Request) bool { return selects(term, r, other) })
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

func (n *modelNode) dreaded(r *placement.Request) bool {
	return slices.ContainsFunc(n.spec.Taints, func(taint placement.Taint) bool {
		return taint.Effect == placement.PreferNoSchedule && !n.tolerable(r, taint)
	})
}

func (m *model) group(r *placement.Request, n *modelNode) int64 {
	count := int64(0)
	for _, instance := range n.instances {
		if instance.counts && instance.request.Namespace == r.Namespace && instance.request.Group == r.Group {
			count++
		}
	}
	return count
}

// ranked returns the nodes that fit, best first, and the reject counts.
func (m *model) ranked(r *placement.Request) ([]*modelNode, []Tally) {
	type entry struct {
		node *modelNode
		rank []int64
	}
	var fit []entry
	var tallies []Tally
	for _, n := range m.nodes {
		if failures := m.failures(r, n, nil); len(failures) > 0 {
			i := slices.IndexFunc(tallies, func(t Tally) bool { return t.Reason == failures[0].Reason })
			if i < 0 {
				i = len(tallies)
				tallies = append(tallies, Tally{Reason: failures[0].Reason})
			}
			tallies[i].Nodes++
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
		}
		fit = append(fit, entry{n, rank})
	}
	slices.SortStableFunc(fit, func(a, b entry) int { return slices.Compare(b.rank, a.rank) })
	slices.SortFunc(tallies, func(a, b Tally) int { return placement.CompareReasons(a.Reason, b.Reason) })
	var nodes []*modelNode
	for _, e := range fit {
		if r.Preferences.Strategy == placement.Random && cmp.Compare(e.rank[0], fit[0].rank[0]) != 0 {
			break
		}
		nodes = append(nodes, e.node)
	}
	return nodes, tallies
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
		unit += 100 * kind.Count
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
