package reservation

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type interval struct{ from, to, amount int64 }

// scanPeak is the peak by the definition: the sum at every instant at which
// something begins.
func scanPeak(all []interval, from, to int64) int64 {
	level := func(at int64) (sum int64) {
		for _, i := range all {
			if i.from <= at && at < i.to {
				sum += i.amount
			}
		}
		return sum
	}
	peak := level(from)
	for _, i := range all {
		if from < i.from && i.from < to {
			peak = max(peak, level(i.from))
		}
	}
	return peak
}

func skylineMatchesScan(t *rapid.T) {
	var (
		line skyline
		all  []interval
		when = rapid.Int64Range(0, 30)
	)
	for range rapid.IntRange(1, 60).Draw(t, "calls") {
		if len(all) > 0 && rapid.Bool().Draw(t, "take off") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
			line.add(all[i].from, all[i].to, -all[i].amount)
			all = append(all[:i], all[i+1:]...)
		} else {
			i := interval{from: when.Draw(t, "from"), amount: rapid.Int64Range(1, 9).Draw(t, "amount")}
			i.to = i.from + rapid.Int64Range(1, 15).Draw(t, "length")
			if rapid.IntRange(0, 4).Draw(t, "for ever") == 0 {
				i.to = forever
			}
			line.add(i.from, i.to, i.amount)
			all = append(all, i)
		}
		from := when.Draw(t, "peak from")
		to := from + rapid.Int64Range(1, 40).Draw(t, "peak length")
		require.Equal(t, scanPeak(all, from, to), line.peak(from, to))
		require.Equal(t, scanPeak(all, from, forever), line.peak(from, forever))
		require.Equal(t, scanPeak(all, -1, forever), line.highest())

		var again skyline
		for _, i := range all {
			again.add(i.from, i.to, i.amount)
		}
		require.Equal(t, again, line, "the tree depends on its steps only")
	}
	for _, i := range all {
		line.add(i.from, i.to, -i.amount)
	}
	require.Nil(t, line.root)
}

func TestSkylineMatchesScan(t *testing.T) { rapid.Check(t, skylineMatchesScan) }

func FuzzSkyline(f *testing.F) { f.Fuzz(rapid.MakeFuzz(skylineMatchesScan)) }

func TestSkylineSteps(t *testing.T) {
	var line skyline
	line.add(0, 10, 4)
	line.add(10, 20, 2)
	line.add(15, 30, 3)
	line.add(20, 25, 2) // meets the end of the second: no step at 20
	require.Equal(t, map[int64]int64{0: 4, 10: -2, 15: 3, 25: -2, 30: -3}, maps.Collect(line.steps(-1)))
	require.Equal(t, map[int64]int64{25: -2, 30: -3}, maps.Collect(line.steps(15)))
	for at := range line.steps(0) {
		require.EqualValues(t, 10, at)
		break
	}
}

func TestSkylineIsShallow(t *testing.T) {
	var line skyline
	for i := range int64(10_000) {
		line.add(i, i+100, 1)
	}
	var depth func(s *step) int
	depth = func(s *step) int {
		if s == nil {
			return 0
		}
		return 1 + max(depth(s.left), depth(s.right))
	}
	require.Less(t, depth(line.root), 60, "three to four times the logarithm is usual for a treap")
}
