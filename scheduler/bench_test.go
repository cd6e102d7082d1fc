package scheduler

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// The benchmarks time the public Place and Release on clusters that are used
// to about two thirds. CONSTELLATION_LONG=1 runs ten instances on each node
// rather than one.

// benchmarkNode is the i-th of a mixed cluster.
func benchmarkNode(i int) placement.Node {
	sizes := []int64{16, 32, 64, 96}
	cores := sizes[i%len(sizes)]
	return placement.Node{
		ID:       fmt.Sprintf("node-%06d", i),
		Capacity: placement.Resources{CPU: cores * placement.Core, Memory: cores * 4 * placement.GiB, Disk: placement.TB},
		Labels: map[string]string{
			"zone": fmt.Sprintf("z%d", i%8), "rack": fmt.Sprintf("r%d", i/40), "disk": []string{"ssd", "hdd"}[i%2],
			"arch": "amd64", "host": fmt.Sprintf("h%d", i),
		},
	}
}

// benchmarkBase is the k-th instance on the i-th node: together they use four
// to nine tenths of its CPU and, independently, of its memory.
func benchmarkBase(i, k, perNode int) placement.Request {
	n := benchmarkNode(i)
	share := func(of int64, salt int) int64 {
		scattered := (uint64(i*perNode+k+1) * 0x9E3779B97F4A7C15) >> salt % 5000
		return of / 10_000 * int64(4000+scattered) / int64(perNode)
	}
	return placement.Request{
		ID: fmt.Sprintf("base-%d-%d", i, k), Namespace: "base",
		Resources: placement.Resources{
			CPU: share(n.Capacity.CPU*10, 20) / 10, Memory: share(n.Capacity.Memory, 36), Disk: placement.GiB,
		},
	}
}

func benchmarkInstances(nodes int) int {
	if nodes >= 100_000 && os.Getenv("CONSTELLATION_LONG") != "" {
		return 10
	}
	return 1
}

func benchmarkCluster(b *testing.B, nodes int, cfg Config) *Scheduler {
	b.Helper()
	s := newTestScheduler(b, cfg)
	fillBenchmark(b, s, nodes)
	return s
}

