package debugpage

import (
	"html/template"
	"strings"
	"sync"
)

// row is a line of a list. It does not change: a line that does gets another row.
type row struct {
	key   string
	stamp uint64 // the version of the state in which it was first so
	value any    // what the template of its list shows

	render sync.Once
	html   template.HTML
}

// list is what a part of the page lists, in its order.
type list struct {
	template string // of a row
	rows     []*row
	order    uint64 // the version of the state in which rows last came, went or moved
}

// next is the list in another version of the state: of as many rows, with the keys and
// values that they have. A row is kept where it is the same, with what was made of it.
func (l list) next(version uint64, count int, key func(int) string, value func(int) any, same func(old any, i int) bool) list {
	next := list{template: l.template, rows: make([]*row, count), order: l.order}
	var byKey map[string]*row // of the rows before, once they are not all in their places
	for i := range next.rows {
		k := key(i)
		var before *row
		switch {
		case byKey != nil:
			before = byKey[k]
		case i < len(l.rows) && l.rows[i].key == k:
			before = l.rows[i]
		default:
			byKey = make(map[string]*row, len(l.rows))
			for _, r := range l.rows {
				byKey[r.key] = r
			}
			before = byKey[k]
		}
		if before != nil && same(before.value, i) {
			next.rows[i] = before
		} else {
			next.rows[i] = &row{key: k, stamp: version, value: value(i)}
		}
	}
	if byKey != nil || count != len(l.rows) {
		next.order = version
	}
	return next
}

// show is the row as HTML. It is made once for all viewers.
func (p *Page) show(name string, r *row) template.HTML {
	r.render.Do(func() {
		var text strings.Builder
		if err := p.page.ExecuteTemplate(&text, name, r.value); err != nil {
			text.Reset()
			text.WriteString("<tr><td>" + template.HTMLEscapeString(err.Error()) + "</td></tr>")
		}
		r.html = template.HTML(text.String()) //nolint:gosec // a template has escaped it
	})
	return r.html
}

// chosen are the rows of a list that a viewer sees, and how many more there are.
func (l list) chosen(filter string, text func(value any) []string) (rows []*row, more int) {
	if filter == "" {
		return l.rows[:min(len(l.rows), maxRows)], max(0, len(l.rows)-maxRows)
	}
	for _, r := range l.rows {
		switch {
		case !matches(filter, text(r.value)...):
		case len(rows) < maxRows:
			rows = append(rows, r)
		default:
			more++
		}
	}
	return rows, more
}
