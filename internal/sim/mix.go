package sim

import (
	"math/rand/v2"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/rads-project/constellation/raft"
)

// Mix is a kind of bad world: what it is made of, and which faults come in it.
// One mix finds what another misses, so trials vary them.
type Mix struct {
	Name string
	// Voters and Spares are the greatest numbers; a trial draws from 3 voters.
	Voters, Spares int
	// Witnesses says that of a trial's voters just less than half are such.
	Witnesses bool
	// Network is the ordinary one, Storm the one in a storm.
	Network, Storm faultnet.Faults
	// SaveMax is how long an ordinary save takes at most.
	SaveMax time.Duration
	// DriftPPM bounds how wrong clocks run.
	DriftPPM int64
	// Narrow makes elections collide: the window of timeouts is a tenth. Uneven
	// gives every node timeouts of its own.
	Narrow, Uneven bool
	// Every is the mean time between two faults.
	Every time.Duration
	// Weights say how often each kind of fault comes, relative to each other.
	Weights map[Fault]int
}

const (
	us = time.Microsecond
	ms = time.Millisecond
)

// Good returns a network as in one building, without faults.
func Good() faultnet.Faults {
	return faultnet.Faults{LatencyMin: 150 * us, LatencyMax: 350 * us}
}

// Mixes returns the mixes that trials are made of.
func Mixes() []Mix { //nolint:funlen // It is a table.
	far := faultnet.Faults{LatencyMin: 1 * ms, LatencyMax: 15 * ms, Reordering: 200}
	slow := faultnet.Faults{LatencyMin: 1 * ms, LatencyMax: 60 * ms, Reordering: 200}
	lossy := faultnet.Faults{LatencyMax: 60 * ms, Loss: 300, Duplication: 100, Reordering: 500}
	storm := faultnet.Faults{LatencyMax: 600 * ms, Loss: 300, Duplication: 300, Reordering: 500}
	gale := faultnet.Faults{LatencyMax: 150 * ms, Loss: 100, Duplication: 300, Reordering: 700}
	everything := make(map[Fault]int)
	for _, f := range Faults() {
		everything[f] = 1
	}
	return []Mix{
		{
			Name: "everything", Voters: 5, Spares: 1, Network: Good(), Storm: storm,
			SaveMax: 2 * ms, DriftPPM: 5_000, Every: 150 * ms, Weights: everything,
		},
		{
			// Records lost and found again, and elections all the time.
			Name: "crashes", Voters: 5, Network: Good(), Storm: gale,
			SaveMax: 20 * ms, DriftPPM: 1_000, Every: 120 * ms,
			Weights: map[Fault]int{Crash: 6, CrashInSave: 6, SlowDisk: 2, BrokenDisk: 2, Pause: 3, Stop: 1, Storm: 2, Isolation: 2},
		},
		{
			// Nobody hears everybody: doubled votes, and two winners of a term.
			Name: "network", Voters: 5, Network: slow, Storm: storm,
			SaveMax: 2 * ms, DriftPPM: 1_000, Every: 150 * ms,
			Weights: map[Fault]int{OneWayCut: 6, Split: 4, Isolation: 4, Storm: 3, Crash: 1, Pause: 1},
		},
		{
			// Reigns given up while messages are lost or late.
			Name: "handovers", Voters: 4, Network: far, Storm: gale,
			SaveMax: 5 * ms, DriftPPM: 5_000, Every: 100 * ms,
			Weights: map[Fault]int{Transfer: 6, Resign: 3, Stop: 3, Campaign: 3, OneWayCut: 4, Isolation: 2, Storm: 3, Pause: 1, Crash: 1},
		},
		{
			// Members come and go while some hear nothing of it.
			Name: "membership", Voters: 4, Spares: 2, Network: Good(), Storm: gale,
			SaveMax: 5 * ms, DriftPPM: 1_000, Every: 80 * ms,
			Weights: map[Fault]int{Add: 8, Promote: 8, Demote: 3, Remove: 3, OneWayCut: 3, Isolation: 3, Split: 2, Crash: 2, Pause: 1, Transfer: 1},
		},
		{
			// Names whose owners change, while what was said to the old ones is
			// still under way.
			Name: "replacements", Voters: 5, Spares: 1, Network: far, Storm: gale,
			SaveMax: 2 * ms, DriftPPM: 1_000, Every: 60 * ms,
			Weights: map[Fault]int{Replace: 6, Restore: 4, Echo: 8, Crash: 3, Isolation: 3, OneWayCut: 3, Transfer: 3, Campaign: 2, Promote: 2, SlowLink: 2, Pause: 1},
		},
		{
			// Several changes within one lease, on both sides of a split.
			Name: "reforms", Voters: 5, Spares: 1, Network: Good(), Storm: gale,
			SaveMax: 1 * ms, DriftPPM: 1_000, Every: 25 * ms,
			Weights: map[Fault]int{Add: 8, Promote: 20, Demote: 10, Remove: 4, Split: 2, Isolation: 1},
		},
		{
			// Voters that cannot lead, and may be the only ones with the newest
			// configuration.
			Name: "witnesses", Voters: 5, Spares: 1, Witnesses: true, Network: Good(), Storm: gale,
			SaveMax: 2 * ms, DriftPPM: 1_000, Every: 60 * ms,
			Weights: map[Fault]int{Crash: 6, Isolation: 6, OneWayCut: 4, Split: 3, Transfer: 3, Resign: 2, Campaign: 2, Replace: 3, Restore: 2, Echo: 2, Add: 4, Promote: 6, Demote: 2, Remove: 2, CrashInSave: 2, SlowDisk: 1, BrokenDisk: 1, Stop: 1, Pause: 1, SlowLink: 1, Storm: 1, Drift: 1},
		},
		{
			// Clocks at their bound, on a network that eats up no margin.
			Name: "clocks", Voters: 4, Network: faultnet.Faults{LatencyMax: 50 * us}, Storm: gale,
			SaveMax: 50 * us, DriftPPM: 5_000, Uneven: true, Narrow: true, Every: 120 * ms,
			Weights: map[Fault]int{Drift: 3, Isolation: 8, Pause: 4, OneWayCut: 2, Crash: 3, Storm: 1},
		},
		{
			// Two campaign at once, and one link brings late what it brings.
			Name: "duels", Voters: 3, Network: faultnet.Faults{LatencyMax: 20 * ms, Loss: 200},
			SaveMax: 2 * ms, Narrow: true, Every: 20 * ms,
			Weights: map[Fault]int{SlowLink: 10, OneWayCut: 5, Isolation: 2},
		},
		{
			// Three nodes of which two do not hear each other, so that the third
			// one's promises decide.
			Name: "links", Voters: 3, Network: Good(), Storm: gale,
			SaveMax: 2 * ms, DriftPPM: 5_000, Every: 40 * ms,
			Weights: map[Fault]int{OneWayCut: 6, SlowLink: 4, Crash: 3, Campaign: 4, Pause: 1, CrashInSave: 1},
		},
		{
			// Leases that hardly last, and answers from terms long gone.
			Name: "lossy", Voters: 3, Network: lossy, Storm: gale,
			SaveMax: 10 * ms, DriftPPM: 1_000, Every: 300 * ms,
			Weights: map[Fault]int{Isolation: 4, Pause: 2, OneWayCut: 4, SlowLink: 4},
		},
	}
}

