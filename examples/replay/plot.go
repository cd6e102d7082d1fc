package main

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/rads-project/constellation/placement"
)

// closeUp is the load from which a plot shows the strategies once more, near to where
// they differ, in per cent.
const closeUp = 80

// writePlot draws the allocation over the arrived load, one line for each strategy,
// to an .svg or .png file: all of it above, and from closeUp on below.
func writePlot(path string, load placement.ResourceName, summaries []summary) error {
	above, err := newPlot(load, summaries)
	if err != nil {
		return err
	}
	below, err := newPlot(load, summaries)
	if err != nil {
		return err
	}
	below.Title.Text = ""
	below.X.Min, below.Y.Min, below.Y.Max = closeUp, lowest(load, summaries), 101
	below.X.Tick.Marker, below.Y.Tick.Marker = every(5), every(2)
	below.Legend.Top, below.Legend.Left = false, false
	below.Legend.XOffs, below.Legend.YOffs = vg.Points(-10), vg.Points(10)

	const width, height = 24 * vg.Centimeter, 28 * vg.Centimeter
	canvas, err := draw.NewFormattedCanvas(width, height, strings.TrimPrefix(filepath.Ext(path), "."))
	if err != nil {
		return err
	}
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadY: vg.Points(12)}
	whole := draw.New(canvas)
	above.Draw(tiles.At(whole, 0, 0))
	below.Draw(tiles.At(whole, 0, 1))
	var encoded bytes.Buffer
	if _, err := canvas.WriteTo(&encoded); err != nil {
		return err
	}
	return os.WriteFile(path, encoded.Bytes(), 0o644)
}

// lowest returns a multiple of five that no strategy is below from closeUp on, in per
// cent.
func lowest(load placement.ResourceName, summaries []summary) float64 {
	least := float64(closeUp)
	for _, s := range summaries {
		for _, at := range points(s.curve, load) {
			if at.X >= closeUp {
				least = min(least, at.Y)
			}
		}
	}
	return 5 * math.Floor(least/5)
}

// newPlot draws all of the curves.
func newPlot(load placement.ResourceName, summaries []summary) (*plot.Plot, error) {
	p := plot.New()
	dimension := inWords(load) + " capacity"
	p.Title.Text = "Allocation while work arrives"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = "arrived, % of the cluster's " + dimension
	p.Y.Label.Text = "allocated, % of the cluster's " + dimension
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, 105
	p.X.Tick.Marker, p.Y.Tick.Marker = every(10), every(10)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(2)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(10), vg.Points(-10)
	p.Add(plotter.NewGrid())
	for i, s := range summaries {
		style := draw.LineStyle{
			Color: plotutil.Color(i), Dashes: plotutil.Dashes(i),
			Width: vg.Points(1 + 0.8*float64(len(summaries)-1-i)), // lines that coincide all show
		}
		if err := addLine(p, s.Strategy.String(), points(s.curve, load), style); err != nil {
			return nil, err
		}
	}
	all := plotter.XYs{{}, {X: 100, Y: 100}}
	return p, addLine(p, "everything placed", all, draw.LineStyle{Color: color.Gray{Y: 120}, Width: vg.Points(0.5)})
}

func addLine(p *plot.Plot, name string, xys plotter.XYs, style draw.LineStyle) error {
	line, err := plotter.NewLine(xys)
	if err != nil {
		return err
	}
	line.LineStyle = style
	p.Add(line)
	p.Legend.Add(name, line)
	return nil
}

func points(c curve, load placement.ResourceName) plotter.XYs {
	var xys plotter.XYs
	for percent, m := range c {
		if m.count > 0 {
			xys = append(xys, plotter.XY{X: float64(percent), Y: m.value()[load]})
		}
	}
	return xys
}

// every marks so many per cent after so many, and names every second mark.
func every(step int) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) []plot.Tick {
		var ticks []plot.Tick
		for percent := 0; float64(percent) <= high; percent += step {
			if float64(percent) < low {
				continue
			}
			tick := plot.Tick{Value: float64(percent)}
			if percent%(2*step) == 0 {
				tick.Label = strconv.Itoa(percent)
			}
			ticks = append(ticks, tick)
		}
		return ticks
	})
}
