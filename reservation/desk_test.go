package reservation_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// desk is a book with a clock that the test moves, and node n1 of 8 cores.
type desk struct {
	*reservation.Book
	t     *testing.T
	clock time.Time
	zero  time.Time
}

func newDesk(t *testing.T, more ...placement.Node) *desk {
	t.Helper()
	return newDeskAt(t, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), more...)
}

func newDeskAt(t *testing.T, zero time.Time, more ...placement.Node) *desk {
	t.Helper()
	d := &desk{t: t, clock: zero, zero: zero}
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return d.clock }})
	require.NoError(t, err)
	d.Book = book
	for _, node := range append([]placement.Node{node("n1", 8)}, more...) {
		require.NoError(t, book.SetNode(node))
	}
	return d
}

func node(id string, cores int64) placement.Node {
	return placement.Node{ID: id, Capacity: placement.Resources{CPU: cores * placement.Core, Memory: 32 * placement.GiB}}
}

func cores(n int64) placement.Resources { return placement.Resources{CPU: n * placement.Core} }

// second returns the instant so many seconds after the beginning.
func (d *desk) second(s float64) time.Time {
	return d.zero.Add(time.Duration(s * float64(time.Second)))
}

func (d *desk) at(s float64) { d.clock = d.second(s) }

// spec is a single slot of so many cores for a minute, starting now.
func spec(id string, n int64) reservation.Spec {
	return reservation.Spec{ID: id, Namespace: "team", Shape: cores(n), Count: 1, Duration: time.Minute}
}

func (d *desk) during(id string, n int64, from, to float64) reservation.Spec {
	s := spec(id, n)
	s.Start, s.End, s.Duration = d.second(from), d.second(to), 0
	return s
}

func (d *desk) reserve(s reservation.Spec) reservation.Reservation {
	d.t.Helper()
	r, err := d.Reserve(s)
	require.NoError(d.t, err)
	return r
}

func request(id string, n int64) placement.Request {
	return placement.Request{ID: id, Namespace: "team", Resources: cores(n)}
}

func (d *desk) claim(from, id string, n int64) error {
	_, _, err := d.Claim(from, request(id, n))
	return err
}

func (d *desk) lookup(id string) reservation.Reservation {
	d.t.Helper()
	r, err := d.Reservation(id)
	require.NoError(d.t, err)
	return r
}

func (d *desk) state(id string) reservation.State {
	r := d.lookup(id)
	return r.State()
}

// freeNow returns the free cores of a node for an instance without an end.
func (d *desk) freeNow(node string) int64 {
	d.t.Helper()
	free, err := d.Free(node, reservation.Window{Start: d.clock})
	require.NoError(d.t, err)
	return free.CPU / placement.Core
}

// kinds returns what has happened since the last sweep, in order.
func (d *desk) kinds() []reservation.EventKind {
	var kinds []reservation.EventKind
	for _, e := range d.Sweep() {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// unchanged runs a call that must fail and checks that it left no trace.
func (d *desk) unchanged(want error, call func() error) {
	d.t.Helper()
	before := d.Snapshot()
	require.ErrorIs(d.t, call(), want)
	require.Equal(d.t, before, d.Snapshot())
}

func sorted(kinds []reservation.EventKind) []reservation.EventKind {
	slices.Sort(kinds)
	slices.Reverse(kinds)
	return kinds
}
