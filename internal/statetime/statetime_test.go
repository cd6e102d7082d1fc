package statetime_test

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/internal/statetime"
)

// start is a reading of a real clock, so that readings made from it have a
// monotonic part.
var start = time.Now() //nolint:gochecknoglobals // A reading cannot be a constant, and all steps share it.

// reading returns what a clock shows that has run for so long, and was set
// forward by so much.
func reading(ran, set time.Duration) time.Time {
	t := start.Add(ran + set)
	// package time has no way to set a clock. The second word of a Time with a
	// monotonic part is that part.
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).ext -= int64(set)
	return t
}

func TestReadingsOfTheTests(t *testing.T) {
	a, b := reading(time.Second, time.Hour), reading(3*time.Second, -time.Hour)
	require.Equal(t, 2*time.Second, b.Sub(a), "monotonic")
	require.Equal(t, 2*time.Second-2*time.Hour, b.Round(0).Sub(a.Round(0)), "wall clock")
}

// step is one reading of a host's clock, and by how much state time is then
// later than it was at the first.
type step struct {
	ran, set, want time.Duration
}

func TestSteps(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	tests := []struct {
		name string
		wall bool // the steps are the same for readings that have no monotonic part
		do   []step
	}{
		{"a clock that goes as it should", true, []step{{0, 0, 0}, {s, 0, s}, {h, 0, h}}},
		{"set forward", true, []step{{0, 0, 0}, {s, h, h + s}, {2 * s, h, h + 2*s}}},
		{"set back by an hour: half pace for two hours", true, []step{
			{0, 0, 0}, {0, -h, 0}, {2 * s, -h, s}, {h, -h, h / 2}, {2 * h, -h, h}, {2*h + 2*s, -h, h + 2*s},
		}},
		{"set back while nobody looked", false, []step{{0, 0, 0}, {10 * m, -h, 5 * m}, {2 * h, -h, h}, {3 * h, -h, 2 * h}}},
		{"set back twice", false, []step{{0, 0, 0}, {0, -h, 0}, {40 * m, -h - 30*m, 20 * m}, {3 * h, -h - 30*m, 90 * m}}},
		{"wrong for a while", true, []step{{0, 0, 0}, {s, h, h + s}, {s, 0, h + s}, {11 * s, 0, h + 6*s}, {3 * h, 0, 3 * h}}},
		{"many looks cost nothing", true, []step{{0, 0, 0}, {0, -h, 0}, {1, -h, 0}, {2, -h, 1}, {3, -h, 1}, {4, -h, 2}}},
		{"late readings change nothing", true, []step{{0, 0, 0}, {2 * s, 0, 2 * s}, {s, 0, 2 * s}, {3 * s, 0, 3 * s}}},
	}
	for _, tt := range tests {
		for _, strip := range []bool{false, true} {
			if strip && !tt.wall {
				continue
			}
			t.Run(tt.name+map[bool]string{false: "", true: ", wall clock alone"}[strip], func(t *testing.T) {
				var c statetime.Clock
				for _, step := range tt.do {
					r := reading(step.ran, step.set)
					if strip {
						r = r.Round(0)
					}
					require.Equal(t, start.Add(step.want).Round(0).UTC(), c.Advance(r), "after %s", step.ran)
					require.Equal(t, c.Now(), c.Advance(r), "the same reading again")
				}
			})
		}
	}
}

// TestOnlyTheStateGoesOn: a state that was kept goes on from its own time,
// whatever the clock of its new host shows.
func TestOnlyTheStateGoesOn(t *testing.T) {
	for _, strip := range []bool{false, true} {
		of := func(ran, set time.Duration) time.Time {
			if strip {
				return reading(ran, set).Round(0)
			}
			return reading(ran, set)
		}
		c := statetime.At(start)
		require.Equal(t, start.Round(0).UTC(), c.Now())
		require.Equal(t, c.Now(), c.Advance(of(0, -time.Hour)), "a host that is an hour behind")
		require.Equal(t, start.Add(time.Minute).Round(0).UTC(), c.Advance(of(2*time.Minute, -time.Hour)))
		require.Equal(t, start.Add(time.Hour).Round(0).UTC(), c.Advance(of(2*time.Hour, -time.Hour)))

		c = statetime.At(start)
		require.Equal(t, start.Add(time.Hour).Round(0).UTC(), c.Advance(of(0, time.Hour)), "one that is ahead")
	}
}

