package reservation

import (
	"errors"
	"slices"

	"github.com/rads-project/constellation/placement"
)

// validate reports what no plan could have made: entries that a plan could not
// count, and one that counts twice.
func (s *Snapshot) validate() error {
	v := validation{known: make(map[string]bool), stands: make(map[string]bool)}
	for i := range s.Reservations {
		v.reservation(&s.Reservations[i])
	}
	for i := range s.Stays {
		v.stay(&s.Stays[i])
	}
	for _, id := range s.Unsettled {
		if !v.known[id] {
			v.refuse("unsettled", id, "no such reservation")
		}
	}
	return errors.Join(v.errs...)
}

// validation is how far the check of a snapshot has got.
type validation struct {
	errs   []error
	known  map[string]bool // reservations by ID
	stands map[string]bool // instances by ID
}

func (v *validation) refuse(field string, value any, reason string) {
	v.errs = append(v.errs, invalid("snapshot."+field, value, reason))
}

func (v *validation) reservation(r *Reservation) {
	field := "reservations[" + r.Spec.ID + "]"
	if r.Spec.ID == "" || v.known[r.Spec.ID] {
		v.refuse("reservations", r.Spec.ID, "want distinct IDs")
	}
	v.known[r.Spec.ID] = true
	if !slices.Contains([]State{Pending, Active, Expiring, Ended}, r.Phase) {
		v.refuse(field+".phase", r.Phase, "unknown")
	}
	if err := errors.Join(r.Spec.validateRules(), validateSize(r.Terms.Shape, r.Terms.Count)); err != nil {
		v.errs = append(v.errs, err)
	}
	if len(r.Slots) > MaxCount {
		v.refuse(field+".slots", len(r.Slots), "want at most 10000")
		return
	}
	for i := range r.Slots {
		slot := &r.Slots[i]
		if slot.Node == "" {
			if len(slot.Claims)+len(slot.Awaits) > 0 {
				v.refuse(field+".slots", i, "a lost slot with claims, or that waits")
			}
			continue
		}
		if r.holding() {
			v.devices(field, r.Terms.Shape.GPU, slot.Devices)
		} else if len(slot.Awaits) > 0 {
			v.refuse(field+".slots", i, "a slot that waits after the end")
		}
		for j := range slot.Claims {
			v.claim(&slot.Claims[j])
		}
	}
}

func (v *validation) claim(c *Claim) {
	field := "claims[" + c.ID + "]"
	v.instance(field, c.ID)
	whole, err := c.Held.Resources.Add(c.Excess.Resources)
	if err := errors.Join(err, c.Held.Resources.Validate(), c.Excess.Resources.Validate()); err != nil {
		v.errs = append(v.errs, within("snapshot."+field, err))
		return
	}
	if c.Held.Instances < 0 || c.Excess.Instances < 0 || c.Held.Instances+c.Excess.Instances != 1 {
		v.refuse(field, c.ID, "want the parts of one instance")
	}
	v.devices(field, whole.GPU, c.Devices)
}

func (v *validation) stay(s *Stay) {
	field := "stays[" + s.ID + "]"
	v.instance(field, s.ID)
	if s.Node == "" {
		v.refuse(field+".node", s.Node, "empty")
	}
	if err := s.Load.Resources.Validate(); err != nil || s.Load.Instances != 1 {
		v.refuse(field+".load", s.Load.Resources, "want one instance of amounts of at least 0")
	}
	v.devices(field, s.Load.Resources.GPU, s.Devices)
}

func (v *validation) instance(field, id string) {
	if id == "" || v.stands[id] {
		v.refuse(field, id, "want distinct instances")
	}
	v.stands[id] = true
}

func (v *validation) devices(field string, gpu int64, devices []int) {
	const most = placement.MaxDevices * placement.Device
	if want := (min(gpu, most) + placement.Device - 1) / placement.Device; int64(len(devices)) != want {
		v.refuse(field+".devices", len(devices), "want as many as the amount of GPU takes")
		return
	}
	for i, device := range devices {
		if device < 0 || device >= placement.MaxDevices || slices.Contains(devices[:i], device) {
			v.refuse(field+".devices", device, "want distinct indices below 1024")
		}
	}
}
