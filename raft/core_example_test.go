package raft_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/raft"
)

// A Core is driven by hand: time and messages go in, effects come out and are
// carried out in order. Here the only voter of a cluster elects itself.
func ExampleCore() {
	cfg := raft.Config{
		ID: "a", Cluster: "demo", Rand: rand.NewPCG(1, 2),
		Start: raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}),
	}
	store := new(raft.MemoryStore)
	record, _ := store.Open()
	state, err := raft.StartState(cfg, record, raft.StoreID{1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = store.Save(state)
	core, err := raft.NewCore(cfg, state, 1, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		now := core.Deadline()
		effects := core.Tick(now)
		if effects.Lost != 0 {
			fmt.Println("stop acting for term", effects.Lost)
		}
		if effects.Save {
			_ = store.Save(effects.State)
		}
		if effects.Led != 0 {
			end, _ := core.Reign()
			fmt.Println("act for term", effects.Led, "for", (end - now).Round(time.Millisecond))
		}
		fmt.Println("messages to send:", len(effects.Messages))
	}
	// Output:
	// act for term 1 for 134ms
	// messages to send: 0
	// messages to send: 0
}

// Configurations are made once, from members in any order.
func ExampleNewConfiguration() {
	c, err := raft.NewConfiguration(
		raft.Member{ID: "b", Voter: true, Data: "10.0.0.2:80"},
		raft.Member{ID: "a", Voter: true, Data: "10.0.0.1:80"},
		raft.Member{ID: "watcher"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	leader, _ := c.Member("a")
	fmt.Println(c.ConfigurationID, c.Voters(), leader.Data)

	_, err = raft.NewConfiguration(raft.Member{ID: "a"}, raft.Member{ID: "a", Priority: 1})
	fmt.Println(err)
	// Output:
	// 0.1 2 10.0.0.1:80
	// raft: invalid configuration: no voter
	// raft: invalid configuration: member "a" has priority 1, not in [-3, 0]
	// raft: invalid configuration: member "a" is there twice or out of order
}

// Messages travel as frames of at most MaxMessageSize bytes.
func ExampleMessage_AppendBinary() {
	m := raft.Message{Kind: raft.Heartbeat, Cluster: "demo", From: "a", To: "b", Term: 7, Sequence: 3}
	frame, err := m.AppendBinary(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var received raft.Message
	err = received.UnmarshalBinary(frame)
	fmt.Println(len(frame), received.Kind, received.From, received.Term, err)
	fmt.Println(received.UnmarshalBinary(frame[:20]))
	// Output:
	// 129 Heartbeat a 7 <nil>
	// raft: malformed encoding: message of 20 bytes
}
