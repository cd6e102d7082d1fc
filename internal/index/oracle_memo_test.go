package index

import "github.com/rads-project/constellation/placement"

// memo remembers what a request sees of the cluster, which is the same from every
// node.
type memo struct {
	spreads   map[string]spreading
	repellers []repeller
	avoided   bool // some node has a taint that the request would rather avoid
	most      map[placement.ResourceName]int64
}

// repeller is a required anti-affinity of an instance that keeps a request out.
type repeller struct {
	on   *modelNode
	term placement.AffinityTerm
}

// remember makes the memo of a request, and returns what forgets it.
func (m *model) remember(r *placement.Request) (forget func()) {
	m.memo = &memo{spreads: map[string]spreading{}, repellers: m.repellers(r), avoided: m.avoided(r), most: m.most()}
	return func() { m.memo = nil }
}

func (m *model) repellers(r *placement.Request) []repeller {
	if m.memo != nil {
		return m.memo.repellers
	}
	var found []repeller
	for _, n := range m.nodes {
		for _, instance := range n.instances {
			for _, term := range instance.request.Preferences.Affinity {
				if instance.counts && term.Repel && term.Weight == 0 && selects(term, &instance.request, r) {
					found = append(found, repeller{n, term})
				}
			}
		}
	}
	return found
}