// TestClockThatShowsTheZeroTime: the zero time is a time like any other.
func TestClockThatShowsTheZeroTime(t *testing.T) {
	var c statetime.Clock
	require.Equal(t, time.Time{}, c.Advance(time.Time{}))
	require.Equal(t, time.Time{}.Add(time.Second), c.Advance(time.Time{}.Add(time.Second)))
	require.Equal(t, start.Round(0).UTC(), c.Advance(start), "292 years are more than a Duration")
}

func TestAdvanceAllocatesNothing(t *testing.T) {
	var c statetime.Clock
	r := reading(0, 0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r = r.Add(time.Second)
		c.Advance(r)
	}))
}

// model says in the words of the rule what state time is: every reading starts
// a count at its wall clock that goes at half pace, as the state does where it
// begins, and the furthest count is the time.
type model struct {
	now    time.Time
	counts []time.Time // where each would have been at reading(0, 0)
}

func (m *model) advance(next step) time.Time {
	if len(m.counts) == 0 {
		m.counts = append(m.counts, m.now.Add(-next.ran/2))
	}
	m.counts = append(m.counts, start.Add(next.set+next.ran-next.ran/2))
	for _, count := range m.counts {
		if at := count.Add(next.ran / 2); at.After(m.now) {
			m.now = at
		}
	}
	return m.now.Round(0).UTC()
}

// drawSteps draws readings of a clock that is set now and then, handed over in
// any order.
func drawSteps(t *rapid.T) []step {
	var steps []step
	var ran, set int64
	for range rapid.IntRange(1, 20).Draw(t, "readings") {
		ran += rapid.Int64Range(0, 500).Draw(t, "ran")
		if rapid.IntRange(0, 3).Draw(t, "is set") == 0 {
			set += rapid.Int64Range(-1000, 1000).Draw(t, "by")
		}
		// An even number of nanoseconds, so that halves are whole.
		steps = append(steps, step{ran: time.Duration(ran) * time.Microsecond, set: time.Duration(set) * time.Microsecond})
	}
	for range rapid.IntRange(0, 4).Draw(t, "late readings") {
		i := rapid.IntRange(0, len(steps)-1).Draw(t, "late")
		late := steps[i]
		to := rapid.IntRange(i, len(steps)-1).Draw(t, "to")
		steps = slices.Insert(slices.Delete(steps, i, i+1), to, late)
	}
	return steps
}

// TestStateTimeIsTheFurthestCount: with monotonic readings, in whatever order
// they are handed over, state time is what the rule says.
func TestStateTimeIsTheFurthestCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{now: start.Add(time.Duration(rapid.Int64Range(-2000, 2000).Draw(t, "began")) * time.Microsecond)}
		c := statetime.At(m.now)
		for _, next := range drawSteps(t) {
			require.Equal(t, m.advance(next), c.Advance(reading(next.ran, next.set)))
		}
	})
}

// TestWallClockAlone: without monotonic readings state time never decreases and
// is never behind the wall clock, and both agree again once the wall clock is
// as far beyond state time as that has ever been beyond the wall clock.
func TestWallClockAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c statetime.Clock
		var before, earliest time.Time
		for i, next := range drawSteps(t) {
			r := reading(next.ran, next.set).Round(0).UTC()
			got := c.Advance(r)
			require.False(t, got.Before(before), "it decreases")
			require.False(t, got.Before(r), "it is behind the wall clock")
			before = got
			if i == 0 || r.Before(earliest) {
				earliest = r
			}
		}
		agreed := before.Add(before.Sub(earliest))
		require.Equal(t, agreed, c.Advance(agreed))
	})
}

// TestDisorderDrivesNothingAway: readings without a monotonic part that come in
// disorder, as from several goroutines, keep state time within their disorder.
func TestDisorderDrivesNothingAway(t *testing.T) {
	const window = 8
	var c statetime.Clock
	for batch := range 1000 {
		for i := range window {
			k := i / 2
			if i%2 == 0 {
				k = window - 1 - k
			}
			at := start.Round(0).UTC().Add(time.Duration(batch*window+k) * time.Millisecond)
			require.Less(t, c.Advance(at).Sub(at), 2*window*time.Millisecond)
		}
	}
}
