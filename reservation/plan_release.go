package reservation

// Release decides that a reservation ends now. If instances stand in it that
// takes force, and then becomes of them what its AtEnd says.
//
// It takes O(c log c) in the claims of the reservation; see Apply.
//
// Errors: NotFoundError, StateError (it has ended), InUseError.
func (p *Plan) Release(id string, force bool) ([]PlanChange, error) {
	r, err := p.live(id, "release")
	switch {
	case err != nil:
		return nil, err
	case !r.holding():
		return nil, &StateError{id, r.Phase, "release"}
	case len(r.Instances()) > 0 && !force:
		return nil, &InUseError{id, r.Instances()}
	}
	return []PlanChange{{Kind: Withdraw, ID: id}}, nil
}
