package raft_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// diary keeps what is logged, as "LEVEL message key=value …" without the node.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) Enabled(context.Context, slog.Level) bool { return true }

func (d *diary) WithAttrs([]slog.Attr) slog.Handler { return d }

func (d *diary) WithGroup(string) slog.Handler { return d }

func (d *diary) Handle(_ context.Context, r slog.Record) error {
	entry := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		entry += " " + a.String()
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
	return nil
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.entries)
}

// diaries starts a cluster whose nodes log to the diaries returned.
func diaries(t *testing.T, edit func(*raft.Config)) (*rafttest.Cluster, map[string]*diary) {
	t.Helper()
	logs := map[string]*diary{"a": {}, "b": {}, "c": {}}
	return rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
		cfg.Logger = slog.New(logs[cfg.ID])
		if edit != nil {
			edit(cfg)
		}
	}}), logs
}

// The last reign of a node that fails is in the log, too.
func TestLogOfAReignThatEndsWithItsNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, log := lone(new(raft.MemoryStore)), new(diary)
		network := failing{make(chan error, 1)}
		cfg.Transport, cfg.Logger = network, slog.New(log)
		node, stop := background(t, cfg)
		lead(t, node).Release()
		network.fault <- errors.New("no network")
		synctest.Wait()
		require.ErrorIs(t, stop(), raft.ErrTransport)
		entries := log.read()
		require.Contains(t, entries[len(entries)-1], "raft: reign ended")
		require.Contains(t, entries[len(entries)-1], "no network")
	})
}

// The log tells why a reign has ended in the words of the leadership's context.
func TestLogOfAReign(t *testing.T) {
	tests := []struct {
		name  string
		end   func(t *testing.T, c *rafttest.Cluster, leader string)
		cause string
	}{
		{"resigned", func(t *testing.T, c *rafttest.Cluster, leader string) {
			t.Helper()
			require.NoError(t, c.Node(leader).Resign(t.Context()))
		}, "raft: leadership is given up"},
		{"transferred", func(t *testing.T, c *rafttest.Cluster, leader string) {
			t.Helper()
			require.NoError(t, c.Node(leader).Transfer(t.Context(), others(c, leader)[0]))
		}, "raft: leadership is given up"},
		{"stopped", func(t *testing.T, c *rafttest.Cluster, leader string) {
			t.Helper()
			require.NoError(t, c.Stop(leader))
		}, "raft: node has stopped"},
		{"cut off", func(t *testing.T, c *rafttest.Cluster, leader string) {
			t.Helper()
			c.Isolate(leader)
			c.Wait("the end of the reign", func() bool { return !c.Node(leader).IsLeader() })
		}, "raft: a majority did not answer in time to keep the lease of term 1: none has for 134ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, logs := diaries(t, nil)
				leader := c.WaitLeader()
				time.Sleep(etMax)
				tt.end(t, c, leader)
				synctest.Wait()
				require.Equal(t, []string{
					"INFO raft: reign began term=1",
					"INFO raft: reign ended term=1 cause=" + tt.cause,
				}, logs[leader].read())
			})
		})
	}
}

// A hand-over that could not wait for the application any longer says so.
func TestLogOfAnUnreleasedLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := diaries(t, nil)
		leader, _ := boundCluster(c)
		lead(t, c.Node(leader))
		require.NoError(t, c.Stop(leader))
		require.Equal(t, []string{
			"INFO raft: reign began term=1",
			"WARN raft: leadership was not released in time term=1 timeout=300ms",
			"INFO raft: reign ended term=1 cause=raft: node has stopped",
		}, logs[leader].read())
	})
}

// All values are text that people can read, also for handlers that do not ask a
// value for its String.
func TestLogAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := rafttest.Start(t, rafttest.Config{Edit: func(cfg *raft.Config) {
			if cfg.ID == "c" {
				cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
			}
		}})
		boundCluster(c)
		c.Crash("c")
		c.Wipe("c")
		c.Start("c")
		time.Sleep(time.Second)
		c.Close()
		require.Contains(t, log.String(), `"reason":"another store is bound to this name"`)
	})
}

// A node that stays unfit says so once, however often it is asked in the meantime.
func TestLogOfTheUnfit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(diary)
		cfg := lone(new(raft.MemoryStore))
		cfg.Logger = slog.New(log)
		cfg.Healthy = func() error { return errors.New("the database is gone") }
		node, _ := background(t, cfg)
		time.Sleep(10 * time.Second)
		require.Zero(t, node.Status().Counters.Wins, "it does not stand")
		require.Equal(t, []string{"WARN raft: node is unfit to lead error=the database is gone"}, log.read())
	})
}

