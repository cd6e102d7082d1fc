package reservation

import (
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
)

// Attach makes a stay, or an instance that the host counts, a claim.
func (m *machine) Attach(t *rapid.T) {
	r, ok := m.one(t)
	instance, counted := m.running(t)
	if !ok || instance.ID == "" {
		return
	}
	err := m.carry(t, func() ([]PlanChange, error) { return m.plan.Attach(m, r.Spec.ID, instance) })
	switch {
	case r.Phase != Active:
		require.ErrorIs(t, err, ErrState)
		return
	case r.Spec.Maintenance:
		require.ErrorIs(t, err, ErrNotOwner)
		return
	case instance.Overstayed:
		require.ErrorIs(t, err, placement.ErrConflict)
		return
	case err != nil:
		require.ErrorIs(t, err, ErrRefused)
		require.NotErrorIs(t, err, ErrWaiting, "nobody is asked to leave for it")
		for i := range r.Slots {
			require.False(t, takes(&r, &r.Slots[i], &instance) && !instance.Yield && instance.Window.End.IsZero(), "there is a slot: %v", err)
		}
		return
	}
	if !counted {
		m.rooms[instance.Node] = m.rooms[instance.Node].without(&instance)
	}
	claim, in, ok := m.plan.ClaimOf(instance.ID)
	require.True(t, ok)
	require.Equal(t, r.Spec.ID, in)
	require.Equal(t, instance.Load.Resources.String(), claim.whole().Resources.String())
	require.Equal(t, copied(instance.Devices), claim.Devices)
	require.Equal(t, instance.Window.End, claim.Until)
	_, stays := m.plan.Stay(instance.ID)
	require.False(t, stays)
	node, _ := m.plan.nodeOfClaim(instance.ID)
	require.Equal(t, instance.Node, node, "it never moves")
	again, err := m.plan.Attach(m, r.Spec.ID, instance)
	require.NoError(t, err)
	require.Empty(t, again)
}

// running draws an instance that runs beside all slots, and whether the plan counts it.
func (m *machine) running(t *rapid.T) (instance Stay, counted bool) {
	stays := slices.Collect(m.plan.allStays())
	if len(stays) > 0 && rapid.IntRange(0, 2).Draw(t, "stay") > 0 {
		return rapid.SampledFrom(stays).Draw(t, "instance"), true
	}
	node := rapid.SampledFrom(machineNodes()).Draw(t, "node")
	room := m.rooms[node]
	if room.Used.Instances == 0 || m.lost[node] {
		return Stay{}, false
	}
	instance = Stay{ID: m.newID("h"), Node: node, Load: placement.Amounts{Instances: 1}}
	instance.Load.Resources.CPU = rapid.Int64Range(0, room.Used.Resources.CPU).Draw(t, "cpu")
	if gpu := rapid.SampledFrom([]int64{0, 250, 500}).Draw(t, "gpu"); gpu > 0 && len(room.Devices) > 1 && room.Devices[1] >= gpu {
		instance.Load.Resources.GPU, instance.Devices = gpu, []int{1}
	}
	return instance, false
}

// takes reports whether a slot is there for a running instance as it is.
func takes(r *Reservation, slot *Slot, instance *Stay) bool {
	shape := r.Params.Shape
	if slot.Spent || len(slot.Awaits) > 0 || slot.Node != instance.Node || slot.Recalled != "" && slot.Recalled != instance.ID {
		return false
	}
	left, _ := shape.Sub(slot.used().Resources)
	for name, amount := range instance.Load.Resources.All() {
		if shape.Amount(name) > 0 && name != placement.NameGPU && amount > left.Amount(name) {
			return false
		}
	}
	for _, device := range instance.Devices {
		used := int64(0)
		for _, c := range slot.Claims {
			if slices.Contains(c.Devices, device) {
				used += deviceShare(c.Held.Resources.GPU)
			}
		}
		if shape.GPU > 0 && (!slices.Contains(slot.Devices, device) || deviceShare(shape.GPU)-used < deviceShare(instance.Load.Resources.GPU)) {
			return false
		}
	}
	return true
}
