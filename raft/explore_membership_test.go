package raft

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// council is one state of four nodes whose membership changes. It leaves out
// time and single messages: promises are over whenever that matters, leases last
// until a node steps down, and an election or a round of heartbeats is one
// action between a node and some of the others. What is left is which
// configurations can elect whom, on the real core.
type council struct {
	cores   [councilSize]*Core
	leaders [councilTerms + 1]byte // 0: none, else index + 1
	broken  string
}

const (
	councilSize     = 4
	councilTerms    = 3
	councilVersions = 3
)

// newCouncil returns four voters.
func newCouncil(t *testing.T, off faults) *council {
	t.Helper()
	members := voters(councilSize)
	for i := range members {
		members[i].StoreID = testStore(members[i].ID)
	}
	w := new(council)
	for i, m := range members {
		cfg := testConfig(m.ID, members...)
		cfg.Rand = zeros{}
		cfg.ElectionTimeoutMin, cfg.ElectionTimeoutMax = 1<<20, 1<<21
		state, err := StartState(cfg, StoredState{}, m.StoreID)
		require.NoError(t, err)
		w.cores[i], err = NewCore(cfg, state, 1, 0)
		require.NoError(t, err)
		w.cores[i].lease = time.Hour
		w.cores[i].faults = off
	}
	return w
}

// act returns the council after an action of node i, which may reach the nodes
// in the set only.
func (w *council) act(i int, reached voterSet, action func(c *Core) Effects) *council {
	next := *w
	for j := range next.cores {
		if j != i && !reached.has(j) {
			continue
		}
		next.cores[j] = w.cores[j].clone()
		next.cores[j].promise = promise{}
		next.cores[j].electionAt = Never
	}
	queue := slices.Clone(action(next.cores[i]).Messages)
	if next.cores[i].role != Leader || w.cores[i].role == Leader {
		next.exchange(i, reached, queue)
	}
	for j, c := range next.cores {
		if c == w.cores[j] {
			continue
		}
		if c.role != Leader {
			c.follow()
			continue
		}
		if winner := next.leaders[c.hard.Term]; winner != 0 && winner != byte(j+1) {
			next.broken = "O1: two leaders of a term"
		}
		next.leaders[c.hard.Term] = byte(j + 1)
	}
	return &next
}

// exchange delivers messages between node i and those reached, and the answers,
// until there are none. The heartbeats of a winner are an action of their own.
func (w *council) exchange(i int, reached voterSet, queue []Message) {
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		from, to := worldIndex(m.From), worldIndex(m.To)
		if !reached.has(from + to - i) {
			continue
		}
		was := w.cores[to].role
		e := w.cores[to].Step(0, m)
		if to != i || was == Leader || w.cores[to].role != Leader {
			queue = append(queue, slices.Clone(e.Messages)...)
		}
	}
}

// next visits all councils one action away.
func (w *council) next(visit func(*council)) {
	for i, c := range w.cores {
		for reached := range voterSet(1 << councilSize) {
			switch {
			case reached.has(i):
			case c.reigns():
				visit(w.act(i, reached, func(c *Core) Effects { return c.round(0) }))
			case c.hard.Term < councilTerms && reached != 0:
				visit(w.act(i, reached, (*Core).stand))
			}
		}
		if !c.reigns() {
			continue
		}
		visit(w.act(i, 0, func(c *Core) Effects { return c.StepDown(0) }))
		if c.hard.Configuration.Version == councilVersions {
			continue
		}
		for j, m := range c.hard.Configuration.Members {
			visit(w.act(i, 0, func(c *Core) Effects { return c.toggle(j, m) }))
		}
	}
}

// stand has a node campaign.
func (c *Core) stand() Effects {
	e, _ := c.Campaign(0)
	return e
}

// toggle has a leader promote or demote a member, as if that had just answered.
func (c *Core) toggle(i int, m Member) Effects {
	c.peers[i].acked = c.now
	change := c.Promote
	if m.Voter {
		change = c.Demote
	}
	e, _ := change(0, m.ID)
	return e
}

