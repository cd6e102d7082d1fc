package transport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rads-project/constellation/transport"
)

// Two members of a network in one process: one serves, the other sends.
func ExampleMemory() {
	network, err := transport.NewMemory(transport.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := network.Join("a")
	b, _ := network.Join("b")

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.Serve(ctx, func(from string, frame []byte) {
			fmt.Printf("b got %q from %s\n", frame, from)
			cancel()
		})
	})
	if err := a.Send("b", []byte("hello")); err != nil {
		fmt.Println(err)
	}
	wg.Wait()
	// Output: b got "hello" from a
}

// A cut is one way and can be mended. Send still answers nil: a sender cannot
// know what the network does.
func ExampleMemory_Cut() {
	network, err := transport.NewMemory(transport.MemoryConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := network.Join("a")
	_, _ = network.Join("b")
	network.Cut("a", "b")
	fmt.Println(a.Send("b", []byte("hello")))
	fmt.Println("lost:", a.Stats().Peers[0].Dropped.Lost)
	// Output:
	// <nil>
	// lost: 1
}

// The links of a network can be slow and lossy; all mistakes in a
// configuration are reported at once.
func ExampleNewMemory() {
	_, err := transport.NewMemory(transport.MemoryConfig{
		Seed:     7,
		Faults:   transport.Faults{LatencyMax: 20 * time.Millisecond, Loss: 2000},
		MaxFrame: -1,
	})
	fmt.Println(err)
	// Output:
	// transport: negative MaxFrame -1
	// transport: loss 2000 is not between 0 and 1000
}

func ExampleTooLargeError() {
	network, err := transport.NewMemory(transport.MemoryConfig{MaxFrame: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := network.Join("a")
	_, _ = network.Join("b")
	err = a.Send("b", []byte("hello"))
	fmt.Println(errors.Is(err, transport.ErrTooLarge), err)
	// Output: true transport: frame too large: 5 bytes, the limit is 4
}
