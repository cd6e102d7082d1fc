package debugpage

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// mapNode is a node on the map.
type mapNode struct {
	ID     string              `json:"id"`
	State  scheduler.NodeState `json:"state"`
	Labels map[string]string   `json:"labels,omitempty"`
	// Shares are what is used and held of each dimension, in hundredths.
	Shares map[placement.ResourceName][2]int64 `json:"shares,omitempty"`
	// Devices are what is free of each GPU, in hundredths, less than nothing of a broken
	// one.
	Devices []int64 `json:"devices,omitempty"`
}

func mapNodeOf(n scheduler.NodeInfo) mapNode {
	c := mapNode{ID: n.ID, State: n.State, Labels: n.Labels, Shares: make(map[placement.ResourceName][2]int64)}
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

// cellsUpdate is what has changed on the map.
type cellsUpdate struct {
	// Cells are the nodes that have changed, Gone those that have left; All says that
	// the viewer does not know enough of them and is to read cells.json.
	Cells []mapNode `json:"cells,omitempty"`
	Gone  []string  `json:"gone,omitempty"`
	All   bool      `json:"all,omitempty"`
}

// sharedCells is an event with a cellsUpdate for all who have seen the same.
type sharedCells struct {
	seen, stamp uint64
	event       []byte
}

// cellsEvent returns the event with what has changed on the map since a stamp, or nothing.
func (p *Page) cellsEvent(l *lists, seen uint64) ([]byte, error) {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	if c := p.shared.cells; c.seen == seen && c.stamp == l.stamp && c.event != nil {
		return c.event, nil
	}
	u := l.cellsSince(seen)
	if len(u.Cells) == 0 && len(u.Gone) == 0 && !u.All {
		return nil, nil
	}
	data, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	c := sharedCells{seen, l.stamp, fmt.Appendf(nil, "event: cells\ndata: %s\n\n", data)}
	p.shared.cells = c
	return c.event, nil
}

// maxCells is how many nodes the map shows.
const maxCells = 10_000

// cellsSince is what has changed since a stamp.
func (l *lists) cellsSince(seen uint64) (u cellsUpdate) {
	if seen < l.gone.since {
		return cellsUpdate{All: true}
	}
	for _, d := range l.gone.nodes {
		if d.stamp > seen {
			u.Gone = append(u.Gone, d.id)
		}
	}
	nodes := l.rows["nodes"].rows
	for _, r := range nodes[:min(len(nodes), maxCells)] {
		if r.stamp > seen {
			u.Cells = append(u.Cells, mapNodeOf(r.value.(scheduler.NodeInfo)))
		}
	}
	return u
}

// serveCells answers with all nodes of the map.
func (p *Page) serveCells(w http.ResponseWriter, r *http.Request) {
	l := p.look(r.Context())
	cells := make([]mapNode, 0, min(len(l.nodes), maxCells))
	for _, n := range l.nodes[:min(len(l.nodes), maxCells)] {
		cells = append(cells, mapNodeOf(n))
	}
	answer(w, cells, l.err)
}
