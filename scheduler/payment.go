package scheduler

import (
	"iter"
	"time"

	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// reservationCharge is what a reservation charges its namespace.
type reservationCharge struct {
	namespace string
	amounts   quota.Amounts
}

func amountsOf(l reservation.Load) quota.Amounts {
	return quota.Amounts{Resources: l.Resources, Instances: l.Instances}
}

// charged brings the charge of a reservation to what it owes now. A namespace
// is given where it may be the first charge. O(slots and claims of it), for what
// it owes is summed up anew.
func (st *state) charged(id, namespace string) {
	paid, paying := st.payments[id]
	if paying {
		namespace = paid.namespace
	}
	owes := amountsOf(st.plan.Owes(id))
	switch owing := !owes.Equal(quota.Amounts{}); {
	case paying && owing:
		_, _ = st.editQuota(namespace).Replace(st.now, namespace, paid.amounts, owes)
	case paying:
		_ = st.editQuota(namespace).Remove(namespace, paid.amounts)
		delete(st.payments, id)
		return
	case owing:
		_, _ = st.editQuota(namespace).Add(st.now, namespace, owes)
	default:
		return
	}
	st.payments[id] = reservationCharge{namespace, owes}
}

// affordable asks the quota for what changes of the plan would make a
// reservation owe: within soft limits, since holds never burst. What is given
// back for slots that it displaces is taken into account, at every level.
func (st *state) affordable(now time.Time, changes []reservation.PlanChange, err error) ([]reservation.PlanChange, error) {
	if err != nil || len(changes) == 0 {
		return changes, err
	}
	r := changes[len(changes)-1].Reservation
	if r == nil {
		return changes, nil
	}
	verdict, err := st.quota.CheckExchange(now, quota.Exchange{
		Namespace: r.Spec.Namespace,
		From:      st.payments[r.Spec.ID].amounts,
		To:        amountsOf(r.Owes()),
		Freed:     st.freed(changes),
	}, quota.SoftOnly)
	if err := st.exceeded(r.Spec.Namespace, verdict, err); err != nil {
		return nil, err
	}
	return changes, nil
}

// affordsAll asks the quota for all slots of a spec that is valid.
func (st *state) affordsAll(now time.Time, spec *reservation.Spec) error {
	all := quota.Amounts{Instances: int64(spec.Count)}
	for name, amount := range spec.Shape.All() {
		all.Resources = all.Resources.With(name, amount*int64(spec.Count))
	}
	verdict, err := st.quota.Check(now, spec.Namespace, all, quota.SoftOnly)
	return st.exceeded(spec.Namespace, verdict, err)
}

// freed yields what namespaces get back for the slots that are lost by changes
// of the plan.
func (st *state) freed(changes []reservation.PlanChange) iter.Seq2[string, quota.Amounts] {
	return func(yield func(string, quota.Amounts) bool) {
		for _, c := range changes {
			if c.Kind != reservation.Move || c.Node != "" {
				continue
			}
			lost, _ := st.plan.Reservation(c.ID)
			if !yield(lost.Spec.Namespace, quota.Instance(lost.Terms.Shape)) {
				return
			}
		}
	}
}
