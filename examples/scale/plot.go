package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// writePlot draws the cost of a decision against the number of nodes, both
// axes logarithmic, to an .svg or .png file.
func writePlot(path string, costs []cost) error {
	p := plot.New()
	p.Title.Text = "Cost of a decision"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = "nodes", "µs, median"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(10), vg.Points(-10)
	p.Add(plotter.NewGrid())
	err := plotutil.AddLinePoints(p,
		"scan of all nodes", points(costs, func(c cost) time.Duration { return c.scan }),
		"scheduler", points(costs, func(c cost) time.Duration { return c.indexed }))
	if err != nil {
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

func points(costs []cost, of func(cost) time.Duration) plotter.XYs {
	var xys plotter.XYs
	for _, c := range costs {
		xys = append(xys, plotter.XY{X: float64(c.nodes), Y: microseconds(of(c))})
	}
	return xys
}
