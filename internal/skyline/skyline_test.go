package skyline

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
	peak := level(all, from)
	for _, i := range all {
		if from < i.from && i.from < to {
			peak = max(peak, level(all, i.from))
		}
	}
	return peak
}

func level(all []interval, at int64) (sum int64) {
	for _, i := range all {
		if i.from <= at && at < i.to {
			sum += i.amount
		}
	}
	return sum
}

// scanFirst looks at every instant.
func scanFirst(all []interval, from, to int64, pred func(level int64) bool) (int64, bool) {
	for at := from; at < to; at++ {
		if pred(level(all, at)) {
			return at, true
		}
	}
	return 0, false
}

func skylineMatchesScan(t *rapid.T) {
	var (
		line Skyline
		all  []interval
		when = rapid.Int64Range(0, 30)
	)
	for range rapid.IntRange(1, 60).Draw(t, "calls") {
		if len(all) > 0 && rapid.Bool().Draw(t, "take off") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
			line.Add(all[i].from, all[i].to, -all[i].amount)
			all = append(all[:i], all[i+1:]...)
		} else {
			i := interval{from: when.Draw(t, "from"), amount: rapid.Int64Range(1, 9).Draw(t, "amount")}
			i.to = i.from + rapid.Int64Range(1, 15).Draw(t, "length")
			if rapid.IntRange(0, 4).Draw(t, "for ever") == 0 {
				i.to = Forever
			}
			line.Add(i.from, i.to, i.amount)
			all = append(all, i)
		}
		from := when.Draw(t, "peak from")
		to := from + rapid.Int64Range(1, 40).Draw(t, "peak length")
		require.Equal(t, scanPeak(all, from, to), line.Peak(from, to))
		require.Equal(t, scanPeak(all, from, Forever), line.Peak(from, Forever))
		require.Equal(t, scanPeak(all, -1, Forever), line.Highest())
		amount := rapid.Int64Range(-1, 20).Draw(t, "amount")
		at, ok := line.FirstAbove(from, to, amount)
		wantAt, wantOK := scanFirst(all, from, to, func(level int64) bool { return level > amount })
		require.Equal(t, wantOK, ok)
		if ok {
			require.Equal(t, wantAt, at)
		}
		at, ok = line.LastAbove(amount)
		wantOK = false
		for step := range line.Steps(-Forever) {
			if level(all, step) > amount {
				wantAt, wantOK = step, true
			}
		}
		require.Equal(t, wantOK, ok)
		if ok {
			require.Equal(t, wantAt, at)
		}
		at, ok = line.FirstAtMost(from, amount)
		wantAt, wantOK = scanFirst(all, from, 200, func(level int64) bool { return level <= amount })
		require.Equal(t, wantOK, ok)
		if ok {
			require.Equal(t, wantAt, at)
		}

		var again Skyline
		for _, i := range all {
			again.Add(i.from, i.to, i.amount)
		}
		require.Equal(t, again.root, line.root, "the tree depends on its steps only")
		_, differs := line.FirstDifference(&again)
		require.False(t, differs)
		again.Change(from, 1)
		at, differs = line.FirstDifference(&again)
		require.True(t, differs)
		require.Equal(t, from, at)
	}
	for _, i := range all {
		line.Add(i.from, i.to, -i.amount)
	}
	require.Nil(t, line.root)
}

func TestSkylineMatchesScan(t *testing.T) { rapid.Check(t, skylineMatchesScan) }

func FuzzSkyline(f *testing.F) { f.Fuzz(rapid.MakeFuzz(skylineMatchesScan)) }

func TestSkylineSteps(t *testing.T) {
	var line Skyline
	line.Add(0, 10, 4)
	line.Add(10, 20, 2)
	line.Add(15, 30, 3)
	line.Add(20, 25, 2) // meets the end of the second: no step at 20
	require.Equal(t, map[int64]int64{0: 4, 10: -2, 15: 3, 25: -2, 30: -3}, maps.Collect(line.Steps(-1)))
	require.Equal(t, map[int64]int64{25: -2, 30: -3}, maps.Collect(line.Steps(15)))
	for at := range line.Steps(0) {
		require.EqualValues(t, 10, at)
		break
	}
}

