// Command leader does its work on one of three machines at a time. Its argument is
// the name of the machine.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/cluster"
	"github.com/rads-project/constellation/transport/tcp"
)

func main() {
	id := os.Args[1] // a, b or c
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := cluster.Run(ctx, cluster.Config{
		Name: "orders", ID: id, Dir: "/var/lib/orders",
		Peers: map[string]string{"a": "10.0.0.1:7000", "b": "10.0.0.2:7000", "c": "10.0.0.3:7000"},
		TLS:   tcp.TLSFiles{Certificate: "tls.crt", Key: "tls.key", Authorities: "ca.crt"},
	}, func(ctx context.Context, node *cluster.Node) error {
		return node.WhileLeader(ctx, func(ctx context.Context, token uint64) error {
			for raft.Leads(ctx) { // look just before each effect
				fmt.Println(id, "leads with token", token)
				time.Sleep(100 * time.Millisecond)
			}
			return ctx.Err()
		})
	})
	if err != nil {
		log.Fatal(err)
	}
}
