package cow

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestClonesShareNothingThatIsSeen: whatever is done to a map and to its clones, each
// is what a map of its own would be.
func TestClonesShareNothingThatIsSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, models := make([]Map[int], 1), []map[string]int{{}}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "map")
			for step := range rapid.IntRange(0, 150).Draw(t, "steps") {
				key := fmt.Sprint(rapid.IntRange(0, 200).Draw(t, "key"))
				if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
					all[i].Delete(key)
					delete(models[i], key)
				} else {
					all[i].Set(key, step)
					models[i][key] = step
				}
			}
			all, models = append(all, all[i].Clone()), append(models, maps.Clone(models[i]))
			for j := range all {
				require.Equal(t, len(models[j]), all[j].Len())
				require.Equal(t, models[j], maps.Collect(all[j].All()))
				for key := range 201 {
					want, known := models[j][fmt.Sprint(key)]
					got, ok := all[j].Get(fmt.Sprint(key))
					require.Equal(t, known, ok)
					require.Equal(t, want, got)
				}
			}
		}
	})
}

func TestClonedLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, models := make([]List[int], 1), [][]int{nil}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "list")
			for step := range rapid.IntRange(0, 2*listPage).Draw(t, "steps") {
				all[i].Append(step)
				models[i] = append(models[i], step)
				at := rapid.IntRange(0, len(models[i])-1).Draw(t, "at")
				all[i].Set(at, -step)
				models[i][at] = -step
			}
			all, models = append(all, all[i].Clone()), append(models, append([]int(nil), models[i]...))
			for j := range all {
				require.Equal(t, len(models[j]), all[j].Len())
				for at, item := range all[j].All() {
					require.Equal(t, models[j][at], item)
					require.Equal(t, item, all[j].At(at))
				}
			}
		}
	})
}

// TestACloneCopiesWhatIsTouched: a change after a clone copies the page that it is on,
// once.
func TestACloneCopiesWhatIsTouched(t *testing.T) {
	var m Map[int]
	for i := range 10_000 {
		m.Set(fmt.Sprint(i), i)
	}
	c := m.Clone()
	own := func() int { // pages of the clone that it does not share
		copied := make(map[*entryPage[int]]bool)
		for i := range c.pages {
			if m.pages[i] != c.pages[i] {
				copied[c.pages[i]] = true
			}
		}
		return len(copied)
	}
	require.Zero(t, own())
	require.Less(t, len(m.pages), 10_000/4, "pages are well filled")
	for range 3 {
		c.Set("17", -17)
	}
	require.Equal(t, 1, own())
	require.Equal(t, 17, m.At("17"))
	m.Set("18", -18)
	require.Equal(t, 18, c.At("18"))
}