func fillBenchmark(b *testing.B, s *Scheduler, nodes int) {
	b.Helper()
	perNode := benchmarkInstances(nodes)
	for i := range nodes {
		if err := s.AddNode(b.Context(), benchmarkNode(i)); err != nil {
			b.Fatal(err)
		}
		for k := range perNode {
			if _, err := s.Allocate(b.Context(), benchmarkNode(i).ID, benchmarkBase(i, k, perNode)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

const benchmarkIDs = 16_384

func benchmarkNames() []string {
	ids := make([]string, benchmarkIDs)
	for i := range ids {
		ids[i] = fmt.Sprintf("req-%d", i)
	}
	return ids
}

// benchmarkRequest is the i-th of a stream. No two of a stream of distinct
// shapes are alike.
func benchmarkRequest(ids []string, i int, shapes, rules string) placement.Request {
	req := placement.Request{
		ID: ids[i%len(ids)], Namespace: "bench", Group: "g",
		Resources: placement.Resources{CPU: 2 * placement.Core, Memory: 4 * placement.GiB, Disk: placement.GiB},
	}
	if shapes == "distinct" {
		req.Resources.CPU = 100 + int64(i*7919)%7900
		req.Resources.Memory = placement.GiB + int64(i*104729)%(15*placement.GiB)
	}
	switch rules {
	case "label":
		req.Preferences = placement.Use(placement.BinPack).Require(placement.Equal("disk", "ssd"))
	case "spread":
		req.Preferences = placement.Use(placement.BinPack).Across(placement.EvenlyOver("zone", 1))
	case "anti":
		req.Labels = map[string]string{"app": "x"}
		req.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "x")))
	case "strategy":
		req.Preferences = placement.Use(placement.Spread)
	}
	return req
}

// timed runs one decision at a time and reports their rate and tail. It times
// one in eight by itself, since reading the clock twice takes a tenth of the
// time of a fast one.
func timed(b *testing.B, decide func(i int)) {
	b.Helper()
	took := make([]time.Duration, 0, 1<<20)
	b.ReportAllocs()
	begin := time.Now()
	i := 0
	for b.Loop() {
		if i%8 > 0 {
			decide(i)
		} else {
			start := time.Now()
			decide(i)
			took = append(took, time.Since(start))
		}
		i++
	}
	total := time.Since(begin)
	slices.Sort(took)
	b.ReportMetric(float64(i)/total.Seconds(), "decisions/s")
	b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
}

func placeAndRelease(b *testing.B, s *Scheduler, shapes, rules string) {
	b.Helper()
	ids := benchmarkNames()
	// A few instances of the group run all the time, so that rules between
	// instances have something to look at.
	for i := range 16 {
		req := benchmarkRequest(ids, i, "repeated", rules)
		req.ID = fmt.Sprint("standing-", i)
		if _, err := s.Place(b.Context(), req); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = s.Release(b.Context(), req.ID) }()
	}
	ctx := b.Context()
	timed(b, func(i int) {
		req := benchmarkRequest(ids, i, shapes, rules)
		if _, err := s.Place(ctx, req); err != nil {
			b.Fatal(err)
		}
		if err := s.Release(ctx, req.ID); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkPlace(b *testing.B) {
	for _, nodes := range []int{100, 1000, 5000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			clusters := make(map[string]*Scheduler) // by engine, made when first asked for
			for _, shapes := range []string{"distinct", "repeated"} {
				for _, rules := range []string{"none", "label", "spread", "anti", "strategy"} {
					for _, engine := range []string{"index", "columns", "plain"} {
						b.Run(fmt.Sprintf("shapes=%s/rules=%s/engine=%s", shapes, rules, engine), func(b *testing.B) {
							if engine == "plain" {
								benchmarkPlain(b, nodes, shapes, rules)
								return
							}
							if clusters[engine] == nil {
								clusters[engine] = benchmarkCluster(b, nodes, Config{engine: engines()[engine]})
							}
							placeAndRelease(b, clusters[engine], shapes, rules)
						})
					}
				}
			}
		})
	}
}

func engines() map[string]index.Engine {
	return map[string]index.Engine{"index": index.Auto, "columns": index.Columns}
}

// inTurns places and releases on two schedulers in turns, and reports the
// median cost on each and how they compare, so that a busy machine is the same
// for both.
func inTurns(b *testing.B, without, with *Scheduler) {
	b.Helper()
	const turn = 32
	ids := benchmarkNames()
	var took [2][]time.Duration
	i := 0
	for b.Loop() {
		for k, s := range []*Scheduler{without, with} {
			start := time.Now()
			for j := range turn {
				req := benchmarkRequest(ids, i*turn+j, "distinct", "none")
				req.Resources.Disk = 0
				if _, err := s.Place(b.Context(), req); err != nil {
					b.Fatal(err)
				}
				if err := s.Release(b.Context(), req.ID); err != nil {
					b.Fatal(err)
				}
			}
			took[k] = append(took[k], time.Since(start)/turn)
		}
		i++
	}
	median := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/2])
	}
	b.ReportMetric(median(took[0]), "without-ns")
	b.ReportMetric(median(took[1]), "with-ns")
	b.ReportMetric(median(took[1])/median(took[0]), "ratio")
}

// BenchmarkPlaceQuota compares placing and releasing with and without a quota
// of three levels that binds every request.
func BenchmarkPlaceQuota(b *testing.B) {
	without, with := benchmarkCluster(b, 100_000, Config{}), benchmarkCluster(b, 100_000, Config{})
	for i, namespace := range []string{"org", "unit", "bench"} {
		spec := quota.Spec{Namespace: namespace, Limits: make(map[placement.ResourceName]quota.Limit)}
		for _, name := range []placement.ResourceName{placement.NameCPU, placement.NameMemory, placement.NameDisk, placement.NameNetwork, placement.NameInstances} {
			spec.Limits[name] = quota.Limit{Soft: 1 << 50}
		}
		if i > 0 {
			spec.Parent = []string{"org", "unit"}[i-1]
		}
		createQuota(b, with, spec)
	}
	inTurns(b, without, with)
}

