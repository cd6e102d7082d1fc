package debugpage

import (
	"slices"
	"strings"

	"github.com/rads-project/constellation/scheduler"
)

// branch is a quota in the tree of those above and below it.
type branch struct {
	scheduler.QuotaInfo
	Depth int // 0 has nobody above
}

// treeOf orders quotas so that each stands below the one that it is under, and beside
// others by name.
func treeOf(quotas []scheduler.QuotaInfo) []branch {
	declared := make(map[string]bool, len(quotas))
	for i := range quotas {
		declared[quotas[i].Namespace] = true
	}
	below := make(map[string][]scheduler.QuotaInfo)
	for _, q := range quotas {
		parent := q.Parent
		if !declared[parent] {
			parent = ""
		}
		below[parent] = append(below[parent], q)
	}
	tree := make([]branch, 0, len(quotas))
	var add func(parent string, depth int)
	add = func(parent string, depth int) {
		children := below[parent]
		slices.SortFunc(children, func(a, b scheduler.QuotaInfo) int { return strings.Compare(a.Namespace, b.Namespace) })
		for _, q := range children {
			tree = append(tree, branch{q, depth})
			add(q.Namespace, depth+1)
		}
	}
	add("", 0)
	return tree
}
