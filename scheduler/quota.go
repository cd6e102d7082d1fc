package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// QuotaInfo is the quota of a namespace and what is used of it.
type QuotaInfo struct {
	quota.Spec
	// Usage in each dimension that is used or limited, in the order of
	// placement.Amounts.All.
	Usage []quota.Usage `json:"usage,omitempty"`
	// Version is the sequence number of the last change of the spec.
	Version uint64 `json:"version"`
}

// CreateQuota declares the quota of a namespace. What is running in it already
// counts from now on; CreateQuota returns what is over its limits. It is
// idempotent: the same spec again changes nothing. Errors and cost are those of
// quota.Accounts.Create: levels times dimensions, and the number of namespaces
// for a default.
func (s *calls) CreateQuota(ctx context.Context, spec quota.Spec) ([]quota.Usage, error) {
	return s.declare(ctx, (*quota.Accounts).CheckCreate, spec, &QuotaCreated{Spec: spec.Clone()})
}

// UpdateQuota replaces the quota of a namespace and returns what is over its
// limits now. Nothing is evicted for that; usage cannot grow until it fits
// again. Errors and cost are those of quota.Accounts.Update; reservations that
// lack slots for want of quota are looked for again.
func (s *calls) UpdateQuota(ctx context.Context, spec quota.Spec) ([]quota.Usage, error) {
	return s.declare(ctx, (*quota.Accounts).CheckUpdate, spec, &QuotaUpdated{Spec: spec.Clone()})
}

func (s *calls) declare(ctx context.Context, check func(*quota.Accounts, quota.Spec) error, spec quota.Spec, c decided) ([]quota.Usage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	var over []quota.Usage
	err := check(&s.state.quota, spec)
	// The same spec again is no change.
	if old, ok := s.state.quota.Spec(spec.Namespace); err == nil && (!ok || !old.Equal(spec)) {
		over = s.commitLocked(c).over
	}
	if err := s.unlockAndWait(ctx, err); err != nil {
		return nil, err
	}
	return over, nil
}

// DeleteQuota withdraws the quota of a namespace. Errors are those of
// quota.Accounts.Delete. It takes constant time, but for a default or a parent
// in use time in proportion to the namespaces; a quota.InUseError names up to
// three allocations or reservations that use it, which takes time and memory in
// proportion to all of them.
func (s *calls) DeleteQuota(ctx context.Context, namespace string) error {
	err := s.change(ctx, func(st *state) (decided, error) {
		if err := st.quota.CheckDelete(namespace); err != nil {
			return nil, err
		}
		return &QuotaDeleted{Namespace: namespace}, nil
	})
	var used *quota.InUseError
	if errors.As(err, &used) && used.By == quota.ByCharges {
		c, err := s.captured(ctx, parts{nodes: true, plan: true})
		if err != nil {
			return err
		}
		users := c.users(used.Namespace)
		used.IDs = users[:min(3, len(users))]
	}
	return err
}

// CheckQuota says whether one more instance of these amounts would be admitted
// in the namespace now, and changes nothing. An error is invalid input; a
// refusal is in the verdict. It takes time in proportion to the dimensions in
// use times the levels above the namespace, at most 38 × 8.
func (s *view) CheckQuota(ctx context.Context, namespace string, r placement.Resources) (v quota.Verdict, err error) {
	err = s.read(ctx, func(st *state) error {
		v, err = st.quota.Check(s.now, namespace, placement.OneInstance(r), quota.MayBurst)
		return err
	})
	return v, err
}

// CheckQuotaOver says whether amounts would be admitted in the namespace over a
// time, and changes nothing: with Reserved what Reserve would be told of its
// quota, else what an instance that is to leave at Until would be. An error is
// invalid input; a refusal is in the verdict, and names the instant at which it
// does not fit and the earliest start. It takes the time of CheckQuota, and of
// quota.Accounts.CheckOver.
func (s *view) CheckQuotaOver(ctx context.Context, namespace string, t quota.Timed) (v quota.Verdict, err error) {
	err = s.read(ctx, func(st *state) error {
		if v, err = st.quota.CheckOver(s.now, namespace, t); err == nil && v.Allowed() && t.Reserved {
			v = st.quota.CheckReserve(s.now, namespace, t.From, t.Until)
		}
		return err
	})
	return v, err
}

// QuotaUsageOver returns the most that a namespace will use at one time from one
// instant to another, as far as is known: reservations over their windows, and
// instances until their Duration is over. A zero from is now, and a zero until has
// no end. It takes O(log n) in the reservations and in the instances with a Duration,
// per dimension.
func (s *view) QuotaUsageOver(ctx context.Context, namespace string, from, until time.Time) (usage []quota.Usage, err error) {
	err = s.read(ctx, func(st *state) error {
		usage = st.quota.UsageOver(s.now, namespace, from, until)
		return nil
	})
	return usage, err
}

// Quota returns the quota of a namespace, and ErrNotFound if none
// is declared for it. It takes time in proportion to the dimensions in use.
func (s *view) Quota(ctx context.Context, namespace string) (info QuotaInfo, err error) {
	err = s.read(ctx, func(st *state) error {
		spec, ok := st.quota.Spec(namespace)
		if !ok {
			return placement.NotFound(placement.KindQuota, namespace)
		}
		info = st.quotaInfo(s.now, spec)
		return nil
	})
	return info, err
}

// Quotas returns the quotas by namespace, as of one instant. Decisions go on
// meanwhile. It takes time and memory in proportion to the namespaces.
func (s *view) Quotas(ctx context.Context) ([]QuotaInfo, error) {
	c, err := s.captured(ctx, parts{quotas: true})
	if err != nil {
		return nil, err
	}
	var infos []QuotaInfo
	for account := range c.accounts.all() {
		if account.declared {
			infos = append(infos, account.info)
		}
	}
	return infos, nil
}

// QuotaUsage returns what a namespace uses, even one without a quota of its
// own, in each dimension that is used or limited. It takes time in proportion
// to these.
func (s *view) QuotaUsage(ctx context.Context, namespace string) (usage []quota.Usage, err error) {
	err = s.read(ctx, func(st *state) error {
		usage = st.quota.Usage(s.now, namespace)
		return nil
	})
	return usage, err
}

// VerifyQuota compares the usage of all namespaces with the sum of what is
// charged to them, as of one instant. It returns nil unless the library is
// wrong. Decisions go on meanwhile. It takes time and memory in proportion to
// nodes, instances, namespaces and reservations.
func (s *view) VerifyQuota(ctx context.Context) error {
	c, err := s.captured(ctx, parts{nodes: true, quotas: true, plan: true})
	if err != nil {
		return err
	}
	return c.verifyQuota()
}
