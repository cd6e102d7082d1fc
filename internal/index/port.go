package index

import (
	"slices"

	"github.com/rads-project/constellation/placement"
)

// portTable is who has which port on which node.
//
// Invariant: fixed counts by node the instances that claim a port, dynamic those
// that got a number as a dynamic port, and reserved is 1 on nodes that reserve a
// port. node.dynamicFree is how many numbers of the node's range it does not
// reserve and nobody there has, of either protocol.
type portTable struct {
	fixed, reserved map[placement.Port]*domainCounts
	dynamic         map[uint16]*domainCounts
}

func (t *portTable) init() {
	t.fixed, t.reserved = make(map[placement.Port]*domainCounts), make(map[placement.Port]*domainCounts)
	t.dynamic = make(map[uint16]*domainCounts)
}

// claimPorts notes what an instance with these dynamic ports has, or with sign -1
// no longer has.
func (x *Index) claimPorts(row Row, c *Class, dynamic []uint16, sign int32) {
	for _, port := range c.request.Ports {
		x.claimNumber(row, port.Number, func() { countPort(x, x.ports.fixed, port, row, sign) })
	}
	for _, number := range dynamic {
		x.claimNumber(row, number, func() { countPort(x, x.ports.dynamic, number, row, sign) })
	}
}

// claimNumber keeps dynamicFree up to date over a change of who has a number.
func (x *Index) claimNumber(row Row, number uint16, change func()) {
	before := x.hasPort(row, number)
	change()
	n := &x.nodes[row]
	switch after := x.hasPort(row, number); {
	case before == after || !offers(n.spec, number):
	case after:
		n.dynamicFree--
	default:
		n.dynamicFree++
	}
}

func countPort[K comparable](x *Index, counts map[K]*domainCounts, port K, row Row, delta int32) {
	of := counts[port]
	if of == nil {
		of = new(domainCounts)
		counts[port] = of
	}
	of.add(int32(row), delta, len(x.nodes), x.thresholds.denseDomains, x.owner)
	if of.nonzero == 0 {
		delete(counts, port)
	}
}

func portCount[K comparable](counts map[K]*domainCounts, port K, row Row) int32 {
	if of := counts[port]; of != nil {
		return of.at(int32(row))
	}
	return 0
}

// claims returns how many instances on a node have a number.
func (x *Index) claims(row Row, number uint16) int32 {
	return portCount(x.ports.fixed, placement.Port{Number: number}, row) +
		portCount(x.ports.fixed, placement.Port{Number: number, Protocol: placement.UDP}, row) +
		portCount(x.ports.dynamic, number, row)
}

func (x *Index) hasPort(row Row, number uint16) bool { return x.claims(row, number) > 0 }

// offers reports whether a number may be given as a dynamic port.
func offers(n *placement.Node, number uint16) bool {
	if !n.DynamicPorts.Contains(number) {
		return false
	}
	_, reserved := slices.BinarySearchFunc(n.ReservedPorts, number, func(port placement.Port, number uint16) int {
		return int(port.Number) - int(number)
	})
	return !reserved
}

// describePorts keeps up what a node reserves and offers when its description
// changes; nil stands for no node. It takes time in proportion to the node's range
// if that or what it reserves has changed.
func (x *Index) describePorts(row Row, before, after *placement.Node) {
	var was, is placement.Node
	if before != nil {
		was = *before
	}
	if after != nil {
		is = *after
	}
	if was.DynamicPorts == is.DynamicPorts && slices.Equal(was.ReservedPorts, is.ReservedPorts) {
		return
	}
	for _, port := range was.ReservedPorts {
		countPort(x, x.ports.reserved, port, row, -1)
	}
	for _, port := range is.ReservedPorts {
		countPort(x, x.ports.reserved, port, row, 1)
	}
	free := uint16(0)
	for number := range dynamicNumbers(&is) {
		if !x.hasPort(row, number) {
			free++
		}
	}
	x.nodes[row].dynamicFree = free
}

// dynamicNumbers yields the numbers that a node offers, ascending.
func dynamicNumbers(n *placement.Node) func(yield func(uint16) bool) {
	return func(yield func(uint16) bool) {
		for i := range n.DynamicPorts.Len() {
			number := n.DynamicPorts.First + uint16(i)
			if offers(n, number) && !yield(number) {
				return
			}
		}
	}
}

// portTest is a port that the query claims and that some node reserves or some
// instance has; those that nobody has are nil.
type portTest struct {
	port                     placement.Port
	fixed, dynamic, reserved *domainCounts
	own                      *Own // is left out of account; nil for none
}

// preparePorts looks up who has the ports that the query claims.
func (x *Index) preparePorts(p *probe) {
	request := &p.query.Class.request
	p.dynamic = request.DynamicPorts
	for _, port := range request.Ports {
		test := portTest{port, x.ports.fixed[port], x.ports.dynamic[port.Number], x.ports.reserved[port], p.query.Own}
		if test.fixed != nil || test.dynamic != nil || test.reserved != nil {
			p.ports = append(p.ports, test)
		}
	}
}

// taken returns how many instances on a node have the port.
func (t *portTest) taken(row Row) int32 {
	count := int32(0)
	for _, counts := range [...]*domainCounts{t.fixed, t.dynamic} {
		if counts != nil {
			count += counts.at(int32(row))
		}
	}
	if t.own != nil && t.own.Row == row {
		count -= t.own.claims(t.port)
	}
	return count
}

