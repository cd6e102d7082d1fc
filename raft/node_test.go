package raft_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
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

// Times of the default Config.
const (
	etMin = 150 * time.Millisecond
	etMax = 300 * time.Millisecond
)

func TestNewReportsAllMistakesAtOnce(t *testing.T) {
	_, err := raft.New(raft.Config{HeartbeatInterval: time.Second})
	require.ErrorIs(t, err, raft.ErrConfig)
	for _, mistake := range []string{"ID", "Cluster", "Store is missing", "Transport is missing", "heartbeat"} {
		require.ErrorContains(t, err, mistake)
	}
}

// lone returns the Config of a cluster of one.
func lone(store raft.Store) raft.Config {
	return raft.Config{
		ID: "a", Cluster: "c", Store: store, Transport: nowhere{},
		Start: raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}),
		Rand:  rand.NewPCG(1, 1),
	}
}

// nowhere is a transport without anybody at the other end.
type nowhere struct{}

func (nowhere) Send(string, []byte) error { return errors.New("nobody is there") }

func (nowhere) Serve(ctx context.Context, _ func(string, []byte)) error {
	<-ctx.Done()
	return nil
}

// background runs the node until stop is called, which returns what Run did.
func background(t *testing.T, cfg raft.Config) (node *raft.Node, stop func() error) {
	t.Helper()
	start := time.Now()
	node, err := raft.NewWithClock(cfg, func() time.Duration { return time.Since(start) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- node.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-result })
	t.Cleanup(func() { _ = stop() })
	return node, stop
}

// A state that cannot be read ends Run with a clear error.
func TestRefusesCorruptState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	require.NoError(t, os.WriteFile(path, make([]byte, 8192), 0o600))
	cfg := lone(&raft.FileStore{Path: path})
	for _, start := range []raft.Start{raft.Resume(), raft.Join(), cfg.Start} {
		cfg.Start = start
		node, err := raft.New(cfg)
		require.NoError(t, err)
		require.ErrorIs(t, node.Run(t.Context()), raft.ErrCorrupt)
		require.ErrorIs(t, node.Campaign(t.Context()), raft.ErrStopped)
	}
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8192), content, "the file is as it was")
}

// Rule 16: the three ways to start.
func TestStart(t *testing.T) {
	members := []raft.Member{{ID: "a", Voter: true}}
	saved := new(raft.MemoryStore)
	run(t, lone(saved))
	other := lone(new(raft.MemoryStore))
	other.ID = "b"
	other.Start = raft.Join()
	foreign := new(raft.MemoryStore)
	run(t, other)
	other.Store = foreign
	run(t, other)

	tests := []struct {
		name    string
		store   raft.Store
		start   raft.Start
		want    error
		members int
		term    uint64
	}{
		{"resume without state", new(raft.MemoryStore), raft.Resume(), raft.ErrNoState, 0, 0},
		{"bootstrap", new(raft.MemoryStore), raft.Bootstrap(0, members...), nil, 1, 1},
		{"bootstrap above a term", new(raft.MemoryStore), raft.Bootstrap(41, members...), nil, 1, 42},
		{"join", new(raft.MemoryStore), raft.Join(), nil, 0, 0},
		{"resume", saved, raft.Resume(), nil, 1, 2},
		{"a saved state wins", saved, raft.Bootstrap(100, members[0], raft.Member{ID: "z", Voter: true}), nil, 1, 3},
		{"another node's state", foreign, raft.Bootstrap(0, members...), raft.ErrForeign, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := lone(tt.store)
				cfg.Start = tt.start
				node, stop := background(t, cfg)
				time.Sleep(2 * etMax)
				if tt.want != nil {
					require.ErrorIs(t, stop(), tt.want)
					require.True(t, node.Status().Stopped)
					return
				}
				require.Len(t, node.Status().Configuration.Members, tt.members)
				require.Equal(t, tt.term, node.Term())
				require.NoError(t, stop())
			})
		})
	}
}

