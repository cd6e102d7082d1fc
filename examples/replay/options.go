package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// options are the command line.
type options struct {
	trace, list  string
	nodes, tasks string
	allNodes     bool
	reverse      bool
	strategies   []placement.Strategy
	seed         uint64
	seeds        int
	load         placement.Ratio // of what the cluster has
	json         bool
	plot         string
}

const maxSeeds = 1000

// parseOptions reads the command line. It writes the description of the flags
// to help and returns flag.ErrHelp if that is asked for; other errors name
// every conflict between flags at once.
func parseOptions(args []string, help io.Writer) (options, error) {
	opts := options{strategies: []placement.Strategy{placement.BinPack}, load: placement.Ratio{Numerator: 1300, Denominator: 1000}}
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&opts.trace, "trace", "", "`folder` of the trace's files; without it a cluster and tasks are generated")
	fs.StringVar(&opts.list, "list", "default", "`name` of the task list in the trace folder: dlrm_instances, or one of openb such as default or cpu050")
	fs.StringVar(&opts.nodes, "nodes", "", "node list `file`, .csv or .csv.gz, instead of the trace's")
	fs.StringVar(&opts.tasks, "tasks", "", "task list `file`, .csv or .csv.gz, instead of the trace's")
	fs.BoolVar(&opts.allNodes, "all-nodes", false, "include the nodes without GPUs of openb")
	fs.BoolVar(&opts.reverse, "reverse", false, "let the nodes join in reverse order")
	fs.Func("strategy", "comma-separated `names`: binpack, spread, random, affinity, leastfragmentation (default binpack)", opts.setStrategies)
	fs.Uint64Var(&opts.seed, "seed", 42, "seed of the arrivals and of the random strategy")
	fs.IntVar(&opts.seeds, "seeds", 1, "how many seeds to run, from -seed on; the figures are means over them")
	fs.Func("load", "`share` of the cluster's GPUs that the tasks ask for, to a thousandth (default 1.3)", opts.setLoad)
	fs.BoolVar(&opts.json, "json", false, "print one JSON object, or an array of them for several strategies")
	fs.StringVar(&opts.plot, "plot", "", "draw the allocation over the arrived load to this .svg or .png `file`")

	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(help)
		_, _ = fmt.Fprintln(help, "replay places a trace of a GPU cluster and reports how full it gets. Flags:")
		fs.PrintDefaults()
	}
	if err != nil {
		return options{}, err
	}
	return opts, opts.check(fs.Args())
}

func (o *options) setStrategies(names string) error {
	o.strategies = nil
	for name := range strings.SplitSeq(names, ",") {
		strategy, err := placement.ParseStrategy(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		if slices.Contains(o.strategies, strategy) {
			return fmt.Errorf("%s is given twice", strategy)
		}
		o.strategies = append(o.strategies, strategy)
	}
	return nil
}

func (o *options) setLoad(text string) error {
	load, err := strconv.ParseFloat(text, 64)
	// Written so that NaN fails.
	if err != nil || !(load >= 0.001 && load <= 10) {
		return errors.New("want a number from 0.001 to 10")
	}
	o.load = placement.Ratio{Numerator: int64(math.Round(load * 1000)), Denominator: 1000}
	return nil
}

// check reports what each flag alone does not show.
func (o *options) check(rest []string) error {
	var found []error
	if len(rest) > 0 {
		found = append(found, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.seeds < 1 || o.seeds > maxSeeds {
		found = append(found, fmt.Errorf("-seeds %d: want 1 to %d", o.seeds, maxSeeds))
	}
	if o.list != "default" && (o.trace == "" || o.tasks != "") {
		found = append(found, errors.New("-list names a task list of the -trace folder"))
	}
	if o.list == dlrmList && (o.allNodes || o.nodes != "") {
		found = append(found, errors.New("-list "+dlrmList+" has nodes of its own, without -nodes and -all-nodes"))
	}
	if o.allNodes && o.nodes != "" {
		found = append(found, errors.New("-all-nodes and -nodes contradict each other"))
	}
	if ext := filepath.Ext(o.plot); o.plot != "" && ext != ".svg" && ext != ".png" {
		found = append(found, fmt.Errorf("-plot %s: want a .svg or .png file", o.plot))
	}
	return errors.Join(found...)
}
