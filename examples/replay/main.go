// Command replay places a trace of a real GPU cluster, or generated work of
// the same proportions, with one or several strategies, and reports how much
// of the cluster they fill and how fast they decide. README.md shows its use.
//
// The files, in the order of what happens: options.go reads the command line,
// trace.go, dlrm.go or generate.go gives nodes and tasks, workload.go makes the list of
// arrivals, replay.go places them, curve.go follows the allocation, progress.go,
// report.go and plot.go show how it goes and went.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"

	"github.com/rads-project/constellation/placement"
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
		_, _ = fmt.Fprintf(stderr, "replay: %v\nreplay -help lists the flags\n", err)
		return 2
	}
	if err := execute(ctx, opts, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "replay:", err)
		return 1
	}
	return 0
}

func execute(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	nodes, tasks, err := input(opts)
	if err != nil {
		return err
	}
	c, err := measure(joinOrder(nodes, opts), tasks)
	if err != nil {
		return err
	}
	var summaries []summary
	for _, strategy := range opts.strategies {
		s, err := opts.replay(ctx, c, tasks, strategy, stderr)
		if err != nil {
			return err
		}
		summaries = append(summaries, s)
	}
	report := writeTable
	if opts.json {
		report = writeJSON
	}
	if err := report(stdout, summaries); err != nil || opts.plot == "" {
		return err
	}
	return writePlot(opts.plot, c.load, summaries)
}

// joinOrder returns the nodes in the order in which they join.
func joinOrder(nodes []placement.Node, opts options) []placement.Node {
	ordered := slices.Clone(nodes)
	if opts.reverse {
		slices.Reverse(ordered)
	}
	return ordered
}

// input reads the nodes and the tasks from where the options say; what no
// option names is generated.
func input(opts options) ([]placement.Node, []placement.Request, error) {
	if opts.list == dlrmList {
		return inputDLRM(opts)
	}
	nodes, err := inputNodes(opts)
	if err != nil {
		return nil, nil, err
	}
	tasks, err := inputTasks(opts)
	return nodes, tasks, err
}

// inputDLRM reads the inference instances and the GPU nodes of the trace folder, and
// adds nodes without GPUs.
func inputDLRM(opts options) ([]placement.Node, []placement.Request, error) {
	gpuNodes, err := readTrace(opts.trace, dlrmNodes, parseDLRMNodes)
	if err != nil {
		return nil, nil, err
	}
	tasks, err := readTrace(opts.trace, dlrmList, parseDLRMTasks)
	if err != nil {
		return nil, nil, err
	}
	cpuNodes, err := generateCPUNodes(gpuNodes, tasks, opts.seed)
	return append(gpuNodes, cpuNodes...), tasks, err
}

func inputNodes(opts options) ([]placement.Node, error) {
	switch {
	case opts.nodes != "":
		return readFile(opts.nodes, parseNodes)
	case opts.trace == "":
		return generateNodes(opts.allNodes), nil
	case opts.allNodes:
		return readTrace(opts.trace, "openb_node_list_all_node", parseNodes)
	default:
		return readTrace(opts.trace, "openb_node_list_gpu_node", parseNodes)
	}
}

func inputTasks(opts options) ([]placement.Request, error) {
	switch {
	case opts.tasks != "":
		return readFile(opts.tasks, parseTasks)
	case opts.trace == "":
		return generateTasks(), nil
	default:
		return readTrace(opts.trace, "openb_pod_list_"+opts.list, parseTasks)
	}
}

// replay runs one strategy with every seed and sums up.
func (opts options) replay(
	ctx context.Context, c inventory, tasks []placement.Request, strategy placement.Strategy, stderr io.Writer,
) (summary, error) {
	var results []runResult
	for i := range opts.seeds {
		seed := opts.seed + uint64(i)
		arriving, err := arrivals(c, tasks, opts.load, seed)
		if err != nil {
			return summary{}, err
		}
		step := progress(stderr, fmt.Sprintf("%s, seed %d", strategy, seed), len(arriving))
		r, err := replay(ctx, c, arriving, policy{strategy, seed}, step)
		if err != nil {
			return summary{}, err
		}
		results = append(results, r)
	}
	return summarize(strategy, len(c.nodes), results), nil
}
