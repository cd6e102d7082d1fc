package index

import (
	"slices"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// taintLists interns the taints of nodes as whole lists: nodes have few
// different ones, so a rule looks at each list once and not at each node.
//
// Invariant: list 0 is the empty one, whose nodes are not kept; every other
// list has nodes, or is vacant and nil.
type taintLists struct {
	numbers map[string]int32
	lists   []*taintList
	vacant  []int32
	soft    int // lists with a PreferNoSchedule taint
}

type taintList struct {
	text   string
	taints []placement.Taint
	nodes  rowSet
	soft   bool
}

func (t *taintLists) init() {
	t.numbers = make(map[string]int32)
	t.lists = []*taintList{new(taintList)}
}

// retaint moves a node from the list that it had to the one that it has.
func (x *Index) retaint(row Row, before, after *placement.Node) {
	t := &x.taints
	was, is := taintText(before), taintText(after)
	if was == is {
		return
	}
	if was != "" {
		number := x.nodes[row].taints
		list := x.ownTaints(number)
		list.nodes.remove(row, x.longestList())
		if list.nodes.n == 0 {
			delete(t.numbers, was)
			t.lists[number] = nil
			t.vacant = append(t.vacant, number)
			if list.soft {
				t.soft--
			}
		}
	}
	number := t.number(is, after)
	if is != "" {
		x.ownTaints(number).nodes.add(row, x.longestList())
	}
	x.nodes[row].taints = number
}

// ownTaints returns a list of taints whose nodes are to be changed.
func (x *Index) ownTaints(number int32) *taintList {
	list := x.taints.lists[number]
	if list.nodes.owner != x.owner {
		copied := *list
		copied.nodes = list.nodes.clone(x.owner)
		list = &copied
		x.taints.lists[number] = list
	}
	return list
}

// number returns the number of a node's list, which it makes known.
func (t *taintLists) number(text string, n *placement.Node) int32 {
	if text == "" {
		return 0
	}
	if number, ok := t.numbers[text]; ok {
		return number
	}
	list := &taintList{text: text, taints: n.Taints}
	for _, taint := range n.Taints {
		list.soft = list.soft || taint.Effect == placement.PreferNoSchedule
	}
	if list.soft {
		t.soft++
	}
	number := int32(len(t.lists))
	if last := len(t.vacant) - 1; last >= 0 {
		number = t.vacant[last]
		t.vacant = t.vacant[:last]
		t.lists[number] = list
	} else {
		t.lists = append(t.lists, list)
	}
	t.numbers[text] = number
	return number
}

func taintText(n *placement.Node) string {
	if n == nil || len(n.Taints) == 0 {
		return ""
	}
	var text strings.Builder
	for _, taint := range n.Taints {
		text.WriteString(taint.String())
		text.WriteByte(' ')
	}
	return text.String()
}

// each calls visit with every list that nodes have but the empty one.
func (t *taintLists) each(visit func(*taintList)) {
	for _, list := range t.lists[1:] {
		if list != nil {
			visit(list)
		}
	}
}

// refuses reports whether a taint keeps out instances with these tolerations.
func (l *taintList) refuses(tolerations []placement.Toleration) bool {
	return slices.ContainsFunc(l.taints, func(taint placement.Taint) bool {
		return taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, tolerations)
	})
}

// refusals returns the lists with each taint that keeps out instances with these
// tolerations, by the taint as text.
func (t *taintLists) refusals(tolerations []placement.Toleration) map[string][]*taintList {
	refusals := make(map[string][]*taintList)
	t.each(func(list *taintList) {
		for _, taint := range list.taints {
			if taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, tolerations) {
				refusals[taint.String()] = append(refusals[taint.String()], list)
			}
		}
	})
	return refusals
}

// unpreferred reports whether the list has a PreferNoSchedule taint that is not
// tolerated.
func (l *taintList) unpreferred(tolerations []placement.Toleration) bool {
	if !l.soft {
		return false
	}
	for _, taint := range l.taints {
		if taint.Effect == placement.PreferNoSchedule && !placement.Tolerated(taint, tolerations) {
			return true
		}
	}
	return false
}
