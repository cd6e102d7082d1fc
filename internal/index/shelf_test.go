package index

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShelvesHoldEveryClass: after thousands of decisions of ever new shapes, a shelf
// has each class of its profile once for each of its offers, in order, a state counts
// its classes, and classes without nodes were forgotten.
func TestShelvesHoldEveryClass(t *testing.T) {
	const nodes = 1000
	f := newFragmented(nodes)
	for range 4000 {
		if f.place("distinct") {
			f.release()
		}
	}
	fr := &f.x.fragmentation
	shelves, states := make([]shelf, len(fr.shelves)), make(map[int32]int)
	for _, number := range fr.classes.numbers {
		class := fr.classes.all[number]
		states[class.state]++
		for _, offer := range fr.offers(&fr.states.all[class.state]) {
			shelves[class.profile] = append(shelves[class.profile], shelved(offer, number))
		}
	}
	for profile := range shelves {
		slices.Sort(shelves[profile])
		require.Equal(t, len(shelves[profile]), len(fr.shelves[profile]))
		for i, entry := range shelves[profile] {
			require.Equal(t, entry, fr.shelves[profile][i])
		}
	}
	require.Len(t, states, len(fr.states.numbers))
	for state, classes := range states {
		require.Equal(t, classes, fr.states.all[state].classes)
	}
	require.Greater(t, len(fr.classes.numbers), 200)
	require.Less(t, len(fr.classes.numbers), nodes)
}

// TestSmallClustersHaveNoClasses: where every node is looked at, nothing is remembered
// of what they once were.
func TestSmallClustersHaveNoClasses(t *testing.T) {
	f := newFragmented(50)
	for range 500 {
		if f.place("distinct") {
			f.release()
		}
	}
	require.Empty(t, f.x.fragmentation.states.all)
	require.Empty(t, f.x.fragmentation.classes.all)
}

// TestBoundsGrowAlongARun: what is searched from the front is in order. The bound of
// the gradient is what ΔF is where all kinds run as before.
func TestBoundsGrowAlongARun(t *testing.T) {
	f := newFragmented(100)
	fr := f.x.readyFragmentation()
	for profile := range fr.profiles.all {
		for gpu := int64(1); gpu < 1000; gpu += 31 {
			for offer := gpu; offer < 1000; {
				end := fr.runEnd(gpu, offer)
				require.Greater(t, end, offer)
				before := fr.bound(gpu, fr.losses(gpu, offer), int32(profile))
				for ; offer < end; offer++ {
					bound := fr.bound(gpu, fr.losses(gpu, offer), int32(profile))
					require.LessOrEqual(t, before, bound)
					before = bound
					s := &fr.states.all[fr.state([]uint16{uint16(offer)})]
					lost := fr.lost(s, int32(profile))
					require.Equal(t, fr.lost(fr.stateAfter(s, gpu), int32(profile))-lost, bound)
				}
			}
		}
	}
}

// TestFewClassesAreLookedAt: of the classes, of which ever new shapes make hundreds, a
// decision looks at a part, and at none for a request without GPUs where some node
// loses nothing.
func TestFewClassesAreLookedAt(t *testing.T) {
	f := newFragmented(1000)
	for range 4000 {
		if f.place("distinct") {
			f.release()
		}
	}
	const decisions = 1000
	looked, without := uint64(0), uint64(0)
	for range decisions {
		before := f.x.Stats().Measured
		require.True(t, f.place("distinct"))
		measured := f.x.Stats().Measured - before
		if f.placed[len(f.placed)-1].amounts.GPU == 0 {
			without += measured
		} else {
			looked += measured
		}
		f.release()
	}
	classes := uint64(len(f.x.fragmentation.classes.numbers))
	t.Logf("of %d classes %d were looked at", classes, looked/decisions)
	require.Greater(t, classes, uint64(200))
	require.Less(t, looked/decisions, classes/4)
	require.Zero(t, without)
}
