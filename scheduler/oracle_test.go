package scheduler

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// onlooker decides by looking at every node that a scheduler shows, with
// nothing but the formulas of package placement's comment. It knows the rules
// that drawRuled draws.
type onlooker struct {
	weights map[placement.ResourceName]int64
}

// most returns how much the shares of each dimension come to on an empty node: 1,
// and of GPUs the greatest number of a node.
func most(seen []sighting) map[placement.ResourceName]int64 {
	most := make(map[placement.ResourceName]int64)
	for _, n := range seen {
		for name, amount := range n.Total.All() {
			if name != placement.NameGPU {
				amount = min(amount, 1)
			} else {
				amount /= placement.Device
			}
			most[name] = max(most[name], amount)
		}
	}
	return most
}

// sighting is one node with what the decision looks at.
type sighting struct {
	NodeInfo
	ports   map[placement.Port]bool
	numbers map[uint16]bool // of ports, and of those that are dynamic
	dynamic map[uint16]bool
	group   int // running instances of the request's namespace and group
}

func sightings(t testHelper, s *Scheduler, req placement.Request) []sighting {
	var seen []sighting
	for _, n := range listed(t, s.Nodes) {
		at := sighting{NodeInfo: n, ports: make(map[placement.Port]bool), numbers: make(map[uint16]bool), dynamic: make(map[uint16]bool)}
		for _, port := range n.ReservedPorts {
			at.ports[port], at.numbers[port.Number] = true, true
		}
		for _, a := range listed(t, s.Allocations) {
			if a.NodeID != n.ID {
				continue
			}
			for _, port := range a.Request.Ports {
				at.ports[port], at.numbers[port.Number] = true, true
			}
			for _, number := range a.DynamicPorts {
				at.dynamic[number], at.numbers[number] = true, true
			}
			if a.State == Running && req.Group != "" && a.Request.Namespace == req.Namespace && a.Request.Group == req.Group {
				at.group++
			}
		}
		seen = append(seen, at)
	}
	return seen
}

// first returns the kind of the rule that the node fails first, or 0.
func (n sighting) first(req placement.Request) placement.ReasonKind {
	if n.State != NodeReady {
		return placement.ReasonState
	}
	for _, taint := range n.Taints {
		if taint.Effect != placement.PreferNoSchedule && !tolerates(req, taint) {
			return placement.ReasonTaint
		}
	}
	for _, c := range req.Preferences.Required {
		if !n.Meets(c) {
			return placement.ReasonConstraint
		}
	}
	if n.MaxInstances > 0 && n.Instances >= n.MaxInstances {
		return placement.ReasonInstances
	}
	for _, port := range req.Ports {
		if n.ports[port] || n.dynamic[port.Number] {
			return placement.ReasonPort
		}
	}
	if len(n.dynamicPorts(req)) < req.DynamicPorts {
		return placement.ReasonPort
	}
	if slices.ContainsFunc(n.Over(), func(name placement.ResourceName) bool { return name != placement.NameInstances }) {
		return placement.ReasonResource
	}
	for name, amount := range req.Resources.All() {
		if name != placement.NameGPU && amount > n.Available.Amount(name) {
			return placement.ReasonResource
		}
	}
	if _, ok := n.devices(req.Resources.GPU, req.Preferences.Strategy); !ok {
		return placement.ReasonResource
	}
	return 0
}

func tolerates(req placement.Request, taint placement.Taint) bool {
	return slices.ContainsFunc(req.Preferences.Tolerations, func(t placement.Toleration) bool { return t.Key == taint.Key })
}

// dynamicPorts returns those that the request would get, or all that there are.
func (n sighting) dynamicPorts(req placement.Request) []uint16 {
	var ports []uint16
	for number := int(n.DynamicPorts.First); number <= int(n.DynamicPorts.Last) && len(ports) < req.DynamicPorts; number++ {
		own := slices.ContainsFunc(req.Ports, func(port placement.Port) bool { return int(port.Number) == number })
		if number > 0 && !own && !n.numbers[uint16(number)] {
			ports = append(ports, uint16(number))
		}
	}
	return ports
}

// devices returns the GPUs that the amount would take.
func (n sighting) devices(amount int64, strategy placement.Strategy) ([]int, bool) {
	if amount%placement.Device == 0 {
		var untouched []int
		for i, left := range n.DeviceFree {
			if left == placement.Device && int64(len(untouched)) < amount/placement.Device {
				untouched = append(untouched, i)
			}
		}
		return untouched, int64(len(untouched)) == amount/placement.Device
	}
	chosen := -1
	for i, left := range n.DeviceFree {
		better := chosen >= 0 && left < n.DeviceFree[chosen]
		if strategy == placement.Spread {
			better = chosen >= 0 && left > n.DeviceFree[chosen]
		}
		if left >= amount && (chosen < 0 || better) {
			chosen = i
		}
	}
	return []int{chosen}, chosen >= 0
}

