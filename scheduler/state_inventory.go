package scheduler

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// inventoryTaker counts what a state has, a few things in each turn. The state may
// change between turns: what goes before its turn is not counted, and of what comes some
// is.
type inventoryTaker struct {
	of           *state
	next         index.Row
	namespaces   names
	reservations names
	supplies     map[placement.ResourceName]*index.SupplySum
	found        Inventory // without Supplies
}

// names are what is left of a sequence of names.
type names struct {
	next func() (string, bool)
	stop func()
}

func pull(seq iter.Seq[string]) (n names) {
	n.next, n.stop = iter.Pull(seq)
	return n
}

func newInventoryTaker(st *state) inventoryTaker {
	return inventoryTaker{
		of: st, namespaces: pull(st.quota.Names()), reservations: pull(st.plan.Names()),
		supplies: make(map[placement.ResourceName]*index.SupplySum),
		found:    Inventory{Nodes: make(map[NodeState]int), Reservations: make(map[reservation.State]int)},
	}
}

// end lets go of what a taker holds that has taken anything.
func (t *inventoryTaker) end() {
	if t.of != nil {
		t.namespaces.stop()
		t.reservations.stop()
	}
}

// turn counts about as much as is copied in one turn of a list, and reports whether
// anything is left.
func (t *inventoryTaker) turn(now time.Time) bool {
	if from := t.next; int(from) < t.of.byRow.Len() {
		t.next = min(from+captureTurn, index.Row(t.of.byRow.Len()))
		for row := from; row < t.next; row++ {
			if n := t.of.at(row); n != nil {
				t.found.Nodes[n.state()]++
			}
		}
		t.of.index.AddSupply(t.supplies, from, t.next)
		return true
	}
	for range captureTurn {
		if ns, ok := t.namespaces.next(); ok {
			t.namespace(ns, now)
		} else if id, ok := t.reservations.next(); ok {
			t.reservation(id)
		} else {
			return false
		}
	}
	return true
}

func (t *inventoryTaker) namespace(ns string, now time.Time) {
	if _, declared := t.of.quota.Spec(ns); !declared {
		return
	}
	for _, usage := range t.of.quota.Usage(now, ns) {
		switch {
		case !usage.Limited():
		case usage.Over():
			t.found.Limits.Over++
		case usage.Bursting():
			t.found.Limits.Bursting++
		default:
			t.found.Limits.Within++
		}
	}
}

func (t *inventoryTaker) reservation(id string) {
	if state, ok := t.of.plan.State(id); ok {
		t.found.Reservations[state]++
	}
}

// result is what was counted in all turns.
func (t *inventoryTaker) result() Inventory {
	for _, name := range slices.SortedFunc(maps.Keys(t.supplies), placement.CompareNames) {
		s := t.supplies[name]
		t.found.Supplies = append(t.found.Supplies, Supply{name, s.Capacity, s.Used, s.Held, s.Free, s.Largest, s.Stranded})
	}
	return t.found
}
