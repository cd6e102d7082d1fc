package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// A service answers with an error by its code and its status.
func ExampleCode() {
	s, err := scheduler.New(scheduler.Config{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Place(context.Background(), placement.Request{ID: "web-1"})
	code, status := scheduler.Code(err)
	fmt.Println(status, code)
	_, err = s.Place(context.Background(), placement.Request{})
	code, status = scheduler.Code(err)
	fmt.Println(status, code)
	// Output:
	// 409 unschedulable
	// 400 invalid
}

// Events can be relayed: their JSON says of which kind they are, and reads back.
func ExampleEvent_json() {
	s, err := scheduler.New(scheduler.Config{Hooks: scheduler.Hooks{Event: func(e scheduler.Event) {
		data, err := json.Marshal(e)
		var relayed scheduler.Event
		if err = errors.Join(err, json.Unmarshal(data, &relayed)); err != nil {
			log.Fatal(err)
		}
		added, _ := relayed.Change.(*scheduler.NodeAdded)
		fmt.Println(relayed.Seq, relayed.Kind(), added.Node.ID)
	}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.AddNode(context.Background(), placement.Node{ID: "n1"}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 node-added n1
}