func BenchmarkSchedule(b *testing.B) {
	for _, nodes := range []int{100, 5000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := benchmarkCluster(b, nodes, Config{})
			ids := benchmarkNames()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := s.Schedule(b.Context(), benchmarkRequest(ids, i, "distinct", "none")); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// plainNode is a node as a scheduler without an index keeps it.
type plainNode struct {
	placement.Node
	free  placement.Resources
	group int            // instances of the benchmark's group
	apps  map[string]int // instances by label
}

// plainCluster is the yardstick of the others: a scan over node structs with
// label maps, which reads the rules as package placement states them.
type plainCluster struct {
	nodes []*plainNode
	zones map[string]int // instances of the benchmark's group
	scale placement.Scale
}

func newPlainCluster(nodes int) *plainCluster {
	c := &plainCluster{zones: make(map[string]int)}
	perNode := benchmarkInstances(nodes)
	for i := range nodes {
		n := &plainNode{Node: benchmarkNode(i), apps: make(map[string]int)}
		n.free = n.Allocatable()
		c.scale = c.scale.With(n.free)
		for k := range perNode {
			n.free, _ = n.free.Sub(benchmarkBase(i, k, perNode).Resources)
		}
		c.nodes = append(c.nodes, n)
		c.zones[n.Labels["zone"]] = 0
	}
	return c
}

// benchmarkPlain times the decision and its commit, without a lock, a record
// or an event.
func benchmarkPlain(b *testing.B, nodes int, shapes, rules string) {
	b.Helper()
	ids := benchmarkNames()
	c := newPlainCluster(nodes)
	for i := range 16 {
		req := benchmarkRequest(ids, i, "repeated", rules)
		c.commit(c.best(&req), &req, 1)
	}
	timed(b, func(i int) {
		req := benchmarkRequest(ids, i, shapes, rules)
		n := c.best(&req)
		if n == nil {
			b.Fatal("nothing fits")
		}
		c.commit(n, &req, 1)
		c.commit(n, &req, -1)
	})
}

func (c *plainCluster) commit(n *plainNode, req *placement.Request, sign int) {
	n.free.CPU -= int64(sign) * req.Resources.CPU
	n.free.Memory -= int64(sign) * req.Resources.Memory
	n.free.Disk -= int64(sign) * req.Resources.Disk
	n.group += sign
	c.zones[n.Labels["zone"]] += sign
	n.apps[req.Labels["app"]] += sign
}

func (c *plainCluster) best(req *placement.Request) *plainNode {
	least := math.MaxInt
	for _, count := range c.zones {
		least = min(least, count)
	}
	var (
		best      *plainNode
		bestScore int64
	)
	for _, n := range c.nodes {
		if !c.fits(n, req, least) {
			continue
		}
		score, _ := c.scale.BinPack(n.free, n.Capacity)
		if req.Preferences.Strategy == placement.Spread {
			score, _ = c.scale.Spread(n.free, n.Capacity, req.Resources)
			score -= int64(n.group) << 40
		}
		if best == nil || score > bestScore {
			best, bestScore = n, score
		}
	}
	return best
}

func (c *plainCluster) fits(n *plainNode, req *placement.Request, least int) bool {
	for _, taint := range n.Taints {
		if taint.Effect != placement.PreferNoSchedule && !placement.Tolerated(taint, req.Preferences.Tolerations) {
			return false
		}
	}
	for _, constraint := range req.Preferences.Required {
		if !n.Meets(constraint) {
			return false
		}
	}
	if !req.Resources.FitsIn(n.free) {
		return false
	}
	for _, rule := range req.Preferences.Spread {
		if c.zones[n.Labels[rule.Topology]]+1-least > rule.MaxSkew {
			return false
		}
	}
	for range req.Preferences.Affinity { // apart from app = x on the node
		if n.apps["x"] > 0 {
			return false
		}
	}
	return true
}