// unused returns what instances leave of a dimension, on the devices that work.
func (n NodeInfo) unused(name placement.ResourceName) int64 {
	if name != placement.NameGPU {
		return n.Total.Amount(name) - n.Allocated.Amount(name)
	}
	free := int64(0)
	for _, left := range n.DeviceFree {
		free += max(0, left)
	}
	return free
}

// rank returns what the strategy compares, the greatest first.
func (o *onlooker) rank(n sighting, most map[placement.ResourceName]int64, req placement.Request) []int64 {
	const unit = 1 << 20
	var packed, spread, weights, soft int64
	for name, most := range most {
		total, weight := n.Total.Amount(name), int64(1)
		if name == placement.NameGPU {
			total, weight = placement.Device, 2
		}
		if w, ok := o.weights[name]; ok {
			weight = w
		}
		share := int64(0)
		if total > 0 {
			share = max(0, n.unused(name)) * unit / total
		}
		weights += weight * most
		packed += weight * (unit*most - share)
		if name == placement.NameGPU && req.Resources.GPU == 0 {
			share = unit*most - share
		}
		spread += weight * share
	}
	for _, p := range req.Preferences.Preferred {
		if n.Meets(p.Constraint) {
			soft += int64(p.Weight) * unit
		}
	}
	for _, l := range req.Preferences.Scaled {
		if number, err := strconv.Atoi(n.Labels[l.Label]); err == nil && number >= 0 && number <= 1000 {
			soft += int64(l.Weight) * (int64(number) * unit / 1000)
		}
	}
	if slices.ContainsFunc(n.Taints, func(t placement.Taint) bool {
		return t.Effect == placement.PreferNoSchedule && !tolerates(req, t)
	}) {
		soft -= 100 * unit
	}
	join := -int64(n.Join)
	switch req.Preferences.Strategy {
	case placement.Spread:
		return []int64{-int64(n.group), 100*spread + weights*soft, join}
	case placement.Affinity:
		return []int64{soft, packed, join}
	default:
		return []int64{100*packed + weights*soft, join}
	}
}

// decide returns the best node, its devices and ports, and how many nodes fail a rule of
// each kind first.
func (o *onlooker) decide(t testHelper, s *Scheduler, req placement.Request) (d Decision, failed map[placement.ReasonKind]int) {
	var best []int64
	failed = make(map[placement.ReasonKind]int)
	seen := sightings(t, s, req)
	for _, n := range seen {
		if kind := n.first(req); kind != 0 {
			failed[kind]++
			continue
		}
		if rank := o.rank(n, most(seen), req); best == nil || slices.Compare(rank, best) > 0 {
			best, d.NodeID, d.DynamicPorts = rank, n.ID, n.dynamicPorts(req)
			d.Devices, _ = n.devices(req.Resources.GPU, req.Preferences.Strategy)
		}
	}
	return d, failed
}

