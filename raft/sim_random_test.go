package raft_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/sim"
	"github.com/rads-project/constellation/raft"
)

// trial is the trial of one seed. Seeds take turns at the mixes.
func trial(seed uint64) sim.Trial {
	mixes := sim.Mixes()
	return sim.Trial{Seed: seed, Mix: mixes[seed%uint64(len(mixes))], Faulty: 20 * time.Second}
}

func mix(t *testing.T, name string) sim.Mix {
	t.Helper()
	mixes := sim.Mixes()
	i := slices.IndexFunc(mixes, func(m sim.Mix) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return mixes[i]
}

// seeds returns how many seeds a test of full runs, which an ordinary run does a
// share of. With CONSTELLATION_LONG set to a number it runs full that many times.
func seeds(t *testing.T, full int) int {
	t.Helper()
	switch {
	case raft.RaceEnabled || testing.Short():
		return (full + 99) / 100
	case os.Getenv("CONSTELLATION_LONG") != "":
		times, err := strconv.Atoi(os.Getenv("CONSTELLATION_LONG"))
		require.NoError(t, err, "CONSTELLATION_LONG")
		return full * times
	default:
		return full * 15 / 100
	}
}

// A failing seed is printed; with CONSTELLATION_SEED set to it,
// the test runs that seed alone and prints what happened.
func TestSimulation(t *testing.T) {
	if text := os.Getenv("CONSTELLATION_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		replay(t, seed)
		return
	}
	n := seeds(t, 10_000)
	shards := make([]sim.Counts, runtime.GOMAXPROCS(0))
	t.Run("seeds", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				for seed := shard; seed < n; seed += len(shards) {
					report, err := trial(uint64(seed)).Run()
					require.NoError(t, err, "CONSTELLATION_SEED=%d go test -run 'TestSimulation$' ./raft shows it", seed)
					shards[shard].Add(report.Counts)
				}
				t.Logf("%.0f times real time", shards[shard].Simulated.Seconds()/time.Since(began).Seconds())
			})
		}
	})
	if t.Failed() {
		return
	}
	var total sim.Counts
	for _, shard := range shards {
		total.Add(shard)
	}
	t.Logf("%d seeds, %.1f simulated hours", n, total.Simulated.Hours())
	requireFaults(t, n, total)
}

// The same with logs, in whose histories commands are proposed all the time: nothing
// that was committed is lost, or other anywhere.
func TestSimulationOfLogs(t *testing.T) {
	if text := os.Getenv("CONSTELLATION_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		again := trial(seed)
		again.Logs, again.Transcript = true, true
		report, err := again.Run()
		t.Log(strings.Join(report.Transcript[max(0, len(report.Transcript)-400):], "\n"))
		require.NoError(t, err)
		return
	}
	var total sim.Counts
	n := seeds(t, 200)
	for seed := range uint64(n) {
		one := trial(seed)
		one.Logs = true
		report, err := one.Run()
		require.NoError(t, err, "CONSTELLATION_SEED=%d go test -run TestSimulationOfLogs ./raft shows it", seed)
		total.Add(report.Counts)
	}
	t.Logf("%d seeds, %d commands proposed, %d entries committed, %d snapshots, %d chunks of them sent, %d restored",
		n, total.Proposed, total.Committed, total.Snapshots, total.Chunks, total.Restores)
	require.Greater(t, total.Committed, 100*n)
	require.Greater(t, total.Snapshots, 20*n)
	require.Greater(t, total.Chunks, n)
	require.Greater(t, total.Restores, n)
}

// replay runs one seed and prints the end of its transcript.
func replay(t *testing.T, seed uint64) {
	t.Helper()
	again := trial(seed)
	again.Transcript = true
	report, err := again.Run()
	t.Logf("seed %d (%s), hash %016x\n%s", seed, again.Mix.Name, report.Hash,
		strings.Join(report.Transcript[max(0, len(report.Transcript)-400):], "\n"))
	require.NoError(t, err)
}

