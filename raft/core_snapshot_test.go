package raft

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newCompactingCluster starts three voters with small messages, of which C is cut off
// before A and B commit commands, and A makes a snapshot.
func newCompactingCluster(t *testing.T) *cluster {
	t.Helper()
	c := newLogCluster(t, 3)
	for _, s := range c.servers {
		s.core.cfg.MaxAppend = appendOverhead + 600
	}
	c.isolate("C")
	for range 40 {
		require.NoError(t, c.server("A").propose(strings.Repeat("x", 500)))
		c.run(5 * ms)
	}
	c.run(200 * ms)
	c.server("A").snapshot()
	c.run(10 * ms)
	return c
}

// chunksOf returns in how many chunks the snapshot of a server is sent.
func (c *cluster) chunksOf(id string) int {
	a := c.server(id)
	room := int64(a.core.appendRoom())
	return int((a.log.snapshot.Size + room - 1) / room)
}

// Rule 34: who lacks entries that are gone is sent the snapshot, each chunk once, and
// what follows it.
func TestSnapshotIsSentInPlaceOfEntries(t *testing.T) {
	c := newCompactingCluster(t)
	a, b := c.server("A"), c.server("C")
	require.Greater(t, a.core.log.base.Index, b.core.log.last().Index)
	sent := len(c.sent)
	c.heal()
	c.runUntil(time.Second, func() bool { return len(b.log.applied) == len(a.log.applied) })
	require.Len(t, c.sentSince(sent, InstallSnapshot), c.chunksOf("A"))
	require.Equal(t, a.log.snapshot, b.log.snapshot)
	require.NoError(t, c.leader().propose("y"))
	c.run(100 * ms)
	require.Equal(t, a.commands(), b.commands())
}

// Rule 34: after a while without a connection a snapshot is sent on from where it was.
func TestSnapshotIsResumed(t *testing.T) {
	c := newCompactingCluster(t)
	a, b := c.server("A"), c.server("C")
	require.Greater(t, c.chunksOf("A"), 2)
	sent := len(c.sent)
	c.heal()
	c.runUntil(time.Second, func() bool { return b.core.incoming.saved > 0 })
	c.isolate("C")
	c.run(120 * ms)
	c.heal()
	c.runUntil(time.Second, func() bool { return len(b.log.applied) == len(a.log.applied) })
	once := 0
	for _, m := range c.sentSince(sent, InstallSnapshot) {
		if m.Offset == 0 {
			once++
		}
	}
	require.Equal(t, 1, once, "it has not begun again")
}

// A process that begins has nothing of what was received, and is sent it again.
func TestSnapshotBeginsAgainAfterARestart(t *testing.T) {
	c := newCompactingCluster(t)
	a, b := c.server("A"), c.server("C")
	c.heal()
	c.runUntil(time.Second, func() bool { return b.core.incoming.saved > 0 })
	b.restart()
	c.runUntil(2*time.Second, func() bool { return len(b.log.applied) == len(a.log.applied) })
	require.Equal(t, a.commands(), b.commands())
}

// chunk returns a chunk of B in its term 2.
func (s *solo) chunk(shot Snapshot, offset int64, chunk string) Message {
	m := s.from("B", InstallSnapshot, 2)
	m.Promise, m.Sequence = 150*ms, 1
	m.Snapshot, m.Offset, m.Chunk = shot, offset, []byte(chunk)
	return m
}

// A snapshot that is newer than the log takes its place, also where the log is longer:
// what it has behind is of another history. If it has the snapshot's end, all stays.
func TestSnapshotTakesThePlaceOfTheLog(t *testing.T) {
	tests := []struct {
		name  string
		terms []uint64
		off   bool
		kept  []uint64
	}{
		{"the log ends before", []uint64{1}, false, nil},
		{"the log has another entry there", []uint64{1, 1, 1, 1, 1}, false, nil},
		{"the log has it", []uint64{1, 1, 2, 2}, false, []uint64{1, 1, 2, 2}},
		{"negative control: the log is kept", []uint64{1, 1, 1, 1, 1}, true, []uint64{1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSoloLog(t)
			s.faults.keepConflictingLog = tt.off
			s.step(s.append(Position{}, tt.terms...))
			s.saved()
			s.received = received{} // Another leader has sent it.
			shot := Snapshot{Last: Position{2, 3}, Size: 4}
			s.step(s.chunk(shot, 0, "data"))
			if s.last.Chunk.IsLast() && len(s.last.Chunk.Data) > 0 {
				s.last = s.Received(s.now, shot, 4)
			}
			answer := s.sent(SnapshotAnswer)[0]
			require.EqualValues(t, 4, answer.Offset)
			require.EqualValues(t, 3, answer.Match)
			require.Equal(t, tt.kept, terms(s.log.entries))
			require.EqualValues(t, 3, s.log.commit)
			if len(tt.kept) == 4 {
				require.Zero(t, s.last.Restore)
				return
			}
			require.Equal(t, shot, s.last.Restore)
			require.Equal(t, shot.Last, s.log.base)
			require.EqualValues(t, 3+len(tt.kept), s.log.durable)
		})
	}
}

