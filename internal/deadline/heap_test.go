package deadline

import (
	"cmp"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type alarm struct {
	Place
	due, id int
}

func (a *alarm) Before(other *alarm) bool {
	return cmp.Or(cmp.Compare(a.due, other.due), cmp.Compare(a.id, other.id)) < 0
}

// TestHeapIsASortedList: whatever is set, moved and removed, the heap gives
// what a sorted list would, in a number of comparisons that grows with the
// logarithm of the items.
func TestHeapIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[*alarm]
		var list []*alarm // the model
		alarms := make([]*alarm, 20)
		for i := range alarms {
			alarms[i] = &alarm{id: i}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			a := alarms[rapid.IntRange(0, len(alarms)-1).Draw(t, "alarm")]
			list = slices.DeleteFunc(list, func(other *alarm) bool { return other == a })
			before := h.Compared
			if rapid.Bool().Draw(t, "remove") {
				h.Remove(a)
			} else {
				a.due = rapid.IntRange(0, 9).Draw(t, "due")
				h.Set(a)
				list = append(list, a)
			}
			require.LessOrEqual(t, h.Compared-before, 3*bits.Len(uint(len(list)+1)))
			slices.SortFunc(list, func(x, y *alarm) int { return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.id, y.id)) })
			require.Equal(t, len(list), h.Len())
			first, ok := h.First()
			require.Equal(t, len(list) > 0, ok)
			if ok {
				require.Same(t, list[0], first)
			}
		}
		for _, want := range list {
			first, _ := h.First()
			require.Same(t, want, first)
			h.Remove(first)
			h.Remove(first) // it is out
		}
		require.Zero(t, h.Len())
		for _, item := range h.items[:cap(h.items)] {
			require.Nil(t, item, "what was taken out is not kept alive")
		}
	})
}
