package metrics

import (
	"time"

	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/transport"
)

// FamilyKind is how the values of a family are to be read.
type FamilyKind uint8

// The kinds.
const (
	// Gauge is a value that goes up and down.
	Gauge FamilyKind = iota + 1
	// Counter only grows, until the process starts again or, for what is counted by a
	// scheduler, another reign begins.
	Counter
	// Histogram counts values by their size.
	Histogram
)

// String returns the kind as OpenMetrics writes it.
func (k FamilyKind) String() string {
	switch k {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	case Histogram:
		return "histogram"
	default:
		return "unknown"
	}
}

// Family is a metric: the samples of one name.
type Family struct {
	// Name without the _total that samples of a Counter end in.
	Name string
	// Help says what it is, without a full stop.
	Help string
	Kind FamilyKind
	// Unit of the values, such as "seconds", which Name ends in; empty for a plain
	// number.
	Unit string
	// Labels are the names of the labels that each sample has.
	Labels []string
}

// Sample is one series at one instant.
type Sample struct {
	// Labels are the values for Family.Labels, in their order.
	Labels []string
	// Value, and of a Histogram the sum of what was counted.
	Value float64
	// Count and Buckets are those of a Histogram. Buckets are cumulative, and the last
	// ends before the greatest values.
	Count   uint64
	Buckets []Bucket
}

// Bucket counts values up to a bound.
type Bucket struct {
	Bound float64
	Count uint64
}

// Metric is a family with its samples.
type Metric struct {
	Family
	Samples []Sample
}

// family is one line of the table: a Family and where its samples are read.
type family struct {
	Family
	read func(l *look, emit func(value float64, labels ...string))
	hist func(l *look) (h scheduler.Histogram, scale float64, from, to int) // of a Histogram, which has no labels
}

// look is what the families of one scrape are read from.
type look struct {
	now        time.Time
	readable   error // why the state cannot be read
	stats      scheduler.Stats
	inventory  scheduler.Inventory
	nodes      []scheduler.NodeInfo
	quotas     []scheduler.QuotaInfo
	everything bool // no dimension is left out
	election   raft.Status
	transport  transport.Stats
}

// metric reads a family.
func (f *family) metric(l *look) Metric {
	m := Metric{Family: f.Family}
	if f.hist != nil {
		m.Samples = []Sample{f.histogram(l)}
		return m
	}
	f.read(l, func(value float64, labels ...string) {
		m.Samples = append(m.Samples, Sample{Labels: labels, Value: value})
	})
	return m
}

// histogram reads a Histogram. Counts before the bound from count with that.
func (f *family) histogram(l *look) Sample {
	h, scale, from, to := f.hist(l)
	s := Sample{Value: float64(h.Sum) * scale, Count: h.Total()}
	sum := uint64(0)
	for i := range to {
		sum += h.Counts[i]
		if i >= from {
			s.Buckets = append(s.Buckets, Bucket{Bound: float64(h.Bound(i)) * scale, Count: sum})
		}
	}
	return s
}
