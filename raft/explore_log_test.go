package raft

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// archive is one state of three nodes that keep a log. As a council it leaves out time
// and single messages: an election, or a round of heartbeats with all that is appended on
// their answers, is one action between a node and some of the others. Disks are slow: what
// is appended becomes durable by an action of its own, and a crash goes back to the disk.
type archive struct {
	archiveScope
	cores     [worldSize]*Core
	disks     [worldSize][]Entry
	leaders   [maxArchiveTerms + 1]byte // 0: none, else index + 1
	committed []Entry                   // by anybody, ever
	crashed   int
	broken    string
}

// archiveScope bounds an archive.
type archiveScope struct {
	terms, entries uint64
	crashes        int
	off            faults
}

const maxArchiveTerms = 3

func newArchive(t *testing.T, scope archiveScope) *archive {
	t.Helper()
	w := &archive{archiveScope: scope}
	members := voters(worldSize)
	for i := range members {
		members[i].StoreID = testStore(members[i].ID)
	}
	first, err := NewConfiguration(members...)
	require.NoError(t, err)
	first.Level = logLevel
	for i, m := range members {
		w.cores[i] = w.boot(HardState{
			Identity:      Identity{Cluster: "test", Node: m.ID, StoreID: m.StoreID, Incarnation: 1},
			Configuration: first,
		}, nil)
	}
	return w
}

// boot begins a run.
func (w *archive) boot(disk HardState, entries []Entry) *Core {
	cfg := testConfig(disk.Node)
	cfg.Rand, cfg.Start = zeros{}, Join()
	cfg.ElectionTimeoutMin, cfg.ElectionTimeoutMax = 1<<20, 1<<21
	c, err := NewCoreWithLog(cfg, disk, StoredLog{Entries: entries}, disk.Incarnation, 0)
	if err != nil {
		panic(err) // Only a disk that no node has written is refused.
	}
	c.lease = time.Hour
	c.faults = w.off
	c.faults.frozenMembership = true
	c.promise, c.electionAt = promise{}, Never
	return c
}

// act returns the archive after an action of node i, which may reach the nodes in the
// set only.
func (w *archive) act(i int, reached voterSet, action func(c *Core) Effects) *archive {
	next := *w
	for j := range next.cores {
		if j == i || reached.has(j) {
			next.cores[j] = w.cores[j].clone()
			next.cores[j].promise = promise{}
		}
	}
	e := action(next.cores[i])
	queue := next.perform(i, e)
	if next.cores[i].role != Leader || w.cores[i].role == Leader {
		next.exchange(i, reached, queue)
	}
	for j, c := range next.cores {
		if c == w.cores[j] {
			continue
		}
		c.electionAt = Never
		if c.role != Leader {
			c.follow()
			c.electionAt = Never
			continue
		}
		next.leads(j)
	}
	return &next
}

// leads checks who leads, and forgets what is under way to the others.
func (w *archive) leads(j int) {
	c := w.cores[j]
	term := c.hard.Term
	switch winner := w.leaders[term]; winner {
	case byte(j + 1):
	case 0:
		for _, e := range w.committed {
			if own, found := c.log.term(e.Index); e.Term < term && (!found || own != e.Term) {
				w.breaks("O13: %s leads term %d without %v", worldID(j), term, e.position())
			}
		}
	default:
		w.breaks("O1: two leaders of term %d", term)
	}
	w.leaders[term] = byte(j + 1)
	for i := range c.peers {
		p := &c.peers[i].progress
		next := p.match + 1
		if p.match == 0 { // It is found out where the logs part.
			next = c.log.last().Index + 1
		}
		*p = progress{match: p.match, next: next, probing: true}
	}
}

// perform notes what a call has committed, has it applied, and returns its messages.
func (w *archive) perform(j int, e Effects) []Message {
	messages := slices.Clone(e.Messages)
	if e.Commit == 0 {
		return messages
	}
	for _, entry := range w.cores[j].Committed(0) {
		if n := uint64(len(w.committed)); entry.Index > n {
			w.committed = append(slices.Clip(w.committed), entry)
		} else if first := w.committed[entry.Index-1]; first.Term != entry.Term {
			w.breaks("O12: %s commits %v, others %v", worldID(j), entry.position(), first.position())
		}
	}
	return append(messages, w.perform(j, w.cores[j].Applied(0, e.Commit))...)
}

// exchange delivers messages between node i and those reached, and the answers, until
// there are none, or so many that they do not end: with a rule off a leader may not find
// what a member has. The heartbeats of a winner are an action of their own.
func (w *archive) exchange(i int, reached voterSet, queue []Message) {
	for limit := 100; len(queue) > 0 && limit > 0; limit-- {
		m := queue[0]
		queue = queue[1:]
		from, to := worldIndex(m.From), worldIndex(m.To)
		if !reached.has(from + to - i) {
			continue
		}
		was := w.cores[to].role
		messages := w.perform(to, w.cores[to].Step(0, m))
		if to != i || was == Leader || w.cores[to].role != Leader {
			queue = append(queue, messages...)
		}
	}
}

