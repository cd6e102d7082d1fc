// Command election shows leader election at work.
//
// Without arguments it runs three nodes in this process: it prints who leads and
// with which term, kills the leader, hands the lead over, and cuts the leader
// off. That takes a few seconds.
//
//	go run ./examples/election
//
// With -listen it is one member of a cluster of several processes:
//
//	P=a=127.0.0.1:7001,b=127.0.0.1:7002,c=127.0.0.1:7003
//	election -listen 127.0.0.1:7001 -peers $P -data /tmp/a -http 127.0.0.1:8001 &
//	election -listen 127.0.0.1:7002 -peers $P -data /tmp/b -http 127.0.0.1:8002 &
//	election -listen 127.0.0.1:7003 -peers $P -data /tmp/c -http 127.0.0.1:8003 &
//	curl http://127.0.0.1:8001/status
//
// It prints a line for each change. An interrupt ends it; a leader hands over
// first. With -tls-cert, -tls-key and -tls-ca members know each other by their
// certificates, in which a member's name is a DNS name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "election:", err)
		stop()
		os.Exit(1)
	}
}

// run does what the arguments say until it is done or ctx ends.
func run(ctx context.Context, args []string, out, usage io.Writer) error {
	var o options
	flags := flag.NewFlagSet("election", flag.ContinueOnError)
	flags.SetOutput(usage)
	o.register(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if o.listen == "" {
		return demo(ctx, newPrinter(out))
	}
	return member(ctx, o, newPrinter(out))
}
