package skyline

import "iter"

// Skyline is an amount over time, the sum of intervals that were added: it
// rises where one begins and falls where one ends. The zero value is flat.
//
// It is a treap of steps ordered by time, each subtree knowing how far it
// rises in all, at most and at least, so that a peak is read from O(log n)
// subtrees instead of all steps. Priorities are a hash of the time: the shape of
// the tree depends only on the steps in it, never on the order of calls.
//
// Clones share steps: each step has an owner, and who is not that copies it before it
// changes it.
type Skyline struct {
	root  *breakpoint
	owner *owner
	// Visited, if not nil, counts the steps that calls look at, so that tests
	// can bound it.
	Visited *int
}

// breakpoint is where the amount changes. Steps of 0 are not kept.
type breakpoint struct {
	at, delta   int64
	left, right *breakpoint
	owner       *owner
	// sum is the rise over the whole subtree, top the highest and low the lowest
	// that it gets above where it begins, at least and at most 0.
	sum, top, low int64
}

// owner is who may change a step in place. Two are never the same, since it is not of
// size zero; nil is that of a skyline that was never cloned.
type owner struct{ _ byte }

// Add puts an interval of an amount on the skyline, or with a negative amount
// takes it off. An interval that ends at Forever has no step there. O(log n).
func (s *Skyline) Add(from, to, amount int64) {
	s.Change(from, amount)
	if to != Forever {
		s.Change(to, -amount)
	}
}

// Change adds an amount from an instant on, forever. The skyline may become
// negative. O(log n).
func (s *Skyline) Change(at, delta int64) { s.root = s.add(s.root, at, delta) }

// FirstDifference returns the first instant at which two skylines step apart, and
// false if they are the same. It takes time in proportion to their steps.
func (s *Skyline) FirstDifference(other *Skyline) (int64, bool) {
	next, stop := iter.Pull2(other.Steps(-Forever))
	defer stop()
	for at, delta := range s.Steps(-Forever) {
		if otherAt, otherDelta, ok := next(); !ok || otherAt != at || otherDelta != delta {
			if ok {
				at = min(at, otherAt)
			}
			return at, true
		}
	}
	at, _, more := next()
	return at, more
}

// IsFlat reports whether the amount is 0 at all times. O(1).
func (s *Skyline) IsFlat() bool { return s.root == nil }

// Peak returns the greatest amount in [from, to). O(log n).
func (s *Skyline) Peak(from, to int64) int64 { return s.peak(s.root, from, to, 0) }

// Highest returns the greatest amount of all times, at least the 0 before the
// first step. O(1).
func (s *Skyline) Highest() int64 {
	if s.root == nil {
		return 0
	}
	return s.root.top
}

// Lowest returns the least amount of all times, at most 0. O(1).
func (s *Skyline) Lowest() int64 {
	if s.root == nil {
		return 0
	}
	return s.root.low
}

// FirstAbove returns the first instant in [from, to) at which the amount is above
// another, and false if there is none. O(log n).
func (s *Skyline) FirstAbove(from, to, amount int64) (int64, bool) {
	if s.Peak(from, from+1) > amount {
		return from, true
	}
	at, ok := s.rise(s.root, from, 0, amount)
	return at, ok && at < to
}

// FirstAtMost returns the first instant from from on at which the amount is at
// most another, and false if there is none. O(log n).
func (s *Skyline) FirstAtMost(from, amount int64) (int64, bool) {
	if s.Peak(from, from+1) <= amount {
		return from, true
	}
	return s.fall(s.root, from, 0, amount)
}

// LastAbove returns the last instant at which the amount rises or falls to one
// that is above another, and false if it never does. O(log n).
func (s *Skyline) LastAbove(amount int64) (int64, bool) { return s.last(s.root, 0, amount) }

// Steps yields the instants after from at which the amount changes, and by how
// much.
func (s *Skyline) Steps(from int64) iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) { s.root.steps(from, yield) }
}

func (s *Skyline) visit() {
	if s.Visited != nil {
		*s.Visited++
	}
}

func (s *Skyline) add(n *breakpoint, at, delta int64) *breakpoint {
	s.visit()
	switch {
	case delta == 0:
		return n
	case n == nil:
		return &breakpoint{at: at, delta: delta, owner: s.owner, sum: delta, top: max(delta, 0), low: min(delta, 0)}
	}
	switch n = s.own(n); {
	case at < n.at:
		n.left = s.add(n.left, at, delta)
		if n.left != nil && n.left.above(n) {
			up := n.left
			n.left, up.right = up.right, n
			n.refresh()
			n = up
		}
	case at > n.at:
		n.right = s.add(n.right, at, delta)
		if n.right != nil && n.right.above(n) {
			up := n.right
			n.right, up.left = up.left, n
			n.refresh()
			n = up
		}
	default:
		n.delta += delta
		if n.delta == 0 {
			return s.join(n.left, n.right)
		}
	}
	n.refresh()
	return n
}

