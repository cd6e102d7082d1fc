package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

func ExampleScheduler_AdoptNode() {
	ctx := context.Background()
	// A leader without the journal of those before it.
	s, err := scheduler.New(scheduler.Config{RequireReports: true})
	must(err)
	n := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}
	must(s.AddNode(ctx, n))
	_, err = s.Place(ctx, cores("b", 4))
	fmt.Println(err)

	adoption, err := s.AdoptNode(ctx, n, []scheduler.Report{{Request: cores("a", 6)}})
	must(err)
	fmt.Println("adopted", adoption.Adopted)
	_, err = s.Place(ctx, cores("b", 4))
	fmt.Println(err)
	// Output:
	// scheduler: 0 of 1 nodes fit b: 1 is unreported
	// adopted [a]
	// scheduler: 0 of 1 nodes fit b: 1 lacks cpu
}

// A reservation has its instances again after the journal was lost.
func ExampleScheduler_AdoptNode_reservation() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{Now: noon})
	must(err)
	n := placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}
	must(s.AddNode(ctx, n))
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "launch", Shape: placement.Resources{CPU: 6 * placement.Core}, Count: 1, Duration: time.Hour,
	})
	must(err)
	adoption, err := s.AdoptNode(ctx, n, []scheduler.Report{
		{Request: cores("a", 4), Reservation: "launch"},
		{Request: cores("b", 1), Reservation: "other"},
	})
	must(err)
	fmt.Println("attached", adoption.Attached)
	for _, u := range adoption.Unattached {
		fmt.Println(u.ID, "not:", u.Err)
	}
	info, err := s.Node(ctx, "n1")
	must(err)
	fmt.Println("left beside both:", info.Available)
	// Output:
	// attached [a]
	// b not: placement: reservation "other" not found
	// left beside both: cpu=1
}

func ExampleScheduler_Cordon() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 2))
	must(err)
	must(s.Cordon(ctx, "n1"))
	d, err := s.Place(ctx, cores("b", 2))
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)

	gone, err := s.RemoveNode(ctx, "n1")
	must(err)
	for _, a := range gone {
		d, err := s.Place(ctx, a.Request) // somewhere else
		must(err)
		fmt.Println(d.ID, "on", d.NodeID)
	}
	// Output:
	// b on n2
	// a on n2
}

func ExampleScheduler_AddTaint() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Hooks: scheduler.Hooks{
		Event: func(e scheduler.Event) {
			if due, ok := e.Change.(*scheduler.EvictionDue); ok {
				fmt.Println("stop", due.ID, "because of", due.Taint)
			}
		},
	}})
	stays := cores("stays", 1)
	stays.Preferences = placement.Use(placement.BinPack).TolerateExists("maintenance")
	for _, req := range []placement.Request{stays, cores("leaves", 1)} {
		_, err := s.Place(ctx, req)
		must(err)
	}
	must(s.AddTaint(ctx, "n1", placement.Taint{Key: "maintenance", Effect: placement.NoExecute}))
	d, err := s.Place(ctx, cores("new", 1))
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// stop leaves because of maintenance:NoExecute
	// new on n2
}

func ExampleScheduler_Place_affinity() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	cache := cores("cache", 1)
	cache.Labels = map[string]string{"app": "cache"}
	_, err := s.Place(ctx, cache)
	must(err)

	web := cores("web", 1)
	web.Preferences = placement.Use(placement.BinPack).Near(
		placement.Attract(placement.Equal("app", "cache")).Within("zone"), // the same zone
		placement.Repel(placement.Equal("app", "cache")),                  // but another node
	)
	d, err := s.Place(ctx, web)
	must(err)
	fmt.Println(d.ID, "on", d.NodeID)
	// Output:
	// web on n2
}

func ExampleScheduler_Place_leastFragmentation() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{Workload: []scheduler.WorkloadClass{
		{Resources: placement.Resources{GPU: placement.Device}, Count: 9},
		{Resources: placement.Resources{GPU: 300 * placement.MilliGPU}, Count: 1},
	}})
	must(err)
	for _, id := range []string{"n1", "n2"} {
		must(s.AddNode(ctx, placement.Node{
			ID: id, Capacity: placement.Resources{CPU: 8 * placement.Core}, Devices: placement.Devices{Count: 2},
		}))
	}
	for _, milli := range []int64{300, 300, 1000, 300} {
		req := placement.Request{
			ID:          fmt.Sprint("job-", s.Version()),
			Resources:   placement.Resources{GPU: milli * placement.MilliGPU},
			Preferences: placement.Use(placement.LeastFragmentation),
		}
		d, err := s.Place(ctx, req)
		must(err)
		fmt.Println(milli, "on", d.NodeID, d.Devices)
	}
	// Output:
	// 300 on n1 [0]
	// 300 on n1 [0]
	// 1000 on n1 [1]
	// 300 on n1 [0]
}

func ExampleScheduler_ExplainNode() {
	s := cluster(scheduler.Config{})
	req := cores("a", 12)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("zone", "b"))
	v, err := s.ExplainNode(context.Background(), req, "n1")
	must(err)
	for _, f := range v.Failures {
		fmt.Println(f)
	}
	// Output:
	// fails zone = b
	// lacks cpu (short of 4)
}

func ExampleScheduler_UpdateNode() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 6))
	must(err)
	over, err := s.UpdateNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 4 * placement.Core}})
	fmt.Println(over, err)
	n, err := s.Node(ctx, "n1")
	must(err)
	fmt.Println(n.Utilization(placement.NameCPU))
	_, err = s.RemoveNode(ctx, "n9")
	fmt.Println(errors.Is(err, scheduler.ErrNotFound))
	// Output:
	// [cpu] <nil>
	// 1.5
	// true
}

func ExampleNodeUse() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	web := cores("web", 2)
	web.Ports = []placement.Port{{Number: 443}}
	_, err := s.Allocate(ctx, "n1", web)
	must(err)
	must(s.Leave(ctx, "web"))
	n, err := s.Node(ctx, "n1")
	must(err)
	for _, p := range n.Use.Ports {
		fmt.Println(p.ID, "has port", p.Port)
	}
	for _, l := range n.Use.Leaving {
		fmt.Println(l.ID, "is being stopped and gives back", l.Resources)
	}
	// Output:
	// web has port 443
	// web is being stopped and gives back cpu=2
}
