package reservation

import (
	"errors"

	"github.com/rads-project/constellation/placement"
)

// NodeRoom is what a node has for the slots of a reservation.
type NodeRoom struct {
	// Node that it is, and how many slots fit there over the whole window, whatever
	// rules say of slots beside each other.
	Node  string `json:"node"`
	Slots int    `json:"slots"`
	// Largest is the part of the shape that one slot would find, and Short the
	// dimension of which there is least as a share of what is asked; empty if the
	// node is closed for maintenance.
	Largest placement.Resources    `json:"largest,omitzero"`
	Short   placement.ResourceName `json:"short,omitempty"`
	// Holders are what the Plan counts there while a slot does not fit.
	Holders []Holder `json:"holders,omitempty"`
}

// Explain says of each node that meets the rules of a spec what room it has for
// slots, best first, and changes nothing. Of a reservation that repeats it is about
// the first window that finds no room, if there is one. It takes the time of Reserve,
// and one look at the holders of each node.
//
// Errors: ErrInvalid.
func (p *Plan) Explain(nodes Nodes, spec Spec) ([]NodeRoom, error) {
	windows, err := spec.occurrences(p.now)
	if err != nil {
		return nil, err
	}
	about := windows[0]
	var refused *RefusedError
	if _, err := p.Reserve(nodes, spec); errors.As(err, &refused) {
		for _, w := range windows {
			if w.date == refused.Date {
				about = w
			}
		}
	}
	r := &Reservation{Spec: spec.of(about), Params: about.params}
	want, load := r.want(nil), r.load()
	t, s := p.try(nodes), p.spanOf(want.Window, want.kind)
	var all []NodeRoom
	for node, room := range nodes.For(&want) {
		n := NodeRoom{Node: node, Slots: p.copies(node, &room, &load, s)}
		n.Largest = p.free(node, &room, &load, s)
		if n.Slots == 0 {
			n.Short, _ = p.short(node, &room, &load, n.Largest, s)
			n.Holders = t.inTheWayOf(node, &room, want, &load)
		}
		all = append(all, n)
	}
	return all, nil
}
