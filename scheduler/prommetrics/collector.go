package prommetrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rads-project/constellation/scheduler/metrics"
)

// collector implements prometheus.Collector.
type collector struct {
	set   *metrics.Set
	descs []*prometheus.Desc // of the families of the set, in their order
}

// New returns a collector of a set. It takes time in proportion to the families.
func New(set *metrics.Set) prometheus.Collector {
	c := &collector{set: set}
	for _, f := range set.Families() {
		name := f.Name
		if f.Kind == metrics.Counter {
			name += "_total"
		}
		c.descs = append(c.descs, prometheus.NewDesc(name, f.Help, f.Labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(collected chan<- prometheus.Metric) {
	for i, m := range c.set.Read(context.Background()) { // which waits for two seconds at most
		for j := range m.Samples {
			metric, err := metricOf(c.descs[i], m.Kind, &m.Samples[j])
			if err != nil {
				metric = prometheus.NewInvalidMetric(c.descs[i], err)
			}
			collected <- metric
		}
	}
}

func metricOf(desc *prometheus.Desc, kind metrics.FamilyKind, s *metrics.Sample) (prometheus.Metric, error) {
	switch kind {
	case metrics.Histogram:
		buckets := make(map[float64]uint64, len(s.Buckets))
		for _, b := range s.Buckets {
			buckets[b.Bound] = b.Count
		}
		return prometheus.NewConstHistogram(desc, s.Count, s.Value, buckets, s.Labels...)
	case metrics.Counter:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, s.Value, s.Labels...)
	case metrics.Gauge:
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, s.Value, s.Labels...)
	default:
		return prometheus.NewConstMetric(desc, prometheus.UntypedValue, s.Value, s.Labels...)
	}
}
