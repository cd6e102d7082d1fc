package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A commit takes as long as the disk of a follower and a round trip: the leader's own
// disk works at the same time, and nobody waits for a heartbeat.
func TestCommitTakesADiskAndARoundTrip(t *testing.T) {
	c := newLogCluster(t, 3)
	a := c.server("A")
	c.deliver = func(Message) (time.Duration, bool) { return ms / 2, true }
	for _, s := range c.servers {
		s.log.takes = 5 * ms
	}
	c.run(200 * ms)
	for range 20 {
		c.run(7 * ms) // wherever heartbeats are
		began := c.now
		require.NoError(t, a.propose("x"))
		c.runUntil(time.Second, func() bool { return a.core.log.commit == a.core.log.last().Index })
		require.LessOrEqual(t, c.now-began, 6500*time.Microsecond)
	}
}

// replicationBench is a leader of three whose messages are encoded, and answered at once.
type replicationBench struct {
	*solo
	commands [][]byte
	frame    []byte
}

func newReplicationBench(t *testing.T) *replicationBench {
	t.Helper()
	b := &replicationBench{solo: newSoloLog(t)}
	for range 64 {
		b.commands = append(b.commands, make([]byte, 256))
	}
	b.campaignNow()
	vote := b.from("B", VoteAnswer, b.Term())
	vote.Granted, vote.Sequence = true, b.sequence
	b.step(vote)
	require.Equal(t, Leader, b.role)
	b.answer(b.last)
	require.True(t, b.reigns())
	return b
}

// answer does what effects ask for, until there are none.
func (b *replicationBench) answer(e Effects) {
	for _, m := range e.Messages {
		b.frame, _ = m.AppendBinary(b.frame[:0])
	}
	b.Saved(b.now, b.log.last())
	for _, id := range []string{"B", "C"} {
		a := Message{
			Kind: AppendAnswer, Cluster: "test", From: id, To: "A", StoreID: testStore(id), Incarnation: 1, Boot: 1,
			Term: b.Term(), Level: logLevel, ConfigurationID: b.hard.Configuration.ConfigurationID, Digest: b.digest,
			Sequence: b.sequence, Asker: b.boot, Granted: true, Match: b.log.last().Index,
		}
		b.Step(b.now, a)
	}
	b.Applied(b.now, b.log.commit)
}

// round commits 64 commands of 256 bytes, and makes a snapshot now and then.
func (b *replicationBench) round() {
	_, e, err := b.Propose(b.now, b.commands...)
	if err != nil {
		panic(err)
	}
	b.answer(e)
	if last := b.log.last(); last.Index%4096 < 64 {
		b.Compact(b.now, Snapshot{Last: last, Size: 1 << 10})
	}
}

// A leader allocates less than once for two entries that it commits.
func TestCommitAllocatesLittle(t *testing.T) {
	if RaceEnabled {
		t.Skip("the race detector allocates, too")
	}
	b := newReplicationBench(t)
	perEntry := testing.AllocsPerRun(200, b.round) / float64(len(b.commands))
	require.LessOrEqual(t, perEntry, 0.5)
	require.Equal(t, b.log.last().Index, b.log.commit)
}

func BenchmarkReplicate(b *testing.B) {
	r := newReplicationBench(&testing.T{})
	b.ReportAllocs()
	for b.Loop() {
		r.round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(r.commands)), "ns/entry")
}
