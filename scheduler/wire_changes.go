package scheduler

import (
	"math"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
)

// The fields of each kind of change in an entry; see FORMAT.md.

// changeField is a message with one field: its number is the kind of the change,
// and the change is in it.
func changeField(c *codec.Coder, change *decided) {
	if c.Reading() {
		kind := changeKind(min(c.Field(), int(firstDerivedKind)))
		if *change = newChange(kind); *change == nil {
			c.Fail("unknown change " + kind.String())
			return
		}
	}
	codec.Element(c, int((*change).changeKind()), change, changeFields)
}

func changeFields(c *codec.Coder, change *decided) { (*change).fields(c) }

// derivedField is changeField for a change that was derived.
func derivedField(c *codec.Coder, change *Change) {
	if c.Reading() {
		kind := changeKind(min(c.Field(), math.MaxUint8))
		if *change = newDerived(kind); *change == nil {
			c.Fail("unknown derived change " + kind.String())
		}
	}
	if *change != nil {
		codec.Element(c, int((*change).changeKind()), change, derivedChangeFields)
	}
}

func derivedChangeFields(c *codec.Coder, change *Change) { (*change).fields(c) }

func (c *NodeAdded) fields(m *codec.Coder) {
	codec.Message(m, 1, &c.Node, nodeFields)
	codec.Int(m, 2, &c.Join)
	codec.Bool(m, 3, &c.Unreported)
}

func (c *NodeUpdated) fields(m *codec.Coder) {
	codec.Message(m, 1, &c.Node, nodeFields)
	codec.List(m, 2, &c.Moves, planChangeFields)
}

func (c *NodeMarked) fields(m *codec.Coder) {
	codec.Name(m, 1, &c.NodeID)
	codec.Name(m, 2, &c.Mark)
	codec.List(m, 3, &c.Moves, planChangeFields)
}

func (c *NodeRemoved) fields(m *codec.Coder) {
	codec.Name(m, 1, &c.NodeID)
	codec.List(m, 2, &c.Moves, planChangeFields)
}

func (c *NodeAdopted) fields(m *codec.Coder) {
	codec.Message(m, 1, &c.Node, nodeFields)
	codec.Int(m, 2, &c.Join)
	codec.List(m, 3, &c.Moves, planChangeFields)
	codec.List(m, 4, &c.Instances, reportFields)
}

func (c *Placed) fields(m *codec.Coder) {
	codec.Message(m, 1, c, placedRequest)
	codec.Text(m, 2, &c.NodeID)
	codec.Ints(m, 3, &c.Devices)
	codec.Int(m, 4, &c.Score)
	codec.Int(m, 5, &c.Generation)
	codec.Optional(m, 6, &c.Claim, planChangeFields)
	codec.Ints(m, 7, &c.DynamicPorts)
	codec.Bool(m, 8, &c.Move)
}

// placedRequest is requestFields of the request that was placed.
func placedRequest(m *codec.Coder, c *Placed) {
	codec.Text(m, 1, &c.ID)
	codec.Message(m, 2, &c.Resources, resourcesFields)
	codec.Rest(m, &c.rules, rulesFields)
	if c.rules == nil && m.Reading() {
		c.rules = new(placement.Request)
	}
}

func (c *Released) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Int(m, 2, &c.Generation)
	codec.Bool(m, 3, &c.Unclaimed)
}

func (c *Resized) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Message(m, 2, &c.Resources, resourcesFields)
	codec.Ints(m, 3, &c.Devices)
}

func (c *QuotaCreated) fields(m *codec.Coder) { codec.Message(m, 1, &c.Spec, quotaFields) }

func (c *QuotaUpdated) fields(m *codec.Coder) { codec.Message(m, 1, &c.Spec, quotaFields) }

func (c *QuotaDeleted) fields(m *codec.Coder) { codec.Text(m, 1, &c.Namespace) }

func (c *PlanChanged) fields(m *codec.Coder) { codec.List(m, 1, &c.Changes, planChangeFields) }

func (c *WorkloadChanged) fields(m *codec.Coder) { codec.List(m, 1, &c.Mix, workloadFields) }

func (c *LeavingChanged) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Int(m, 2, &c.Generation)
	codec.Bool(m, 3, &c.Leaving)
}

func (c *GenerationKept) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Int(m, 2, &c.Generation)
}

func (c *Amended) fields(m *codec.Coder) {
	codec.Message(m, 1, &c.Request, requestFields)
	codec.Ints(m, 2, &c.DynamicPorts)
	codec.Int(m, 3, &c.Generation)
}

func (c *Attached) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Int(m, 2, &c.Generation)
	codec.List(m, 3, &c.Changes, planChangeFields)
}

func (c *InstanceMarked) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Int(m, 2, &c.Generation)
	codec.Name(m, 3, &c.NodeID)
	codec.Name(m, 4, &c.State)
}

func (c *EvictionDue) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Name(m, 2, &c.NodeID)
	codec.Message(m, 3, &c.Taint, taintFields)
}

func (c *Overstayed) fields(m *codec.Coder) {
	codec.Text(m, 1, &c.ID)
	codec.Name(m, 2, &c.NodeID)
	codec.Text(m, 3, &c.Reservation)
}

func (c *QuotaOver) fields(m *codec.Coder) { codec.List(m, 1, &c.Usage, usageFields) }

func (c *BurstExpired) fields(m *codec.Coder) { codec.Message(m, 1, &c.Usage, usageFields) }

func (c *ReservationEvent) fields(m *codec.Coder) {
	codec.Message(m, 1, &c.Event, reservationEventFields)
}