// run runs a node for as long as it takes to elect itself.
func run(t *testing.T, cfg raft.Config) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, stop := background(t, cfg)
		time.Sleep(2 * etMax)
		require.NoError(t, stop())
	})
}

func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, stop := background(t, lone(new(raft.MemoryStore)))
		synctest.Wait()
		require.ErrorIs(t, node.Run(t.Context()), raft.ErrRunning)
		require.NoError(t, stop())
		require.ErrorIs(t, node.Run(t.Context()), raft.ErrRunning)
	})
}

// Two nodes on one disk: the second does not start.
func TestRunLocksStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(raft.MemoryStore)
		_, stop := background(t, lone(store))
		synctest.Wait()
		second, err := raft.New(lone(store))
		require.NoError(t, err)
		require.ErrorIs(t, second.Run(t.Context()), raft.ErrLocked)
		require.NoError(t, stop())
		_, stop = background(t, lone(store))
		synctest.Wait()
		require.NoError(t, stop())
	})
}

// A stop and a start keep identity, term and vote; the incarnation
// goes up (rule 15).
func TestRestartKeepsState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	var before raft.Status
	for incarnation := uint64(1); incarnation <= 3; incarnation++ {
		synctest.Test(t, func(t *testing.T) {
			cfg := lone(&raft.FileStore{Path: path})
			if incarnation > 1 {
				cfg.Start = raft.Resume()
			}
			node, stop := background(t, cfg)
			lead(t, node)
			after := node.Status()
			require.Equal(t, incarnation, after.Incarnation)
			require.Greater(t, after.Term, before.Term)
			if incarnation > 1 {
				require.Equal(t, before.StoreID, after.StoreID)
			}
			before = after
			require.NoError(t, stop())
		})
	}
}

func lead(t *testing.T, node *raft.Node) *raft.Leadership {
	t.Helper()
	l, err := node.Lead(t.Context())
	require.NoError(t, err)
	return l
}

// A node whose disk was wiped is refused under its bound name, and says so, for as
// long as it lasts.
func TestWipedDiskIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, lost := boundCluster(c)
		c.Crash(lost)
		c.Wipe(lost)
		c.Start(lost)
		time.Sleep(10 * etMax)
		status := c.Node(lost).Status()
		require.Equal(t, raft.RefusedWiped, status.Refused)
		require.Zero(t, status.Counters.Grants)
		require.True(t, c.Node(leader).IsLeader())

		require.NoError(t, c.Node(leader).RemoveMember(t.Context(), lost))
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: lost}))
		time.Sleep(10 * etMax)
		require.NoError(t, c.Node(leader).Promote(t.Context(), lost))
		time.Sleep(etMax)
		require.Zero(t, c.Node(lost).Status().Refused, "it is taken in again")
	})
}

// boundCluster waits until all stores are bound and all know it, and returns the
// leader and another member.
func boundCluster(c *rafttest.Cluster) (leader, other string) {
	leader = c.WaitLeader()
	c.Wait("all stores to be bound", func() bool {
		members := c.Node(leader).Status().Configuration.Members
		return !slices.ContainsFunc(members, func(m raft.Member) bool { return m.StoreID == raft.StoreID{} })
	})
	time.Sleep(etMin / 10) // One way and back.
	return leader, others(c, leader)[0]
}

func others(c *rafttest.Cluster, id string) []string {
	return slices.DeleteFunc(c.IDs(), func(other string) bool { return other == id })
}

// A follower that restarts at once disturbs nobody.
func TestRestartedFollowerDoesNotElect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{})
		leader, follower := boundCluster(c)
		term := c.Node(leader).Term()
		for range 20 {
			c.Crash(follower)
			c.Start(follower)
			time.Sleep(etMin / 3)
			require.True(t, c.Node(leader).IsLeader())
		}
		time.Sleep(10 * etMax)
		require.True(t, c.Node(leader).IsLeader())
		for _, id := range c.IDs() {
			require.Equal(t, term, c.Node(id).Term())
		}
	})
}

