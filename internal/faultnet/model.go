package faultnet

import (
	"slices"
	"time"
)

// A Model is a network between names, as a pure function of time, seed and
// the messages so far. Names need no announcement. Make one with [New].
type Model struct {
	seed   uint64
	faults Faults
	links  map[ends]*link
	cuts   map[ends]bool
	groups [][]string
}

// New returns a network without cuts in which every link has the faults f.
// Faults that do not validate are an error.
func New(seed uint64, f Faults) (*Model, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return &Model{seed: seed, faults: f, links: map[ends]*link{}, cuts: map[ends]bool{}}, nil
}

// Send appends to dst the times at which a message of size bytes arrives that
// from sends to to at now: none if it is lost, two if it is duplicated. Times
// are durations since an origin that the caller chooses; those of one link
// are the basis of its order, equal times arrive in the order of sending. A
// message over a cut link is lost. It allocates only for the first message of
// a link.
func (m *Model) Send(dst []time.Duration, now time.Duration, from, to string, size int) []time.Duration {
	e := ends{from, to}
	l := m.link(e)
	f := m.faults
	if l.own {
		f = l.faults
	}
	if !m.Connected(from, to) {
		f.Loss = Always
	}
	return l.send(dst, now, size, f)
}

func (m *Model) link(e ends) *link {
	l := m.links[e]
	if l == nil {
		l = newLink(m.seed, e)
		m.links[e] = l
	}
	return l
}

// SetFaults changes the faults of every link, also of those that had their
// own. Faults that do not validate are an error and change nothing.
func (m *Model) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	m.faults = f
	for _, l := range m.links {
		l.own = false
	}
	return nil
}

// SetLink gives the link from from to to its own faults; the other direction
// keeps what it has. Faults that do not validate are an error and change
// nothing.
func (m *Model) SetLink(from, to string, f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	l := m.link(ends{from, to})
	l.faults, l.own = f, true
	return nil
}

// Cut cuts the link from from to to, one way, until [Model.Mend] or
// [Model.Heal]. Cutting twice is cutting once.
func (m *Model) Cut(from, to string) { m.cuts[ends{from, to}] = true }

// Mend undoes [Model.Cut] of the same link. It does not lift a partition.
func (m *Model) Mend(from, to string) { delete(m.cuts, ends{from, to}) }

// Partition splits the network in place of any earlier partition: two names
// are connected if one group holds both, and names in no group form one more
// group. A name in several groups connects with each of them. Cuts of single
// links stay.
func (m *Model) Partition(groups ...[]string) {
	m.groups = nil
	for _, g := range groups {
		m.groups = append(m.groups, slices.Clone(g))
	}
}

// Heal lifts the partition and all cuts. Faults stay as they are.
func (m *Model) Heal() {
	m.groups = nil
	clear(m.cuts)
}

// Connected reports whether no cut and no partition is between from and to,
// in this direction.
func (m *Model) Connected(from, to string) bool {
	if m.cuts[ends{from, to}] {
		return false
	}
	if len(m.groups) == 0 {
		return true
	}
	grouped := false
	for _, g := range m.groups {
		hasFrom, hasTo := slices.Contains(g, from), slices.Contains(g, to)
		if hasFrom && hasTo {
			return true
		}
		grouped = grouped || hasFrom || hasTo
	}
	return !grouped
}
