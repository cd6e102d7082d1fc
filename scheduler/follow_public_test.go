package scheduler_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/scheduler"
)

func TestFollowerHasTheReadsOfASchedulerAndNoCallThatChanges(t *testing.T) {
	methods := func(of reflect.Type) (names []string) {
		for m := range of.Methods() {
			names = append(names, m.Name)
		}
		return names
	}
	without := func(names, others []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
	}
	of, follower := methods(reflect.TypeFor[*scheduler.Scheduler]()), methods(reflect.TypeFor[*scheduler.Follower]())
	require.ElementsMatch(t, append(changing(), "Checkpoint", "Fork", "Close", "Sweep", "Token"), without(of, follower))
	require.Equal(t, []string{"Position", "Promote"}, without(follower, of))
}

// A standby follows the journal of the leader and takes over when it is elected.
func ExampleFollower_Promote() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal) // a shared store
	leader, err := scheduler.Open(ctx, scheduler.Config{Journal: journal, Token: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	standby, err := scheduler.Follow(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		fmt.Println(err)
		return
	}
	following := make(chan error)
	go func() { following <- standby.Run(ctx) }()

	_ = leader.AddNode(ctx, nodeOf("n1", 8))
	d, _ := leader.Place(ctx, one("web-1"))
	_ = standby.Wait(ctx, d.Version-1)
	a, err := standby.Allocation(ctx, "web-1")
	fmt.Println("the standby shows", a.Request.ID, "on", a.NodeID, err)

	// The election gives token 2 to the standby.
	next, err := standby.Promote(ctx, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("no longer following:", <-following)
	d, err = next.Place(ctx, one("web-2"))
	fmt.Println(d.ID, "on", d.NodeID, "under token", d.Token, err)
	_, err = leader.Place(ctx, one("web-3"))
	fmt.Println(err)
	// Output:
	// the standby shows web-1 on n1 <nil>
	// no longer following: <nil>
	// web-2 on n1 under token 2 <nil>
	// scheduler: journal failed: scheduler: token 1 is fenced by token 2
}

// A tool that looks into a journal that a scheduler is writing: it needs no token
// and deposes nobody.
func ExampleFollow() {
	ctx := context.Background()
	journal := new(scheduler.MemoryJournal) // or boltjournal, a database, …
	leader, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = leader.AddNode(ctx, nodeOf("n1", 8))
	_, _ = leader.Place(ctx, one("web-1"))

	look, err := scheduler.Follow(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		fmt.Println(err)
		return
	}
	nodes, err := look.Nodes(ctx)
	fmt.Println(len(nodes), "node,", nodes[0].Instances, "instance", err)
	at := look.Position()
	fmt.Println("as of entry", at.Seq, "which is fresh:", at.Age(time.Now()) < time.Minute)
	// Output:
	// 1 node, 1 instance <nil>
	// as of entry 2 which is fresh: true
}

// Run beside the calls of a service: deadlines fall due in time, and the journal is
// kept short.
func ExampleScheduler_Run() {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	left := make(chan string)
	s, err := scheduler.Open(ctx, scheduler.Config{
		Journal:           new(scheduler.MemoryJournal),
		CheckpointEntries: 100_000,
		Hooks: scheduler.Hooks{Event: func(e scheduler.Event) {
			if c, ok := e.Change.(*scheduler.Overstayed); ok {
				left <- c.ID
			}
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	running := make(chan error)
	go func() { running <- s.Run(ctx) }()

	_ = s.AddNode(ctx, nodeOf("n1", 8))
	build := one("build-7")
	build.Duration = 10 * time.Millisecond
	_, _ = s.Place(ctx, build)
	fmt.Println("to be stopped:", <-left)
	end()
	fmt.Println(<-running)
	// Output:
	// to be stopped: build-7
	// <nil>
}