// A process that was suspended does not act as the leader before it
// has looked at the clock, though none of its timers has fired.
func TestSuspendedLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asleep := make(map[string]*atomic.Int64)
		c := rafttest.Start(t, rafttest.Config{Clock: func(id string, clock func() time.Duration) func() time.Duration {
			slept := new(atomic.Int64)
			asleep[id] = slept
			return func() time.Duration { return clock() + time.Duration(slept.Load()) }
		}})
		leader := c.WaitLeader()
		node := c.Node(leader)
		l := lead(t, node)
		require.True(t, l.Valid())

		asleep[leader].Store(int64(10 * etMax))
		require.False(t, l.Valid())
		require.False(t, node.IsLeader())
		require.False(t, node.Status().Leading)
		synctest.Wait()
		require.Error(t, l.Context().Err(), "the first look at the lease ends the context")
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrNotLeader)
		c.WaitLeader()
	})
}

// Work that ends because Leads is false has been ended by its reign, also where the
// context does not say so yet: WhileLeader waits for the next reign.
func TestWorkThatLooksAtTheLeaseGoesOnInTheNextReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		begun := time.Now()
		node, err := raft.NewWithClock(lone(new(raft.MemoryStore)), func() time.Duration {
			return time.Since(begun) + time.Duration(slept.Load())
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()
		var terms []uint64
		err = node.WhileLeader(ctx, func(ctx context.Context, term uint64) error {
			if terms = append(terms, term); len(terms) == 3 {
				cancel()
				<-ctx.Done()
			}
			slept.Add(int64(time.Hour))
			for raft.Leads(ctx) {
				time.Sleep(time.Millisecond)
			}
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []uint64{terms[0], terms[0] + 1, terms[0] + 2}, terms)
		require.NoError(t, <-ended)
	})
}

// Rule 7: if the lease has ended during a suspend and nobody looks, the context
// ends within a heartbeat interval after it.
func TestSuspendEndsTheContextUnseen(t *testing.T) {
	for awake := range 10 {
		synctest.Test(t, func(t *testing.T) {
			var slept atomic.Int64
			begun := time.Now()
			node, err := raft.NewWithClock(lone(new(raft.MemoryStore)), func() time.Duration {
				return time.Since(begun) + time.Duration(slept.Load())
			})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- node.Run(ctx) }()
			l := lead(t, node)
			time.Sleep(time.Duration(awake) * 7 * time.Millisecond)

			slept.Store(int64(time.Hour))
			woken := time.Now()
			<-l.Context().Done()
			require.LessOrEqual(t, time.Since(woken), 50*time.Millisecond)
			var expired *raft.LeaseExpiredError
			require.ErrorAs(t, context.Cause(l.Context()), &expired)
			require.GreaterOrEqual(t, expired.Silence, time.Hour, "since before the machine slept")
			require.ErrorIs(t, expired, raft.ErrLeaseExpired)
			require.ErrorIs(t, expired, raft.ErrNotLeader)
			l.Release()
			cancel()
			require.NoError(t, <-ended)
		})
	}
}

// Run returns and leaves nothing behind, whatever goes on. That no
// goroutine is left, synctest.Test checks at its end.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{0, etMin / 2, etMin, etMin + 20*time.Millisecond, etMax, 3 * etMax} {
			t.Logf("after %v", pause)
			c := rafttest.Start(t, rafttest.Config{})
			time.Sleep(pause)
			for _, id := range c.IDs() {
				require.NoError(t, c.Stop(id))
			}
		}
	})
	t.Run("during a transfer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			target := others(c, leader)[0]
			c.Isolate(target)
			outcome := make(chan error)
			node := c.Node(leader)
			go func() { outcome <- node.Transfer(t.Context(), target) }()
			synctest.Wait()
			require.NoError(t, c.Stop(leader))
			require.Error(t, <-outcome)
		})
	})
	t.Run("with nobody to hear it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := rafttest.Start(t, rafttest.Config{})
			leader := c.WaitLeader()
			c.Isolate(leader)
			began := time.Now()
			require.NoError(t, c.Stop(leader))
			require.LessOrEqual(t, time.Since(began), etMax)
		})
	})
}