// A cluster that was set up wrong elects nobody, or does without a member. The
// log says why, once a minute.
func TestLogOfDroppedMessages(t *testing.T) {
	tests := []struct {
		name string
		edit func(cfg *raft.Config)
		want string
		told raft.RefusalReason // what the others say
	}{
		{"founders disagree", func(cfg *raft.Config) {
			cfg.Start = raft.Bootstrap(0, raft.Member{ID: "a", Voter: true}, raft.Member{ID: "b", Voter: true, Data: cfg.ID})
		}, "it disagrees about the members or about the leader", raft.RefusedConfiguration},
		{"clusters differ", func(cfg *raft.Config) { cfg.Cluster += cfg.ID }, "it is of another cluster or for another member", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := map[string]*diary{"a": {}, "b": {}}
				c := rafttest.Start(t, rafttest.Config{Nodes: 2, Edit: func(cfg *raft.Config) {
					cfg.Logger = slog.New(logs[cfg.ID])
					tt.edit(cfg)
				}})
				time.Sleep(90 * time.Second)
				warning := "WARN raft: dropping messages peer=b reason=" + tt.want
				want := []string{warning, warning}
				if tt.told != 0 {
					want = append([]string{"WARN raft: another member refuses this node reason=" + tt.told.String()}, want...)
				}
				require.Equal(t, want, logs["a"].read())
				for _, id := range c.IDs() {
					require.Equal(t, tt.told, c.Node(id).Status().Refused)
				}
			})
		})
	}
}

// The leader names the member that has lost its disk; a node that joins and one
// that restarts are nothing to warn about.
func TestLogOfAWipedMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := diaries(t, nil)
		leader, wiped := boundCluster(c)
		for range 2 {
			c.Crash(wiped)
			c.Start(wiped)
			time.Sleep(etMax)
		}
		require.Equal(t, []string{"INFO raft: reign began term=1"}, logs[leader].read())
		require.Empty(t, logs[wiped].read())
		c.Crash(wiped)
		c.Wipe(wiped)
		c.Start(wiped)
		time.Sleep(time.Second)
		reason := "another store is bound to this name"
		require.Equal(t, "WARN raft: dropping messages peer="+wiped+" reason="+reason, logs[leader].read()[1])
		require.Equal(t, []string{"WARN raft: another member refuses this node reason=" + reason}, logs[wiped].read())
		require.NoError(t, c.Node(leader).RemoveMember(t.Context(), wiped))
		require.NoError(t, c.Node(leader).AddMember(t.Context(), raft.Member{ID: wiped}))
		c.Wait("the member to be promoted", func() bool { return c.Node(leader).Promote(t.Context(), wiped) == nil })
		time.Sleep(5 * time.Minute)
		require.Len(t, logs[leader].read(), 2)
		for _, line := range logs[wiped].read()[1:] { // It may have asked between the two.
			require.Equal(t, "WARN raft: another member refuses this node reason=this member was removed", line)
		}
	})
}

// Work that fails as its reign ends is warned of once, unless the error only says
// that it has ended.
func TestLogOfWorkThatFailsAsItsReignEnds(t *testing.T) {
	for _, tt := range []struct {
		returned error
		early    bool // before the reign ends: WhileLeader returns it
		warnings int
	}{
		{nil, false, 0},
		{context.Canceled, false, 0},
		{errors.New("cannot clean up"), false, 1},
		{errors.New("cannot begin"), true, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, logs := diaries(t, nil)
			leader, _ := boundCluster(c)
			go func() {
				_ = c.Node(leader).WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
					if !tt.early {
						<-ctx.Done()
					}
					return tt.returned
				})
			}()
			synctest.Wait()
			c.Isolate(leader)
			time.Sleep(time.Second)
			warnings := 0
			for _, entry := range logs[leader].read() {
				if strings.HasPrefix(entry, "WARN raft: work of a leader failed as its reign ended") {
					warnings++
					require.Contains(t, entry, "cannot clean up")
				}
			}
			require.Equal(t, tt.warnings, warnings)
		})
	}
}

// Work that ends with its reign, and says no more than that, is nothing to warn
// about.
func TestLogOfWorkThatEndsWithItsReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, logs := diaries(t, nil)
		leader, _ := boundCluster(c)
		go func() {
			_ = c.Node(leader).WhileLeader(t.Context(), func(ctx context.Context, _ uint64) error {
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
		synctest.Wait()
		c.Isolate(leader)
		time.Sleep(time.Second)
		for _, entry := range logs[leader].read() {
			require.NotContains(t, entry, "WARN")
		}
		require.Contains(t, logs[leader].read()[1], "a majority did not answer")
	})
}
