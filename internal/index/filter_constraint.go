package index

import (
	"cmp"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// A required constraint is one filter, and one more for each value of a label that
// it cannot read: nodes that fail for such a value are counted there and nowhere
// else, so that a refusal names it.

func constraintReason(i int, c placement.Constraint, value string) placement.Reason {
	return placement.Reason{Kind: placement.ReasonConstraint, Index: i, Detail: c.String(), Value: value}
}

// constraintRule refuses nodes that do not meet a constraint, but for those that
// fail for a value that is named.
type constraintRule struct {
	placement.Constraint
	named []labelValue
}

func (r constraintRule) mark(x *Index, _, fail bitset) (from, to int) {
	x.meeting(r.Constraint, fail)
	fail.invert()
	for _, value := range r.named {
		for row := range x.labels[value.key].values.At(value.text).each {
			if x.failsFor(row, r.Constraint, value) {
				fail.remove(row)
			}
		}
	}
	return 0, len(fail)
}

func (r constraintRule) fails(x *Index, row Row) (int64, bool) {
	return 0, !x.nodes[row].spec.Meets(r.Constraint) &&
		!slices.ContainsFunc(r.named, func(value labelValue) bool { return x.failsFor(row, r.Constraint, value) })
}

// unreadableRule refuses nodes that do not meet a constraint and have a value of a
// label that it cannot read.
type unreadableRule struct {
	placement.Constraint
	labelValue
}

func (r unreadableRule) mark(x *Index, _, fail bitset) (from, to int) {
	for row := range x.labels[r.key].values.At(r.text).each {
		fail.put(row, x.failsFor(row, r.Constraint, r.labelValue))
	}
	return 0, len(fail)
}

func (r unreadableRule) fails(x *Index, row Row) (int64, bool) {
	return 0, x.failsFor(row, r.Constraint, r.labelValue)
}

type labelValue struct{ key, text string }

// failsFor reports whether a value is the first that a constraint cannot read on a
// node that does not meet it.
func (x *Index) failsFor(row Row, c placement.Constraint, value labelValue) bool {
	key, text, found := x.nodes[row].spec.Unreadable(c)
	return found && key == value.key && text == value.text
}

// namedValues bounds how many values of one label are named. Nodes with others are
// counted without.
const namedValues = 8

// unreadable returns the values that the conditions of a constraint cannot read, of
// each label the first ones in ascending order. It takes time in proportion to the
// values of these labels.
func (x *Index) unreadable(c placement.Constraint) []labelValue {
	var all []labelValue
	add := func(values []labelValue) {
		for _, value := range values {
			if !slices.Contains(all, value) {
				all = append(all, value)
			}
		}
	}
	switch c.Operator() {
	case placement.OpAnd, placement.OpOr, placement.OpNot:
		for _, operand := range c.Operands() {
			add(x.unreadable(operand))
		}
	case placement.OpGreater, placement.OpLess, placement.OpVersion, placement.OpSemVer:
		if k := x.labels[c.Key()]; k != nil {
			add(k.unreadable(c))
		}
	default:
	}
	return all
}

// unreadable is Index.unreadable for a condition on this label. An empty value has
// nothing to name.
func (k *labelKey) unreadable(c placement.Constraint) []labelValue {
	var values []labelValue
	for text := range k.values.All() {
		if text != "" && !c.Reads(text) {
			values = append(values, labelValue{c.Key(), text})
		}
	}
	slices.SortFunc(values, func(a, b labelValue) int { return cmp.Compare(a.text, b.text) })
	return values[:min(len(values), namedValues)]
}
