package main

import (
	"bytes"
	"image/color"
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

// writePlot draws the allocation over the arrived load, one line for each
// strategy, to an .svg or .png file.
func writePlot(path string, load placement.ResourceName, summaries []summary) error {
	p := plot.New()
	dimension := strings.ToUpper(string(load)) + " capacity"
	p.Title.Text = "Allocation while work arrives"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = "arrived, % of the cluster's " + dimension
	p.Y.Label.Text = "allocated, % of the cluster's " + dimension
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, 105
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(tens), plot.TickerFunc(tens)
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
			return err
		}
	}
	all := plotter.XYs{{}, {X: 100, Y: 100}}
	if err := addLine(p, "everything placed", all, draw.LineStyle{Color: color.Gray{Y: 120}, Width: vg.Points(0.5)}); err != nil {
		return err
	}

	format := strings.TrimPrefix(filepath.Ext(path), ".")
	picture, err := p.WriterTo(24*vg.Centimeter, 16*vg.Centimeter, format)
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	if _, err := picture.WriteTo(&encoded); err != nil {
		return err
	}
	return os.WriteFile(path, encoded.Bytes(), 0o644)
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
			xys = append(xys, plotter.XY{X: float64(percent), Y: m.value().amount(load)})
		}
	}
	return xys
}

// tens marks every tenth per cent and names every second of them.
func tens(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for percent := 0; float64(percent) <= high; percent += 10 {
		if float64(percent) < low {
			continue
		}
		tick := plot.Tick{Value: float64(percent)}
		if percent%20 == 0 {
			tick.Label = strconv.Itoa(percent)
		}
		ticks = append(ticks, tick)
	}
	return ticks
}
