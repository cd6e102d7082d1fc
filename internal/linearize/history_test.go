package linearize

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

// verb is what a client asks for.
type verb string

const (
	place   verb = "place"
	release verb = "release"
	look    verb = "look"
)

// question is what a client asks for one instance.
type question struct {
	verb verb
	id   string
}

// answer is what it was told: the node where the instance runs, "" if it does not.
// Nothing is known of one that is lost.
type answer struct {
	lost bool
	node string
}

// somewhere stands for the node of an instance that nobody was told of.
const somewhere = "?"

// model is a scheduler that runs each instance on one node, or not.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Partition: func(history []porcupine.Operation) (byID [][]porcupine.Operation) {
			of := make(map[string][]porcupine.Operation)
			for _, o := range history {
				id := o.Input.(question).id
				of[id] = append(of[id], o)
			}
			for _, operations := range of {
				byID = append(byID, operations)
			}
			return byID
		},
		Step: func(state, input, output any) (bool, any) {
			next, ok := step(state.(string), input.(question), output.(answer))
			return ok, next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " ", output) },
	}
}

// step returns where the instance runs after a question, and whether the answer is
// right.
func step(runs string, q question, a answer) (string, bool) {
	switch {
	case a.lost && q.verb == place && runs == "":
		return somewhere, true
	case a.lost && q.verb == release:
		return "", true
	case a.lost:
		return runs, true
	case q.verb == release: // which answers with where it ran, or that it did not
		return "", (a.node == "") == (runs == "")
	case runs == somewhere && a.node != "", q.verb == place && runs == "":
		return a.node, a.node != ""
	default:
		return runs, a.node == runs
	}
}

// recorder is the history of one client.
type recorder struct {
	client  int
	clock   *atomic.Int64 // of all clients
	history []porcupine.Operation
}

// ask records a question and its answer.
func (r *recorder) ask(q question, answered func() answer) {
	o := porcupine.Operation{ClientId: r.client, Input: q, Call: r.clock.Add(1)}
	a := answered()
	o.Output, o.Return = a, r.clock.Add(1)
	if a.lost {
		if q.verb == look {
			return // it has changed nothing
		}
		o.Return = math.MaxInt64 // it may yet happen
	}
	r.history = append(r.history, o)
}

// merge returns one history of all clients.
func merge(clients []*recorder) (all []porcupine.Operation) {
	for _, r := range clients {
		all = slices.Concat(all, r.history)
	}
	return all
}