// Rule 34: while the log keeps a snapshot it takes no entries, which would go with it,
// nor another snapshot. Heartbeats go on.
func TestNothingIsTakenWhileASnapshotIsKept(t *testing.T) {
	for _, off := range []bool{false, true} {
		s := newSoloLog(t)
		s.faults.appendWhileClosing = off
		s.step(s.append(Position{}, 1))
		s.saved()
		shot := Snapshot{Last: Position{2, 3}, Size: 4}
		s.step(s.chunk(shot, 0, "da"))
		require.Equal(t, Chunk{Snapshot: shot, Data: []byte("da")}, s.last.Chunk)
		require.Empty(t, s.last.Messages, "it is answered once it is written")
		s.step(s.chunk(shot, 0, "da"))
		require.Zero(t, s.last.Chunk, "it has come before")
		require.Zero(t, s.sent(SnapshotAnswer)[0].Offset)
		s.step(s.chunk(shot, 2, "ta"))
		require.True(t, s.last.Chunk.IsLast())
		s.last = s.Received(s.now, shot, 2)
		require.EqualValues(t, 2, s.sent(SnapshotAnswer)[0].Offset)

		s.step(s.append(Position{1, 1}, 2))
		require.Equal(t, off, len(s.last.Append) > 0, "the disk drops it")
		s.step(s.chunk(Snapshot{Last: Position{2, 4}, Size: 1}, 0, "x"))
		require.Zero(t, s.last.Chunk)
		s.step(s.from("B", Heartbeat, 2))
		require.True(t, s.sent(HeartbeatAnswer)[0].Granted)

		s.last = s.Received(s.now, shot, 4)
		require.Equal(t, shot, s.last.Restore)
		s.step(s.append(Position{2, 3}, 2))
		require.Equal(t, []uint64{2}, terms(s.last.Append))
		require.EqualValues(t, 4, s.last.Append[0].Index)
	}
}

// What is dropped because its checksum is wrong is sent again.
func TestDroppedSnapshotIsTakenAgain(t *testing.T) {
	s := newSoloLog(t)
	shot := Snapshot{Last: Position{2, 3}, Size: 4}
	s.step(s.chunk(shot, 0, "dato"))
	s.last = s.Received(s.now, shot, 0)
	require.Zero(t, s.sent(SnapshotAnswer)[0].Offset)
	s.step(s.chunk(shot, 0, "data"))
	require.True(t, s.last.Chunk.IsLast())
	s.last = s.Received(s.now, shot, 4)
	require.Equal(t, shot, s.last.Restore)
}

// An empty snapshot has one chunk.
func TestEmptySnapshot(t *testing.T) {
	s := newSoloLog(t)
	shot := Snapshot{Last: Position{2, 3}}
	s.step(s.chunk(shot, 0, ""))
	require.Equal(t, shot, s.last.Chunk.Snapshot)
	s.last = s.Received(s.now, shot, 0)
	require.Equal(t, shot, s.last.Restore)
}

// Rule 34: entries that a live member lacks stay while they are less than the snapshot,
// and all that follow a snapshot which is under way.
func TestEntriesThatMembersLackStay(t *testing.T) {
	c := newLogCluster(t, 3)
	a := c.server("A")
	for range 9 {
		require.NoError(t, a.propose("0123456"))
	}
	c.run(100 * ms)
	index := a.core.log.commit
	require.EqualValues(t, 10, index)
	compact := func(edit func(c *Core), size int64) uint64 {
		clone := a.core.clone()
		edit(clone)
		e := clone.Compact(clone.now, Snapshot{Last: Position{clone.Term(), index}, Size: size})
		require.Equal(t, e.Compact, clone.log.base.Index)
		return e.Compact
	}
	lags := func(c *Core) { c.peers[1].match = 4 }
	require.EqualValues(t, index, compact(func(*Core) {}, 1000), "all have all")
	require.EqualValues(t, 4, compact(lags, 1000))
	require.EqualValues(t, 8, compact(lags, 40), "two are 40 bytes")
	require.EqualValues(t, index, compact(func(c *Core) { lags(c); c.peers[1].acked = longAgo }, 1000), "it is not alive")
	underWay := func(c *Core) { lags(c); c.peers[1].outgoing.snapshot.Last = Position{1, 6} }
	require.EqualValues(t, 6, compact(underWay, 1))
	require.EqualValues(t, index, compact(func(c *Core) { underWay(c); c.faults.dropUnderWay = true }, 1))
	require.Zero(t, compact(func(c *Core) { c.role = Follower }, 1000), "a follower knows of no member what it has")
	require.Zero(t, a.core.clone().Compact(a.core.now, Snapshot{Last: Position{9, index}}).Compact, "it is of another log")
}

// A member that is sent a snapshot which is gone is sent the next one.
func TestSnapshotThatIsGoneGivesWay(t *testing.T) {
	c := newCompactingCluster(t)
	a, b := c.server("A"), c.server("C")
	c.heal()
	c.runUntil(time.Second, func() bool { return b.core.incoming.saved > 0 })
	c.isolate("C")
	first := a.log.snapshot
	require.NoError(t, a.propose("y"))
	c.run(5 * ms)
	a.snapshot()
	c.run(2 * ms)
	require.NotEqual(t, first, a.log.snapshot)
	a.call(func(now time.Duration) Effects { return a.core.Gone(now, first) })
	c.heal()
	c.runUntil(time.Second, func() bool { return len(b.log.applied) == len(a.log.applied) })
	require.Equal(t, a.log.snapshot, b.log.snapshot)
}
