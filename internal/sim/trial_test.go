package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func ExampleTrial() {
	t := Trial{Seed: 1, Mix: Mixes()[0], Faulty: 10 * time.Second}
	first, err := t.Run()
	fmt.Println(err)
	again, _ := t.Run()
	fmt.Println(first.Hash == again.Hash, first.Counts.Reigns > 1, first.Counts.Simulated)
	// Output:
	// <nil>
	// true true 19s
}

func TestFaultNames(t *testing.T) {
	names := make(map[string]bool)
	for _, f := range Faults() {
		require.NotEmpty(t, f.String())
		names[f.String()] = true
	}
	require.Len(t, names, faultKinds)
	require.Equal(t, "Fault(99)", Fault(99).String())
}

func TestMixesDrawWhatTheyWeigh(t *testing.T) {
	for _, m := range Mixes() {
		t.Run(m.Name, func(t *testing.T) {
			require.NoError(t, m.Network.Validate())
			require.NoError(t, m.Storm.Validate())
			w, err := New(m.config(1))
			require.NoError(t, err)
			drawn := make(map[Fault]int)
			for range 10_000 {
				drawn[m.draw(w.random)]++
			}
			require.Len(t, drawn, len(m.Weights))
		})
	}
}

func TestCountsAdd(t *testing.T) {
	one := Counts{
		Simulated: 1, Steps: 2, Messages: 3, Lost: 4, Duplicated: 5, Overtaken: 6, Delayed: 7,
		Saves: 8, SlowSaves: 9, StalledSaves: 10, FailedSaves: 11, CutOld: 12, CutNew: 13, Starts: 14, Reigns: 15, Overlaps: 17,
	}
	one.Faults[Pause] = 16
	sum := one
	sum.Add(one)
	twice := Counts{
		Simulated: 2, Steps: 4, Messages: 6, Lost: 8, Duplicated: 10, Overtaken: 12, Delayed: 14,
		Saves: 16, SlowSaves: 18, StalledSaves: 20, FailedSaves: 22, CutOld: 24, CutNew: 26, Starts: 28, Reigns: 30, Overlaps: 34,
	}
	twice.Faults[Pause] = 32
	require.Equal(t, twice, sum)
}

// BenchmarkTrial says how much faster than real time a trial of each mix runs.
func BenchmarkTrial(b *testing.B) {
	for _, m := range Mixes() {
		b.Run(m.Name, func(b *testing.B) {
			b.ReportAllocs()
			simulated := time.Duration(0)
			for seed := uint64(0); b.Loop(); seed++ {
				report, err := Trial{Seed: seed, Mix: m, Faulty: 20 * time.Second}.Run()
				if err != nil {
					b.Fatal(err)
				}
				simulated += report.Counts.Simulated
			}
			b.ReportMetric(simulated.Seconds()/b.Elapsed().Seconds(), "x-real-time")
		})
	}
}
