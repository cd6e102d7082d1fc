package rafttest_test

import (
	"context"
	"fmt"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// counter is a service of the kind to test: only its leader counts, and what it
// counts is fenced by the token.
type counter struct {
	token, count uint64
}

func (s *counter) add(token uint64) error {
	if token < s.token {
		return fmt.Errorf("token %d is older than %d", token, s.token)
	}
	s.token = token
	s.count++
	return nil
}

// This is how to test the fail-over of a service: in a synctest bubble, where
// seconds take milliseconds.
func TestServiceFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s counter // Only one node at a time uses it, or the race detector tells.
		c := rafttest.Start(t, rafttest.Config{
			Nodes: 3,
			Service: func(ctx context.Context, node *raft.Node) error {
				return node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
					for ctx.Err() == nil {
						if err := s.add(token); err != nil {
							return err
						}
						time.Sleep(10 * time.Millisecond)
					}
					return nil
				})
			},
		})
		for range 10 {
			leader := c.WaitLeader()
			time.Sleep(time.Second)
			c.Crash(leader)
			c.WaitLeader()
			c.Start(leader)
		}
		c.Close()
		require.Greater(t, s.count, uint64(900))
	})
}

// stdTB stands in for a *testing.T in the example.
type stdTB struct{}

func (stdTB) Helper() {}

func (stdTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func (stdTB) Cleanup(func()) {}

// Outside a bubble a Cluster runs in real time.
func ExampleStart() {
	c := rafttest.Start(stdTB{}, rafttest.Config{Nodes: 3})
	defer c.Close()

	old := c.WaitLeader()
	c.Crash(old)
	next := c.WaitLeader()
	fmt.Println("another leads:", next != old)

	fmt.Println("stopping:", c.Stop(next))
	c.Start(old)
	c.WaitLeader()
	fmt.Println("and again")
	// Output:
	// another leads: true
	// stopping: <nil>
	// and again
}

// A store of one's own is checked like this.
func ExampleCheckStore() {
	store := new(raft.MemoryStore)
	fmt.Println(rafttest.CheckStore(func() raft.Store { return store }))
	fmt.Println(rafttest.CheckStore(func() raft.Store { return new(raft.MemoryStore) }) != nil)
	// Output:
	// <nil>
	// true
}
