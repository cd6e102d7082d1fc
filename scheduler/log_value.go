package scheduler

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// String reads like "7 node-removed {"nodeID":"n1"}": the Seq, the kind, and the change
// as JSON.
func (e Event) String() string {
	if e.Change == nil {
		return fmt.Sprint(e.Seq)
	}
	return fmt.Sprintf("%d %s %s", e.Seq, e.Kind(), e.changeText())
}

func (e Event) changeText() string {
	data, err := json.Marshal(e.Change)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// LogValue implements slog.LogValuer: a group of seq, token, kind, and change as JSON.
// It is worked out only where somebody logs it.
func (e Event) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Uint64("seq", e.Seq)}
	if e.Token != 0 {
		attrs = append(attrs, slog.Uint64("token", e.Token))
	}
	if e.Change != nil {
		attrs = append(attrs, slog.String("kind", e.Kind()), slog.String("change", e.changeText()))
	}
	return slog.GroupValue(attrs...)
}

// String reads like "web-1 on n1".
func (d Decision) String() string { return d.ID + " on " + d.NodeID }

// LogValue implements slog.LogValuer: a group of id, node, generation, token and score.
func (d Decision) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", d.ID), slog.String("node", d.NodeID), slog.Uint64("generation", d.Generation),
		slog.Uint64("token", d.Token), slog.Int("score", d.Score),
	)
}

// String reads like "web-1 on n1, running".
func (a Allocation) String() string {
	return a.Request.ID + " on " + a.NodeID + ", " + string(a.State)
}

// LogValue implements slog.LogValuer: a group of id, node, state, generation and token.
func (a Allocation) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", a.Request.ID), slog.String("node", a.NodeID), slog.String("state", string(a.State)),
		slog.Uint64("generation", a.Generation), slog.Uint64("token", a.Token),
	)
}

// String reads like "n1, ready, instances: 3".
func (n NodeInfo) String() string {
	return fmt.Sprintf("%s, %s, instances: %d", n.ID, n.State, n.Instances)
}

// LogValue implements slog.LogValuer: a group of node, state, instances, and what is
// total, allocated, held and available as text.
func (n NodeInfo) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("node", n.ID), slog.String("state", string(n.State)), slog.Int64("instances", n.Instances),
		slog.String("total", n.Total.String()), slog.String("allocated", n.Allocated.String()),
		slog.String("held", n.Held.String()), slog.String("available", n.Available.String()),
	)
}
