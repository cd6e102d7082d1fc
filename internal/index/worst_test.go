package index

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkWorst measures searches that the structures help least, beside one
// branch-free scan of the same cluster.
func BenchmarkWorst(b *testing.B) {
	const nodes = 100_000
	s := newStandOf(nodes, "none", 2*nodes)
	rules := func(i int) placement.Request {
		r := s.request("none")
		r.Preferences = placement.Preferences{}.Require(placement.NotEqual("host", "n"+strconv.Itoa(i)), placement.NotEqual("arch", "x"+strconv.Itoa(i)))
		return r
	}
	b.Run("scan", func(b *testing.B) {
		s.x.cfg.Engine = Columns
		defer func() { s.x.cfg.Engine = Auto }()
		for range b.N {
			r := s.request("none")
			s.best(&r)
		}
	})
	b.Run("distinct", func(b *testing.B) {
		for range b.N {
			r := s.request("none")
			s.best(&r)
		}
	})
	b.Run("one-eligible", func(b *testing.B) {
		for i := range b.N {
			r := s.request("none")
			r.Preferences = r.Preferences.Require(placement.Equal("host", "n"+strconv.Itoa(i%97*997)))
			s.best(&r)
		}
	})
	b.Run("another-rule-set", func(b *testing.B) {
		for i := range b.N {
			r := rules(i)
			s.best(&r)
		}
	})
	b.Run("label-churn", func(b *testing.B) {
		for i := range b.N {
			row := s.rows[i*7919%nodes]
			spec := *s.x.nodes[row].spec
			spec = spec.Canonical()
			spec.Labels["disk"] = pickOf(s.random, "ssd", "hdd")
			s.x.Update(row, &spec)
			r := s.request("label")
			s.best(&r)
		}
	})
	b.Run("nowhere", func(b *testing.B) {
		for range b.N {
			r := s.request("none")
			r.Resources.CPU = 127_999
			r.Resources.Memory = 511 * placement.GiB
			r.Resources.Disk = placement.TiB
			s.best(&r)
		}
	})
	b.Run("count", func(b *testing.B) {
		for range b.N {
			r := s.request("label")
			r.Resources.CPU = 127_999 + s.random.Int64N(1000)
			s.x.Count(&Query{Class: s.x.Class(&r), Resources: &r.Resources})
		}
	})
}

func (s *stand) best(r *placement.Request) bool {
	_, ok := s.x.Best(&Query{Class: s.x.Class(r), Resources: &r.Resources})
	return ok
}

// TestPaths says which structure finds decisions under each rule: none falls back
// to a scan of all nodes, but where a rule on 75 domains keeps a request out of many
// of the fullest nodes.
func TestPaths(t *testing.T) {
	const decisions = 2000
	scans := func(rules string) int { // of a hundred decisions
		if rules == "cap" {
			return 10
		}
		return 1
	}
	tests := []struct {
		rules string
		path  func(Stats) uint64
	}{
		{"none", func(s Stats) uint64 { return s.Walks }},
		{"spreading", func(s Stats) uint64 { return s.Walks }},
		{"label", func(s Stats) uint64 { return s.Walks }},
		{"rare", func(s Stats) uint64 { return s.Lists }},
		{"zone", func(s Stats) uint64 { return s.Walks }},
		{"anti", func(s Stats) uint64 { return s.Walks }},
		{"prefer", func(s Stats) uint64 { return s.Walks }},
		{"scaled", func(s Stats) uint64 { return s.Walks }},
		{"scaled first", func(s Stats) uint64 { return s.Walks }},
		{"scaled spreading", func(s Stats) uint64 { return s.Walks }},
		{"scaled gradients", func(s Stats) uint64 { return s.Gradients }},
		{"taint", func(s Stats) uint64 { return s.Walks }},
		{"ports", func(s Stats) uint64 { return s.Walks }},
		{"near", func(s Stats) uint64 { return s.Lists + s.Walks }},
		{"share", func(s Stats) uint64 { return s.Walks }},
		{"host", func(s Stats) uint64 { return s.Walks }},
		{"shares", func(s Stats) uint64 { return s.Walks }},
		{"cap", func(s Stats) uint64 { return s.Walks }},
		{"text", func(s Stats) uint64 { return s.Walks }},
		{"affinity", func(s Stats) uint64 { return s.Walks }},
		{"random", func(s Stats) uint64 { return s.Draws }},
		{"fragmentation", func(s Stats) uint64 { return s.Gradients }},
		{"gradients", func(s Stats) uint64 { return s.Gradients }},
	}
	for _, tt := range tests {
		t.Run(tt.rules, func(t *testing.T) {
			s := newStandOf(3000, tt.rules, 6000/eligibleShare(tt.rules))
			before := s.x.Stats()
			for range decisions {
				r := s.request(tt.rules)
				s.place(&r, "index")
				s.releaseOldest()
			}
			after := s.x.Stats()
			require.Greater(t, tt.path(after)-tt.path(before), uint64(decisions*(100-scans(tt.rules))/100))
			require.LessOrEqual(t, after.Scans-before.Scans, uint64(decisions*scans(tt.rules)/100))
		})
	}
}
