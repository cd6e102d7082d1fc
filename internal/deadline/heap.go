package deadline

// Place is where in a Heap an item stands. What falls due embeds it; its zero
// value is outside of every heap. One Place serves one heap.
type Place struct{ index int } // from 1; 0 is outside

func (p *Place) at() *int { return &p.index }

// Item is what a Heap holds: a pointer to a struct that embeds a Place.
type Item[T any] interface {
	// Before reports whether an item comes before another. It must be a total
	// order, so that the same items always fall due in the same order.
	Before(other T) bool
	at() *int
}

// Heap holds items, the first on top. The zero value is empty.
type Heap[T Item[T]] struct {
	items []T
	// Compared counts comparisons of two items, so that tests can bound them.
	Compared int
}

// Len returns the number of items. O(1).
func (h *Heap[T]) Len() int { return len(h.items) }

// First returns the first item and leaves it where it is. It reports false if
// there is none. O(1).
func (h *Heap[T]) First() (first T, ok bool) {
	if len(h.items) == 0 {
		return first, false
	}
	return h.items[0], true
}

// Set adds an item, or moves it to where it belongs now if the heap has it
// already. O(log n).
func (h *Heap[T]) Set(item T) {
	at := item.at()
	if *at == 0 {
		h.items = append(h.items, item)
		*at = len(h.items)
	}
	h.settle(*at - 1)
}

// Remove takes an item out, if the heap has it. O(log n).
func (h *Heap[T]) Remove(item T) {
	at := item.at()
	if *at == 0 {
		return
	}
	i, last := *at-1, len(h.items)-1
	h.swap(i, last)
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	*at = 0
	if i < last {
		h.settle(i)
	}
}

// settle moves the item at i up or down to where it belongs.
func (h *Heap[T]) settle(i int) {
	for i > 0 && h.before(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if right := child + 1; right < len(h.items) && h.before(right, child) {
			child = right
		}
		if !h.before(child, i) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h *Heap[T]) before(i, j int) bool {
	h.Compared++
	return h.items[i].Before(h.items[j])
}

func (h *Heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.items[i].at(), *h.items[j].at() = i+1, j+1
}
