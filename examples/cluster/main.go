// Cluster is a cluster that lives, to be looked at on the page of scheduler/debugpage:
// three replicas of a service elect a leader, which places generated work on sixty
// nodes, and keep what it decides in a log of their own, without a database. Nodes are
// lost and come back, and every so often something befalls a replica: the leader dies,
// or it is cut off, a disk is lost, a fourth replica joins and goes.
//
//	go run ./examples/cluster              prints the address of the page, until Ctrl-C
//	go run ./examples/cluster -headless    lives for some seconds, and says what happened
//
// Everything is in this process, the network between the replicas and their disks too.
// replicas.go runs them, work.go is what they are asked for, and trouble.go
// what befalls them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/rads-project/constellation/raft"
)

// options say how the cluster lives.
type options struct {
	http     string        // address of the page
	headless time.Duration // for how long without one; 0 is with a page, forever
	node     time.Duration // after which a node is lost
	member   time.Duration // after which something befalls a replica
	log      *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o := options{node: 4 * time.Second, member: 20 * time.Second, log: slog.Default()}
	flag.StringVar(&o.http, "http", "127.0.0.1:8080", "address of the page")
	headless := flag.Bool("headless", false, "live for some seconds without a page, and say what happened")
	flag.Parse()
	if *headless {
		o.headless, o.node, o.member = 7*time.Second, 400*time.Millisecond, time.Second
	}
	if err := run(ctx, os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}

// run lives until ctx ends, or for as long as it is to be headless.
func run(ctx context.Context, out io.Writer, o options) error {
	if o.headless > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, o.headless)
		defer end()
	}
	c, err := newCluster(o.log)
	if err != nil {
		return err
	}
	running, end := context.WithCancel(ctx)
	defer c.running.Wait()
	defer end()
	for _, m := range c.members {
		if err := c.start(running, m, raft.Bootstrap(0, c.members...)); err != nil {
			return err
		}
	}
	c.running.Go(func() { c.work(running) })
	c.running.Go(func() { c.loseNodes(running, o.node) })
	c.running.Go(func() { c.troubleMembers(running, o.member) })
	if o.headless == 0 {
		return c.serve(running, out, o.http)
	}
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = fmt.Fprintln(out, c.counts)
	return err
}

// serve shows the page of each replica below its ID, and that of the leader at the top.
func (c *cluster) serve(ctx context.Context, out io.Writer, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(out, "open http://%s/\n", listener.Addr()); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	c.closePages()
	closing, end := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer end()
	err = server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) { // somebody reads slowly
		return server.Close()
	}
	return err
}
