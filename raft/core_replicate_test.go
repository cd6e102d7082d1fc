package raft

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newLogCluster starts n voters that keep a log, and lets the first lead until
// every member is known to.
func newLogCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, logs: true, oracle: newOracle(), random: newRandom(1)}
	for _, m := range voters(n) {
		c.add(testConfig(m.ID, voters(n)...), 1)
	}
	c.electThat("A")
	c.runUntil(time.Second, func() bool { return c.server("A").core.log.commit == 1 })
	c.run(100 * ms)
	return c
}

func TestCommandsAreAppliedEverywhere(t *testing.T) {
	c := newLogCluster(t, 3)
	require.NoError(t, c.leader().propose("x", "y"))
	c.run(100 * ms)
	for _, s := range c.servers {
		require.Equal(t, []string{"x", "y"}, s.commands(), s.cfg.ID)
		require.Equal(t, s.core.log.entries, s.log.entries)
	}
	c.leader().crash()
	l := c.elect()
	require.NoError(t, l.propose("z"))
	c.server("A").start()
	c.run(500 * ms)
	for _, s := range c.servers {
		require.Equal(t, []string{"x", "y", "z"}, s.commands(), s.cfg.ID)
	}
}
