package raft_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/raft/rafttest"
)

// Members whose disks lose their power in the middle of a write, one, two or all at a
// time, lose nothing that was acknowledged, and apply nothing twice.
func TestPowerFailuresOfFileLogs(t *testing.T) {
	for seed := range uint64(raft.Share(10)) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			disks := make(map[string]*raft.LogDisk)
			machines := make(map[string]*recorder)
			c := rafttest.Start(t, rafttest.Config{Seed: seed, Edit: func(cfg *raft.Config) {
				if disks[cfg.ID] == nil {
					disks[cfg.ID] = raft.NewLogDisk()
				}
				machines[cfg.ID] = new(recorder)
				cfg.Log, cfg.Machine = disks[cfg.ID].Log(), machines[cfg.ID]
			}})
			var acknowledged []string
			proposed := 0
			propose := func(leader string) {
				proposed++
				command := fmt.Sprint(proposed)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				_, err := c.Node(leader).Propose(ctx, c.Node(leader).Term(), []byte(command))
				if err == nil {
					acknowledged = append(acknowledged, command)
				}
				time.Sleep(10 * time.Millisecond)
			}
			for range 10 {
				ids := c.IDs()
				rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				ids = ids[:1+rng.IntN(3)]
				for range 5 {
					propose(c.WaitLeader())
				}
				synctest.Wait()
				for _, id := range ids {
					disks[id].FailSoon(rng)
				}
				leader := c.WaitLeader()
				for range 3 {
					propose(leader)
				}
				synctest.Wait()
				for _, id := range ids {
					c.Crash(id)
					disks[id].LosePower(rng)
				}
				for _, id := range ids {
					c.Start(id)
				}
			}
			for range 3 {
				propose(c.WaitLeader())
			}
			require.Contains(t, acknowledged, fmt.Sprint(proposed))
			require.Greater(t, len(acknowledged), 15)
			time.Sleep(time.Second)
			synctest.Wait()
			for id, m := range machines {
				applied := make(map[string]int)
				for _, command := range m.applied() {
					applied[command]++
				}
				for _, command := range acknowledged {
					require.Equal(t, 1, applied[command], "%s has %s, seed %d", id, command, seed)
				}
			}
		})
	}
}
