package raft_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// recorder is a Machine that keeps the commands that it was given.
type recorder struct {
	mu       sync.Mutex
	commands []string
	index    uint64
	restored int
	takes    atomic.Int64 // nanoseconds, to apply an entry
	restores atomic.Int64 // nanoseconds, to restore
}

func (r *recorder) Apply(e raft.Entry) {
	time.Sleep(time.Duration(r.takes.Load()))
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Index != r.index+1 {
		panic(fmt.Sprintf("entry %d after %d", e.Index, r.index))
	}
	r.index = e.Index
	if e.Kind == raft.EntryCommand {
		r.commands = append(r.commands, string(e.Data))
	}
}

// Snapshot implements raft.Machine.
func (r *recorder) Snapshot() io.WriterTo {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	_ = gob.NewEncoder(&b).Encode(recorded{r.index, r.commands})
	return &b
}

// Restore implements raft.Machine.
func (r *recorder) Restore(contents io.Reader) error {
	time.Sleep(time.Duration(r.restores.Load()))
	var s recorded
	if err := gob.NewDecoder(contents).Decode(&s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index, r.commands = s.Index, s.Commands
	r.restored++
	return nil
}

// recorded is what a recorder's snapshot holds.
type recorded struct {
	Index    uint64
	Commands []string
}

func (r *recorder) applied() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.commands)
}

// sickLog is a MemoryLog that may be slow, or fail.
type sickLog struct {
	raft.MemoryLog
	sickSnapshots
	takes   atomic.Int64 // nanoseconds
	fails   atomic.Bool
	appends atomic.Int64
	closed  atomic.Int64
}

func (l *sickLog) Append(entries []raft.Entry) error {
	l.appends.Add(1)
	time.Sleep(time.Duration(l.takes.Load()))
	if l.fails.Load() {
		return errSick
	}
	return l.MemoryLog.Append(entries)
}

func (l *sickLog) Close() error {
	l.closed.Add(1)
	return l.MemoryLog.Close()
}

// replicas is a cluster whose members keep logs.
type replicas struct {
	*rafttest.Cluster
	logs     map[string]*sickLog
	machines map[string]*recorder // of the process that runs
}

func newReplicas(t *testing.T, edit ...func(cfg *raft.Config)) *replicas {
	t.Helper()
	r := &replicas{logs: make(map[string]*sickLog), machines: make(map[string]*recorder)}
	r.Cluster = rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
		if r.logs[cfg.ID] == nil {
			r.logs[cfg.ID] = new(sickLog)
		}
		r.machines[cfg.ID] = new(recorder)
		cfg.Log, cfg.Machine = r.logs[cfg.ID], r.machines[cfg.ID]
		for _, e := range edit {
			e(cfg)
		}
	}})
	return r
}

// propose proposes one command wherever the lead is, until that takes it.
func (r *replicas) propose(t *testing.T, command string) {
	t.Helper()
	for {
		leader := r.WaitLeader()
		_, err := r.Node(leader).Propose(t.Context(), r.Node(leader).Term(), []byte(command))
		if err == nil {
			return
		}
		require.True(t, errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrNoLog), "%v", err)
		time.Sleep(10 * time.Millisecond)
	}
}

func TestProposeIsAppliedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		first := r.WaitLeader()
		r.Crash(first)
		r.propose(t, "y")
		r.Start(first)
		r.propose(t, "z")
		time.Sleep(etMax)
		synctest.Wait()
		for _, id := range r.IDs() {
			require.Equal(t, []string{"x", "y", "z"}, r.machines[id].applied(), id)
			status := r.Node(id).Status().Log
			require.Equal(t, status.Last.Index, status.Applied)
			require.Equal(t, status.Last.Index, status.Durable)
		}
	})
}

// Many callers share what a round trip and a sync cost.
func TestProposalsShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "first")
		leader := r.WaitLeader()
		for _, l := range r.logs {
			l.takes.Store(int64(5 * time.Millisecond))
		}
		before := r.logs[leader].appends.Load()
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				for j := range 10 {
					_, err := r.Node(leader).Propose(t.Context(), r.Node(leader).Term(), []byte(fmt.Sprint(i, j)))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		require.Len(t, r.machines[leader].applied(), 641)
		require.LessOrEqual(t, r.logs[leader].appends.Load()-before, int64(64))
	})
}

func TestProposeRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		node, term := r.Node(leader), r.Node(leader).Term()
		for _, id := range others(r.Cluster, leader) {
			_, err := r.Node(id).Propose(t.Context(), term, []byte("x"))
			require.ErrorIs(t, err, raft.ErrNotLeader)
			_, err = r.Node(id).ReadIndex(t.Context())
			require.ErrorIs(t, err, raft.ErrNotLeader)
		}
		_, err := node.Propose(t.Context(), term-1, []byte("x"))
		require.ErrorIs(t, err, raft.ErrNotLeader)
		_, err = node.Propose(t.Context(), term, make([]byte, 70_000))
		require.ErrorIs(t, err, raft.ErrTooLarge)
		require.NoError(t, r.Stop(leader))
		_, err = node.Propose(t.Context(), term, []byte("x"))
		require.ErrorIs(t, err, raft.ErrStopped)
		require.NotErrorIs(t, err, raft.ErrOutcomeUnknown)

		_, err = raft.New(raft.Config{Log: new(raft.MemoryLog)})
		require.ErrorContains(t, err, "Log and Machine belong together")
	})
	node, _ := raft.New(lone(new(raft.MemoryStore)))
	_, err := node.Propose(t.Context(), 1, nil)
	require.ErrorIs(t, err, raft.ErrNoLog)
	_, err = node.ReadIndex(t.Context())
	require.ErrorIs(t, err, raft.ErrNoLog)
}

// What is not known is said not to be: the caller gives up, the reign ends, or the
// node does.
func TestOutcomeOfAProposalMayBeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		node, term := r.Node(leader), r.Node(leader).Term()
		r.Isolate(leader)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := node.Propose(ctx, term, []byte("given up"))
		require.ErrorIs(t, err, raft.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = node.Propose(t.Context(), term, []byte("lost"))
		require.ErrorIs(t, err, raft.ErrOutcomeUnknown)
		require.ErrorIs(t, err, raft.ErrNotLeader)

		r.Heal()
		r.propose(t, "y")
		time.Sleep(etMax)
		synctest.Wait()
		require.Equal(t, []string{"x", "y"}, r.machines[leader].applied(), "the next leader did not know them")

		leader = r.WaitLeader()
		node = r.Node(leader)
		r.Isolate(leader)
		result := make(chan error, 1)
		go func() {
			_, err := node.Propose(t.Context(), node.Term(), []byte("at the end"))
			result <- err
		}()
		time.Sleep(time.Millisecond)
		r.Crash(leader)
		require.ErrorIs(t, <-result, raft.ErrOutcomeUnknown)
	})
}

// Under load a transfer waits for what is under way, and nothing is lost by it.
func TestTransferUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		to := others(r.Cluster, leader)[0]
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		var committed sync.Map
		for i := range 8 {
			callers.Go(func() {
				for j := 0; ctx.Err() == nil; j++ {
					command := fmt.Sprint(i, ".", j)
					node := r.Node(r.WaitLeader())
					if _, err := node.Propose(ctx, node.Term(), []byte(command)); err == nil {
						committed.Store(command, true)
					} else {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		time.Sleep(etMin)
		require.NoError(t, r.Node(leader).Transfer(t.Context(), to))
		time.Sleep(etMin)
		cancel()
		callers.Wait()
		time.Sleep(etMin)
		synctest.Wait()
		require.Equal(t, to, r.WaitLeader())
		applied := make(map[string]int)
		for _, command := range r.machines[to].applied() {
			applied[command]++
		}
		committed.Range(func(command, _ any) bool {
			require.Equal(t, 1, applied[command.(string)], command)
			return true
		})
		require.Greater(t, len(applied), 100)
	})
}

// A leader reads without a message; who has applied up to there shows all that was
// committed.
func TestReadIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		node := r.Node(leader)
		index, err := node.Propose(t.Context(), node.Term(), []byte("y"), []byte("z"))
		require.NoError(t, err)
		sent := node.Status().Traffic.Sent
		read, err := node.ReadIndex(t.Context())
		require.NoError(t, err)
		require.Equal(t, index+1, read)
		require.Equal(t, sent, node.Status().Traffic.Sent)

		r.Isolate(leader)
		time.Sleep(etMin)
		_, err = node.ReadIndex(t.Context())
		require.ErrorIs(t, err, raft.ErrNotLeader)
	})
}

// The reign of a new leader begins once its machine has caught up.
func TestReignWaitsForTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		for _, id := range others(r.Cluster, leader) {
			r.machines[id].takes.Store(int64(2 * etMax))
		}
		r.propose(t, "y")
		r.Crash(leader)
		next := r.WaitLeader()
		require.Equal(t, []string{"x", "y"}, r.machines[next].applied())
	})
}

