package reservation_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestHostileSnapshots: a book begins with nothing that would break it later.
func TestHostileSnapshots(t *testing.T) {
	gpus := node("n2", 8)
	gpus.Devices.Count = 2
	d := newDesk(t, gpus)
	whole := spec("a", 2)
	whole.Shape.GPU = 2 * placement.Device
	d.reserve(whole)
	require.NoError(t, d.claim("a", "i", 1))
	d.reserve(d.during("b", 2, 90, 120))
	closed := d.during("m", 0, 200, 300)
	closed.Shape, closed.Count, closed.Node, closed.Maintenance = placement.Resources{}, 0, "n1", true
	d.reserve(closed)
	stay := lasting("s", 1, 60)
	_, err := d.Place(stay)
	require.NoError(t, err)
	good, err := json.Marshal(d.Snapshot())
	require.NoError(t, err)

	type snapshot = reservation.Snapshot
	tests := []struct {
		name  string
		spoil func(*snapshot)
		field string
	}{
		{"as it is", func(*snapshot) {}, ""},
		{"reservation twice", func(s *snapshot) { s.Reservations[1] = s.Reservations[0] }, "snapshot.reservations"},
		{"reservation without ID", func(s *snapshot) { s.Reservations[1].Spec.ID = "" }, "snapshot.reservations"},
		{"unknown phase", func(s *snapshot) { s.Reservations[0].Phase = "gone" }, "snapshot.reservations[a].phase"},
		{"unknown ending", func(s *snapshot) { s.Reservations[0].Spec.AtEnd = 9 }, "atEnd"},
		{"negative shape", func(s *snapshot) { s.Reservations[0].Params.Shape.CPU = -1 }, "shape.cpu"},
		{"lost slot in use", func(s *snapshot) { s.Reservations[0].Slots[0].Node = "" }, "snapshot.reservations[a].slots"},
		{"too many slots", func(s *snapshot) { s.Reservations[1].Slots = make([]reservation.Slot, 10_001) }, "snapshot.reservations[b].slots"},
		{"negative device", func(s *snapshot) { s.Reservations[0].Slots[0].Devices[0] = -1 }, "snapshot.reservations[a].devices"},
		{"enormous device", func(s *snapshot) { s.Reservations[0].Slots[0].Devices[1] = math.MaxInt }, "snapshot.reservations[a].devices"},
		{"device twice", func(s *snapshot) { s.Reservations[0].Slots[0].Devices[1] = 0 }, "snapshot.reservations[a].devices"},
		{"device missing", func(s *snapshot) { s.Reservations[0].Slots[0].Devices = nil }, "snapshot.reservations[a].devices"},
		{"device of a claim", func(s *snapshot) { s.Reservations[0].Slots[0].Claims[0].Devices = []int{-1} }, "snapshot.claims[i].devices"},
		{"negative claim", func(s *snapshot) { s.Reservations[0].Slots[0].Claims[0].Held.Resources.CPU = -1 }, "snapshot.claims[i].cpu"},
		{"claim beyond counting", func(s *snapshot) {
			c := &s.Reservations[0].Slots[0].Claims[0]
			c.Held.Resources.CPU, c.Excess.Resources.CPU = math.MaxInt64, 1
		}, "snapshot.claims[i].cpu"},
		{"claim of no instance", func(s *snapshot) { s.Reservations[0].Slots[0].Claims[0].Held.Instances = 0 }, "snapshot.claims[i]"},
		{"claim and stay", func(s *snapshot) { s.Stays[0].ID = "i" }, "snapshot.stays[i]"},
		{"stay nowhere", func(s *snapshot) { s.Stays[0].Node = "" }, "snapshot.stays[s].node"},
		{"negative stay", func(s *snapshot) { s.Stays[0].Load.Resources.CPU = -1 }, "snapshot.stays[s].load"},
		{"device of a stay", func(s *snapshot) { s.Stays[0].Devices = []int{0} }, "snapshot.stays[s].devices"},
		{"slot missing", func(s *snapshot) { s.Reservations[1].Slots = nil }, "snapshot.reservations[b].slots"},
		{"maintenance of nothing", func(s *snapshot) { s.Reservations[2].Slots = nil }, "snapshot.reservations[m].slots"},
		{"maintenance elsewhere", func(s *snapshot) { s.Reservations[2].Slots[0].Node = "n2" }, "snapshot.reservations[m].slots"},
		{"end before the start", func(s *snapshot) {
			s.Reservations[1].Params.End = s.Reservations[1].Params.Start.Add(-1)
		}, "snapshot.reservations[b].end"},
		{"end at the start", func(s *snapshot) { s.Reservations[1].Params.End = s.Reservations[1].Params.Start }, "snapshot.reservations[b].end"},
		{"stay that ends before it came", func(s *snapshot) { s.Stays[0].Window.End = s.Stays[0].Window.Start.Add(-1) }, "snapshot.stays[s].window.end"},
		{"unsettled stranger", func(s *snapshot) { s.Unsettled = []string{"x"} }, "snapshot.unsettled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var s snapshot
			require.NoError(t, json.Unmarshal(good, &s))
			test.spoil(&s)
			_, err := reservation.New(reservation.Config{Snapshot: &s})
			if test.field == "" {
				require.NoError(t, err)
				return
			}
			var invalid *placement.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, test.field, invalid.Field)
		})
	}
	_, err = reservation.New(reservation.Config{Backlog: -1, Snapshot: &snapshot{Unsettled: []string{"x"}}})
	require.EqualError(t, err, `placement: invalid backlog "-1": negative
placement: invalid snapshot.unsettled "x": no such reservation`)
}
