package debugpage

import (
	"net/http"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// cell is a node on the map.
type cell struct {
	ID     string              `json:"id"`
	State  scheduler.NodeState `json:"state"`
	Labels map[string]string   `json:"labels,omitempty"`
	// Shares are what is used and held of each dimension, in hundredths.
	Shares map[placement.ResourceName][2]int64 `json:"shares,omitempty"`
	// Devices are what is free of each GPU, in hundredths, less than nothing of a broken
	// one.
	Devices []int64 `json:"devices,omitempty"`
}

func cellOf(n scheduler.NodeInfo) cell {
	c := cell{ID: n.ID, State: n.State, Labels: n.Labels, Shares: make(map[placement.ResourceName][2]int64)}
	for _, b := range bars(n) {
		c.Shares[b.Name] = [2]int64{b.Used, b.Held}
	}
	for i, free := range n.DeviceFree {
		share := percent(free, placement.Device)
		if !n.Devices.Works(i) {
			share = -1
		}
		c.Devices = append(c.Devices, share)
	}
	return c
}

// maxCells is how many nodes the map shows.
const maxCells = 10_000

// cellsSince are the nodes that have changed since a stamp, and those that have gone;
// all says that this is not known, since it was so long ago.
func (l *lists) cellsSince(seen uint64) (cells []cell, gone []string, all bool) {
	if seen < l.gone.since {
		return nil, nil, true
	}
	for _, d := range l.gone.nodes {
		if d.stamp > seen {
			gone = append(gone, d.id)
		}
	}
	nodes := l.rows["nodes"].rows
	for _, r := range nodes[:min(len(nodes), maxCells)] {
		if r.stamp > seen {
			cells = append(cells, cellOf(r.value.(scheduler.NodeInfo)))
		}
	}
	return cells, gone, false
}

// serveCells answers with all nodes of the map.
func (p *Page) serveCells(w http.ResponseWriter, r *http.Request) {
	l := p.look(r.Context())
	cells := make([]cell, 0, min(len(l.nodes), maxCells))
	for _, n := range l.nodes[:min(len(l.nodes), maxCells)] {
		cells = append(cells, cellOf(n))
	}
	answer(w, cells, l.err)
}
