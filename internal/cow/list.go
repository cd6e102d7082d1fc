package cow

import "iter"

// listPage is how many items a page of a List has.
const listPage = 128

// List is a list that only grows at its end. The zero value is empty.
type List[T any] struct {
	pages []*itemPage[T]
	n     int
	owner *Owner
}

type itemPage[T any] struct {
	owner *Owner
	items [listPage]T
}

// Len returns the number of items.
func (l *List[T]) Len() int { return l.n }

// At returns an item, which must be there. It takes constant time.
func (l *List[T]) At(i int) T { return l.pages[uint(i)/listPage].items[uint(i)%listPage] }

// Set replaces an item, which must be there. It takes constant time.
func (l *List[T]) Set(i int, item T) { l.page(i / listPage).items[i%listPage] = item }

// Append adds an item at the end, in constant time but for what it takes to make room
// for another page.
func (l *List[T]) Append(item T) {
	if l.n == len(l.pages)*listPage {
		l.own()
		l.pages = append(l.pages, &itemPage[T]{owner: l.owner})
	}
	l.n++
	l.Set(l.n-1, item)
}

// All yields the items in their order.
func (l *List[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for p, page := range l.pages {
			for i := range min(listPage, l.n-p*listPage) {
				if !yield(p*listPage+i, page.items[i]) {
					return
				}
			}
		}
	}
}

// Clone returns a list of the same items, in time in proportion to the pages.
func (l *List[T]) Clone() List[T] {
	l.owner = nil // whose pages are shared from now on
	return List[T]{pages: append([]*itemPage[T](nil), l.pages...), n: l.n}
}

func (l *List[T]) own() {
	if l.owner == nil {
		l.owner = new(Owner)
	}
}

// page returns a page that may be changed.
func (l *List[T]) page(i int) *itemPage[T] {
	l.own()
	if p := l.pages[i]; p.owner != l.owner {
		copied := *p
		copied.owner = l.owner
		l.pages[i] = &copied
	}
	return l.pages[i]
}
