package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/rads-project/constellation/raft"
)

// maxKept is how many messages a world keeps for Echo.
const maxKept = 64

// errImpaired has a change of the membership wait until no disk is missing.
var errImpaired = errors.New("sim: a disk is missing")

// keep may keep a message that was sent, in place of one kept before. So those
// that are kept are of any age.
func (w *World) keep(m *raft.Message) {
	switch {
	case len(w.kept) < maxKept:
		w.kept = append(w.kept, *m)
	case w.random.IntN(maxKept/8) == 0:
		w.kept[w.random.IntN(maxKept)] = *m
	}
}

// echo has kept messages arrive once more, whatever their receivers have been
// through since.
func (c *chaos) echo() {
	if len(c.kept) == 0 {
		return
	}
	c.happens(Echo, "the network")
	for range 8 {
		m := c.kept[c.random.IntN(len(c.kept))]
		c.after(c.length(), func() {
			e := c.events.blank()
			e.node, e.message = c.node(m.To), m
			e.node.receive(e)
		})
	}
}

// impaired reports whether a node has no disk, or an older one than others have
// heard of. One at a time is enough for a majority to be left.
func (c *chaos) impaired() bool {
	return slices.ContainsFunc(c.nodes, func(n *member) bool { return n.wiped || n.restored })
}

// spareable reports whether the others can do without a node, under whatever
// configuration any of them has.
func (c *chaos) spareable(n *member) bool {
	if c.impaired() || n.disk.busy && !n.up || !n.disk.record.Found {
		return false
	}
	for _, other := range c.nodes {
		known := []raft.Configuration{other.disk.record.State.Configuration, other.disk.writing.Configuration}
		if other.core != nil {
			known = append(known, other.core.Configuration())
		}
		for _, configuration := range known {
			if m, _ := configuration.Member(n.cfg.ID); m.Voter && (configuration.Voters() < 3 || !leadable(configuration, n.cfg.ID)) {
				return false
			}
		}
	}
	return true
}

// leadable reports whether a voter other than that one may lead.
func leadable(configuration raft.Configuration, without string) bool {
	return slices.ContainsFunc(configuration.Members, func(m raft.Member) bool {
		return m.Voter && !m.Witness && m.ID != without
	})
}

// replace loses a node's disk and has somebody bring up another in its place, as
// raft's documentation says: remove the member, add it, and then start it.
func (c *chaos) replace(n *member) {
	if !c.spareable(n) {
		return
	}
	c.happens(Replace, n.cfg.ID)
	n.wiped = true
	n.crash()
	n.disk.record, n.disk.writing, n.log = raft.StoredState{}, raft.HardState{}, journal{}
	n.store[1]++
	n.cfg.Start = raft.Join()
	c.oracle.wiped(n)
	c.operate(n)
}

// operate does the next step of a replacement, until the node can start.
func (c *chaos) operate(n *member) {
	if !n.wiped {
		return
	}
	if leader := c.Leader(); leader != "" {
		added := false
		c.node(leader).try(func(core *raft.Core, now time.Duration) (raft.Effects, error) {
			if _, named := core.Configuration().Member(n.cfg.ID); named {
				return core.RemoveMember(now, n.cfg.ID)
			}
			added = true
			return core.AddMember(now, raft.Member{ID: n.cfg.ID, Witness: n.witness})
		}, func() {
			if added && n.wiped {
				n.wiped = false
				c.counts.Replacements++
				n.start()
				c.promote(n, n.store, 20)
			}
		})
	}
	c.after(c.between(20*ms, 200*ms), func() { c.operate(n) })
}

// promote has a leader make a replaced node a voter again, in so many attempts.
func (c *chaos) promote(n *member, store raft.StoreID, attempts int) {
	if attempts == 0 || n.store != store || n.wiped {
		return
	}
	done := false
	if leader := c.Leader(); leader != "" {
		c.node(leader).try(func(core *raft.Core, now time.Duration) (raft.Effects, error) {
			return core.Promote(now, n.cfg.ID)
		}, func() { done = true })
	}
	c.after(c.between(20*ms, 200*ms), func() {
		if !done {
			c.promote(n, store, attempts-1)
		}
	})
}

// restore puts an older record in the place of a node's: of a backup made when
// everything but the incarnation was as it is now, because what rests on more
// than that cannot be had from a backup. It is mended some time later.
func (c *chaos) restore(n *member) {
	if !c.spareable(n) || n.disk.record.State.Incarnation < 2 {
		return
	}
	c.happens(Restore, n.cfg.ID)
	n.restored = true
	n.crash()
	state := &n.disk.record.State
	n.newest = state.Incarnation
	state.Incarnation = c.random.Uint64N(state.Incarnation)
	n.start()
	c.after(c.length(), func() { c.mend(n) })
}

// mend ends what restore began.
func (c *chaos) mend(n *member) {
	if !n.restored {
		return
	}
	n.crash()
	if n.disk.busy {
		c.after(n.disk.freeAt-c.now, func() { c.mend(n) })
		return
	}
	n.restored = false
	state := &n.disk.record.State
	state.Incarnation = max(state.Incarnation, n.newest)
	n.start()
}
