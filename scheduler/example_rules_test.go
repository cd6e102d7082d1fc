package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Two instances that claim the same port never share a node.
func ExampleScheduler_Place_ports() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for i := range 4 {
		req := cores(fmt.Sprint("proxy-", i), 1)
		req.Ports = []placement.Port{{Number: 80}, {Number: 443}}
		d, err := s.Place(ctx, req)
		fmt.Println(d.NodeID, err)
	}
	// Output:
	// n1 <nil>
	// n2 <nil>
	// n3 <nil>
	//  scheduler: 0 of 3 nodes fit proxy-3: 3 have port 443 taken
}

// Dynamic ports are the lowest that are free in the range of the node. They are in
// the decision, and stay with the instance until it is released.
func ExampleScheduler_Place_dynamicPorts() {
	ctx := context.Background()
	s, _ := scheduler.New(scheduler.Config{})
	_ = s.AddNode(ctx, placement.Node{
		ID: "n1", Capacity: placement.Resources{CPU: 8 * placement.Core},
		ReservedPorts: []placement.Port{{Number: 20001}},
		DynamicPorts:  placement.PortRange{First: 20000, Last: 20004},
	})
	for i := range 3 {
		req := cores(fmt.Sprint("api-", i), 1)
		req.DynamicPorts = 2
		req.Ports = []placement.Port{{Number: uint16(8000 + i), Protocol: placement.UDP}}
		d, err := s.Place(ctx, req)
		fmt.Println(d.Ports, d.DynamicPorts, err)
	}
	// Output:
	// [8000/udp] [20000 20002] <nil>
	// [8001/udp] [20003 20004] <nil>
	// [] [] scheduler: 0 of 1 nodes fit api-2: 1 lacks dynamic ports
}

// At most one instance of a group in a zone.
func ExampleScheduler_Place_atMostPer() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for i := range 3 {
		req := cores(fmt.Sprint("db-", i), 1)
		req.Group = "db"
		req.Preferences = placement.Use(placement.BinPack).Across(placement.AtMostPer("zone", 1))
		d, err := s.Place(ctx, req)
		fmt.Println(d.NodeID, err)
	}
	// Output:
	// n1 <nil>
	// n3 <nil>
	//  scheduler: 0 of 3 nodes fit db-2: 3 break spread over zone
}

// A quarter of a group in zone b, the rest elsewhere: strategy Affinity looks
// at soft rules before all else.
func ExampleScheduler_Place_shareOver() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	nodes := make(map[string]int)
	for i := range 8 {
		req := cores(fmt.Sprint("web-", i), 1)
		req.Group = "web"
		req.Preferences = placement.Use(placement.Affinity).Across(placement.ShareOver("zone", map[string]int{"b": 25}, 100))
		d, err := s.Place(ctx, req)
		must(err)
		nodes[d.NodeID]++
	}
	fmt.Println(nodes)
	// Output:
	// map[n1:6 n3:2]
}

// A preferred constraint and a PreferNoSchedule taint order nodes and refuse
// none. A weight of 100 outweighs the strategy entirely, which would rather
// keep the node with GPUs free.
func ExampleScheduler_Place_preferred() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	must(s.AddTaint(ctx, "n1", placement.Taint{Key: "old", Effect: placement.PreferNoSchedule}))
	plain := cores("plain", 1)
	inB := cores("in-b", 1)
	inB.Preferences = placement.Use(placement.BinPack).Prefer(placement.Equal("zone", "b"), 100)
	for _, req := range []placement.Request{plain, inB} {
		d, err := s.Place(ctx, req)
		must(err)
		fmt.Println(d.ID, "on", d.NodeID)
	}
	_, err := s.Allocate(ctx, "n1", cores("anyway", 1))
	fmt.Println(err)
	// Output:
	// plain on n2
	// in-b on n3
	// <nil>
}

// The program measures how busy its machines are, and says so in a label. A request
// that cares goes where it is quiet, unless the strategy speaks for another node by
// more than the weight is worth.
func ExampleScheduler_Place_scaled() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	for node, load := range map[string]string{"n1": "850", "n2": "120", "n3": "high"} {
		must(s.SetLabel(ctx, node, "load", load))
	}
	req := cores("a", 1)
	req.Preferences = placement.Use(placement.BinPack).PreferScaled("load", -60)
	for _, node := range []string{"n1", "n2", "n3"} {
		v, err := s.ExplainNode(ctx, req, node)
		must(err)
		term := v.Soft[0]
		fmt.Printf("%s: %s %d × %d %q\n", node, term.Rule, term.Weight, term.Value, term.Unread)
	}
	d, err := s.Place(ctx, req)
	must(err)
	fmt.Println(d.NodeID)
	// Output:
	// n1: scaled load -60 × 891289 ""
	// n2: scaled load -60 × 125829 ""
	// n3: scaled load -60 × 0 "high"
	// n2
}

