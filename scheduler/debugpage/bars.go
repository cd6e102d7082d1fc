package debugpage

import (
	"fmt"
	"html/template"
	"strconv"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

// bar is an amount of which something is used, in hundredths.
type bar struct {
	Name       placement.ResourceName
	Used, Held int64
	Short      string
	Text       string // the same in words
	Note       string
	Over       bool // more is used than may be
}

// bars are the dimensions that a node gives.
func bars(n scheduler.NodeInfo) []bar {
	var all []bar
	for name, total := range n.Total.All() {
		if total == 0 {
			continue
		}
		used, held := n.Allocated.Amount(name), n.Held.Amount(name)
		all = append(all, bar{
			Name: name, Used: percent(used, total), Held: min(percent(held, total), 100-percent(used, total)),
			Short: placement.FormatQuantity(name, used) + "/" + placement.FormatQuantity(name, total),
			Text: fmt.Sprintf("%s: %s used, %s held, of %s", name, placement.FormatQuantity(name, used),
				placement.FormatQuantity(name, held), placement.FormatQuantity(name, total)),
		})
	}
	return all
}

// usageBar is a limit of a namespace. What is used above Soft stands apart.
func usageBar(u quota.Usage) bar {
	used, soft, ceiling := u.Used, u.Soft, u.Ceiling
	amount := func(a int64) string { return placement.FormatQuantity(u.Resource, a) }
	b := bar{Name: u.Resource, Over: u.Over(), Short: amount(used) + "/" + amount(soft)}
	whole := max(ceiling, used, 1)
	b.Used = percent(min(used, soft), whole)
	b.Held = percent(used, whole) - b.Used
	b.Text = fmt.Sprintf("%s: %s used of %s", u.Resource, amount(used), amount(soft))
	if ceiling > soft {
		b.Text += ", in a burst " + amount(ceiling)
	}
	switch {
	case u.Expired:
		b.Note = "burst over since " + clock(u.BurstEnd)
	case u.Bursting() && !u.BurstEnd.IsZero():
		b.Note = "bursts until " + clock(u.BurstEnd)
	case u.Bursting():
		b.Note = "bursts since " + clock(u.Since)
	case u.Over():
		b.Note = "over its limit"
	}
	return b
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// functions are what the templates call.
func functions(cfg Config) template.FuncMap {
	return template.FuncMap{
		"amount":  placement.FormatQuantity,
		"bars":    bars,
		"usage":   usageBar,
		"change":  changeText,
		"labels":  labelTexts,
		"when":    clock,
		"round":   func(d time.Duration) time.Duration { return d.Round(time.Millisecond) },
		"changes": func() bool { return cfg.Changes },
		"prefix":  func() string { return cfg.Prefix },
		"depth":   func(depth int) int { return min(depth, 7) },
		"device":  func(free int64) string { return placement.FormatQuantity(placement.NameGPU, max(0, free)) },
		"working": func(n scheduler.NodeInfo, device int) bool { return n.Devices.Works(device) },
		"share":   func(part, of int64) string { return strconv.FormatInt(percent(part, of), 10) + " %" },
		"unit":    func(value int64) string { return strconv.FormatInt(percent(value, placement.Unit), 10) + " %" },
	}
}