func TestSkylineIsShallow(t *testing.T) {
	var line Skyline
	for i := range int64(10_000) {
		line.Add(i, i+100, 1)
	}
	var depth func(s *breakpoint) int
	depth = func(s *breakpoint) int {
		if s == nil {
			return 0
		}
		return 1 + max(depth(s.left), depth(s.right))
	}
	require.Less(t, depth(line.root), 60, "three to four times the logarithm is usual for a treap")
}

// TestSkylineLooksAtFewSteps: a call looks at a number of steps that grows with
// the logarithm of all.
func TestSkylineLooksAtFewSteps(t *testing.T) {
	visited := 0
	line := Skyline{Visited: &visited}
	for i := range int64(10_000) {
		line.Add(2*i, 2*i+1, 1+i%7)
	}
	calls := map[string]func(){
		"add":           func() { line.Add(7777, 8888, 1) },
		"take off":      func() { line.Add(7777, 8888, -1) },
		"peak":          func() { line.Peak(3333, 17_777) },
		"first above":   func() { line.FirstAbove(1, Forever, 7) },
		"first at most": func() { line.FirstAtMost(2, 0) },
		"last above":    func() { line.LastAbove(3) },
	}
	for name, call := range calls {
		before := visited
		call()
		require.Less(t, visited-before, 200, name)
	}
}

// TestSkylineBelowZero: what goes away and was never put on is missing.
func TestSkylineBelowZero(t *testing.T) {
	var line Skyline
	line.Change(10, -4)
	require.EqualValues(t, 0, line.Peak(0, Forever))
	require.EqualValues(t, -4, line.Peak(10, Forever))
	require.EqualValues(t, -4, line.Lowest())
	line.Change(10, 4)
	require.True(t, line.IsFlat())
}

// TestClonesOfASkylineAreItsOwn: whatever is done to one and to its clones, each is what
// a skyline of its own would be.
func TestClonesOfASkylineAreItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines, models := make([]Skyline, 1), make([][]interval, 1)
		for range rapid.IntRange(1, 40).Draw(t, "calls") {
			i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
			if rapid.IntRange(0, 4).Draw(t, "clone") == 0 {
				lines, models = append(lines, lines[i].Clone()), append(models, append([]interval(nil), models[i]...))
			}
			from := rapid.Int64Range(0, 20).Draw(t, "from")
			added := interval{from, from + rapid.Int64Range(1, 9).Draw(t, "length"), rapid.Int64Range(-3, 3).Draw(t, "amount")}
			lines[i].Add(added.from, added.to, added.amount)
			models[i] = append(models[i], added)
			for j := range lines {
				var want Skyline
				for _, of := range models[j] {
					want.Add(of.from, of.to, of.amount)
				}
				at, differs := lines[j].FirstDifference(&want)
				require.False(t, differs, "line %d at %d", j, at)
				require.Equal(t, want.Peak(-1, Forever), lines[j].Peak(-1, Forever))
				require.Equal(t, want.Lowest(), lines[j].Lowest())
			}
		}
	})
}

// TestACloneCopiesTheWayOfAChange: and nothing of it twice.
func TestACloneCopiesTheWayOfAChange(t *testing.T) {
	var line Skyline
	for i := range int64(10_000) {
		line.Add(2*i, 2*i+1, 1)
	}
	change := func() { line.Change(7777, 1) }
	require.Less(t, testing.AllocsPerRun(10, func() {
		line.Clone()
		change()
	}), 80.0)
	change()
	require.LessOrEqual(t, testing.AllocsPerRun(10, change), 1.0)
}
