// Command election shows leader election at work.
//
// Without arguments it runs three nodes in this process: it prints who leads and
// with which term, kills the leader, hands the lead over, and cuts the leader
// off. That takes a few seconds.
//
//	go run ./examples/election
//
// With -listen it is one member of a cluster of several processes, on one
// machine or on several:
//
//	P=a=127.0.0.1:7001,b=127.0.0.1:7002,c=127.0.0.1:7003
//	election -listen 127.0.0.1:7001 -peers $P -data /tmp/a -http 127.0.0.1:8001 &
//	election -listen 127.0.0.1:7002 -peers $P -data /tmp/b -http 127.0.0.1:8002 &
//	election -listen 127.0.0.1:7003 -peers $P -data /tmp/c -http 127.0.0.1:8003 &
//	curl http://127.0.0.1:8001/status
//
// It prints a line for each change. An interrupt or SIGTERM ends it; a leader
// hands over first. Started again with the same -data it goes on from the state
// that it finds there. Where -listen is not what others connect to, -id says
// which of the peers this one is. With -tls-cert, -tls-key and -tls-ca members
// know each other by their certificates, in which a member's name is a DNS name.
// Certificate and key may be replaced while it runs; the authorities are read once.
//
// With -journal and -register the leader has work to do: see [work] for what a
// lease can promise and what only a fencing token can.
//
// The exit status is 2 after a mistake in the arguments and 1 after any other
// failure.
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

	"github.com/rads-project/constellation/raft"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends the process at once.
	err := run(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "election:", err)
	}
	os.Exit(exitStatus(err))
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }

// exitStatus is what the process ends with after err.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)), errors.Is(err, raft.ErrConfig):
		return 2
	default:
		return 1
	}
}

// run does what the arguments say until it is done or ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("election", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.register(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(out)
		flags.PrintDefaults()
		return nil
	case err != nil:
		return usageError{fmt.Errorf("%w (-help lists the flags)", err)}
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("what is %q? (-help lists the flags)", flags.Arg(0))}
	case flags.NFlag() == 0:
		return demo(ctx, newPrinter(out))
	}
	c, err := o.membership()
	if err != nil {
		return usageError{err}
	}
	return member(ctx, o, c, newPrinter(out))
}