// Half as many cores again are promised as there are.
func ExampleScheduler_AddNode_overcommit() {
	ctx := context.Background()
	s, err := scheduler.New(scheduler.Config{})
	must(err)
	must(s.AddNode(ctx, placement.Node{
		ID:       "n1",
		Capacity: placement.Resources{CPU: 8 * placement.Core},
		Reserved: placement.Resources{CPU: 2 * placement.Core},
		Overcommit: map[placement.ResourceName]placement.Ratio{
			placement.NameCPU: {Numerator: 3, Denominator: 2},
		},
	}))
	n, err := s.Node(ctx, "n1")
	must(err)
	fmt.Println(n.Total)
	_, err = s.Place(ctx, cores("a", 9))
	fmt.Println(err)
	// Output:
	// cpu=9
	// <nil>
}

// A refusal is data: how many nodes failed which rule first.
func ExampleUnschedulableError() {
	s := cluster(scheduler.Config{})
	req := cores("a", 9)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("zone", "a"))
	_, err := s.Place(context.Background(), req)
	if refused, ok := errors.AsType[*scheduler.UnschedulableError](err); ok {
		for _, r := range refused.Reasons {
			fmt.Println(r.Nodes, "of", refused.Total, r.Reason.Kind, r.Reason.Name, r.Reason.Detail)
		}
	}
	// Output:
	// 1 of 3 constraint  zone = a
	// 2 of 3 resource cpu
}

// Why does it run there? Every term of S = 100·R + W·G, for the best nodes.
func ExampleScheduler_Explain_placed() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	req := cores("a", 2)
	req.Preferences = placement.Use(placement.BinPack).Prefer(placement.Equal("zone", "b"), 90)
	_, err := s.Place(ctx, req)
	must(err)
	e, err := s.Explain(ctx, req)
	must(err)
	for _, c := range e.Candidates {
		fmt.Println(c.NodeID, "S", placement.Score(c.Terms), "R", c.Terms.Strategy, "of", c.Terms.Bound, "G", c.Terms.Soft)
		for _, term := range c.Soft {
			fmt.Println("   ", term.Rule, term.Weight, "×", term.Value)
		}
	}
	// Output:
	// n3 S 566231040 R 0 of 6291456 G 94371840
	//     zone = b 90 × 1048576
	// n1 S 419430400 R 4194304 of 6291456 G 0
	//     zone = b 90 × 0
	// n2 S 419430400 R 4194304 of 6291456 G 0
	//     zone = b 90 × 0
}

// An explanation is text for people and JSON for programs.
func ExampleExplanation() {
	s := cluster(scheduler.Config{})
	e, err := s.Explain(context.Background(), cores("a", 9))
	must(err)
	fmt.Println(e)
	for _, part := range []any{e.First, e.Nearest, e.NearestMiss} {
		data, err := json.Marshal(part)
		must(err)
		fmt.Println(string(data))
	}
	// Output:
	// 0 of 3 nodes fit: 3 lack cpu (never fits: the largest, n1, gives 8); would help: a node like n1 with cpu=9
	// [{"reason":{"kind":"resource","name":"cpu"},"nodes":3}]
	// [{"reason":{"kind":"resource","name":"cpu"},"nodeID":"n1","shortfall":1000}]
	// {"nodeID":"n1","fits":false,"failures":[{"reason":{"kind":"resource","name":"cpu"},"shortfall":1000}],"score":0}
}

// A taint that goes before its time is up evicts nobody.
func ExampleScheduler_RemoveTaint() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	req := cores("a", 1)
	req.Preferences = placement.Use(placement.BinPack).Tolerate(placement.TolerateExists("flaky").AtMost(300))
	_, err := s.Place(ctx, req)
	must(err)
	must(s.AddTaint(ctx, "n1", placement.Taint{Key: "flaky", Effect: placement.NoExecute}))
	_, due := s.NextDeadline()
	fmt.Println(due)
	must(s.RemoveTaint(ctx, "n1", "flaky", placement.NoExecute))
	_, due = s.NextDeadline()
	fmt.Println(due)
	// Output:
	// true
	// false
}

// A node that is gone for good gives back what ran there.
func ExampleScheduler_RemoveNode() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	_, err := s.Place(ctx, cores("a", 1))
	must(err)
	gone, err := s.RemoveNode(ctx, "n1")
	must(err)
	for _, a := range gone {
		d, err := s.Place(ctx, a.Request)
		must(err)
		fmt.Println(a.State, "from", a.NodeID+", now on", d.NodeID)
	}
	// Output:
	// removed from n1, now on n2
}

// Labels of a node may change while it runs; what runs there stays.
func ExampleScheduler_SetLabel() {
	ctx := context.Background()
	s := cluster(scheduler.Config{})
	req := cores("a", 1)
	req.Preferences = placement.Use(placement.BinPack).Require(placement.Version("kernel", ">= 6.1"))
	_, err := s.Place(ctx, req)
	fmt.Println(err)
	must(s.SetLabel(ctx, "n2", "kernel", "6.8.0"))
	d, err := s.Place(ctx, req)
	must(err)
	must(s.RemoveLabel(ctx, "n2", "kernel"))
	a, err := s.Allocation(ctx, "a")
	must(err)
	fmt.Println(d.NodeID, a.State)
	// Output:
	// scheduler: 0 of 3 nodes fit a: 3 fail kernel version ">= 6.1"
	// n2 running
}
