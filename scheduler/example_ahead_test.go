package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// hourOf is 8 cores on n1 for an hour, so many hours from noon.
func hourOf(id string, hours int) reservation.Spec {
	return reservation.Spec{
		ID: id, Namespace: "team", Node: "n1", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 1,
		Start: noon().Add(time.Duration(hours) * time.Hour), Duration: time.Hour,
	}
}

func ofTeam(id string, n int64) placement.Request {
	req := cores(id, n)
	req.Namespace = "team"
	return req
}

// Without an ID a claim goes to the reservation of its namespace that ends soonest,
// and if none has room to any node.
func ExampleScheduler_PlaceFromReservation() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	_, err := s.Reserve(ctx, hourOf("launch", 0))
	must(err)
	for _, id := range []string{"web-1", "web-2"} {
		d, err := s.PlaceFromReservation(ctx, "", ofTeam(id, 8))
		must(err)
		fmt.Println(id, "on", d.NodeID)
	}
	// Output:
	// web-1 on n1
	// web-2 on n2
}

// What is lent stands in an idle slot until the owner claims it.
func ExampleScheduler_PlaceFromReservation_lent() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	lent := hourOf("launch", 0)
	lent.Lend, lent.Notice = true, 10*time.Minute
	_, err := s.Reserve(ctx, lent)
	must(err)
	batch := cores("batch", 8)
	batch.Yield = true
	_, err = s.Allocate(ctx, "n1", batch)
	must(err)

	_, err = s.PlaceFromReservation(ctx, "launch", ofTeam("web", 8))
	var short *reservation.ShortError
	if errors.Is(err, reservation.ErrWaiting) && errors.As(err, &short) {
		fmt.Println("waits for", short.Awaits, "until", short.Due.Format(time.TimeOnly))
	}
	must(s.Release(ctx, "batch")) // which has stopped
	d, err := s.PlaceFromReservation(ctx, "launch", ofTeam("web", 8))
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// waits for [batch] until 12:10:00
	// web on n1
}

func ExampleScheduler_Reserve_maintenance() {
	ctx := context.Background()
	now := noon()
	s := cluster(scheduler.Config{Now: func() time.Time { return now }, Hooks: scheduler.Hooks{Event: func(e scheduler.Event) {
		if r, ok := e.Change.(*scheduler.ReservationEvent); ok && r.Kind == reservation.YieldDue {
			fmt.Println(e.Time.Format(time.TimeOnly), r.Instance, "has to leave", r.Node, "by", r.Due.Format(time.TimeOnly))
		}
	}}})
	_, err := s.Allocate(ctx, "n1", cores("web", 1))
	must(err)
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "repair", Node: "n1", Maintenance: true, Start: noon().Add(time.Hour), Duration: 2 * time.Hour, Notice: 10 * time.Minute,
	})
	must(err)
	now = noon().Add(50 * time.Minute)
	_, err = s.Allocate(ctx, "n1", cores("late", 1))
	fmt.Println(err)
	// Output:
	// 12:50:00 web has to leave n1 by 13:00:00
	// scheduler: 0 of 1 nodes fit late: 1 is closed for maintenance
}

// A window that repeats is at the same time of day also after the clocks change.
func ExampleScheduler_Reserve_repeat() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	first := time.Date(2026, 3, 22, 8, 0, 0, 0, time.UTC) // nine o'clock in Berlin
	_, err := s.Reserve(ctx, reservation.Spec{
		ID: "ci", Shape: placement.Resources{CPU: 8 * placement.Core}, Count: 1, Start: first, Duration: time.Hour,
		Repeat: reservation.Repeat{Every: reservation.Weekly, Until: first.AddDate(0, 0, 13), Location: "Europe/Berlin"},
	})
	must(err)
	windows, err := s.Reservations(ctx)
	must(err)
	for _, r := range windows {
		fmt.Println(r.Spec.ID, "from", r.Params.Start.Format(time.TimeOnly), "UTC")
	}
	// Output:
	// ci@2026-03-22 from 08:00:00 UTC
	// ci@2026-03-29 from 07:00:00 UTC
}

func ExampleScheduler_ExplainReservation() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	_, err := s.Reserve(ctx, hourOf("launch", 1))
	must(err)
	must(s.Cordon(ctx, "n2"))
	e, err := s.ExplainReservation(ctx, reservation.Spec{
		ID: "test", Shape: placement.Resources{CPU: 4 * placement.Core}, Count: 1, Start: noon(), Duration: 90 * time.Minute,
	})
	must(err)
	fmt.Println("would be held on", e.Reservation.Slots[0].Node)
	for _, n := range e.Nodes {
		switch {
		case len(n.Failures) > 0:
			fmt.Println(n.Node, n.Failures[0])
		case n.Slots == 0:
			fmt.Println(n.Node, "lacks", n.Short, "beside", n.Holders[0].ID)
		default:
			fmt.Println(n.Node, "has room for", n.Slots)
		}
	}
	// Output:
	// would be held on n3
	// n3 has room for 2
	// n1 lacks cpu beside launch
	// n2 is cordoned
}

// teamLimit limits a team to 8 cores.
func teamLimit(s *scheduler.Scheduler) {
	_, err := s.CreateQuota(context.Background(), quota.Spec{
		Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 8 * placement.Core}},
	})
	must(err)
}

func ExampleScheduler_CheckQuotaOver() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	teamLimit(s)
	_, err := s.Reserve(ctx, hourOf("launch", 1))
	must(err)
	for _, until := range []time.Duration{time.Hour, 2 * time.Hour} {
		verdict, err := s.CheckQuotaOver(ctx, "team", quota.Timed{
			Amounts: placement.OneInstance(placement.Resources{CPU: 4 * placement.Core}), Until: noon().Add(until),
		})
		must(err)
		if verdict.Allowed() {
			fmt.Println(until, "is admitted")
			continue
		}
		fmt.Println(until, "is not: too much from", verdict.Violations[0].At.Format(time.TimeOnly),
			"on; it would be from", verdict.Earliest().Format(time.TimeOnly))
	}
	// Output:
	// 1h0m0s is admitted
	// 2h0m0s is not: too much from 13:00:00 on; it would be from 14:00:00
}

func ExampleScheduler_QuotaUsageOver() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Now: noon})
	teamLimit(s)
	for hour, id := range []string{"first", "second"} {
		_, err := s.Reserve(ctx, hourOf(id, hour))
		must(err)
	}
	for hours := range 3 {
		from := noon().Add(time.Duration(hours) * time.Hour)
		usage, err := s.QuotaUsageOver(ctx, "team", from, from.Add(time.Hour))
		must(err)
		for _, u := range usage {
			if u.Resource == placement.NameCPU {
				fmt.Println(from.Format(time.TimeOnly), u.Used/placement.Core, "of", u.Soft/placement.Core)
			}
		}
	}
	// Output:
	// 12:00:00 8 of 8
	// 13:00:00 8 of 8
	// 14:00:00 0 of 8
}
