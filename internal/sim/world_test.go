package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/raft"
)

// quiet returns a world of n voters that have elected somebody.
func quiet(t *testing.T, n int) *World {
	t.Helper()
	w, err := New(Config{Seed: 7, Voters: n, Network: Good(), SaveMin: ms, SaveMax: ms, Transcript: true})
	require.NoError(t, err)
	require.True(t, w.RunUntil(5*time.Second, w.Agreed))
	w.Run(500 * ms)
	return w
}

func TestNewRefusesImpossibleWorlds(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Voters: 9},
		{Voters: 3, Spares: -1},
		{Voters: 3, SaveMin: 2, SaveMax: 1},
		{Voters: 3, DriftPPM: -1},
		{Voters: 3, Network: faultnet.Faults{Loss: -1}},
		{Voters: 3, Configure: func(_ int, cfg *raft.Config) { cfg.Cluster = "" }},
	} {
		_, err := New(cfg)
		require.Error(t, err, "%+v", cfg)
	}
}

func TestSaveDelaysWhatRestsOnIt(t *testing.T) {
	w := quiet(t, 3)
	follower := w.nodes[0]
	if w.Leader() == "A" {
		follower = w.nodes[1]
	}
	saves := follower.disk.saves
	follower.save(follower.core.State(), func() { follower.saving = false })
	require.False(t, follower.free())
	require.Equal(t, saves+1, follower.disk.saves)
	w.Run(ms)
	require.True(t, follower.free())
	require.NoError(t, w.Err())
}

func TestStalledSaveEndsTheProcessAndHoldsTheDisk(t *testing.T) {
	w := quiet(t, 3)
	leader := w.node(w.Leader())
	leader.disk.slowUntil, leader.disk.slowest = raft.Never, 2*time.Second
	w.cfg.SaveMax = 2 * time.Second // So that this one takes just as long.
	leader.save(leader.core.State(), func() { t.Fatal("nobody waits any more") })
	w.cfg.SaveMax = ms

	w.Run(leader.cfg.ElectionTimeoutMin)
	require.False(t, leader.reigns(), "the watchdog ends the reign")
	require.True(t, leader.up)
	w.Run(leader.cfg.ElectionTimeoutMax)
	require.False(t, leader.up)
	require.Equal(t, Counts{SlowSaves: 1, StalledSaves: 1}, Counts{
		SlowSaves: w.counts.SlowSaves, StalledSaves: w.counts.StalledSaves,
	})
	leader.disk.slowUntil = 0
	w.Start(leader.cfg.ID)
	require.False(t, leader.up, "the disk is held")
	w.Run(2 * time.Second)
	require.True(t, leader.up)
	require.NoError(t, w.Err())
}

func TestPausedProcessHearsEverythingLate(t *testing.T) {
	w := quiet(t, 3)
	old := w.node(w.Leader())
	old.pause()
	require.True(t, w.RunUntil(2*time.Second, func() bool { return w.AgreedWithout(old.cfg.ID) }))
	require.NotEmpty(t, old.inbox)
	require.Equal(t, raft.Leader, old.core.Role(), "it has not noticed")
	require.False(t, old.reigns())

	old.resume()
	require.Equal(t, raft.Follower, old.core.Role())
	require.True(t, w.RunUntil(100*ms, w.Agreed))
	reigns := w.Reigns()
	require.Len(t, reigns, 2)
	require.Less(t, reigns[0].End, reigns[1].Begin)
	require.Equal(t, raft.Never, reigns[1].End)
}

func TestLeavingLeaderHandsOver(t *testing.T) {
	w := quiet(t, 3)
	old := w.node(w.Leader())
	began := w.Now()
	old.whenFree(old.leave)
	require.True(t, w.RunUntil(20*ms, func() bool { return !old.up && w.Agreed() }))
	require.Less(t, w.Now()-began, 10*ms)
	require.NoError(t, w.Err())
}

func TestTranscriptTellsWhatHappened(t *testing.T) {
	w := quiet(t, 1)
	w.Crash("A")
	text := strings.Join(w.Transcript(), "\n")
	for _, expected := range []string{"A starts in term 0", "A leads term 1", "A has lost term 1", "A ends"} {
		require.Contains(t, text, expected)
	}
}