// join returns one tree of two, all of whose steps lie in this order.
func (s *Skyline) join(early, late *breakpoint) *breakpoint {
	s.visit()
	switch {
	case early == nil:
		return late
	case late == nil:
		return early
	case early.above(late):
		early = s.own(early)
		early.right = s.join(early.right, late)
		early.refresh()
		return early
	default:
		late = s.own(late)
		late.left = s.join(early, late.left)
		late.refresh()
		return late
	}
}

// peak returns the highest amount in [from, to) where base is the amount just
// before the subtree. Bounds that the subtree lies inside of are widened to
// -Forever and Forever on the way down, and a subtree inside both is not
// entered.
func (s *Skyline) peak(n *breakpoint, from, to, base int64) int64 {
	s.visit()
	switch {
	case n == nil:
		return base
	case from == -Forever && to == Forever:
		return base + n.top
	case n.at >= to:
		return s.peak(n.left, from, to, base)
	}
	after := n.after(base)
	if n.at <= from {
		return s.peak(n.right, from, to, after)
	}
	return max(s.peak(n.left, from, Forever, base), s.peak(n.right, -Forever, to, after))
}

// rise returns the first step of a subtree after from that leads above an amount.
// A subtree after from that does not get there is not entered.
func (s *Skyline) rise(n *breakpoint, from, base, amount int64) (int64, bool) {
	s.visit()
	if n == nil || base+n.top <= amount {
		return 0, false
	}
	after := n.after(base)
	if n.at <= from {
		return s.rise(n.right, from, after, amount)
	}
	if at, ok := s.rise(n.left, from, base, amount); ok {
		return at, true
	}
	if after > amount {
		return n.at, true
	}
	return s.rise(n.right, from, after, amount)
}

// fall returns the first step of a subtree after from that leads to at most an
// amount.
func (s *Skyline) fall(n *breakpoint, from, base, amount int64) (int64, bool) {
	s.visit()
	if n == nil || base+n.low > amount {
		return 0, false
	}
	after := n.after(base)
	if n.at <= from {
		return s.fall(n.right, from, after, amount)
	}
	if at, ok := s.fall(n.left, from, base, amount); ok {
		return at, true
	}
	if after <= amount {
		return n.at, true
	}
	return s.fall(n.right, from, after, amount)
}

// last returns the last step of a subtree that leads above an amount. It goes one
// way down: a subtree that begins below the amount is entered only if it gets
// above it.
func (s *Skyline) last(n *breakpoint, base, amount int64) (int64, bool) {
	s.visit()
	if n == nil || base+n.top <= amount {
		return 0, false
	}
	after := n.after(base)
	if at, ok := s.last(n.right, after, amount); ok {
		return at, true
	}
	if after > amount {
		return n.at, true
	}
	return s.last(n.left, base, amount)
}

// after returns the amount from the step on, where base is the one just before
// the subtree.
func (n *breakpoint) after(base int64) int64 {
	if n.left != nil {
		base += n.left.sum
	}
	return base + n.delta
}

func (n *breakpoint) above(other *breakpoint) bool { return hash(n.at) > hash(other.at) }

// hash is the finalizer of SplitMix64, a bijection: no two instants tie.
func hash(at int64) uint64 {
	x := uint64(at) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (n *breakpoint) refresh() {
	n.sum, n.top, n.low = n.delta, 0, 0
	if n.left != nil {
		n.sum, n.top, n.low = n.left.sum+n.delta, n.left.top, n.left.low
	}
	n.top, n.low = max(n.top, n.sum), min(n.low, n.sum)
	if n.right != nil {
		n.top, n.low = max(n.top, n.sum+n.right.top), min(n.low, n.sum+n.right.low)
		n.sum += n.right.sum
	}
}

func (n *breakpoint) steps(from int64, yield func(int64, int64) bool) bool {
	if n == nil {
		return true
	}
	if n.at > from && (!n.left.steps(from, yield) || !yield(n.at, n.delta)) {
		return false
	}
	return n.right.steps(from, yield)
}

// Clone returns a copy: a change of either is not seen in the other. O(1); each then
// copies the O(log n) steps on the way of a change that are not its own yet.
func (s *Skyline) Clone() Skyline {
	s.owner = new(owner)
	return Skyline{root: s.root, owner: new(owner), Visited: s.Visited}
}

// own returns a step that may be changed in place.
func (s *Skyline) own(n *breakpoint) *breakpoint {
	if n.owner != s.owner {
		copied := *n
		copied.owner = s.owner
		n = &copied
	}
	return n
}
