package scheduler

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// twoReservations returns a scheduler with instance a in reservation r1, an
// empty reservation r2 and a yielding instance b on one node.
func twoReservations(t *testing.T) *Scheduler {
	t.Helper()
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 16))
	reserve(t, s, holding("r1", 4, 2))
	reserve(t, s, holding("r2", 4, 1))
	_, err := s.PlaceFromReservation(t.Context(), "r1", onlyCPU("a", 2))
	require.NoError(t, err)
	yielding := onlyCPU("b", 2)
	yielding.Yield = true
	place(t, s, yielding)
	return s
}

// TestHostileChangesOfThePlan: a journal that counts an instance twice, or
// goes on with what has ended, is refused and not followed.
func TestHostileChangesOfThePlan(t *testing.T) {
	s := twoReservations(t)
	st := s.state
	put := func(id string, edit func(*reservation.Reservation)) reservation.PlanChange {
		r, ok := st.plan.Reservation(id)
		require.True(t, ok)
		edit(&r)
		return reservation.PlanChange{Kind: reservation.Put, Reservation: &r}
	}
	same := func(*reservation.Reservation) {}
	claimed, _ := st.plan.Reservation("r1")
	claims := claimed.Slots[0].Claims
	withdraw := reservation.PlanChange{Kind: reservation.Withdraw, ID: "r2"}
	tests := []struct {
		name    string
		changes []reservation.PlanChange
		want    string
	}{
		{"as it is", []reservation.PlanChange{put("r1", same), put("r2", same)}, ""},
		{"in two reservations", []reservation.PlanChange{
			put("r2", func(r *reservation.Reservation) { r.Slots[0].Claims = claims }),
		}, "and elsewhere"},
		{"in two slots", []reservation.PlanChange{
			put("r1", func(r *reservation.Reservation) { r.Slots[1].Claims = claims }),
		}, "two slots"},
		{"beside and in a slot", []reservation.PlanChange{put("r2", func(r *reservation.Reservation) {
			r.Slots[0].Claims = []reservation.Claim{{
				ID: "b", Namespace: "ns", Held: placement.Amounts{Resources: placement.Resources{CPU: 2 * placement.Core}, Instances: 1},
			}}
		})}, "and elsewhere"},
		{"of another namespace", []reservation.PlanChange{
			put("r1", func(r *reservation.Reservation) { r.Slots[0].Claims[0].Namespace = "other" }),
		}, "is not on node"},
		{"of other amounts", []reservation.PlanChange{
			put("r1", func(r *reservation.Reservation) { r.Slots[0].Claims[0].Held.Resources.CPU = 1 }),
		}, "other amounts"},
		{"of a negative part", []reservation.PlanChange{put("r1", func(r *reservation.Reservation) {
			claim := &r.Slots[0].Claims[0]
			claim.Held.Resources.Memory, claim.Excess.Resources.Memory = 1, -1
		})}, "negative"},
		{"withdrawn twice", []reservation.PlanChange{withdraw, withdraw}, "not found"},
		{"moved after its end", []reservation.PlanChange{withdraw, {Kind: reservation.Move, ID: "r2"}}, "not found"},
		{"waiting", []reservation.PlanChange{{Kind: reservation.Wait, ID: "r2", Because: []string{"b"}}}, ""},
		{"waiting in no slot", []reservation.PlanChange{{Kind: reservation.Wait, ID: "r2", Slot: 1}}, "no slot 1"},
		{"waiting after its end", []reservation.PlanChange{withdraw, {Kind: reservation.Wait, ID: "r2"}}, "not found"},
		{"settled after its end", []reservation.PlanChange{withdraw, {Kind: reservation.Settled, ID: "r2"}}, "not found"},
		{"put after its end", []reservation.PlanChange{withdraw, put("r2", same)}, `reservation "r2"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := (&PlanChanged{Changes: test.changes}).check(st)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}

	req := onlyCPU("b", 2)
	err := st.checkClaim(&Placed{ID: req.ID, Resources: req.Resources, rules: &req, NodeID: "n1", Claim: &reservation.PlanChange{
		Kind: reservation.Fill, ID: "r2", Claim: &reservation.Claim{
			ID: "b", Namespace: "ns", Held: placement.Amounts{Resources: req.Resources, Instances: 1},
		},
	}})
	require.ErrorContains(t, err, "stands elsewhere")
}

// TestHostileSnapshotOfThePlan: the same in a snapshot.
func TestHostileSnapshotOfThePlan(t *testing.T) {
	s := twoReservations(t)
	tests := []struct {
		name string
		edit func(*reservation.Snapshot)
		want string
	}{
		{"as it is", func(*reservation.Snapshot) {}, ""},
		{"in two reservations", func(p *reservation.Snapshot) {
			p.Reservations[1].Slots[0].Claims = p.Reservations[0].Slots[0].Claims
		}, "and elsewhere"},
		{"one reservation twice", func(p *reservation.Snapshot) {
			p.Reservations = append(p.Reservations, p.Reservations[1])
		}, "order of IDs"},
		{"one stay twice", func(p *reservation.Snapshot) { p.Stays = append(p.Stays, p.Stays[0]) }, "does not stay"},
		{"beside and in a slot", func(p *reservation.Snapshot) {
			p.Stays[0].ID = "a"
		}, "does not stay"},
		{"devices of a stay", func(p *reservation.Snapshot) { p.Stays[0].Devices = []int{-1} }, "does not stay"},
		{"instances of a stay", func(p *reservation.Snapshot) { p.Stays[0].Load.Instances = 0 }, "does not stay"},
		{"devices of a claim", func(p *reservation.Snapshot) {
			p.Reservations[0].Slots[0].Claims[0].Devices = []int{1 << 16}
		}, "is not on node"},
		{"unsettled stranger", func(p *reservation.Snapshot) { p.Unsettled = []string{"x"} }, "not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &restorer{st: newState(Config{}), seq: s.state.seq}
			for record, err := range ReadSnapshot(strings.NewReader(snapshot(t, s))) {
				require.NoError(t, err)
				require.NoError(t, r.parts.read(record, func(_ itemKind, item snapshotItem) error { return item.restore(r) }))
			}
			test.edit(&r.plan)
			err := r.end()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}
