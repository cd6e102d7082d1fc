package reservation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/reservation"
)

// TestBeforeNamesWhatChanges, while it is still what it was.
func TestBeforeNamesWhatChanges(t *testing.T) {
	h := newHost(t, node("n1", 8))
	var announced []string
	h.plan.Before(reservation.Before{
		Reservation: func(id string) {
			r, _ := h.plan.Reservation(id)
			announced = append(announced, string(r.State())+" "+id)
		},
		Stay: func(id string) { announced = append(announced, "stay "+id) },
	})
	names := func() []string {
		got := announced
		announced = nil
		return got
	}
	h.carry(h.plan.Reserve(h, h.later("r", 8, 10)))
	require.Equal(t, []string{" r"}, names())
	h.carry(h.plan.Admit(h, yielding("y", 4)))
	require.Equal(t, []string{"stay y"}, names())
	h.plan.Advance(h.second(10))
	require.Equal(t, []string{"pending r"}, names())
	h.resolve()
	require.Equal(t, []string{"stay y", "active r"}, names(), "asked to leave, and waits")
	h.carry(h.plan.Remove("y"))
	require.Equal(t, []string{"stay y"}, names())
	h.carry(h.plan.Repair(h, "r", "n1"))
	require.Equal(t, []string{"degraded r"}, names())
	h.carry(h.plan.Claim(h, "r", request("i", 1), nil))
	require.Equal(t, []string{"active r"}, names())
	h.carry(h.plan.Remove("i"))
	require.Equal(t, []string{"active r"}, names())
	h.carry(h.plan.Release("r", false))
	require.Equal(t, []string{"active r"}, names())
}
