// Command failover shows election and scheduling together: three replicas of
// a service in this process, of which only the leader places. They share a
// journal in memory, which stands for your etcd or SQL database.
//
//	go run ./examples/failover
//
// While clients place tasks, the leader is killed, then cut off from the
// others, then paused for so long that it wakes up in the reign of another.
// Each time the next leader opens the journal and continues. At the end the
// journal is checked: every task that a client was told about is placed there
// exactly once, as it was told, and nobody wrote after being deposed. The exit
// status is 1 if that is not so. It takes a few seconds.
//
// What a service would write is in replica.go. The other files play the world
// around it: client.go asks and repeats, process.go can be killed and paused,
// cluster.go connects them, story.go is what happens, check.go checks.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/rads-project/constellation/scheduler"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

// run tells the whole story and checks how it ends.
func run(ctx context.Context, out io.Writer) error {
	var (
		journal scheduler.MemoryJournal
		told    map[string]scheduler.Decision
	)
	running, stop := context.WithCancel(ctx)
	c, err := newCluster(running, newPrinter(out), &journal)
	if err == nil {
		told, err = tell(running, c)
	}
	stop()
	c.wait()
	if err != nil {
		return err
	}
	result, err := check(ctx, &journal, told)
	if err != nil {
		return err
	}
	c.printf("%s", result)
	return nil
}
