package sim

import (
	"time"

	"github.com/rads-project/constellation/raft"
)

// Isolate cuts a node off from all others, both ways.
func (w *World) Isolate(id string) {
	for _, n := range w.nodes {
		if n.cfg.ID != id {
			w.network.Cut(id, n.cfg.ID)
			w.network.Cut(n.cfg.ID, id)
		}
	}
}

// Rejoin undoes Isolate.
func (w *World) Rejoin(id string) {
	for _, n := range w.nodes {
		if n.cfg.ID != id {
			w.network.Mend(id, n.cfg.ID)
			w.network.Mend(n.cfg.ID, id)
		}
	}
}

// send hands a message to the network.
func (w *World) send(from *member, m *raft.Message) {
	w.oracle.sent(from, m)
	w.transcript.sent(w.now, m)
	w.counts.Messages++
	w.keep(m)
	late := time.Duration(0)
	if w.cfg.Delay != nil {
		late = w.cfg.Delay(m)
	}
	w.arrivals = w.network.Send(w.arrivals[:0], w.now, m.From, m.To, 0)
	switch len(w.arrivals) {
	case 0:
		w.counts.Lost++
	case 2:
		w.counts.Duplicated++
	}
	to := w.node(m.To)
	for _, at := range w.arrivals {
		at += late
		latest := &w.latest[from.index][to.index]
		if at < *latest {
			w.counts.Overtaken++
		}
		*latest = max(*latest, at)
		if at-w.now > from.cfg.ElectionTimeoutMin {
			w.counts.Delayed++
		}
		e := w.events.add(at)
		e.node, e.message = to, *m
	}
}
