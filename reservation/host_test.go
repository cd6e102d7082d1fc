package reservation_test

import (
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// host is a minimal user of a Plan.
type host struct {
	plan *reservation.Plan
	room map[string]reservation.Room
}

func newHost(t *testing.T, nodes ...placement.Node) *host {
	t.Helper()
	h := &host{plan: reservation.NewPlan(), room: map[string]reservation.Room{}}
	h.plan.Advance(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, n := range nodes {
		require.NoError(t, n.Validate())
		n = n.Canonical()
		h.room[n.ID] = reservation.Room{
			Allocatable: n.Allocatable(), MaxInstances: n.MaxInstances, Devices: make([]int64, n.Devices.Count),
		}
	}
	return h
}

// Room is part of reservation.Nodes.
func (h *host) Room(node string) (reservation.Room, bool) {
	room, ok := h.room[node]
	return room, ok
}

// For is part of reservation.Nodes.
func (h *host) For(want *reservation.Want) iter.Seq2[string, reservation.Room] {
	return func(yield func(string, reservation.Room) bool) {
		for _, id := range slices.Sorted(maps.Keys(h.room)) {
			if (want.Node == "" || want.Node == id) && !yield(id, h.room[id]) {
				return
			}
		}
	}
}

// oneNode is the least that a Plan asks of its host: n1 with 8 cores.
type oneNode struct{}

// Room is part of reservation.Nodes.
func (oneNode) Room(node string) (reservation.Room, bool) {
	return reservation.Room{Allocatable: placement.Resources{CPU: 8 * placement.Core}}, node == "n1"
}

// For is part of reservation.Nodes.
func (n oneNode) For(*reservation.Want) iter.Seq2[string, reservation.Room] {
	return func(yield func(string, reservation.Room) bool) {
		room, _ := n.Room("n1")
		yield("n1", room)
	}
}

// lookingHost counts the searches for nodes.
type lookingHost struct {
	*host
	searches int
}

// For is part of reservation.Nodes.
func (h *lookingHost) For(want *reservation.Want) iter.Seq2[string, reservation.Room] {
	h.searches++
	return h.host.For(want)
}
