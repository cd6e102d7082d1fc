package scheduler

import (
	"cmp"
	"fmt"
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

// benchmarkBase is what runs on the i-th node: a part of its capacity that
// differs from node to node.
func benchmarkBase(i, k, perNode int) placement.Request {
	n := benchmarkNode(i)
	share := int64(40+(i*31)%50) / int64(perNode)
	return placement.Request{
		ID: fmt.Sprintf("base-%d-%d", i, k), Namespace: "base",
		Resources: placement.Resources{
			CPU: n.Capacity.CPU * share / 100, Memory: n.Capacity.Memory * share / 100, Disk: placement.GiB,
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
	return s
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

// timed runs one decision at a time and reports their rate and tail.
func timed(b *testing.B, decide func(i int)) {
	b.Helper()
	var took []time.Duration
	b.ReportAllocs()
	begin := time.Now()
	i := 0
	for b.Loop() {
		start := time.Now()
		decide(i)
		took = append(took, time.Since(start))
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
				if _, err := s.Schedule(benchmarkRequest(ids, i, "distinct", "none")); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// plainNode is what a scheduler without an index keeps of a node.
type plainNode struct {
	id     string
	labels map[string]string
	free   placement.Resources
	group  int // instances of the benchmark's group
	apps   map[string]int
}

// benchmarkPlain times the decision alone, of a scan over node structs with
// label maps: the yardstick of the others.
func benchmarkPlain(b *testing.B, nodes int, shapes, rules string) {
	b.Helper()
	ids := benchmarkNames()
	cluster := make([]*plainNode, nodes)
	perNode := benchmarkInstances(nodes)
	zones := make(map[string]int)
	for i := range cluster {
		n := benchmarkNode(i)
		free := n.Capacity
		for k := range perNode {
			free, _ = free.Sub(benchmarkBase(i, k, perNode).Resources)
		}
		cluster[i] = &plainNode{id: n.ID, labels: n.Labels, free: free, apps: make(map[string]int)}
		zones[n.Labels["zone"]] = 0
	}
	reference := placement.Resources{CPU: 1 << 17, Memory: 1 << 39, Disk: 1 << 40}
	for i := range 16 {
		req := benchmarkRequest(ids, i, "repeated", rules)
		n := plainBest(cluster, zones, &req, reference, rules)
		plainCommit(n, zones, &req, 1)
	}
	timed(b, func(i int) {
		req := benchmarkRequest(ids, i, shapes, rules)
		n := plainBest(cluster, zones, &req, reference, rules)
		if n == nil {
			b.Fatal("nothing fits")
		}
		plainCommit(n, zones, &req, 1)
		plainCommit(n, zones, &req, -1)
	})
}

func plainCommit(n *plainNode, zones map[string]int, req *placement.Request, sign int) {
	n.free.CPU -= int64(sign) * req.Resources.CPU
	n.free.Memory -= int64(sign) * req.Resources.Memory
	n.free.Disk -= int64(sign) * req.Resources.Disk
	n.group += sign
	zones[n.labels["zone"]] += sign
	n.apps[req.Labels["app"]] += sign
}

func plainBest(cluster []*plainNode, zones map[string]int, req *placement.Request, reference placement.Resources, rules string) *plainNode {
	least := 1 << 62
	for _, count := range zones {
		least = min(least, count)
	}
	var (
		best      *plainNode
		bestScore int64
	)
	for _, n := range cluster {
		if n.free.CPU < req.Resources.CPU || n.free.Memory < req.Resources.Memory || n.free.Disk < req.Resources.Disk {
			continue
		}
		if rules == "label" && n.labels["disk"] != "ssd" ||
			rules == "spread" && zones[n.labels["zone"]]+1-least > 1 ||
			rules == "anti" && n.apps["x"] > 0 {
			continue
		}
		score := -placement.FreeShare(n.free.CPU, reference.CPU) - placement.FreeShare(n.free.Memory, reference.Memory) -
			placement.FreeShare(n.free.Disk, reference.Disk)
		if rules == "strategy" {
			score = -score - int64(n.group)<<40
		}
		if best == nil || cmp.Compare(score, bestScore) > 0 {
			best, bestScore = n, score
		}
	}
	return best
}
