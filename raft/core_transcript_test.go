package raft

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt")

// Transcripts are reviewed as diffs: what is sent and who leads, line by line,
// with the time in milliseconds.
func TestTranscripts(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T) *cluster
	}{
		{"single_node", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 1)
			c.run(400 * ms)
			return c
		}},
		{"campaign", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			c.electThat("A")
			c.run(110 * ms)
			return c
		}},
		{"crash_and_restart", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			c.electThat("A").crash()
			c.runUntil(time.Second, func() bool { return c.leader() != nil })
			c.server("A").start()
			c.run(120 * ms)
			return c
		}},
		{"transfer", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			a := c.electThat("A")
			c.run(10 * ms)
			require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.Transfer(now, "C") }))
			c.run(20 * ms)
			return c
		}},
		{"transfer_in_vain", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			a := c.electThat("A")
			c.run(10 * ms)
			c.deliver = func(m Message) (time.Duration, bool) { return ms, m.Kind != TimeoutNow }
			require.NoError(t, a.try(func(now tick) (Effects, error) { return a.core.Transfer(now, "C") }))
			c.run(310 * ms)
			return c
		}},
		{"isolated_leader", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			c.electThat("A")
			c.isolate("A")
			c.runUntil(time.Second, func() bool { return c.leader() != nil && c.leader().cfg.ID != "A" })
			c.heal()
			c.run(100 * ms)
			return c
		}},
		{"member_added_and_promoted", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 1)
			c.run(300 * ms)
			cfg := testConfig("B")
			cfg.Start = Join()
			c.add(cfg, 1)
			c.changeMember(func(l *Core) change {
				return func(now tick) (Effects, error) { return l.AddMember(now, Member{ID: "B"}) }
			})
			c.changeMember(func(l *Core) change { return func(now tick) (Effects, error) { return l.Promote(now, "B") } })
			return c
		}},
		{"late_pre_vote", func(t *testing.T) *cluster {
			t.Helper()
			c := newCluster(t, 3)
			latePreVote(c)
			return c
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(tt.run(t).log, "\n") + "\n"
			path := filepath.Join("testdata", tt.name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestSameSeedSameTranscript(t *testing.T) {
	history := func(seed uint64) string {
		c := newClusterOf(t, seed, voters(5)...)
		c.deliver = func(Message) (time.Duration, bool) {
			return time.Duration(c.random.Int64N(int64(60 * ms))), c.random.IntN(10) > 0
		}
		c.run(5 * time.Second)
		c.servers[c.random.IntN(5)].restart()
		c.run(5 * time.Second)
		return strings.Join(c.log, "\n")
	}
	require.Equal(t, history(1), history(1))
	require.NotEqual(t, history(1), history(2))
}
