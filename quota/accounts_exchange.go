package quota

import (
	"iter"

	"github.com/rads-project/constellation/placement"
)

// Exchange is a change of one charge for which other charges, or parts of them,
// are given back. The zero value of From stands for a charge that is new.
type Exchange struct {
	// Namespace whose charge changes.
	Namespace string
	// From and To are what it is charged before and after.
	From, To placement.Amounts
	// Freed yields what is given back, each by the namespace that was charged
	// for it; nil is nothing. It makes room in every ancestor that this
	// namespace shares with Namespace.
	Freed iter.Seq2[string, placement.Amounts]
}

// growth is by how much the usage of a namespace is to grow, and what others
// give back for it.
type growth struct {
	ns    string
	delta vector
	freed []freed
}

// freed is what an account gives back.
type freed struct {
	by     *account
	amount vector
}

// give adds what a namespace gives back.
func (a *Accounts) give(g *growth, ns string, amounts *placement.Amounts) error {
	by := a.find(ns)
	i := 0
	for i < len(g.freed) && g.freed[i].by != by {
		i++
	}
	if i == len(g.freed) {
		g.freed = append(g.freed, freed{by: by})
	}
	if err := a.tally(&g.freed[i].amount, amounts, 1); err != nil {
		return err
	}
	if !by.covers(&g.freed[i].amount, false) {
		return &NotChargedError{Namespace: ns}
	}
	return nil
}

// under returns by how much the usage of an account grows that the growth
// counts for.
func (g *growth) under(acc *account) vector {
	delta := g.delta
	for i := range g.freed {
		if g.freed[i].by.within(acc) {
			for d, amount := range g.freed[i].amount {
				delta[d] -= amount
			}
		}
	}
	return delta
}