func (t *portTest) reserves(row Row) bool { return t.reserved != nil && t.reserved.at(int32(row)) > 0 }

// givesPorts reports whether a node has the ports that the query claims, and enough
// dynamic ones.
func (x *Index) givesPorts(p *probe, row Row) bool {
	for i := range p.ports {
		if test := &p.ports[i]; test.taken(row) > 0 || test.reserves(row) {
			return false
		}
	}
	return p.dynamic == 0 || x.dynamicLeft(p, row) >= p.dynamic
}

// dynamicLeft returns how many dynamic ports a node has for the query beside those
// that the query claims itself.
func (x *Index) dynamicLeft(p *probe, row Row) int {
	if p.ownOn(row) != nil {
		return x.dynamicLeftWithout(p, row, nil)
	}
	n := &x.nodes[row]
	left := int(n.dynamicFree)
	for number := range p.query.Class.numbers {
		if offers(n.spec, number) && !x.hasPort(row, number) {
			left--
		}
	}
	return left
}

// numbers yields each number of the ports that a class claims once.
func (c *Class) numbers(yield func(uint16) bool) {
	for i, port := range c.request.Ports {
		if (i == 0 || c.request.Ports[i-1].Number != port.Number) && !yield(port.Number) {
			return
		}
	}
}

// givesPortsEmpty is givesPorts of a node with nothing on it.
func (x *Index) givesPortsEmpty(p *probe, row Row) bool {
	for i := range p.ports {
		if p.ports[i].reserves(row) {
			return false
		}
	}
	if p.dynamic == 0 {
		return true
	}
	n := x.nodes[row].spec
	left := 0
	for range dynamicNumbers(n) {
		left++
	}
	for number := range p.query.Class.numbers {
		if offers(n, number) {
			left--
		}
	}
	return left >= p.dynamic
}

// givesPortsWithout is givesPorts without some of the instances on the node.
func (x *Index) givesPortsWithout(p *probe, row Row, gone []Absent) bool {
	for i := range p.ports {
		test := &p.ports[i]
		taken := test.taken(row)
		for j := range gone {
			taken -= gone[j].claims(test.port)
		}
		if taken > 0 || test.reserves(row) {
			return false
		}
	}
	return p.dynamic == 0 || x.dynamicLeftWithout(p, row, gone) >= p.dynamic
}

func (x *Index) dynamicLeftWithout(p *probe, row Row, gone []Absent) int {
	freed := make(map[uint16]int32)
	gone = p.withOwn(row, gone)
	for i := range gone {
		for _, port := range gone[i].Class.request.Ports {
			freed[port.Number]++
		}
		for _, number := range gone[i].Ports {
			freed[number]++
		}
	}
	n := &x.nodes[row]
	left := int(n.dynamicFree)
	for number, count := range freed {
		if offers(n.spec, number) && x.claims(row, number) == count {
			left++
		}
	}
	for number := range p.query.Class.numbers {
		if offers(n.spec, number) && x.claims(row, number) == freed[number] {
			left--
		}
	}
	return left
}

// DynamicPorts returns the dynamic ports that the query gets on a node that it fits
// on, ascending: the lowest ones. It takes time in proportion to those that are
// passed over.
func (x *Index) DynamicPorts(q *Query, row Row) []uint16 {
	request := &q.Class.request
	if request.DynamicPorts == 0 {
		return nil
	}
	ports := make([]uint16, 0, request.DynamicPorts)
	for number := range dynamicNumbers(x.nodes[row].spec) {
		own := slices.ContainsFunc(request.Ports, func(port placement.Port) bool { return port.Number == number })
		if own || x.hasPort(row, number) {
			continue
		}
		if ports = append(ports, number); len(ports) == cap(ports) {
			break
		}
	}
	return ports
}

// portReason is why a node refuses a port; index is -1 if it reserves it itself.
func portReason(port string, index int) placement.Reason {
	return placement.Reason{Kind: placement.ReasonPort, Index: index, Detail: port}
}

// portRule refuses nodes on which an instance has a port.
type portRule struct{ portTest }

func (r portRule) mark(_ *Index, _, fail bitset) (from, to int) {
	for _, counts := range [...]*domainCounts{r.fixed, r.dynamic} {
		if counts != nil {
			for row := range counts.each {
				fail.put(Row(row), r.taken(Row(row)) > 0)
			}
		}
	}
	return 0, len(fail)
}

func (r portRule) fails(_ *Index, row Row) (int64, bool) { return 0, r.taken(row) > 0 }

// reservedPortRule refuses nodes that reserve a port.
type reservedPortRule struct{ portTest }

func (r reservedPortRule) mark(_ *Index, _, fail bitset) (from, to int) {
	for row := range r.reserved.each {
		fail.set(Row(row))
	}
	return 0, len(fail)
}

func (r reservedPortRule) fails(_ *Index, row Row) (int64, bool) { return 0, r.reserves(row) }

// dynamicPortRule refuses nodes with too few dynamic ports.
type dynamicPortRule struct{ p *probe }

func (r dynamicPortRule) mark(x *Index, among, fail bitset) (from, to int) {
	for row := range among.each {
		fail.put(row, x.dynamicLeft(r.p, row) < r.p.dynamic)
	}
	return 0, len(fail)
}

func (r dynamicPortRule) fails(x *Index, row Row) (int64, bool) {
	missing := int64(r.p.dynamic - x.dynamicLeft(r.p, row))
	return missing, missing > 0
}
