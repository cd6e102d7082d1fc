package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/cluster"
)

// A cluster of one, which leads at once. With three addresses in Peers, TLS files
// and a folder that stays, the same program runs on three machines.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	err = cluster.Run(context.Background(), cluster.Config{
		Name: "example", ID: "a", Dir: dir, Insecure: true,
		Peers: map[string]string{"a": freeAddress()},
	}, func(ctx context.Context, node *cluster.Node) error {
		return node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			if raft.Leads(ctx) { // look just before each effect
				fmt.Println("leading with token", token)
			}
			return nil // or work until ctx ends
		})
	})
	fmt.Println("ended:", err)
	// Output:
	// leading with token 1
	// ended: <nil>
}

// freeAddress returns an address of this machine. A service has its own.
func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