// A transport that fails ends the node, at once and without a hand-over.
func TestTransportFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := lone(new(raft.MemoryStore))
		fault := make(chan error)
		cfg.Transport = failing{fault}
		node, stop := background(t, cfg)
		l := lead(t, node)
		broken := errors.New("the network is gone")
		fault <- broken
		<-l.Context().Done()
		require.ErrorIs(t, context.Cause(l.Context()), raft.ErrTransport)
		err := stop()
		require.ErrorIs(t, err, raft.ErrTransport)
		require.ErrorIs(t, err, broken)
	})
}

type failing struct{ fault chan error }

func (failing) Send(string, []byte) error { return nil }

func (f failing) Serve(ctx context.Context, _ func(string, []byte)) error {
	select {
	case err := <-f.fault:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Frames that come before or after Run are dropped and counted.
func TestFramesOutsideRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := raft.Message{Kind: raft.Heartbeat, Cluster: "c", From: "b", To: "a", Term: 5, StoreID: raft.StoreID{1}, Incarnation: 1}
		frame, err := m.AppendBinary(nil)
		require.NoError(t, err)
		cfg := lone(new(raft.MemoryStore))
		node, err := raft.New(cfg)
		require.NoError(t, err)
		node.Receive("b", frame)
		require.EqualValues(t, 1, node.Status().Traffic.Overflowed)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, node.Run(ctx))
		for range 100 {
			node.Receive("b", frame)
		}
		require.EqualValues(t, 101, node.Status().Traffic.Overflowed)
		require.Less(t, node.Term(), uint64(5))
	})
}

// Rule 21: frames that are none, or not their sender's, change nothing.
func TestReceiveChecksFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, stop := background(t, lone(new(raft.MemoryStore)))
		synctest.Wait()
		m := raft.Message{Kind: raft.Heartbeat, Cluster: "c", From: "b", To: "a", Term: 5, StoreID: raft.StoreID{1}, Incarnation: 1}
		frame, err := m.AppendBinary(nil)
		require.NoError(t, err)
		node.Receive("b", frame[:len(frame)-1])
		node.Receive("b", nil)
		node.Receive("x", frame)
		synctest.Wait()
		traffic := node.Status().Traffic
		require.EqualValues(t, 2, traffic.Malformed)
		require.EqualValues(t, 1, traffic.Forged)
		require.Zero(t, traffic.Received)
		require.NoError(t, stop())
	})
}

// There is one way in. While the loop waits for the disk, neither
// messages nor calls change anything; then all of them count.
func TestOneInboundPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := sickCluster(t)
		leader, _ := boundCluster(c)
		node := c.Node(leader)
		term := node.Term()
		stores[leader].takes.Store(int64(etMax / 4))
		go func() { _ = node.AddMember(t.Context(), raft.Member{ID: "x"}) }()
		synctest.Wait()
		before := node.Status()

		follower := c.Node(others(c, leader)[0]).Status()
		claim := raft.Message{
			Kind: raft.Heartbeat, Cluster: "rafttest", From: follower.ID, To: leader, Term: term + 5,
			StoreID: follower.StoreID, Incarnation: follower.Incarnation + 1, Boot: 1, Sequence: 1, Level: 1, Promise: etMin,
		}
		frame, err := claim.AppendBinary(nil)
		require.NoError(t, err)
		resigned := make(chan error)
		go func() { resigned <- node.Resign(t.Context()) }()
		for range 10 {
			node.Receive(follower.ID, frame)
		}
		synctest.Wait()
		during := node.Status()
		require.Equal(t, before.Term, during.Term)
		require.Equal(t, before.Role, during.Role)
		require.True(t, during.Leading)

		if err := <-resigned; err != nil { // The claim may have come first.
			require.ErrorIs(t, err, raft.ErrNotLeader)
		}
		c.Wait("the claim to count", func() bool { return node.Term() >= term+5 })
	})
}

