package index

import (
	"maps"
	"slices"
	"sort"

	"github.com/rads-project/constellation/placement"
)

// model is the oracle: the nodes and what runs there as a list, and every rule
// read from the placement values, one node at a time, the slow way. It shares
// no code with the index but the hash of the draws.
type model struct {
	cfg        Config
	nodes      []*modelNode                    // in join order
	dimensions map[placement.ResourceName]bool // that nodes ever had
	mix        []WorkloadClass
	memo       *memo // while a question is asked of every node
}

type modelNode struct {
	spec      placement.Node
	join      uint64
	row       Row
	state     NodeState
	held      Hold
	instances []*modelInstance
}

type modelInstance struct {
	request placement.Request
	Taken
	counts bool // joined
	leaves bool // and as one that is being stopped
}

func newModel(cfg Config) *model {
	return &model{cfg: cfg, dimensions: map[placement.ResourceName]bool{}}
}

// saw notes the dimensions of a node.
func (m *model) saw(r placement.Resources) {
	for name, amount := range r.All() {
		if amount > 0 {
			m.dimensions[name] = true
		}
	}
}

func (m *model) at(row Row) *modelNode {
	i := slices.IndexFunc(m.nodes, func(n *modelNode) bool { return n.row == row })
	return m.nodes[i]
}

func (n *modelNode) deviceLeft(held *Hold) []int64 {
	left := make([]int64, n.spec.Devices.Count)
	for i := range left {
		left[i] = 1000 - n.deviceUsed(i)
		if held != nil && i < len(held.Devices) {
			left[i] -= held.Devices[i]
		}
		if slices.Contains(n.spec.Devices.Broken, i) {
			left[i] = min(left[i], 0)
		}
	}
	return left
}

func (n *modelNode) deviceUsed(i int) int64 {
	used := int64(0)
	for _, instance := range n.instances {
		if slices.Contains(instance.Devices, uint16(i)) {
			used += min(1000, instance.request.Resources.GPU)
		}
	}
	return used
}

// devicesOver returns what is used of each GPU beyond what there is, in sum.
func (n *modelNode) devicesOver() int64 {
	used := make(map[uint16]int64)
	for _, instance := range n.instances {
		for _, device := range instance.Devices {
			used[device] += min(1000, instance.request.Resources.GPU)
		}
	}
	over := int64(0)
	for device, amount := range used {
		if int(device) < n.spec.Devices.Count {
			amount -= 1000
		}
		over += max(0, amount)
	}
	return over
}

