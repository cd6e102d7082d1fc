package quota

// exchange is a growth in a namespace together with what others give back for
// it.
type exchange struct {
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
func (a *Accounts) give(x *exchange, ns string, amounts *Amounts) error {
	by := a.find(ns)
	i := 0
	for i < len(x.freed) && x.freed[i].by != by {
		i++
	}
	if i == len(x.freed) {
		x.freed = append(x.freed, freed{by: by})
	}
	if err := a.tally(&x.freed[i].amount, amounts, 1); err != nil {
		return err
	}
	if !by.covers(&x.freed[i].amount, false) {
		return &NotChargedError{Namespace: ns}
	}
	return nil
}

// under returns by how much the usage of an account grows that the growth
// counts for.
func (x *exchange) under(acc *account) vector {
	growth := x.delta
	for i := range x.freed {
		if x.freed[i].by.within(acc) {
			for d, amount := range x.freed[i].amount {
				growth[d] -= amount
			}
		}
	}
	return growth
}