// Rule 13: a log that is slow to append ends the reign, and one that does not come
// back ends the node; the loop goes on meanwhile.
func TestSlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		l := lead(t, r.Node(leader))
		r.logs[leader].takes.Store(int64(etMin))
		_, _ = r.Node(leader).Propose(t.Context(), l.Term(), []byte("y"))
		<-l.Context().Done()
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrSaveStalled)
		require.NotZero(t, r.Node(leader).Status().Traffic.SlowSaves)
		l.Release()

		r.logs[leader].takes.Store(int64(20 * etMax))
		node := r.Node(leader)
		r.propose(t, "z")
		time.Sleep(2 * etMax)
		synctest.Wait()
		require.True(t, node.Status().Stopped)
		err := r.Stop(leader)
		var stalled *raft.StalledError
		require.ErrorAs(t, err, &stalled)
		require.Equal(t, "Log.Append", stalled.Call)
		require.Zero(t, r.logs[leader].closed.Load())
		time.Sleep(20 * etMax)
		synctest.Wait()
		require.EqualValues(t, 1, r.logs[leader].closed.Load(), "once it came back")
	})
}

func TestFailedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "x")
		leader := r.WaitLeader()
		r.logs[leader].fails.Store(true)
		_, err := r.Node(leader).Propose(t.Context(), r.Node(leader).Term(), []byte("y"))
		if err != nil { // The others may have committed it first.
			require.ErrorIs(t, err, raft.ErrOutcomeUnknown)
		}
		time.Sleep(etMax)
		err = r.Stop(leader)
		require.ErrorIs(t, err, raft.ErrSaveFailed)
		require.ErrorIs(t, err, errSick)
		require.EqualValues(t, 1, r.logs[leader].closed.Load())
		r.propose(t, "z")
	})
}

// A process that begins with a snapshot gives it to the machine, and then the entries
// behind it. One that is damaged ends it.
func TestMachineIsRestoredAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := new(raft.MemoryStore), new(raft.MemoryLog)
		start := func(m raft.Machine) (*raft.Node, func() error) {
			cfg := lone(store)
			cfg.Log, cfg.Machine = log, m
			node, stop := background(t, cfg)
			time.Sleep(4 * etMax)
			synctest.Wait()
			return node, stop
		}
		first := new(recorder)
		node, stop := start(first)
		for _, command := range []string{"x", "y"} {
			_, err := node.Propose(t.Context(), node.Term(), []byte(command))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.NoError(t, stop())

		stored, err := log.Open(ownerOf(t, store), true)
		require.NoError(t, err)
		last := stored.Entries[1] // "x"
		contents := string(encoded(t, recorded{Index: last.Index, Commands: []string{"restored"}}))
		keep(t, log, positionAt(last.Term, last.Index), contents)
		require.NoError(t, log.Close())
		second := new(recorder)
		_, stop = start(second)
		require.Equal(t, []string{"restored", "y"}, second.applied())
		require.Equal(t, 1, second.restored)
		require.NoError(t, stop())

		_, err = log.Open(ownerOf(t, store), true)
		require.NoError(t, err)
		keep(t, log, positionAt(last.Term, last.Index+1), "nonsense")
		require.NoError(t, log.Close())
		_, stop = start(new(recorder))
		require.ErrorIs(t, stop(), raft.ErrRestoreFailed)
	})
}

// ownerOf returns the identity of a closed store.
func ownerOf(t *testing.T, store raft.Store) raft.StoreID {
	t.Helper()
	record, err := store.Open()
	require.NoError(t, err)
	require.NoError(t, store.Close())
	return record.State.StoreID
}

func encoded(t *testing.T, s recorded) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, gob.NewEncoder(&b).Encode(s))
	return b.Bytes()
}

// panics is a Machine that cannot go on.
type panics struct{}

func (panics) Apply(raft.Entry)        { panic("no") }
func (panics) Snapshot() io.WriterTo   { panic("no") }
func (panics) Restore(io.Reader) error { panic("no") }

func TestPanicOfTheMachineIsRunsPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := lone(new(raft.MemoryStore))
		cfg.Log, cfg.Machine = new(raft.MemoryLog), panics{}
		start := time.Now()
		node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(start) })
		require.NoError(t, err)
		var panicked *raft.PanicError
		func() {
			defer func() { panicked, _ = recover().(*raft.PanicError) }()
			_ = node.Run(t.Context())
		}()
		require.NotNil(t, panicked)
		require.Equal(t, "no", panicked.Value)
	})
}

