package reservation

import "iter"

// skyline is an amount over time, the sum of intervals that were added: it
// rises where one begins and falls where one ends. The zero value is flat.
//
// It is a treap of steps ordered by time, each subtree knowing how far it
// rises in all and at most, so that a peak is read from O(log n) subtrees
// instead of all steps. Priorities are a hash of the time: the shape of the
// tree depends only on the steps in it, never on the order of calls.
type skyline struct {
	root *step
}

// step is where the amount changes. Steps of 0 are not kept.
type step struct {
	at, delta   int64
	left, right *step
	// sum is the rise over the whole subtree, top the highest that it gets
	// above where it begins, at least 0.
	sum, top int64
}

// add puts an interval of an amount on the skyline, or with a negative amount
// takes it off. An interval that ends at forever has no step there. O(log n).
func (s *skyline) add(from, to, amount int64) {
	s.root = s.root.add(from, amount)
	if to != forever {
		s.root = s.root.add(to, -amount)
	}
}

// peak returns the greatest amount in [from, to). O(log n).
func (s *skyline) peak(from, to int64) int64 {
	return s.root.peak(from, to, 0)
}

// highest returns the greatest amount of all times. O(1).
func (s *skyline) highest() int64 {
	if s.root == nil {
		return 0
	}
	return s.root.top
}

// steps yields the instants after from at which the amount changes, and by how
// much.
func (s *skyline) steps(from int64) iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) { s.root.steps(from, yield) }
}

func (s *step) add(at, delta int64) *step {
	switch {
	case delta == 0:
		return s
	case s == nil:
		return &step{at: at, delta: delta, sum: delta, top: max(delta, 0)}
	case at < s.at:
		s.left = s.left.add(at, delta)
		if s.left != nil && s.left.above(s) {
			up := s.left
			s.left, up.right = up.right, s
			s.refresh()
			s = up
		}
	case at > s.at:
		s.right = s.right.add(at, delta)
		if s.right != nil && s.right.above(s) {
			up := s.right
			s.right, up.left = up.left, s
			s.refresh()
			s = up
		}
	default:
		s.delta += delta
		if s.delta == 0 {
			return join(s.left, s.right)
		}
	}
	s.refresh()
	return s
}

// join returns one tree of two, all of whose steps lie in this order.
func join(early, late *step) *step {
	switch {
	case early == nil:
		return late
	case late == nil:
		return early
	case early.above(late):
		early.right = join(early.right, late)
		early.refresh()
		return early
	default:
		late.left = join(early, late.left)
		late.refresh()
		return late
	}
}

func (s *step) above(other *step) bool { return hash(s.at) > hash(other.at) }

// hash is the finalizer of SplitMix64, a bijection: no two instants tie.
func hash(at int64) uint64 {
	x := uint64(at) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s *step) refresh() {
	before, beforeTop := int64(0), int64(0)
	if s.left != nil {
		before, beforeTop = s.left.sum, s.left.top
	}
	s.sum, s.top = before+s.delta, max(beforeTop, before+s.delta)
	if s.right != nil {
		s.top = max(s.top, s.sum+s.right.top)
		s.sum += s.right.sum
	}
}

// peak returns the highest amount in [from, to) where base is the amount just
// before the subtree. Bounds that the subtree lies inside of are widened to
// minus forever and forever on the way down, and a subtree inside both is not
// entered.
func (s *step) peak(from, to, base int64) int64 {
	switch {
	case s == nil:
		return base
	case from == -forever && to == forever:
		return base + s.top
	case s.at >= to:
		return s.left.peak(from, to, base)
	}
	after := base + s.delta
	if s.left != nil {
		after += s.left.sum
	}
	if s.at <= from {
		return s.right.peak(from, to, after)
	}
	return max(s.left.peak(from, forever, base), s.right.peak(-forever, to, after))
}

func (s *step) steps(from int64, yield func(int64, int64) bool) bool {
	if s == nil {
		return true
	}
	if s.at > from && (!s.left.steps(from, yield) || !yield(s.at, s.delta)) {
		return false
	}
	return s.right.steps(from, yield)
}
