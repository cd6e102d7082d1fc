package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

// must ends an example on an error that it does not show.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// cluster returns a scheduler with nodes of 8 cores: n1 and n2 in zone a, n3
// in zone b with two GPUs.
func cluster(cfg scheduler.Config) *scheduler.Scheduler {
	s, err := scheduler.New(cfg)
	must(err)
	for i, zone := range []string{"a", "a", "b"} {
		n := placement.Node{
			ID:       fmt.Sprintf("n%d", i+1),
			Capacity: placement.Resources{CPU: 8 * placement.Core, Memory: 32 * placement.GiB},
			Labels:   map[string]string{"zone": zone},
		}
		if zone == "b" {
			n.Devices = placement.Devices{Count: 2, Model: "L4"}
		}
		must(s.AddNode(context.Background(), n))
	}
	return s
}

func cores(id string, n int64) placement.Request {
	return placement.Request{ID: id, Resources: placement.Resources{CPU: n * placement.Core}}
}

func ExampleScheduler_Place_gpu() {
	s := cluster(scheduler.Config{})
	for _, milli := range []int64{300, 1000, 500} {
		req := cores(fmt.Sprint("job-", milli), 1)
		req.Resources.GPU = milli * placement.MilliGPU
		d, err := s.Place(context.Background(), req)
		must(err)
		fmt.Println(d.ID, d.NodeID, d.Devices)
	}
	// Output:
	// job-300 n3 [0]
	// job-1000 n3 [1]
	// job-500 n3 [0]
}

func ExampleScheduler_Place_spread() {
	s := cluster(scheduler.Config{})
	for i := range 3 {
		req := cores(fmt.Sprint("web-", i), 1)
		req.Group = "web"
		req.Preferences = placement.Use(placement.BinPack).Across(placement.EvenlyOver("zone", 1))
		d, err := s.Place(context.Background(), req)
		must(err)
		fmt.Println(d.ID, d.NodeID)
	}
	// Output:
	// web-0 n1
	// web-1 n3
	// web-2 n1
}

func ExampleScheduler_Schedule() {
	s := cluster(scheduler.Config{})
	d, err := s.Schedule(context.Background(), cores("a", 2))
	must(err)
	_, notPlaced := s.Allocation(context.Background(), "a")
	fmt.Println(d.NodeID, notPlaced)
	// Output:
	// n1 placement: allocation "a" not found
}

func ExampleScheduler_Allocate() {
	s := cluster(scheduler.Config{})
	d, err := s.Allocate(context.Background(), "n2", cores("a", 2))
	must(err)
	fmt.Println(d.NodeID)
	_, err = s.Allocate(context.Background(), "n2", cores("b", 7))
	fmt.Println(err)
	// Output:
	// n2
	// scheduler: 0 of 1 nodes fit b: 1 lacks cpu
}

func ExampleScheduler_Resize() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 2))
	must(err)
	_, err = s.Resize(ctx, "a", placement.Resources{CPU: 8 * placement.Core})
	fmt.Println(err)
	_, err = s.Resize(ctx, "a", placement.Resources{CPU: 9 * placement.Core})
	fmt.Println(err)
	// Output:
	// <nil>
	// scheduler: 0 of 1 nodes fit a: 1 lacks cpu
}

func ExampleScheduler_Explain() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	low := cores("batch", 6)
	low.Priority = -1
	_, err := s.Place(ctx, low)
	must(err)
	req := cores("web", 4)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("zone", "a"))
	must(s.Cordon(ctx, "n2"))
	e, err := s.Explain(ctx, req)
	must(err)
	fmt.Println(e)
	// Output:
	// 0 of 3 nodes fit: 1 is cordoned, 1 fails zone = a (n3 has b), 1 lacks cpu (nearest n1 lacks 2); would help: uncordoning n2, waiting on n1 for cpu 2, preempting batch on n1, another node like n1
}

func ExampleScheduler_Sweep() {
	ctx := context.Background()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := cluster(scheduler.Config{Now: func() time.Time { return now }})
	req := cores("a", 1)
	req.Preferences = placement.Use(placement.BinPack).Tolerate(placement.TolerateExists("maintenance").AtMost(300))
	_, err := s.Place(ctx, req)
	must(err)
	must(s.AddTaint(ctx, "n1", placement.Taint{Key: "maintenance", Effect: placement.NoExecute}))

	next, _ := s.NextDeadline()
	fmt.Println("next deadline", next.Format(time.TimeOnly))
	now = next
	due, err := s.Sweep(ctx)
	must(err)
	for _, e := range due {
		if c, ok := e.Change.(*scheduler.EvictionDue); ok {
			fmt.Println("stop", c.ID, "on", c.NodeID, "because of", c.Taint)
		}
	}
	// Output:
	// next deadline 12:05:00
	// stop a on n1 because of maintenance:NoExecute
}