// A node whose cluster keeps a log does not start without, nor with one that is not
// its own.
func TestLogBelongsToTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := new(raft.MemoryStore), new(raft.MemoryLog)
		cfg := lone(store)
		cfg.Log, cfg.Machine = log, new(recorder)
		node, stop := background(t, cfg)
		for node.Status().Log.Applied == 0 {
			time.Sleep(etMin)
		}
		require.NoError(t, stop())

		bare := lone(store)
		_, stop = background(t, bare)
		time.Sleep(etMin)
		require.ErrorIs(t, stop(), raft.ErrConfig)

		ends := func(store raft.Store, log raft.Log) error {
			cfg.Store, cfg.Log, cfg.Machine = store, log, new(recorder)
			_, stop := background(t, cfg)
			time.Sleep(etMin)
			return stop()
		}
		require.ErrorIs(t, ends(new(raft.MemoryStore), log), raft.ErrForeign, "another store")
		require.ErrorIs(t, ends(store, new(raft.MemoryLog)), raft.ErrCorrupt, "the log is lost")
		require.NoError(t, ends(store, log))
	})
}

// A node that has run without a log can be given one. It is begun before the store
// says that there is one: a crash between the two does no harm.
func TestLogBeginsBeforeTheStoreSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(failingStore)
		cfg := lone(store)
		run := func() error {
			if cfg.Log != nil {
				cfg.Machine = new(recorder)
			}
			_, stop := background(t, cfg)
			time.Sleep(2 * etMax)
			return stop()
		}
		require.NoError(t, run())
		cfg.Log = new(raft.MemoryLog)
		store.failAt = store.saves + 2
		require.ErrorIs(t, run(), raft.ErrSaveFailed)
		require.False(t, store.last.HasLog)
		_, err := cfg.Log.Open(store.last.StoreID, true)
		require.NoError(t, err, "the log is there")
		require.NoError(t, cfg.Log.Close())
		require.NoError(t, run())
		require.True(t, store.last.HasLog)
	})
}

// failingStore is a MemoryStore of which one save fails.
type failingStore struct {
	raft.MemoryStore
	saves, failAt int
	last          raft.HardState
}

func (s *failingStore) Save(state raft.HardState) error {
	if s.saves++; s.saves == s.failAt {
		return errSick
	}
	s.last = state.Clone()
	return s.MemoryStore.Save(state)
}

// A proposal whose caller has left before the node took it is never made.
func TestWithdrawnProposalIsNeverMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, machine := lone(new(raft.MemoryStore)), new(recorder)
		cfg.Log, cfg.Machine = new(raft.MemoryLog), machine
		begun := time.Now()
		node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(begun) })
		require.NoError(t, err)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		_, err = node.Propose(ctx, 1, []byte("left"))
		require.Equal(t, context.DeadlineExceeded, err, "and not that the outcome is unknown")

		running, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(running) }()
		require.NoError(t, node.WhileLeader(t.Context(), func(ctx context.Context, token uint64) error {
			require.EqualValues(t, 1, token)
			for {
				_, err := node.Propose(ctx, token, []byte("stayed"))
				if !errors.Is(err, raft.ErrNoLog) { // which it has yet to tell itself
					return err
				}
				time.Sleep(time.Millisecond)
			}
		}))
		synctest.Wait()
		require.Equal(t, []string{"stayed"}, machine.applied())
		stop()
		require.NoError(t, <-ended)
		_, err = node.Propose(t.Context(), 1, []byte("late"))
		require.Equal(t, raft.ErrStopped, err)
	})
}

// A command that is too long does not keep others from being made that are taken with
// it.
func TestOneRefusedProposalIsRefusedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplicas(t)
		r.propose(t, "first")
		node := r.Node(r.WaitLeader())
		var asking sync.WaitGroup
		for i := range 50 {
			asking.Go(func() {
				command, want := []byte("x"), error(nil)
				if i%10 == 0 {
					command, want = make([]byte, node.MaxCommand()+1), raft.ErrTooLarge
				}
				_, err := node.Propose(t.Context(), node.Term(), command)
				require.ErrorIs(t, err, want)
			})
		}
		asking.Wait()
		_, err := node.Propose(t.Context(), node.Term(), make([]byte, node.MaxCommand()))
		require.NoError(t, err)
		synctest.Wait()
		require.Len(t, r.machines[r.WaitLeader()].applied(), 1+45+1)
	})
}
