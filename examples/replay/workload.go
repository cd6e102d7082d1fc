package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// inventory is the nodes in the order of joining, with what they have together.
type inventory struct {
	nodes []placement.Node
	total placement.Resources
	load  placement.ResourceName
	mix   []scheduler.WorkloadClass // what work is typical
}

// measure adds up the cluster and chooses the dimension in which load is
// measured: GPUs, or CPU where there are no GPUs or nobody asks for them.
func measure(nodes []placement.Node, tasks []placement.Request) (inventory, error) {
	c := inventory{nodes: nodes, load: placement.NameGPU, mix: typicalMix(tasks)}
	var asked placement.Resources
	for _, t := range tasks {
		asked.CPU += t.Resources.CPU
		asked.GPU += t.Resources.GPU
	}
	for _, n := range nodes {
		var err error
		if c.total, err = c.total.Add(n.Capacity); err != nil {
			return inventory{}, err
		}
	}
	if c.total.GPU == 0 || asked.GPU == 0 {
		c.load = placement.NameCPU
	}
	if c.total.Amount(c.load) == 0 || asked.Amount(c.load) == 0 {
		return inventory{}, errors.New("nothing to replay: the nodes offer or the tasks ask neither GPUs nor CPU")
	}
	return c, nil
}

// arrivals returns the tasks in the order of the published experiment: sorted
// by name, shuffled, then drawn with replacement until they ask for load
// times the cluster. The first draw of which a single device would pass that
// is left out and ends the list. A list that asks for more from the start
// loses its last tasks. Each arrival has an ID of its own.
func arrivals(c inventory, tasks []placement.Request, load placement.Ratio, seed uint64) ([]placement.Request, error) {
	limit, ok := load.Scale(c.total.Amount(c.load))
	if !ok {
		return nil, fmt.Errorf("load %s of the cluster is out of range", load)
	}
	list := slices.SortedFunc(slices.Values(tasks), func(a, b placement.Request) int { return strings.Compare(a.ID, b.ID) })
	draw := rand.New(rand.NewPCG(seed, 0))
	draw.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })

	var asked int64
	for _, t := range list {
		asked += t.Resources.Amount(c.load)
	}
	arriving := slices.Clone(list)
	for asked > limit {
		last := len(arriving) - 1
		asked -= arriving[last].Resources.Amount(c.load)
		arriving = arriving[:last]
	}
	for asked < limit {
		t := list[draw.IntN(len(list))]
		if asked+single(t, c.load) > limit {
			break
		}
		arriving = append(arriving, t)
		asked += t.Resources.Amount(c.load)
	}
	for i := range arriving {
		arriving[i].ID = fmt.Sprintf("%s#%d", arriving[i].ID, i)
	}
	return arriving, nil
}

// single returns how much of the dimension the task asks at one place: of one
// device if these are GPUs.
func single(t placement.Request, name placement.ResourceName) int64 {
	amount := t.Resources.Amount(name)
	if name == placement.NameGPU {
		return min(amount, placement.Device)
	}
	return amount
}