func ExampleScheduler_MarkLost() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	first, err := s.Place(ctx, cores("a", 2))
	must(err)
	must(s.MarkLost(ctx, first.NodeID))
	again, err := s.Place(ctx, cores("a", 2))
	must(err)
	fmt.Println(first.NodeID, first.Generation, again.NodeID, again.Generation)

	must(s.MarkReady(ctx, "n1")) // with the old instance still on it
	must(s.ReleaseGeneration(ctx, "a", 1))
	all, err := s.Allocations(ctx)
	must(err)
	for _, a := range all {
		fmt.Println(a.Request.ID, a.NodeID, a.Generation)
	}
	// Output:
	// n1 1 n2 2
	// a n2 2
}

func ExampleScheduler_Wait() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for _, id := range []string{"a", "b", "c"} {
		_, err := s.Place(ctx, cores(id, 8))
		must(err)
	}
	_, err := s.Place(ctx, cores("d", 8))
	var refused *scheduler.UnschedulableError
	if !errors.As(err, &refused) {
		return
	}
	must(s.Release(ctx, "b")) // by another goroutine
	must(s.Wait(ctx, refused.Version))
	d, err := s.Place(ctx, cores("d", 8))
	fmt.Println(d.NodeID, err)
	// Output:
	// n2 <nil>
}

func ExampleScheduler_Watch() {
	ctx := context.Background()
	s := cluster(scheduler.Config{Hooks: scheduler.Hooks{
		Event: func(e scheduler.Event) {
			if p, ok := e.Change.(*scheduler.Placed); ok {
				fmt.Println("hook:", e.Seq, p.ID, "on", p.NodeID)
			}
		},
	}})
	_, err := s.Place(ctx, cores("a", 1))
	must(err)
	for e := range s.Watch(ctx, 0) {
		fmt.Printf("watch: %d %T\n", e.Seq, e.Change)
		if e.Seq == s.Version() {
			break
		}
	}
	// Output:
	// hook: 4 a on n1
	// watch: 1 *scheduler.NodeAdded
	// watch: 2 *scheduler.NodeAdded
	// watch: 3 *scheduler.NodeAdded
	// watch: 4 *scheduler.Placed
}

// A watcher that was away goes on where it was, also on the scheduler that follows.
func ExampleScheduler_Watch_resume() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal) // stands for a database
	first, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	must(err)
	must(first.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	seen := first.Version() // by a watcher, which goes away
	_, err = first.Place(ctx, cores("a", 1))
	must(err)
	must(first.Close())

	second, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	must(err)
	_, err = second.Place(ctx, cores("b", 1))
	must(err)
	for e := range second.Watch(ctx, seen) {
		fmt.Println(e.Seq, "under token", e.Token, "placed", e.Change.(*scheduler.Placed).ID)
		if e.Seq == second.Version() {
			break
		}
	}
	// Output:
	// 2 under token 1 placed a
	// 3 under token 2 placed b
}

func ExampleScheduler_CreateQuota() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.CreateQuota(ctx, quota.Spec{
		Namespace: "team",
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}},
	})
	must(err)
	req := cores("a", 3)
	req.Namespace = "team"
	_, err = s.Place(ctx, req)
	must(err)
	req.ID = "b"
	_, err = s.Place(ctx, req)
	fmt.Println(errors.Is(err, quota.ErrExceeded), errors.Is(err, scheduler.ErrUnschedulable))
	fmt.Println(err)
	// Output:
	// true false
	// quota: "team" cannot be charged: cpu: 3 requested, but team uses 3 of 4 and lacks 2
}

func ExampleOpen() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal) // stands for a database
	first, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: 1})
	must(err)
	must(first.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))
	_, err = first.Place(ctx, cores("a", 2))
	must(err)

	// Another replica becomes the leader, with a greater token.
	second, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: 2})
	must(err)
	a, err := second.Allocation(ctx, "a")
	fmt.Println(a.NodeID, err)
	_, err = first.Place(ctx, cores("b", 2))
	fmt.Println(err)
	// Output:
	// n1 <nil>
	// scheduler: journal failed: scheduler: token 1 is fenced by token 2
}

// A journal moves to another place with all that it keeps, its token too.
func ExampleMemoryJournal_Contents() {
	ctx := context.Background()
	var from, to scheduler.MemoryJournal
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: &from, Token: 7})
	must(err)
	must(s.AddNode(ctx, placement.Node{ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core}}))

	must(to.Replace(from.Contents()))
	s, err = scheduler.Open(ctx, scheduler.Config{Journal: &to, Token: 8})
	must(err)
	nodes, err := s.Nodes(ctx)
	fmt.Println(len(nodes), err)
	fmt.Println(to.Acquire(ctx, 7))
	// Output:
	// 1 <nil>
	// scheduler: token 7 is fenced by token 8
}
