package quota

import (
	"iter"
	"slices"

	"github.com/rads-project/constellation/internal/skyline"
)

// Exchange is a change of charges of one namespace for which other charges, or
// parts of them, are given back.
type Exchange struct {
	// Namespace whose charges change.
	Namespace string
	// From and To are what it is charged before and after; without From, To is
	// new.
	From, To []Timed
	// Freed yields what is given back, each by the namespace that was charged
	// for it; nil is nothing. It makes room in every ancestor that this
	// namespace shares with Namespace, at the times at which it counted.
	Freed iter.Seq2[string, Timed]
}

// growth is by how much the usage of a namespace is to grow from now on, forever.
type growth struct {
	ns    string
	delta vector
}

// timedGrowth is a growth, and what grows by parts over their times, of which others
// give back some.
type timedGrowth struct {
	growth
	parts []part
	// target is the greatest charge that it leads to, in each dimension.
	target vector
}

// part is what an account is charged more, or with sign -1 less.
type part struct {
	timed
	by   *account
	sign int64
}

// stretch is a time over which a growth is the same.
type stretch struct {
	from, to int64
	delta    vector
	reserved vector // the part of delta that is reserved
}

func (s *stretch) add(p *part) {
	for d, amount := range p.amounts {
		s.delta[d] += p.sign * amount
		if p.reserved {
			s.reserved[d] += p.sign * amount
		}
	}
}

// give adds what a namespace gives back.
func (a *Accounts) give(g *timedGrowth, ns string, t *Timed) error {
	by := a.find(ns)
	s, err := a.timed(t)
	if err != nil {
		return err
	}
	g.parts = append(g.parts, part{s, by, -1})
	var all vector
	for i := range g.parts {
		if p := &g.parts[i]; p.by == by && p.sign < 0 && p.inForce() {
			all.add(p.amounts[:])
		}
	}
	if !by.covers(all[:], false) {
		return &NotChargedError{Namespace: ns}
	}
	return nil
}

// stretches appends the times from now on over which the usage of acc grows
// evenly, in order.
func (g *timedGrowth) stretches(into []stretch, acc *account, now int64) []stretch {
	if len(g.parts) == 0 {
		return append(into, stretch{from: now, to: skyline.Forever, delta: g.delta})
	}
	cuts := []int64{now, skyline.Forever}
	for i := range g.parts {
		for _, cut := range []int64{g.parts[i].from, g.parts[i].to} {
			if cut > now {
				cuts = append(cuts, cut)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i, from := range cuts[:len(cuts)-1] {
		s := stretch{from: from, to: cuts[i+1], delta: g.delta}
		for j := range g.parts {
			if p := &g.parts[j]; p.from <= from && from < p.to && p.by.within(acc) {
				s.add(p)
			}
		}
		into = append(into, s)
	}
	return into
}
