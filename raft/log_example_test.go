package raft_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/transport"
)

// counter is a Machine: every member counts the same.
type counter struct {
	mu      sync.Mutex
	changed *sync.Cond
	applied uint64
	counts  map[string]int
}

func newCounter() *counter {
	c := &counter{counts: make(map[string]int)}
	c.changed = sync.NewCond(&c.mu)
	return c
}

func (c *counter) Apply(e raft.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Kind == raft.EntryCommand {
		c.counts[string(e.Data)]++
	}
	c.applied = e.Index
	c.changed.Broadcast()
}

// Snapshot implements raft.Machine.
func (c *counter) Snapshot() io.WriterTo {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(c.counts)
	return &b
}

// Restore implements raft.Machine.
func (c *counter) Restore(contents io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = make(map[string]int)
	return json.NewDecoder(contents).Decode(&c.counts)
}

// at returns the count of a name, once all up to an index is counted.
func (c *counter) at(index uint64, name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.applied < index {
		c.changed.Wait()
	}
	return c.counts[name]
}

// Three members keep a log and count the same.
func ExampleNode_Propose() {
	network, _ := transport.NewMemory(transport.MemoryConfig{})
	var founders []raft.Member
	for _, id := range []string{"a", "b", "c"} {
		founders = append(founders, raft.Member{ID: id, Voter: true})
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	counters := make(map[string]*counter)
	result := make(chan uint64, 1)
	for _, m := range founders {
		endpoint, _ := network.Join(m.ID) // in a real cluster: transport/tcp
		counters[m.ID] = newCounter()
		node, err := raft.New(raft.Config{
			Cluster: "example", ID: m.ID, Start: raft.Bootstrap(0, founders...),
			Store:     new(raft.MemoryStore),
			Log:       new(raft.MemoryLog), // in a real cluster: a raft.FileLog
			Machine:   counters[m.ID],
			Transport: endpoint,
		})
		if err != nil {
			log.Fatal(err)
		}
		running.Go(func() { _ = node.Run(ctx) })
		running.Go(func() {
			_ = node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
				commands := [][]byte{[]byte("apples"), []byte("pears"), []byte("apples")}
				index, err := node.Propose(ctx, token, commands...)
				for errors.Is(err, raft.ErrNoLog) { // Not every member was heard yet.
					time.Sleep(10 * time.Millisecond)
					index, err = node.Propose(ctx, token, commands...)
				}
				if err == nil {
					result <- index + 2
				}
				<-ctx.Done()
				return err
			})
		})
	}
	index := <-result
	for _, m := range founders {
		fmt.Println(m.ID, "has", counters[m.ID].at(index, "apples"), "apples")
	}
	stop()
	running.Wait()
	// Output:
	// a has 2 apples
	// b has 2 apples
	// c has 2 apples
}

// A process that starts again has everything that it has answered for.
func ExampleFileLog() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		network, _ := transport.NewMemory(transport.MemoryConfig{})
		endpoint, _ := network.Join("a")
		counts := newCounter()
		node, err := raft.New(raft.Config{
			Cluster: "example", ID: "a", Start: raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}),
			Store:     &raft.FileStore{Path: filepath.Join(dir, "state")},
			Log:       &raft.FileLog{Dir: filepath.Join(dir, "log")},
			Machine:   counts,
			Transport: endpoint,

			ElectionTimeoutMin: 500 * time.Millisecond,
		})
		if err != nil {
			log.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()
		leadership, err := node.Lead(ctx)
		if err != nil {
			log.Fatal(err)
		}
		index, err := node.Propose(ctx, leadership.Term(), []byte("starts"))
		for errors.Is(err, raft.ErrNoLog) { // The member has not said yet that it keeps one.
			time.Sleep(10 * time.Millisecond)
			index, err = node.Propose(ctx, leadership.Term(), []byte("starts"))
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("starts:", counts.at(index, "starts"))
		leadership.Release()
		stop()
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// starts: 1
	// starts: 2
}
