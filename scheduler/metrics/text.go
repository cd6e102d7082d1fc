package metrics

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// ContentType is that of what Write writes.
const ContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Write writes metrics as OpenMetrics text of version 1.0.0, and returns the error of w.
func Write(w io.Writer, metrics []Metric) error {
	t := text{bufio.NewWriter(w)}
	for i := range metrics {
		t.metric(&metrics[i])
	}
	t.line("# EOF")
	return t.Flush()
}

// text writes lines; the first error stays with it.
type text struct{ *bufio.Writer }

func (t text) line(parts ...string) {
	for _, part := range parts {
		_, _ = t.WriteString(part)
	}
	_ = t.WriteByte('\n')
}

func (t text) metric(m *Metric) {
	t.line("# TYPE ", m.Name, " ", m.Kind.String())
	if m.Unit != "" {
		t.line("# UNIT ", m.Name, " ", m.Unit)
	}
	t.line("# HELP ", m.Name, " ", escaped(m.Help))
	for i := range m.Samples {
		s := &m.Samples[i]
		switch m.Kind {
		case Counter:
			t.sample(m, "_total", s.Labels, number(s.Value))
		case Histogram:
			t.histogram(m, s)
		case Gauge:
			t.sample(m, "", s.Labels, number(s.Value))
		}
	}
}

func (t text) histogram(m *Metric, s *Sample) {
	for _, b := range s.Buckets {
		t.line(m.Name, `_bucket{le="`, bound(b.Bound), `"} `, strconv.FormatUint(b.Count, 10))
	}
	t.line(m.Name, `_bucket{le="+Inf"} `, strconv.FormatUint(s.Count, 10))
	t.line(m.Name, "_count ", strconv.FormatUint(s.Count, 10))
	t.line(m.Name, "_sum ", number(s.Value))
}

func (t text) sample(m *Metric, suffix string, labels []string, value string) {
	_, _ = t.WriteString(m.Name + suffix)
	before := "{"
	for i, label := range labels {
		_, _ = t.WriteString(before + m.Labels[i] + `="` + escaped(label) + `"`)
		before = ","
	}
	if len(labels) > 0 {
		_ = t.WriteByte('}')
	}
	t.line(" ", value)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// bound writes a bound of a histogram, which OpenMetrics wants to look like a float.
func bound(v float64) string {
	s := number(v)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// escaped writes a text between quotes. What is no UTF-8 becomes question marks in boxes.
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}
