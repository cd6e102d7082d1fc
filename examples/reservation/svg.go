package main

import (
	"fmt"
	"strings"
	"time"
)

// Sizes of the drawing, in pixels.
const (
	margin    = 110
	hourWidth = 180
	rowHeight = 26
)

// svg returns the timeline as a drawing.
func (t *timeline) svg() string {
	var b strings.Builder
	rows := t.rows()
	x := func(at time.Time) float64 { return margin + at.Sub(t.from).Hours()*hourWidth }
	width, height := x(t.to)+30, (len(rows)+2)*rowHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for hour := t.from; !hour.After(t.to); hour = hour.Add(time.Hour) {
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%d" y2="%d" stroke="#ccc"/>`+"\n", x(hour), x(hour), rowHeight, height-rowHeight)
		fmt.Fprintf(&b, `<text x="%g" y="%d" text-anchor="middle" fill="#666">%s</text>`+"\n", x(hour), rowHeight-8, clock(hour))
	}
	for i, row := range rows {
		y := (i + 1) * rowHeight
		fmt.Fprintf(&b, `<text x="8" y="%d">%s  %s</text>`+"\n", y+17, row[0].node, row[0].label)
		for _, bar := range row {
			fmt.Fprintf(&b, `<rect x="%g" y="%d" width="%g" height="%d" rx="3" fill="%s"><title>%s %s to %s</title></rect>`+"\n",
				x(bar.from), y+4, x(bar.to)-x(bar.from), rowHeight-8, []string{"#bcd6f5", "#3d7cc9", "#d9822b"}[bar.kind],
				bar.label, clock(bar.from), clock(bar.to))
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#666">light: held, dark: running, orange: overstayed</text>`+"\n</svg>\n", margin, height-8)
	return b.String()
}
