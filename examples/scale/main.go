// Command scale places tasks that are all different on a large cluster, in
// this one process, and reports what that costs in time and memory: 100,000
// tasks on 10,000 nodes, or with -full a million on 100,000. It also compares
// decisions, one by one, with a scan that looks at every node. README.md shows
// its use.
//
// The files, in the order of what happens: options.go reads the command line,
// workload.go makes nodes and tasks, fill.go places them, naive.go decides by
// scanning, compare.go sets the two against each other, progress.go, report.go
// and plot.go show how it goes and went.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole program. It returns the exit status: 0, 2 for a mistake on
// the command line, 1 for every other failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "scale: %v\nscale -help lists the flags\n", err)
		return 2
	}
	if err := execute(ctx, opts, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "scale:", err)
		return 1
	}
	return 0
}

// execute fills clusters of ten nodes, a hundred and so on, the last one with
// as many as asked for, all equally full, and compares on each.
func execute(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	var last filling
	var costs []cost
	for _, nodes := range sizes(opts.nodes) {
		f, err := fill(ctx, nodes, max(1, nodes*opts.tasks/opts.nodes), stderr)
		if err != nil {
			return err
		}
		c, err := compare(ctx, f)
		if err != nil {
			return err
		}
		last, costs = f, append(costs, c)
	}
	if err := writeReport(stdout, last, costs); err != nil || opts.plot == "" {
		return err
	}
	return writePlot(opts.plot, costs)
}

// sizes returns the numbers of nodes to compare on.
func sizes(nodes int) []int {
	var all []int
	for n := minNodes; n < nodes; n *= 10 {
		all = append(all, n)
	}
	return append(all, nodes)
}
