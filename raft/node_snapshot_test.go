package raft_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
)

// compacting has every member make a snapshot after so many bytes of entries.
func compacting(bytes int) func(cfg *raft.Config) {
	return func(cfg *raft.Config) { cfg.CompactAfter, cfg.MaxAppend = bytes, 4<<10 }
}

// fill proposes n commands of about 100 bytes and returns them.
func (r *replicas) fill(t *testing.T, n int) []string {
	t.Helper()
	var commands []string
	for i := range n {
		command := fmt.Sprint(i, strings.Repeat(".", 97))
		commands = append(commands, command)
		r.propose(t, command)
	}
	return commands
}

func TestLogIsCompacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t, compacting(1<<10))
		commands := r.fill(t, 200)
		time.Sleep(etMax)
		synctest.Wait()
		for _, id := range r.IDs() {
			status := r.Node(id).Status().Log
			require.Greater(t, status.Snapshot, uint64(80), id)
			require.Less(t, status.Kept, 400, id)
		}
		leader := r.WaitLeader()
		require.Less(t, r.Node(leader).Status().Log.Kept, 200, "all have what the snapshot has")

		for _, id := range r.IDs() { // One after the other begins with its snapshot.
			r.Crash(id)
			r.Start(id)
			time.Sleep(2 * etMax)
			synctest.Wait()
			require.Equal(t, commands, r.machines[id].applied(), id)
			require.Equal(t, 1, r.machines[id].restored, id)
		}
		r.propose(t, "last")
	})
}

// A member that was away for longer than entries are kept is sent the snapshot, and goes
// on from there. Meanwhile the leader leads on, though machine and disk take long.
func TestMemberThatWasAwayIsSentTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t, compacting(1<<10))
		r.propose(t, "first")
		leader := r.WaitLeader()
		away := others(r.Cluster, leader)[0]
		r.Isolate(away)
		commands := append([]string{"first"}, r.fill(t, 200)...)
		time.Sleep(etMax)
		synctest.Wait()

		r.machines[away].restores.Store(int64(2 * etMax))
		r.logs[away].slowChunks.Store(int64(etMin))
		r.Heal()
		time.Sleep(20 * etMax)
		synctest.Wait()
		require.Equal(t, 1, r.machines[away].restored)
		require.Equal(t, commands, r.machines[away].applied())
		require.Equal(t, leader, r.WaitLeader())
		require.EqualValues(t, 1, r.Node(leader).Status().Counters.Reigns)
		require.Zero(t, r.Node(away).Status().Counters.Campaigns)
		r.propose(t, "last")
		time.Sleep(etMin)
		synctest.Wait()
		require.Equal(t, append(commands, "last"), r.machines[away].applied())
	})
}

// A snapshot whose contents are damaged on the way is received again.
func TestDamagedSnapshotIsReceivedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t, compacting(1<<10))
		r.propose(t, "first")
		leader := r.WaitLeader()
		away := others(r.Cluster, leader)[0]
		r.Isolate(away)
		commands := append([]string{"first"}, r.fill(t, 200)...)
		time.Sleep(etMax)
		r.logs[leader].damages.Store(1)
		r.Heal()
		time.Sleep(4 * etMax)
		synctest.Wait()
		require.Equal(t, commands, r.machines[away].applied())
		require.Equal(t, 1, r.machines[away].restored)
		require.LessOrEqual(t, r.logs[leader].damages.Load(), int64(0), "one was damaged")
	})
}

// A member whose disk has changed what was committed finds that it has applied other
// entries than the leader, and stops; the others go on.
func TestDivergedMemberStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "first")
		leader := r.WaitLeader()
		bent := others(r.Cluster, leader)[0]
		commands := make([][]byte, 64)
		for i := range commands {
			commands[i] = []byte("command")
		}
		for range 20 {
			_, err := r.Node(leader).Propose(t.Context(), r.Node(leader).Term(), commands...)
			require.NoError(t, err)
		}
		time.Sleep(etMin)
		synctest.Wait()
		r.Crash(bent)
		r.logs[bent].bends.Store(true)
		r.Start(bent)
		time.Sleep(2 * etMax)
		synctest.Wait()
		require.True(t, r.Node(bent).Status().Stopped)
		var diverged *raft.DivergedError
		require.ErrorAs(t, r.Stop(bent), &diverged)
		require.EqualValues(t, 1024, diverged.Index)
		require.ErrorIs(t, diverged, raft.ErrDiverged)
		require.False(t, r.Node(leader).Status().Stopped)
		r.propose(t, "last")
	})
}

// sickSnapshots is what a sickLog does to snapshots.
type sickSnapshots struct {
	slowChunks atomic.Int64 // nanoseconds
	damages    atomic.Int64 // reads to come that are wrong
	bends      atomic.Bool  // Open returns another command than was appended
}

func (l *sickLog) Open(store raft.StoreID, begun bool) (raft.StoredLog, error) {
	stored, err := l.MemoryLog.Open(store, begun)
	if l.bends.Load() {
		stored.Entries = slices.Clone(stored.Entries)
		stored.Entries[100].Data = []byte("commend")
	}
	return stored, err
}

func (l *sickLog) CreateSnapshot() (raft.SnapshotWriter, error) {
	w, err := l.MemoryLog.CreateSnapshot()
	return slowWriter{w, l}, err
}

func (l *sickLog) OpenSnapshot() (raft.SnapshotReader, error) {
	r, err := l.MemoryLog.OpenSnapshot()
	return damagedReader{r, l}, err
}

type slowWriter struct {
	raft.SnapshotWriter
	log *sickLog
}

func (w slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(w.log.slowChunks.Load()))
	return w.SnapshotWriter.Write(p)
}

type damagedReader struct {
	raft.SnapshotReader
	log *sickLog
}

func (r damagedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.SnapshotReader.ReadAt(p, off)
	if r.log.damages.Load() > 0 && r.log.damages.Add(-1) >= 0 {
		p[0]++
	}
	return n, err
}

// A member that joins late gets the snapshot and what follows, and becomes a voter only
// then; a leader that ends hands over to one that has everything.
func TestMembersComeAndGoWithTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t, compacting(1<<10))
		commands := r.fill(t, 100)
		time.Sleep(etMax)
		leader := r.WaitLeader()
		r.Add("d")
		r.logs["d"].slowChunks.Store(int64(etMin))
		require.NoError(t, r.Node(leader).AddMember(t.Context(), raft.Member{ID: "d"}))
		time.Sleep(etMin)
		var behind *raft.BehindError
		require.ErrorAs(t, r.Node(leader).Promote(t.Context(), "d"), &behind)
		require.Equal(t, "d", behind.ID)
		require.Less(t, behind.Match, behind.Last)
		for r.Node(leader).Promote(t.Context(), "d") != nil {
			time.Sleep(etMin)
		}
		synctest.Wait()
		require.Equal(t, 1, r.machines["d"].restored)
		require.Equal(t, commands, r.machines["d"].applied())

		for range 3 { // Each that leads ends; nothing waits for an election.
			began := time.Now()
			require.NoError(t, r.Stop(leader))
			last := r.WaitLeader()
			require.Less(t, time.Since(began), etMin)
			r.propose(t, last)
			commands = append(commands, last)
			r.Start(leader)
			time.Sleep(2 * etMax)
			leader = last
		}
		synctest.Wait()
		for _, id := range r.IDs() {
			require.Equal(t, commands, r.machines[id].applied(), id)
		}
	})
}