// The oracles notice what a good core never does, so each is shown something
// made up.
func TestOraclesNotice(t *testing.T) {
	heartbeat := func(n *member) raft.Message {
		return raft.Message{Kind: raft.Heartbeat, From: n.cfg.ID, To: "B", Term: n.core.Term()}
	}
	tests := []struct {
		oracle string
		happen func(w *World, leader, follower *member)
	}{
		{"O1", func(w *World, leader, _ *member) {
			w.oracle.leaders[leader.core.Term()] = "Z"
			w.oracle.stepped(leader)
		}},
		{"O2", func(w *World, leader, _ *member) {
			w.oracle.past[leader.index].term = leader.core.Term() + 1
			w.oracle.stepped(leader)
		}},
		{"O2", func(w *World, leader, _ *member) {
			w.oracle.past[leader.index].durable = leader.core.Term() + 1
			w.oracle.saved(leader)
		}},
		{"O2", func(w *World, leader, _ *member) {
			w.oracle.past[leader.index].durable = leader.core.Term() + 1
			w.oracle.started(leader)
		}},
		{"O3", func(w *World, _, follower *member) {
			follower.disk.record.State.Term++
			w.oracle.granted(follower, 100, "A")
			w.oracle.granted(follower, 100, "B")
		}},
		{"O4", func(w *World, leader, _ *member) {
			m := heartbeat(leader)
			m.Term++
			w.oracle.sent(leader, &m)
		}},
		{"O4", func(w *World, leader, _ *member) {
			m := heartbeat(leader)
			m.ConfigurationID.Term = 100
			w.oracle.sent(leader, &m)
		}},
		{"O4", func(w *World, _, follower *member) {
			follower.disk.record.State.Vote = "Z"
			w.oracle.granted(follower, follower.core.Term(), "A")
		}},
		{"O5", func(w *World, _, follower *member) {
			m := heartbeat(follower)
			w.oracle.sent(follower, &m)
		}},
		{"O5", func(w *World, leader, follower *member) {
			m := heartbeat(leader)
			w.oracle.sent(follower, &m)
		}},
		{"O6", func(w *World, leader, follower *member) {
			follower.led, follower.leaseEnd = 100, raft.Never
			w.oracle.check(leader)
		}},
		{"O7", func(w *World, leader, _ *member) { w.oracle.led(leader, 100) }},
		{"O7", func(w *World, _, follower *member) { w.oracle.led(follower, follower.core.Term()) }},
		{"O7", func(w *World, leader, _ *member) { w.oracle.lost(leader, 100) }},
		{"O8", func(w *World, leader, _ *member) {
			leader.led = 0
			w.oracle.check(leader)
		}},
		{"O8", func(w *World, _, follower *member) {
			follower.led, follower.leaseEnd = 100, raft.Never
			w.oracle.check(follower)
		}},
		{"O10", func(w *World, _, follower *member) {
			follower.cfg.ElectionTimeoutMin, follower.disk.record.State.LongestPromise = ms, ms
			w.oracle.bound(follower)
		}},
		{"O11", func(w *World, leader, _ *member) {
			leader.core.Configuration().Members[leader.index].Witness = true
			w.oracle.stepped(leader)
		}},
		{"O9", func(w *World, leader, _ *member) {
			w.Isolate(leader.cfg.ID)
			w.Settle()
		}},
		{"O9", func(w *World, _, _ *member) {
			for _, n := range w.nodes {
				n.crash()
			}
			w.Settle()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.oracle, func(t *testing.T) {
			w := quiet(t, 3)
			leader := w.node(w.Leader())
			tt.happen(w, leader, w.nodes[(leader.index+1)%3])
			var broken *OracleError
			require.ErrorAs(t, w.Err(), &broken)
			require.Equal(t, tt.oracle, broken.Oracle, broken.Error())
			require.Equal(t, uint64(7), broken.Seed)

			now := w.Now()
			w.Run(time.Second)
			require.Equal(t, now, w.Now(), "a broken world stands still")
		})
	}
}