// next visits all archives one action away.
func (w *archive) next(visit func(*archive)) {
	for i, c := range w.cores {
		for reached := range voterSet(1 << worldSize) {
			switch {
			case reached.has(i) || reached == 0:
			case c.role == Leader:
				visit(w.act(i, reached, func(c *Core) Effects { return c.round(0) }))
			case c.hard.Term < w.terms:
				visit(w.act(i, reached, (*Core).stand))
			}
		}
		if c.role == Leader {
			visit(w.act(i, 0, func(c *Core) Effects { return c.StepDown(0) }))
		}
		if c.reigns() && c.log.last().Index < w.entries {
			visit(w.act(i, 0, func(c *Core) Effects {
				_, e, _ := c.Propose(0, nil)
				return e
			}))
		}
		if !slices.EqualFunc(w.disks[i], c.log.entries, sameEntry) {
			next := w.act(i, 0, func(c *Core) Effects { return c.Saved(0, c.log.last()) })
			next.disks[i] = c.log.entries
			visit(next)
		}
		if w.crashed < w.crashes {
			next := *w
			next.crashed++
			disk := c.hard
			disk.Incarnation++
			next.cores[i] = next.boot(disk, w.disks[i])
			visit(&next)
		}
	}
}

func (w *archive) breaks(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// fingerprint is the least hash over all renamings of the nodes.
func (w *archive) fingerprint() uint64 {
	least := uint64(math.MaxUint64)
	buf := make([]byte, 0, 128)
	for _, order := range renamings() {
		var place [worldSize + 1]byte
		place[worldSize] = worldSize
		for p, node := range order {
			place[node] = byte(p)
		}
		buf = append(buf[:0], byte(w.crashed))
		for _, node := range order {
			buf = w.appendNode(buf, node, order, place)
		}
		for _, winner := range w.leaders {
			if winner > 0 {
				winner = place[winner-1] + 1
			}
			buf = append(buf, winner)
		}
		buf = appendTerms(buf, w.committed)
		least = min(least, hash64(buf))
	}
	return least
}

// appendNode writes what of a node matters without time and messages.
func (w *archive) appendNode(b []byte, i int, order [worldSize]int, place [worldSize + 1]byte) []byte {
	c := w.cores[i]
	b = append(b, byte(c.hard.Term), place[worldIndex(c.hard.Vote)], place[worldIndex(c.leader)], byte(c.role))
	b = append(b, byte(c.log.durable), byte(c.log.commit), byte(c.received.matched))
	b = appendTerms(appendTerms(b, c.log.entries), w.disks[i])
	if c.role == Leader {
		for _, j := range order {
			b = append(b, byte(c.peers[j].match))
		}
	}
	return b
}

func appendTerms(b []byte, entries []Entry) []byte {
	for _, e := range entries {
		b = append(b, byte(e.Term))
	}
	return append(b, 0)
}

// explore walks breadth first until an oracle is broken or the limit is reached.
func (w *archive) explore(limit int) (seen, layers int, broken string) {
	met := map[uint64]struct{}{w.fingerprint(): {}}
	layer := []*archive{w}
	for len(layer) > 0 && len(met) < limit && broken == "" {
		var following []*archive
		for i, w := range layer {
			layer[i] = nil
			w.next(func(next *archive) {
				f := next.fingerprint()
				if _, found := met[f]; found || broken != "" || len(met) >= limit {
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

// Whatever three nodes do with a log, no two commit different entries, and who leads has
// all that was committed. The long walk goes to its end.
func TestExploreLog(t *testing.T) {
	scope, limit := archiveScope{terms: 2, entries: 2, crashes: 1}, Share(4_000)
	if isLong() {
		limit = math.MaxInt
	}
	seen, layers, broken := newArchive(t, scope).explore(limit)
	t.Logf("%d archives in %d layers", seen, layers)
	require.Empty(t, broken)
}

// With a rule switched off, the walk finds what is wrong.
func TestExploreLogNegativeControls(t *testing.T) {
	tests := []struct {
		rule  string
		scope archiveScope
		want  string
	}{
		{"rule 25: no vote for a log that lacks something", archiveScope{terms: 2, entries: 2, off: faults{voteForShorterLogs: true}}, "O13"},
		{"rule 28: the leader counts what it has saved", archiveScope{terms: 2, entries: 2, crashes: 1, off: faults{countUnsaved: true}}, "O13"},
		{"rule 28: a follower answers what it has saved", archiveScope{terms: 2, entries: 2, crashes: 1, off: faults{answerUnsaved: true}}, "O13"},
		{"rule 28: commit what is known to be the leader's", archiveScope{terms: 2, entries: 2, off: faults{commitUnverified: true}}, "O12"},
		{"rule 29: entries follow what the leader has", archiveScope{terms: 2, entries: 2, off: faults{appendUnchecked: true}}, "O1"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			skipUnderRace(t)
			seen, layers, broken := newArchive(t, tt.scope).explore(300_000)
			t.Logf("%d archives in %d layers: %s", seen, layers, broken)
			require.Contains(t, broken, tt.want)
		})
	}
}
