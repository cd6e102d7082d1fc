package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
)

// options are the command line.
type options struct {
	nodes, tasks int
	plot         string
}

// Sizes of the clusters that no flag changes.
const (
	defaultNodes, defaultTasks = 10_000, 100_000
	fullNodes, fullTasks       = 100_000, 1_000_000

	minNodes, maxNodes = 10, 1_000_000
	// maxPerNode tasks fill two thirds of a node, on average.
	maxPerNode = 10
)

// parseOptions reads the command line. It writes the description of the flags
// to help and returns flag.ErrHelp if that is asked for; other errors name
// every mistake at once.
func parseOptions(args []string, help io.Writer) (options, error) {
	var opts options
	var full bool
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.IntVar(&opts.nodes, "nodes", defaultNodes, "`number` of nodes")
	fs.IntVar(&opts.tasks, "tasks", defaultTasks, "`number` of tasks, at most ten for each node")
	fs.BoolVar(&full, "full", false, "a million tasks on 100,000 nodes")
	fs.StringVar(&opts.plot, "plot", "", "draw the cost of a decision against the number of nodes to this .svg or .png `file`")

	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(help)
		_, _ = fmt.Fprintln(help, "scale places tasks on a large cluster and reports what that costs. Flags:")
		fs.PrintDefaults()
	}
	if err != nil {
		return options{}, err
	}
	if full {
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "nodes" || f.Name == "tasks" {
				err = fmt.Errorf("-full and -%s contradict each other", f.Name)
			}
		})
		opts.nodes, opts.tasks = fullNodes, fullTasks
	}
	return opts, errors.Join(err, opts.check(fs.Args()))
}

// check reports what each flag alone does not show.
func (o *options) check(rest []string) error {
	var found []error
	if len(rest) > 0 {
		found = append(found, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.nodes < minNodes || o.nodes > maxNodes {
		found = append(found, fmt.Errorf("-nodes %d: want %d to %d", o.nodes, minNodes, maxNodes))
	} else if o.tasks < 1 || o.tasks > o.nodes*maxPerNode {
		found = append(found, fmt.Errorf("-tasks %d: want 1 to %d, ten for each node", o.tasks, o.nodes*maxPerNode))
	}
	if ext := filepath.Ext(o.plot); o.plot != "" && ext != ".svg" && ext != ".png" {
		found = append(found, fmt.Errorf("-plot %s: want a .svg or .png file", o.plot))
	}
	return errors.Join(found...)
}
