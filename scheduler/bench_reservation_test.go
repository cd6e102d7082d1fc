package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// heldCluster has ten holds on each node, one after the other begun and ended,
// which together hold seven tenths of it at the peak.
func heldCluster(b *testing.B, nodes int, holds bool) (*Scheduler, *clock) {
	b.Helper()
	c := newClock()
	s := newTestScheduler(b, Config{Now: c.Now})
	for i := range nodes {
		n := testNode(fmt.Sprintf("node-%04d", i), 64)
		addNodes(b, s, n)
		for k := range 10 {
			if !holds {
				break
			}
			_, err := s.Reserve(b.Context(), reservation.Spec{
				ID: fmt.Sprintf("hold-%d-%d", i, k), Namespace: "held", Node: n.ID, Count: 1,
				Shape:    placement.Resources{CPU: n.Capacity.CPU * 7 / 100, Memory: n.Capacity.Memory * 7 / 100},
				Start:    c.Now().Add(time.Duration(k+1) * time.Minute),
				Duration: 24 * time.Hour,
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return s, c
}

// BenchmarkPlaceBesideReservations compares placing and releasing instances
// without a Duration with and without holds.
func BenchmarkPlaceBesideReservations(b *testing.B) {
	without, _ := heldCluster(b, 1000, false)
	with, _ := heldCluster(b, 1000, true)
	inTurns(b, without, with)
}

// BenchmarkReserve admits and releases one more slot.
func BenchmarkReserve(b *testing.B) {
	for _, on := range []string{"", "node-0500"} {
		name := "cluster"
		if on != "" {
			name = "node"
		}
		b.Run(name, func(b *testing.B) {
			s, c := heldCluster(b, 1000, true)
			spec := reservation.Spec{
				ID: "one-more", Namespace: "held", Node: on, Count: 1,
				Shape: placement.Resources{CPU: placement.Core, Memory: placement.GiB},
				Start: c.Now().Add(30 * time.Second), Duration: time.Hour,
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Reserve(b.Context(), spec); err != nil {
					b.Fatal(err)
				}
				if err := s.ReleaseReservation(b.Context(), spec.ID, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