// free returns allocatable − used − held of one dimension, and of GPUs the sum of
// what is left of each.
func (n *modelNode) free(name placement.ResourceName, held *Hold) int64 {
	if name == placement.NameGPU {
		sum := int64(0)
		for _, left := range n.deviceLeft(held) {
			sum += max(0, left)
		}
		return sum
	}
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

// used returns the dimensions of which instances on the node use anything.
func (n *modelNode) used() map[placement.ResourceName]bool {
	used := make(map[placement.ResourceName]bool)
	for _, instance := range n.instances {
		for name, amount := range instance.request.Resources.All() {
			used[name] = used[name] || amount > 0
		}
	}
	return used
}

// lacks returns by how much an amount fails on the node beside holds.
func (n *modelNode) lacks(name placement.ResourceName, amount int64, held *Hold) int64 {
	if name != placement.NameGPU {
		return amount - n.free(name, held)
	}
	if over := n.devicesOver(); over > 0 && amount < 1000 {
		return amount + over
	} else if over > 0 {
		return amount
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
// Those that leave are there for required anti-affinity alone.
func (m *model) domains(key string, repelled bool, looksAt func(*placement.Request) bool) (counts map[string]int64, all int64) {
	counts = map[string]int64{}
	for _, n := range m.nodes {
		for _, instance := range n.instances {
			if !instance.counts || instance.leaves && !repelled || !looksAt(&instance.request) {
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
	maps.Copy(labels, n.spec.Labels)
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
			_, value, _ := n.spec.Unreadable(c)
			fail(placement.Reason{Kind: placement.ReasonConstraint, Index: i, Detail: c.String(), Value: value})
		}
	}
	return failures
}

// spreading is what a spread rule sees of the cluster.
type spreading struct {
	counts      map[string]int64
	total, self int64
	least       int64
	open        bool // some domain has a say in least
	domains     int
}

func (m *model) spreading(rule placement.SpreadRule, r *placement.Request) spreading {
	key := rule.Topology + " " + rule.Selector.String()
	if m.memo != nil {
		if s, ok := m.memo.spreads[key]; ok {
			return s
		}
	}
	var s spreading
	s.counts, _ = m.domains(rule.Topology, false, func(other *placement.Request) bool { return spreadOver(rule, r, other) })
	for _, count := range s.counts {
		s.total += count
	}
	if spreadOver(rule, r, r) {
		s.self = 1
	}
	exists, counts := map[string]bool{}, map[string]bool{}
	for _, n := range m.nodes {
		domain, ok := n.domainOf(rule.Topology)
		if !ok {
			continue
		}
		if n.eligible(r) {
			exists[domain] = true
		}
		if ready := (&modelNode{spec: n.spec}); ready.eligible(r) {
			counts[domain] = true
		}
	}
	s.domains = len(counts)
	for domain := range exists {
		if !s.open || s.counts[domain] < s.least {
			s.least, s.open = s.counts[domain], true
		}
	}
	if m.memo != nil {
		m.memo.spreads[key] = s
	}
	return s
}

// failures returns all rules that the node fails, in filter order.
func (m *model) failures(r *placement.Request, n *modelNode, held *Hold) []Failure {
	if held == nil {
		held = &n.held
	}
	failures := n.describedFailures(r)
	fail := func(reason placement.Reason, shortfall int64) {
		failures = append(failures, Failure{reason, shortfall})
	}
	if limit := n.spec.MaxInstances; limit > 0 && int64(len(n.instances))+held.Instances >= limit {
		fail(placement.Reason{Kind: placement.ReasonInstances}, int64(len(n.instances))+held.Instances+1-limit)
	}
	for _, port := range r.Ports {
		taken := func(i *modelInstance) bool {
			return slices.Contains(i.request.Ports, port) || slices.Contains(i.Ports, port.Number)
		}
		if slices.ContainsFunc(n.instances, taken) {
			fail(placement.Reason{Kind: placement.ReasonPort, Detail: port.String()}, 0)
		}
		if slices.Contains(n.spec.ReservedPorts, port) {
			fail(placement.Reason{Kind: placement.ReasonPort, Index: -1, Detail: port.String()}, 0)
		}
	}
	if missing := r.DynamicPorts - len(n.dynamicPorts(r)); missing > 0 {
		fail(placement.Reason{Kind: placement.ReasonPort, Detail: "dynamic"}, int64(missing))
	}
	for name := range n.used() {
		if missing := n.lacks(name, 0, nil); missing > 0 && r.Resources.Amount(name) == 0 {
			fail(placement.Reason{Kind: placement.ReasonResource, Name: name, Detail: placement.Overused}, missing)
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

// dynamicPorts returns those that a request gets on the node, too few if there are
// no more.
func (n *modelNode) dynamicPorts(r *placement.Request) []uint16 {
	has := make(map[uint16]bool)
	for _, ports := range [][]placement.Port{r.Ports, n.spec.ReservedPorts} {
		for _, port := range ports {
			has[port.Number] = true
		}
	}
	for _, instance := range n.instances {
		for _, port := range instance.request.Ports {
			has[port.Number] = true
		}
		for _, number := range instance.Ports {
			has[number] = true
		}
	}
	var ports []uint16
	for number := int(n.spec.DynamicPorts.First); number <= int(n.spec.DynamicPorts.Last); number++ {
		if number > 0 && !has[uint16(number)] && len(ports) < r.DynamicPorts {
			ports = append(ports, uint16(number))
		}
	}
	return ports
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
		counts, all := m.domains(term.Topology, term.Repel, func(other *placement.Request) bool { return selects(term, r, other) })
		domain, ok := n.domainOf(term.Topology)
		first := all == 0 && selects(term, r, r)
		switch {
		case term.Repel && ok && counts[domain] > 0:
			fail(placement.ReasonAntiAffinity, i, term.Topology)
		case !term.Repel && (!ok || counts[domain] == 0 && !first):
			fail(placement.ReasonAffinity, i, term.Topology)
		}
	}
	for _, other := range m.repellers(r) {
		here, ok := n.domainOf(other.term.Topology)
		there, known := other.on.domainOf(other.term.Topology)
		if ok && known && here == there {
			fail(placement.ReasonAntiAffinity, -1, other.term.Topology)
		}
	}
	for i, rule := range r.Preferences.Spread {
		if rule.Weight != 0 {
			continue
		}
		s := m.spreading(rule, r)
		domain, ok := n.domainOf(rule.Topology)
		if rule.MinDomains > s.domains {
			s.least, s.open = 0, true
		}
		after := s.counts[domain] + s.self
		if !ok || rule.MaxSkew > 0 && s.open && after-s.least > int64(rule.MaxSkew) ||
			rule.MaxPerDomain > 0 && after > int64(rule.MaxPerDomain) {
			fail(placement.ReasonSpread, i, rule.Topology)
		}
	}
	return failures
}

// users counts the node, its hold and its instances that have some of a dimension.
func (n *modelNode) users(name placement.ResourceName) int32 {
	users := int32(0)
	count := func(r placement.Resources) {
		if r.Amount(name) > 0 {
			users++
		}
	}
	count(n.spec.Allocatable())
	count(n.held.Resources)
	for _, instance := range n.instances {
		count(instance.request.Resources)
	}
	return users
}
