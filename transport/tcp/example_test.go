package tcp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/rads-project/constellation/internal/testcert"
	"github.com/rads-project/constellation/transport/tcp"
)

// Two members on one machine, without TLS. The second one's address becomes
// known at run time.
func Example() {
	member := func(name string) (*tcp.Transport, net.Addr, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		t, err := tcp.New(tcp.Config{Cluster: "example", Name: name, Listener: listener, Insecure: true})
		return t, listener.Addr(), err
	}
	a, addressA, errA := member("a")
	b, addressB, errB := member("b")
	if errA != nil || errB != nil {
		fmt.Println(errA, errB)
		return
	}
	// A connection of a sender that is no known peer is refused, so both
	// sides must know each other.
	if err := a.SetPeer("b", addressB.String()); err != nil {
		fmt.Println(err)
	}
	if err := b.SetPeer("a", addressA.String()); err != nil {
		fmt.Println(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var once sync.Once
	wg.Go(func() {
		_ = a.Serve(ctx, func(from string, frame []byte) {
			once.Do(func() { fmt.Printf("a got %q from %s\n", frame, from) })
			cancel()
		})
	})
	wg.Go(func() {
		_ = b.Serve(ctx, func(from string, frame []byte) { _ = b.Send(from, append([]byte("re: "), frame...)) })
	})
	// A frame may be lost, also on its way back: who wants an answer says it
	// again.
	for again := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; {
		if err := a.Send("b", []byte("hello")); err != nil && ctx.Err() == nil {
			fmt.Println(err)
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	wg.Wait()
	// Output: a got "re: hello" from b
}

// Mutual TLS binds a member's name to its certificate. The certificate is
// asked for at every handshake, so a service rotates it by answering with
// another one.
func Example_mutualTLS() {
	authority, err := testcert.NewAuthority(time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	current := func() (*tls.Certificate, error) { // In a service: what was last read from its files.
		cert, err := authority.Issue(1, time.Now().Add(time.Minute), "node-1")
		return &cert, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = listener.Close() }()
	t, err := tcp.New(tcp.Config{
		Cluster:  "example",
		Name:     "node-1",
		Listener: listener,
		Peers:    map[string]string{"node-2": "127.0.0.1:7002"},
		TLS: &tls.Config{
			RootCAs:        authority.Pool(),
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current() },
		},
	})
	fmt.Println(t != nil, err)
	// Output: true <nil>
}

// Stats tells what an operator wants to know about each peer.
func ExampleTransport_Stats() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = listener.Close() }()
	t, err := tcp.New(tcp.Config{
		Cluster: "example", Name: "a", Listener: listener, Insecure: true,
		Peers: map[string]string{"b": "127.0.0.1:7002"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 70 { // More than a queue holds, and nobody serves yet.
		_ = t.Send("b", []byte("news"))
	}
	for _, p := range t.Stats().Peers {
		fmt.Println(p.Peer, "queued:", p.Queued, "dropped:", p.Dropped.Full)
	}
	// Output: b queued: 64 dropped: 6
}
