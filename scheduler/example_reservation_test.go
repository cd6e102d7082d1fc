package scheduler_test

import (
	"context"
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func ExampleScheduler_Reserve() {
	ctx := context.Background()
	now := noon()
	s := cluster(scheduler.Config{Now: func() time.Time { return now }})
	r, err := s.Reserve(ctx, reservation.Spec{
		ID: "launch", Namespace: "team", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 2,
		Start: noon().Add(time.Hour), Duration: time.Hour,
	})
	must(err)
	for _, slot := range r.Slots {
		fmt.Println("held on", slot.Node)
	}
	_, err = s.Place(ctx, cores("other", 8)) // on what is left
	must(err)
	_, err = s.Place(ctx, cores("late", 1))
	fmt.Println(err)

	now = noon().Add(time.Hour)
	req := cores("web", 4)
	req.Namespace = "team"
	d, err := s.PlaceFromReservation(ctx, "launch", req)
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// held on n1
	// held on n2
	// scheduler: 0 of 3 nodes fit late: 2 have cpu held by reservations, 1 lacks cpu
	// web on n1
}

func ExampleScheduler_Place_backfill() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	_, err := s.Reserve(ctx, reservation.Spec{
		ID: "launch", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 3,
		Start: noon().Add(time.Hour), Duration: time.Hour,
	})
	must(err)
	batch := cores("batch", 8)
	batch.Duration = 2 * time.Hour
	_, err = s.Place(ctx, batch)
	fmt.Println(err)
	batch.Duration = time.Hour // over when the reservation starts
	d, err := s.Place(ctx, batch)
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// scheduler: 0 of 3 nodes fit batch: 3 have cpu held by reservations
	// batch on n1
}

// What runs already gets a slot where it is.
func ExampleScheduler_PlaceFromReservation_running() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	d, err := s.Place(ctx, cores("web", 2))
	must(err)
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "launch", Shape: placement.Resources{CPU: 6 * placement.Core}, Count: 1, Duration: time.Hour,
	})
	must(err)
	again, err := s.PlaceFromReservation(ctx, "launch", cores("web", 2))
	must(err)
	fmt.Println("where it was:", again.NodeID == d.NodeID)
	a, err := s.Allocation(ctx, "web")
	must(err)
	fmt.Println("stands in", a.Reservation)
	// Output:
	// where it was: true
	// stands in launch
}

func ExampleScheduler_Unclaim() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	_, err := s.Reserve(ctx, reservation.Spec{
		ID: "r", Shape: placement.Resources{CPU: 4 * placement.Core}, Count: 1, Duration: time.Hour,
	})
	must(err)
	_, err = s.PlaceFromReservation(ctx, "r", cores("a", 4))
	must(err)
	must(s.Unclaim(ctx, "a")) // it failed to start
	d, err := s.PlaceFromReservation(ctx, "r", cores("b", 4))
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// b on n1
}

func ExampleScheduler_Extend() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	for _, hour := range []time.Duration{0, 2} {
		_, err := s.Reserve(ctx, reservation.Spec{
			ID: fmt.Sprint("r", int(hour)), Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 1,
			Node: "n1", Start: noon().Add(hour * time.Hour), Duration: time.Hour,
		})
		must(err)
	}
	r, err := s.Extend(ctx, "r0", noon().Add(2*time.Hour))
	must(err)
	fmt.Println("until", r.Params.End.Format(time.TimeOnly))
	_, err = s.Extend(ctx, "r0", noon().Add(3*time.Hour))
	fmt.Println(err)
	// Output:
	// until 14:00:00
	// reservation: no room for 1 of 1 × cpu=8 in [2026-01-01T12:00:00Z, 2026-01-01T15:00:00Z): n1 comes nearest and has no cpu left; held by r2
}