// A status belongs to the caller.
func TestStatusIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, _ := background(t, lone(new(raft.MemoryStore)))
		lead(t, node)
		node.Status().Configuration.Members[0].Data = "changed"
		require.Empty(t, node.Status().Configuration.Members[0].Data)
	})
}

// Idle cost: a node has three goroutines, and none after Run, or the bubble
// would not end.
func TestGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		synctest.Wait()
		before := runtime.NumGoroutine()
		node, stop := background(t, lone(new(raft.MemoryStore)))
		l := lead(t, node)
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine()-before, 3)
		l.Release()
		require.NoError(t, stop())
	})
}

// Every accessor and every call, from many goroutines,
// while leaders come and go. The race detector is the judge; besides, no two
// nodes hold a valid leadership at once, and terms never go back.
func TestAccessorsDuringElections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := rafttest.Start(t, rafttest.Config{Seed: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for _, id := range c.IDs() {
			readers.Go(func() { readEverything(ctx, c, id) })
			readers.Go(func() { watchEverything(ctx, t, c, id) })
		}
		for round := range 16 {
			leader := c.WaitLeader()
			switch round % 4 {
			case 0:
				c.Crash(leader)
				c.WaitLeader()
				c.Start(leader)
			case 1:
				c.Isolate(leader)
				c.WaitLeader(others(c, leader)...)
				c.Heal()
			case 2:
				_ = c.Node(leader).Resign(ctx)
			case 3:
				for _, id := range c.IDs() {
					_ = c.Node(id).Campaign(ctx)
				}
			}
			time.Sleep(etMax)
		}
		cancel()
		readers.Wait()
	})
}

func readEverything(ctx context.Context, c *rafttest.Cluster, id string) {
	var term uint64
	for ctx.Err() == nil {
		time.Sleep(3 * time.Millisecond)
		node := c.Node(id)
		if node == nil {
			continue
		}
		if now := node.Term(); now != 0 && now < term {
			panic(fmt.Sprintf("term of %s went from %d to %d", id, term, now))
		} else if now != 0 {
			term = now
		}
		_, _ = node.Leader()
		_ = node.IsLeader()
		_ = node.Status()
		if l, err := node.Lead(shortly(ctx)); err == nil {
			_, _ = l.Valid(), l.Term()
			l.Release()
		}
	}
}

// shortly returns a ctx that ends soon.
func shortly(ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func watchEverything(ctx context.Context, t *testing.T, c *rafttest.Cluster, id string) {
	t.Helper()
	for ctx.Err() == nil {
		node := c.Node(id)
		if node == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		var last raft.Status
		for s := range node.Watch(ctx) {
			if s.Term < last.Term || s.Leading && s.Leader != id {
				t.Errorf("%s: %+v after %+v", id, s, last)
			}
			last = s
		}
	}
}

// Timeouts that were long for a while slow down the restarts that follow within
// that time, and no later ones.
func TestLongTimeoutsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := 30 * time.Second
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			cfg.ElectionTimeoutMin = long
		}})
		restartAll := func() (leaderless time.Duration) {
			for _, id := range c.IDs() {
				c.Crash(id)
			}
			for _, id := range c.IDs() {
				c.Start(id)
			}
			begun := time.Now()
			c.WaitLeader()
			return time.Since(begun)
		}
		time.Sleep(5 * time.Minute)
		long = etMin
		require.Greater(t, restartAll(), 30*time.Second, "they have promised it")
		time.Sleep(time.Minute)
		for range 3 {
			require.Less(t, restartAll(), 2*etMax)
			time.Sleep(10 * time.Second)
		}
	})
}