// requireFaults sees to it that n trials were bad enough.
func requireFaults(t *testing.T, n int, c sim.Counts) {
	t.Helper()
	require.GreaterOrEqual(t, c.Simulated, time.Duration(n)*20*time.Second)
	for _, f := range sim.Faults() {
		t.Logf("%v: %d", f, c.Faults[f])
		require.GreaterOrEqual(t, c.Faults[f], n/2, "%v", f)
	}
	least := []struct {
		what   string
		number int
		per    int // thousand trials
	}{
		{"messages lost", c.Lost, 100_000},
		{"messages doubled", c.Duplicated, 20_000},
		{"messages overtaken", c.Overtaken, 100_000},
		{"messages late by an election timeout", c.Delayed, 50_000},
		{"saves", c.Saves, 100_000},
		{"saves past the watchdog", c.SlowSaves, 800},
		{"saves given up", c.StalledSaves, 300},
		{"saves failed", c.FailedSaves, 1_000},
		{"saves cut short, old record", c.CutOld, 1_000},
		{"saves cut short, new record", c.CutNew, 1_000},
		{"processes started", c.Starts, 10_000},
		{"disks replaced", c.Replacements, 1_000},
		{"reigns", c.Reigns, 10_000},
	}
	for _, l := range least {
		t.Logf("%s: %d", l.what, l.number)
		require.GreaterOrEqual(t, l.number, l.per*n/1000, l.what)
	}
}

// The transcripts are compared too, not their hashes alone.
func TestSimulationIsDeterministic(t *testing.T) {
	hashes := make(map[uint64]uint64)
	for seed := range uint64(raft.Share(2 * len(sim.Mixes()))) {
		plain, err := trial(seed).Run()
		require.NoError(t, err)
		wordy := trial(seed)
		wordy.Transcript = true
		first, err := wordy.Run()
		require.NoError(t, err)
		second, err := wordy.Run()
		require.NoError(t, err)

		require.NotEmpty(t, first.Transcript)
		require.Equal(t, first, second)
		require.Equal(t, plain.Hash, first.Hash)
		require.Equal(t, plain.Counts, first.Counts)
		require.NotContains(t, hashes, plain.Hash)
		hashes[plain.Hash] = seed
	}
}

// Clocks that run worse than is allowed for make reigns overlap, and
// still every reign has a greater token than those before it. With clocks within
// the bound, TestSimulation sees no overlap.
func TestSimulationOfWrongClocks(t *testing.T) {
	wrong := sim.Trial{Mix: mix(t, "clocks"), Faulty: 20 * time.Second, MayOverlap: true}
	wrong.Mix.DriftPPM = 100_000
	overlaps := 0
	for wrong.Seed = range uint64(seeds(t, 2_000)) {
		report, err := wrong.Run()
		require.NoError(t, err)
		overlaps += report.Counts.Overlaps
	}
	require.Positive(t, overlaps)
}

