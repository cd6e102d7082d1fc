package raft_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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
		}, "raft: not the leader: no leader is known in term 1"},
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

// A node that stays unfit says so once, however often it wins in the meantime.
func TestLogOfTheUnfit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(diary)
		cfg := lone(new(raft.MemoryStore))
		cfg.Logger = slog.New(log)
		cfg.Healthy = func() error { return errors.New("the database is gone") }
		node, _ := background(t, cfg)
		time.Sleep(10 * time.Second)
		require.Greater(t, node.Status().Counters.Wins, uint64(10))
		require.Equal(t, []string{"WARN raft: node is unfit to lead error=the database is gone"}, log.read())
	})
}