// fingerprint is the least hash over all renamings of the nodes.
func (w *council) fingerprint(orders [][]int) uint64 {
	least := uint64(math.MaxUint64)
	buf := make([]byte, 0, 64)
	for _, order := range orders {
		var place [councilSize + 1]byte
		place[councilSize] = councilSize
		for p, node := range order {
			place[node] = byte(p)
		}
		buf = buf[:0]
		for _, node := range order {
			buf = w.cores[node].appendCouncilor(buf, order, place)
		}
		for _, winner := range w.leaders {
			if winner > 0 {
				winner = place[winner-1] + 1
			}
			buf = append(buf, winner)
		}
		least = min(least, hash64(buf))
	}
	return least
}

// appendCouncilor writes what of a core matters without time.
func (c *Core) appendCouncilor(b []byte, order []int, place [councilSize + 1]byte) []byte {
	vote := councilSize
	if c.hard.Vote != "" {
		vote = worldIndex(c.hard.Vote)
	}
	known := councilSize
	if c.leader != "" {
		known = worldIndex(c.leader)
	}
	cfg := c.hard.Configuration
	b = append(b, byte(c.hard.Term), place[vote], place[known], byte(c.role), byte(cfg.Term), byte(cfg.Version))
	for _, i := range order {
		flags := byte(0)
		if cfg.Members[i].Voter {
			flags = 1
		}
		if c.role == Leader && c.peers[i].confirmed {
			flags |= 2
		}
		b = append(b, flags)
	}
	return b
}

// permutationsOf returns the orders of 0 to n-1.
func permutationsOf(n int) [][]int {
	orders := [][]int{{}}
	for i := range n {
		var longer [][]int
		for _, order := range orders {
			for at := range i + 1 {
				longer = append(longer, slices.Insert(slices.Clone(order), at, i))
			}
		}
		orders = longer
	}
	return orders
}

// explore walks breadth first until an oracle is broken or the limit is
// reached.
func (w *council) explore(limit int) (seen, layers int, broken string) {
	orders := permutationsOf(councilSize)
	met := map[uint64]struct{}{w.fingerprint(orders): {}}
	layer := []*council{w}
	for len(layer) > 0 && len(met) < limit && broken == "" {
		var following []*council
		for _, w := range layer {
			w.next(func(next *council) {
				f := next.fingerprint(orders)
				if _, found := met[f]; found || broken != "" {
					return
				}
				met[f] = struct{}{}
				following = append(following, next)
				broken = next.broken
			})
		}
		layer = following
		layers++
	}
	return len(met), layers, broken
}

// Rules 17 to 19: whatever four nodes do to their membership, a term has one
// leader.
func TestExploreMembership(t *testing.T) {
	limit := Share(3_000)
	if isLong() {
		limit = 3_000_000
	}
	seen, layers, broken := newCouncil(t, faults{}).explore(limit)
	t.Logf("%d councils in %d layers", seen, layers)
	require.Empty(t, broken)
}

// With the quorum of rule 18 left out, the walk finds the two leaders. It begins
// where A leads term 1 and has demoted D, which nobody else has heard of, and B
// leads term 2.
func TestExploreMembershipNegativeControl(t *testing.T) {
	skipUnderRace(t)
	w := newCouncil(t, faults{reconfigUnconfirmed: true})
	w = w.act(0, 0b0110, (*Core).stand)
	require.True(t, w.cores[0].reigns())
	w = w.act(0, 0, func(c *Core) Effects { return c.round(0) })
	w = w.act(0, 0, func(c *Core) Effects { return c.toggle(3, c.hard.Configuration.Members[3]) })
	require.EqualValues(t, 2, w.cores[0].hard.Configuration.Version)
	w = w.act(1, 0b1100, (*Core).stand)
	require.True(t, w.cores[1].reigns())
	seen, layers, broken := w.explore(100_000)
	t.Logf("%d councils in %d layers", seen, layers)
	require.Contains(t, broken, "O1")
}