// Every rule that random faults can catch is switched off here; then the
// simulation must fail. With the rules on, the same seeds are part of
// TestSimulation.
func TestSimulationNegativeControls(t *testing.T) {
	tests := []struct {
		rule    string
		mix     string
		oracles []string // of which one must break
	}{
		{"rule 1: a promise survives a term", "lossy", []string{"O6", "O7"}},
		{"rule 1: no campaign while bound", "links", []string{"O6", "O7"}},
		{"rule 2: lease from the sending", "clocks", []string{"O6", "O7"}},
		{"rule 2: margin of twice the skew", "clocks", []string{"O6", "O7"}},
		{"rule 4: silence after a restart", "links", []string{"O6", "O7"}},
		{"rule 4: promises as long as asked", "clocks", []string{"O6", "O7"}},
		{"rule 5: no lease after TimeoutNow", "handovers", []string{"O6", "O7"}},
		{"rule 6: a grant ends the pre-campaign", "duels", []string{"O6", "O7"}},
		{"rule 8: votes are a set", "network", []string{"O1"}},
		{"rule 8: the vote survives a heartbeat", "network", []string{"O1", "O3"}},
		{"rule 12: save before send", "everything", []string{"O4"}},
		{"rule 17: no vote for an older configuration", "reforms", []string{"O1", "O6", "O7"}},
		{"rule 18: quorum before a change", "reforms", []string{"O1", "O6", "O7"}},
		{"rule 19: hear unknown candidates", "membership", []string{"O9"}},
		{"rule 19: ask for newer bindings", "replacements", []string{"O9"}},
		{"rule 17: who does not stand shows its configuration", "witnesses", []string{"O9"}},
		{"rule 8: answers count for who has asked", "replacements", []string{"O1", "O3"}},
		{"rule 15: bind the store that answers", "replacements", []string{"O9"}},
		{"rule 16: no vote before the own store is named", "replacements", []string{"O3"}},
		{"rule 4: a promise stays on record while it binds", "clocks", []string{"O6", "O7", "O10"}},
	}
	slow := []string{ // They take thousands of seeds.
		"rule 1: a promise survives a term",
		"rule 6: a grant ends the pre-campaign",
		"rule 8: answers count for who has asked",
		"rule 16: no vote before the own store is named",
	}
	long := os.Getenv("CONSTELLATION_LONG") != ""
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			if !long && (slices.Contains(slow, tt.rule) || raft.RaceEnabled || testing.Short()) {
				t.Skip("takes long: set CONSTELLATION_LONG=1")
			}
			t.Parallel()
			off := sim.Trial{Mix: mix(t, tt.mix), Faulty: 20 * time.Second}
			if control, found := controlOf(tt.rule); found {
				off.Prepare = control
			} else {
				off.SendBeforeSave = true
			}
			for off.Seed = range 10_000 {
				_, err := off.Run()
				if broken, found := errors.AsType[*sim.OracleError](err); found {
					t.Log(err)
					require.Contains(t, tt.oracles, broken.Oracle)
					return
				}
				require.NoError(t, err)
			}
			t.Fatal("no seed has noticed")
		})
	}
}

// The same for rules of the log.
func TestSimulationOfLogsNegativeControls(t *testing.T) {
	tests := []struct {
		rule    string
		mix     string
		oracles []string
	}{
		{"rule 25: no vote for a log that lacks something", "crashes", []string{"O12", "O13", "O14"}},
		{"rule 27: a reign begins with its start applied", "handovers", []string{"O13"}},
		{"rule 28: the leader counts what it has saved", "crashes", []string{"O12", "O13", "O14"}},
		{"rule 28: a follower answers what it has saved", "crashes", []string{"O12", "O13", "O14"}},
		{"rule 28: commit what is known to be the leader's", "network", []string{"O12", "O13", "O14"}},
		{"rule 29: send again what was lost", "lossy", []string{"O9", "O14"}},
		{"rule 29: entries follow what the leader has", "lossy", []string{"O9", "O12", "O13", "O14"}},
		{"rule 33: who does not stand hands on what it has", "witnesses", []string{"O9"}},
	}
	if raft.RaceEnabled {
		t.Skip("one goroutine works alone: go test without -race runs it")
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			off := sim.Trial{Mix: mix(t, tt.mix), Faulty: 20 * time.Second, Logs: true}
			control, found := controlOf(tt.rule)
			require.True(t, found)
			off.Prepare = control
			for off.Seed = range 2_000 {
				_, err := off.Run()
				if broken, found := errors.AsType[*sim.OracleError](err); found {
					t.Log(err)
					require.Contains(t, tt.oracles, broken.Oracle)
					return
				}
				require.NoError(t, err)
			}
			t.Fatal("no seed has noticed")
		})
	}
}

// controlOf returns what switches a rule off in a core.
func controlOf(rule string) (off func(*raft.Core), found bool) {
	for _, c := range raft.Controls() {
		if c.Rule == rule {
			return c.Off, true
		}
	}
	return nil, false
}
