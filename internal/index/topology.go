package index

import (
	"slices"

	"github.com/rads-project/constellation/internal/cow"
	"github.com/rads-project/constellation/placement"
)

// topology numbers the values of a node label that counters count by. The
// topology of the empty key makes each node a domain, numbered by its row.
//
// Invariant: domains[row] is the number of the node's value, noDomain where
// there is none; a number without members is vacant.
type topology struct {
	key     string
	numbers cow.Map[int32]
	names   []string
	members []int32
	vacant  []int32
	domains []int32
	users   []*counter
	edit    uint64     // counts changes
	owner   *cow.Owner // who may change the lists; see clone.go
}

// own makes the lists ready to be changed.
func (t *topology) own(of *cow.Owner) {
	if t.owner == of {
		return
	}
	t.owner = of
	t.names, t.members, t.vacant, t.domains = slices.Clone(t.names), slices.Clone(t.members), slices.Clone(t.vacant), slices.Clone(t.domains)
}

const noDomain = -1

// of returns the domain of a node, noDomain if it has none.
func (t *topology) of(row Row) int32 {
	if t.key == "" {
		return int32(row)
	}
	return t.domains[row]
}

// size returns how many domain numbers there are.
func (x *Index) size(t *topology) int {
	if t.key == "" {
		return len(x.nodes)
	}
	return len(t.names)
}

// populated returns how many domains have members.
func (x *Index) populated(t *topology) int {
	if t.key == "" {
		return len(x.byJoin)
	}
	return t.numbers.Len()
}

// membersOf returns how many nodes are in a domain.
func (x *Index) membersOf(t *topology, domain int32) int {
	if t.key == "" {
		return 1
	}
	return int(t.members[domain])
}

// topology returns the topology of a label key and makes it on first use, in
// time proportional to the nodes.
func (x *Index) topology(key string) *topology {
	if t := x.topologies[key]; t != nil {
		return t
	}
	t := &topology{key: key, owner: x.owner}
	x.topologies[key] = t
	if key == "" {
		return t
	}
	t.domains = make([]int32, len(x.nodes), cap(x.nodes))
	for row := range x.nodes {
		t.domains[row] = t.enter(x.nodes[row].spec)
	}
	return t
}

// enter returns the domain of a node that becomes a member.
func (t *topology) enter(n *placement.Node) int32 {
	value, ok := labelOf(n, t.key)
	if !ok {
		return noDomain
	}
	domain, known := t.numbers.Get(value)
	if !known {
		if last := len(t.vacant) - 1; last >= 0 {
			domain = t.vacant[last]
			t.vacant = t.vacant[:last]
			t.names[domain] = value
		} else {
			domain = int32(len(t.names))
			t.names = append(t.names, value)
			t.members = append(t.members, 0)
		}
		t.numbers.Set(value, domain)
	}
	t.members[domain]++
	return domain
}

// leave takes a member out of its domain.
func (t *topology) leave(domain int32) {
	if domain == noDomain {
		return
	}
	t.members[domain]--
	if t.members[domain] == 0 {
		t.numbers.Delete(t.names[domain])
		t.vacant = append(t.vacant, domain)
	}
}

// moveDomains brings every topology up to date with a node's new description,
// with what is counted on the node. It takes time in proportion to the node's
// labels and, where the value of a topology changes, to the classes that run on
// the node and the counters that count them: an empty node costs its labels
// alone, however many rules look at the topology.
func (x *Index) moveDomains(row Row, before, after *placement.Node) {
	eachLabel(before, func(key, value string) {
		if now, ok := labelOf(after, key); !ok || now != value {
			x.moveDomain(row, x.topologies[key], after)
		}
	})
	eachLabel(after, func(key, _ string) {
		if _, ok := labelOf(before, key); !ok {
			x.moveDomain(row, x.topologies[key], after)
		}
	})
}

// moveDomain moves a node, with what is counted there, to another domain of a
// topology, which may be nil.
func (x *Index) moveDomain(row Row, t *topology, after *placement.Node) {
	if t == nil {
		return
	}
	t.own(x.owner)
	was, is := t.domains[row], t.enter(after)
	t.domains[row] = is
	t.edit++
	for _, class := range x.running[row] {
		c := x.stateOf(class)
		x.stats.Moved++
		for _, list := range [][]*counter{c.counted, c.keeps} {
			for _, k := range list {
				if k.topology == t {
					x.moveCount(k, was, is, c.countedOn(k, row))
				}
			}
		}
	}
	t.leave(was)
}

// moveCount moves what a counter counts from one domain to another.
func (x *Index) moveCount(k *counter, from, to, count int32) {
	if from != noDomain {
		k.domains.add(from, -count, len(k.topology.names), x.thresholds.denseDomains, x.owner)
	}
	if to != noDomain {
		k.domains.add(to, count, len(k.topology.names), x.thresholds.denseDomains, x.owner)
	}
}

// drop forgets a topology that no counter uses any more.
func (x *Index) drop(t *topology) {
	if len(t.users) == 0 {
		delete(x.topologies, t.key)
	}
}