// draw chooses the next fault.
func (m *Mix) draw(random *rand.Rand) Fault {
	total := 0
	for _, f := range Faults() {
		total += m.Weights[f]
	}
	left := random.IntN(total)
	for _, f := range Faults() {
		if left -= m.Weights[f]; left < 0 {
			return f
		}
	}
	return Crash // Not reached.
}

// config draws a world.
func (m *Mix) config(seed uint64) Config {
	random := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{
		Seed:     seed,
		Voters:   3 + random.IntN(m.Voters-2),
		Spares:   m.Spares,
		Network:  m.Network,
		SaveMin:  10 * us,
		SaveMax:  m.SaveMax,
		DriftPPM: m.DriftPPM,
	}
	if m.Witnesses {
		cfg.Witnesses = (cfg.Voters - 1) / 2
	}
	cfg.Configure = func(_ int, c *raft.Config) {
		if m.Uneven {
			c.ElectionTimeoutMin = time.Duration(2+random.IntN(3)) * 60 * ms
			c.ElectionTimeoutMax = 2 * c.ElectionTimeoutMin
			c.HeartbeatInterval = c.ElectionTimeoutMin / 3
		}
		if m.Narrow {
			c.ElectionTimeoutMax = c.ElectionTimeoutMin + c.ElectionTimeoutMin/10
		}
	}
	return cfg
}