// drawRuled draws a request with the rules that an onlooker knows.
func drawRuled(t *rapid.T, id string) placement.Request {
	zone := func() placement.Constraint {
		return placement.Equal("zone", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"))
	}
	some := func(label string) bool { return rapid.IntRange(0, 3).Draw(t, label) == 0 }
	req := placement.Request{
		ID: id, Namespace: drawNamespace(t), Group: rapid.SampledFrom([]string{"", "g"}).Draw(t, "group"),
		Resources: placement.Resources{
			CPU:    rapid.Int64Range(0, 6).Draw(t, "cpu") * 500,
			Memory: rapid.Int64Range(0, 6).Draw(t, "memory") * placement.GiB,
			GPU:    rapid.SampledFrom([]int64{0, 0, 250, 700, 1000, 2000}).Draw(t, "gpu"),
		},
		Preferences: placement.Use(rapid.SampledFrom([]placement.Strategy{
			placement.BinPack, placement.Spread, placement.Affinity,
		}).Draw(t, "strategy")),
	}
	if some("require") {
		req.Preferences = req.Preferences.Require(zone())
	}
	if some("prefer") {
		req.Preferences = req.Preferences.Prefer(zone(), rapid.SampledFrom([]int{-100, -10, 1, 30, 100}).Draw(t, "weight"))
	}
	if some("scale") {
		req.Preferences = req.Preferences.PreferScaled("load", rapid.SampledFrom([]int{-100, -10, 1, 30, 100}).Draw(t, "scaled"))
	}
	if some("tolerate") {
		req.Preferences = req.Preferences.TolerateExists(rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"))
	}
	if some("ports") {
		req.Ports = drawPorts(t)
		req.DynamicPorts = rapid.IntRange(0, 2).Draw(t, "dynamic")
	}
	return req
}

// changeNodes makes one call about nodes, which may fail.
func changeNodes(t *rapid.T, s *Scheduler) {
	ctx, id := t.Context(), fmt.Sprint("n", rapid.IntRange(1, 6).Draw(t, "node"))
	taint := placement.Taint{
		Key:    rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"),
		Effect: rapid.SampledFrom([]placement.Effect{placement.NoSchedule, placement.PreferNoSchedule, placement.NoExecute}).Draw(t, "effect"),
	}
	described := describeNode(t)
	described.ID = id
	switch rapid.IntRange(0, 14).Draw(t, "call") {
	case 0:
		_ = s.Cordon(ctx, id)
	case 1:
		_ = s.Uncordon(ctx, id)
	case 2:
		_ = s.MarkLost(ctx, id)
	case 3:
		_ = s.MarkReady(ctx, id)
	case 4:
		_, _ = s.RemoveNode(ctx, id)
	case 5:
		_ = s.SetLabel(ctx, id, "zone", rapid.SampledFrom([]string{"a", "b"}).Draw(t, "zone"))
		_ = s.SetLabel(ctx, id, "load", rapid.SampledFrom([]string{"0", "1", "500", "1000", "1001", "-3", "x"}).Draw(t, "load"))
	case 6:
		_ = s.RemoveLabel(ctx, id, "zone")
	case 7:
		_ = s.AddTaint(ctx, id, taint)
	case 8:
		_ = s.RemoveTaint(ctx, id, taint.Key, taint.Effect)
	case 9:
		_, _ = s.UpdateNode(ctx, described)
	default:
		_ = s.AddNode(ctx, described)
	}
}

// check places the request and asserts that the scheduler finds what the
// onlooker has found.
func (o *onlooker) check(t *rapid.T, s *Scheduler, req placement.Request) {
	want, failed := o.decide(t, s, req)
	d, err := s.Place(t.Context(), req)
	if want.NodeID != "" {
		require.NoError(t, err)
		require.Equal(t, want.NodeID, d.NodeID)
		require.Equal(t, want.Devices, d.Devices)
		require.Equal(t, want.DynamicPorts, d.DynamicPorts)
		require.ElementsMatch(t, req.Ports, d.Ports)
		return
	}
	var refused *UnschedulableError
	require.ErrorAs(t, err, &refused)
	got := make(map[placement.ReasonKind]int)
	for _, r := range refused.Reasons {
		got[r.Reason.Kind] += r.Nodes
	}
	require.Equal(t, failed, got)
}

// move moves an instance to the node that is best without it.
func (o *onlooker) move(t *rapid.T, s *Scheduler, id string) {
	if a, err := s.Allocation(t.Context(), id); err == nil {
		_, _ = s.Move(t.Context(), id, fmt.Sprint("n", rapid.IntRange(1, 6).Draw(t, "to")))
		if rapid.Bool().Draw(t, "abort") {
			_, _ = s.KeepGeneration(t.Context(), id, a.Generation)
		}
	}
}

// outage loses a node, places anew some of what ran there, and maybe takes the
// node back, on which that is stale then.
func (o *onlooker) outage(t *rapid.T, s *Scheduler) {
	node := fmt.Sprint("n", rapid.IntRange(1, 6).Draw(t, "node"))
	_ = s.MarkLost(t.Context(), node)
	for _, a := range listed(t, s.Allocations) {
		if a.State == Lost && rapid.Bool().Draw(t, "replace") {
			o.check(t, s, a.Request)
		}
	}
	if rapid.Bool().Draw(t, "back") {
		_ = s.MarkReady(t.Context(), node)
	}
}

// What anybody computes from the nodes and instances that the scheduler shows
// is what it decides, whatever has happened to them before.
func TestDecisionsAreWhatAnOnlookerFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &onlooker{
			weights: rapid.SampledFrom([]map[placement.ResourceName]int64{nil, {"cpu": 3, "gpu": 1}}).Draw(t, "weights"),
		}
		s := newTestScheduler(t, Config{Weights: o.weights})
		count := 0
		some := func(t *rapid.T) string {
			return fmt.Sprint("r", rapid.IntRange(1, max(1, count)).Draw(t, "which"))
		}
		fresh := func(t *rapid.T) {
			count++
			o.check(t, s, drawRuled(t, fmt.Sprint("r", count)))
		}
		t.Repeat(map[string]func(*rapid.T){
			"nodes":   func(t *rapid.T) { changeNodes(t, s) },
			"nodes2":  func(t *rapid.T) { changeNodes(t, s) },
			"place":   fresh,
			"place2":  fresh,
			"outage":  func(t *rapid.T) { o.outage(t, s) },
			"leave":   func(t *rapid.T) { _ = s.Leave(t.Context(), some(t)) },
			"move":    func(t *rapid.T) { o.move(t, s, some(t)) },
			"stay":    func(t *rapid.T) { _ = s.Stay(t.Context(), some(t)) },
			"release": func(t *rapid.T) { _ = s.Release(t.Context(), some(t)) },
			"resize": func(t *rapid.T) {
				_, _ = s.Resize(t.Context(), some(t), placement.Resources{
					CPU: rapid.Int64Range(0, 6).Draw(t, "cpu") * 500,
					GPU: rapid.SampledFrom([]int64{0, 250, 700, 1000, 2000}).Draw(t, "gpu"),
				})
			},
		})
	})
}
