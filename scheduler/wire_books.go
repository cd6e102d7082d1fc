package scheduler

import (
	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// The fields of quotas, reservations and reports in a record; see FORMAT.md.

func quotaFields(c *codec.Coder, s *quota.Spec) {
	codec.Name(c, 1, &s.Namespace)
	codec.Map(c, 2, &s.Limits, limitField)
	codec.Name(c, 3, &s.Parent)
	codec.Bool(c, 4, &s.Default)
	codec.Message(c, 5, &s.Reservations, reservationBoundsFields)
}

func reservationBoundsFields(c *codec.Coder, r *quota.Reservations) {
	codec.Int(c, 1, &r.MaxAhead)
	codec.Int(c, 2, &r.MaxLength)
	codec.Int(c, 3, &r.Percent)
}

// limitField describes a limit that is there: one of nothing denies.
func limitField(c *codec.Coder, field int, l *quota.Limit) { codec.Element(c, field, l, limitFields) }

func limitFields(c *codec.Coder, l *quota.Limit) {
	codec.Int(c, 1, &l.Soft)
	codec.Int(c, 2, &l.BurstPercent)
	codec.Int(c, 3, &l.BurstFor)
}

func accountFields(c *codec.Coder, a *quota.AccountState) {
	codec.Name(c, 1, &a.Namespace)
	codec.Int(c, 2, &a.Charges)
	codec.Message(c, 3, &a.Used, amountsFields)
	codec.Map(c, 4, &a.Since, codec.Time)
}

func reservationFields(c *codec.Coder, r *reservation.Reservation) {
	codec.Message(c, 1, &r.Spec, reservationSpecFields)
	codec.Message(c, 2, &r.Params, paramsFields)
	codec.Int(c, 3, &r.Seq)
	codec.Int(c, 4, &r.Version)
	codec.Name(c, 5, &r.Series)
	codec.Name(c, 6, &r.Phase)
	codec.Bool(c, 7, &r.Noticed)
	codec.List(c, 8, &r.Slots, slotFields)
}

func reservationSpecFields(c *codec.Coder, s *reservation.Spec) {
	codec.Text(c, 1, &s.ID)
	codec.Name(c, 2, &s.Namespace)
	codec.Message(c, 3, &s.Shape, resourcesFields)
	codec.Int(c, 4, &s.Count)
	codec.Text(c, 5, &s.Node)
	codec.Message(c, 6, &s.Preferences, preferencesFields)
	codec.Time(c, 7, &s.Start)
	codec.Int(c, 8, &s.Duration)
	codec.Time(c, 9, &s.End)
	codec.Int(c, 10, &s.Priority)
	codec.Names(c, 11, &s.Owners)
	codec.Bool(c, 12, &s.Once)
	codec.Int(c, 13, &s.AtEnd)
	codec.Int(c, 14, &s.Grace)
	codec.Int(c, 15, &s.Notice)
	codec.Bool(c, 16, &s.Lend)
	codec.Message(c, 17, &s.Repeat, repeatFields)
	codec.Bool(c, 18, &s.Maintenance)
}

func repeatFields(c *codec.Coder, r *reservation.Repeat) {
	codec.Name(c, 1, &r.Every)
	codec.Time(c, 2, &r.Until)
	codec.Name(c, 3, &r.Location)
}

func paramsFields(c *codec.Coder, p *reservation.Params) {
	codec.Time(c, 1, &p.Start)
	codec.Time(c, 2, &p.End)
	codec.Message(c, 3, &p.Shape, resourcesFields)
	codec.Int(c, 4, &p.Count)
}

func slotFields(c *codec.Coder, s *reservation.Slot) {
	codec.Name(c, 1, &s.Node)
	codec.Name(c, 2, &s.Lost)
	codec.Ints(c, 3, &s.Devices)
	codec.List(c, 4, &s.Claims, claimFields)
	codec.Names(c, 5, &s.Awaits)
	codec.Name(c, 6, &s.Recalled)
	codec.Bool(c, 7, &s.Spent)
}

func claimFields(c *codec.Coder, k *reservation.Claim) {
	codec.Text(c, 1, &k.ID)
	codec.Name(c, 2, &k.Namespace)
	codec.Message(c, 3, &k.Held, amountsFields)
	codec.Message(c, 4, &k.Excess, amountsFields)
	codec.Ints(c, 5, &k.Devices)
	codec.Time(c, 6, &k.Until)
	codec.Bool(c, 7, &k.Overstayed)
}

func stayFields(c *codec.Coder, s *reservation.Stay) {
	codec.Text(c, 1, &s.ID)
	codec.Name(c, 2, &s.Namespace)
	codec.Name(c, 3, &s.Node)
	codec.Message(c, 4, &s.Load, amountsFields)
	codec.Ints(c, 5, &s.Devices)
	codec.Message(c, 6, &s.Window, windowFields)
	codec.Bool(c, 7, &s.Yield)
	codec.Int(c, 8, &s.Priority)
	codec.Bool(c, 9, &s.Told)
	codec.Time(c, 10, &s.Due)
	codec.Bool(c, 11, &s.Overstayed)
}

func windowFields(c *codec.Coder, w *reservation.Window) {
	codec.Time(c, 1, &w.Start)
	codec.Time(c, 2, &w.End)
}

func pastFields(c *codec.Coder, p *reservation.PastReservation) {
	codec.Text(c, 1, &p.ID)
	codec.Name(c, 2, &p.State)
}

func planChangeFields(c *codec.Coder, p *reservation.PlanChange) {
	codec.Name(c, 1, &p.Kind)
	codec.Text(c, 2, &p.ID)
	codec.Text(c, 3, &p.Instance)
	codec.Optional(c, 4, &p.Series, reservationSpecFields)
	codec.Optional(c, 5, &p.Reservation, reservationFields)
	codec.Optional(c, 6, &p.Claim, claimFields)
	codec.Optional(c, 7, &p.Stay, stayFields)
	codec.Int(c, 8, &p.Slot)
	codec.Name(c, 9, &p.Node)
	codec.Ints(c, 10, &p.Devices)
	codec.Names(c, 11, &p.Because)
}

func reportFields(c *codec.Coder, r *Report) {
	codec.Message(c, 1, &r.Request, requestFields)
	codec.Ints(c, 2, &r.Devices)
	codec.Int(c, 3, &r.Generation)
	codec.Ints(c, 4, &r.DynamicPorts)
	codec.Text(c, 5, &r.Reservation)
}

func workloadFields(c *codec.Coder, w *WorkloadClass) {
	codec.Message(c, 1, &w.Resources, resourcesFields)
	codec.Names(c, 2, &w.Models)
	codec.Int(c, 3, &w.Count)
}

func usageFields(c *codec.Coder, u *quota.Usage) {
	codec.Name(c, 1, &u.Namespace)
	codec.Name(c, 2, &u.Resource)
	codec.Int(c, 3, &u.Used)
	codec.Int(c, 4, &u.Soft)
	codec.Int(c, 5, &u.Ceiling)
	codec.Time(c, 6, &u.Since)
	codec.Time(c, 7, &u.BurstEnd)
	codec.Bool(c, 8, &u.Expired)
}

func reservationEventFields(c *codec.Coder, e *reservation.Event) {
	codec.Int(c, 1, &e.Seq)
	codec.Name(c, 2, &e.Kind)
	codec.Time(c, 3, &e.At)
	codec.Text(c, 4, &e.Reservation)
	codec.Name(c, 5, &e.Namespace)
	codec.Text(c, 6, &e.Instance)
	codec.Names(c, 7, &e.Instances)
	codec.Name(c, 8, &e.From)
	codec.Name(c, 9, &e.Node)
	codec.Names(c, 10, &e.Because)
	codec.Time(c, 11, &e.Due)
	codec.Text(c, 12, &e.Series)
}
