package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestLacksLooksAtTheTimeThatIsAdded: at nothing else, and beside all that is held then.
func TestLacksLooksAtTheTimeThatIsAdded(t *testing.T) {
	n := node("n1", 8)
	n.Devices.Count = 1
	h := newHost(t, n)
	start := h.plan.Now()
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	admit := func(id string, shape placement.Resources, minutes int) {
		req := placement.Request{ID: id, Namespace: "team", Resources: shape, Duration: time.Duration(minutes) * time.Minute}
		changes, err := h.plan.Admit(h, req)
		require.NoError(t, err)
		h.plan.Apply(changes...)
	}
	admit("short", cores(4), 10)
	admit("gpu", placement.Resources{GPU: 500}, 10)
	for id, held := range map[string]placement.Resources{"cpu held": cores(5), "gpu held": {GPU: placement.Device}} {
		s := reservation.Spec{ID: id, Namespace: "team", Shape: held, Count: 1, Start: at(20), End: at(30)}
		changes, err := h.plan.Reserve(h, s)
		require.NoError(t, err)
		h.plan.Apply(changes...)
	}
	tests := []struct {
		instance string
		from, to time.Time
		want     placement.ResourceName
	}{
		{"short", at(10), at(20), ""},
		{"short", at(10), at(21), placement.NameCPU},
		{"short", at(30), at(40), ""},
		{"short", at(29), time.Time{}, placement.NameCPU},
		{"short", at(12), at(11), ""},
		{"gpu", at(10), at(20), ""},
		{"gpu", at(10), time.Time{}, placement.NameGPU},
		{"nobody", at(10), time.Time{}, ""},
	}
	for _, test := range tests {
		got := h.plan.Lacks(h, test.instance, reservation.Window{Start: test.from, End: test.to})
		require.Equal(t, test.want, got, test)
	}
	room := h.room["n1"]
	room.Used = placement.Amounts{Resources: cores(5)}
	h.room["n1"] = room
	require.Equal(t, placement.NameCPU, h.plan.Lacks(h, "short", reservation.Window{Start: at(10), End: at(11)}), "beside what the plan does not count")
}
