package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkBest decides, books and frees: each iteration places one instance
// and takes away the oldest, on a cluster that is filled to a steady state.
// Every engine works on the same cluster; plain is a scan over node structs.
func BenchmarkBest(b *testing.B) {
	for _, nodes := range []int{100, 1_000, 5_000, 100_000} {
		b.Run("nodes="+strconv.Itoa(nodes), func(b *testing.B) {
			for _, rules := range []string{"none", "spreading", "label", "rare", "zone", "anti", "prefer"} {
				var s *stand // built on first use, shared by the engines
				for _, engine := range []string{"index", "columns", "plain"} {
					if nodes > 5000 && engine == "plain" && rules != "none" {
						continue
					}
					b.Run(fmt.Sprintf("rules=%s/engine=%s", rules, engine), func(b *testing.B) {
						if s == nil {
							s = newStand(nodes, rules)
						}
						s.run(b, rules, engine)
					})
				}
			}
		})
	}
}

// stand is a filled cluster to measure on.
type stand struct {
	x       *Index
	random  *rand.Rand
	rows    []Row
	running []running
	next    int // the oldest of running
	made    int
	plain   []plainNode
}

type running struct {
	row     Row
	class   *Class
	amounts placement.Resources
	taken   Taken
}

// plainNode is what a scheduler without an index looks at.
type plainNode struct {
	spec *placement.Node
	free placement.Resources
}

func newStand(nodes int, rules string) *stand {
	return newStandOf(nodes, rules, 10*nodes/eligibleShare(rules))
}

func newStandOf(nodes int, rules string, instances int) *stand {
	s := &stand{x: New(Config{}), random: rand.New(rand.NewPCG(1, 2))}
	for i := range nodes {
		n := placement.Node{
			ID: "n" + strconv.Itoa(i),
			Capacity: placement.Resources{
				CPU: 1000 * pickOf[int64](s.random, 32, 64, 96, 128), Memory: placement.GiB * pickOf[int64](s.random, 128, 256, 512),
				Disk: placement.TiB,
			},
			Labels: map[string]string{
				"zone": strconv.Itoa(i % 3), "rack": strconv.Itoa(i / 40), "arch": pickOf(s.random, "amd64", "arm64"),
				"disk": pickOf(s.random, "ssd", "ssd", "hdd"), "host": "n" + strconv.Itoa(i),
				"load": strconv.Itoa(i * 7919 % 1001),
			},
		}.Canonical()
		if i%100 == 7 {
			n.Labels["rare"] = strconv.Itoa(i % 1000)
		}
		s.rows = append(s.rows, s.x.Add(&n, uint64(i)))
		s.plain = append(s.plain, plainNode{&n, n.Allocatable()})
	}
	switch rules {
	case "fragmentation", "gradients", "scaled gradients":
		s.x.SetWorkload([]WorkloadClass{{Resources: placement.Resources{CPU: placement.Core, GPU: placement.Device}, Count: 1}})
	}
	for range instances {
		r := s.request(rules)
		s.place(&r, "index")
	}
	return s
}

// eligibleShare is how many times fewer nodes than all the rules allow.
func eligibleShare(rules string) int {
	switch rules {
	case "label":
		return 5
	case "rare":
		return 100
	default:
		return 1
	}
}

func pickOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// request makes the next request: every shape is new, groups recur.
func (s *stand) request(rules string) placement.Request {
	s.made++
	r := placement.Request{
		ID: "i" + strconv.Itoa(s.made), Namespace: "team", Group: "g" + strconv.Itoa(s.random.IntN(50)),
		Resources: placement.Resources{
			CPU: s.random.Int64N(8000) + 100, Memory: s.random.Int64N(32*placement.GiB) + placement.MiB,
			Disk: s.random.Int64N(placement.GiB),
		},
	}
	switch rules {
	case "spreading":
		r.Preferences = placement.Use(placement.Spread)
	case "label":
		r.Preferences = placement.Preferences{}.Require(placement.Equal("zone", "1"), placement.NotEqual("disk", "hdd"))
	case "rare":
		r.Preferences = placement.Preferences{}.Require(placement.Exists("rare"))
	case "zone":
		r.Preferences = placement.Preferences{}.Across(placement.EvenlyOver("zone", 1))
	case "anti":
		r.Labels = map[string]string{"app": r.Group}
		r.Preferences = placement.Preferences{}.
			Near(placement.Repel(placement.Equal("app", r.Group))).Across(placement.EvenlyOver("zone", 2))
	case "prefer":
		r.Preferences = placement.Preferences{}.Prefer(placement.Equal("disk", "hdd"), 50).Prefer(placement.Equal("zone", "2"), -10)
	case "scaled":
		r.Preferences = placement.Preferences{}.PreferScaled("load", -50)
	case "scaled first":
		r.Preferences = placement.Use(placement.Affinity).PreferScaled("load", 1).Prefer(placement.Equal("disk", "ssd"), 3)
	case "scaled spreading":
		r.Preferences = placement.Use(placement.Spread).PreferScaled("load", -50)
	case "taint":
		r.Preferences = placement.Preferences{}.TolerateExists("")
	case "ports":
		r.Ports = []placement.Port{{Number: uint16(1 + s.random.IntN(60_000))}}
	case "near":
		r.Labels = map[string]string{"app": r.Group}
		r.Preferences = placement.Preferences{}.Near(placement.Attract(placement.Equal("app", r.Group)).Within("rack"))
	case "share":
		r.Preferences = placement.Preferences{}.Across(
			placement.ShareOver("zone", map[string]int{"0": 50}, 40), placement.EvenlyOver("rack", 1).Weighing(20))
	case "host":
		r.Labels = map[string]string{"app": r.Group}
		r.Preferences = placement.Preferences{}.
			Near(placement.Repel(placement.Equal("app", r.Group)).Within("host").Weighing(60)).
			Across(placement.EvenlyOver("host", 1).Weighing(20))
	case "shares":
		r.Preferences = placement.Preferences{}.Across(
			placement.ShareOver("host", map[string]int{"n3": 20}, 40), placement.ShareOver("", map[string]int{"n5": 20}, 40))
	case "cap":
		r.Preferences = placement.Preferences{}.Across(placement.AtMostPer("rack", 4), placement.AtMostPer("", 1))
	case "text":
		r.Preferences = placement.Preferences{}.Require(
			placement.Matches("host", "^n"), placement.Or(placement.In("arch", "arm64", "riscv"), placement.Not(placement.Exists("rare"))),
			placement.Less("rack", 1000), placement.NotIn("zone", "7"))
	case "affinity":
		r.Labels = map[string]string{"app": r.Group}
		r.Preferences = placement.Use(placement.Affinity).
			Near(placement.Attract(placement.Equal("app", r.Group)).Within("zone").Weighing(30))
	case "random":
		r.Preferences = placement.Use(placement.Random)
	case "fragmentation", "gradients", "scaled gradients":
		r.Resources = placement.Resources{
			CPU: pickOf[int64](s.random, 1, 2, 4, 8) * placement.Core, Memory: pickOf[int64](s.random, 1, 4, 16) * placement.GiB,
		}
		r.Preferences = placement.Use(placement.LeastFragmentation)
		if rules == "scaled gradients" {
			r.Preferences = r.Preferences.PreferScaled("load", -50)
		}
		if rules == "gradients" {
			r.Preferences = r.Preferences.Require(placement.Equal("disk", "ssd")).
				Prefer(placement.Equal("zone", "1"), 50).Prefer(placement.Equal("arch", "arm64"), -20).
				Across(placement.AtMostPer("host", 8))
		}
	}
	return r
}

func (s *stand) place(r *placement.Request, engine string) bool {
	var (
		row Row
		ok  bool
	)
	c := s.x.Class(r)
	if engine == "plain" {
		row, ok = s.plainBest(r)
	} else {
		q := Query{Class: c, Resources: &r.Resources, ID: r.ID}
		var choice Choice
		choice, ok = s.x.Best(&q)
		row = choice.Row
	}
	if !ok {
		return false
	}
	s.x.Retain(c)
	s.x.Occupy(row, c, &r.Resources, Taken{})
	s.x.Join(row, c)
	s.plain[row].free, _ = s.plain[row].free.Sub(r.Resources)
	s.running = append(s.running, running{row, c, r.Resources, Taken{}})
	return true
}

func (s *stand) releaseOldest() {
	old := &s.running[s.next]
	s.next++
	s.x.Leave(old.row, old.class)
	s.x.Vacate(old.row, old.class, &old.amounts, Taken{})
	s.x.Release(old.class)
	s.plain[old.row].free, _ = s.plain[old.row].free.Add(old.amounts)
	if s.next > 1<<20 {
		s.running = slices.Clone(s.running[s.next:])
		s.next = 0
	}
}

// plainBest is the scan that everybody writes first.
func (s *stand) plainBest(r *placement.Request) (Row, bool) {
	best, bestScore := -1, int64(0)
	for i := range s.plain {
		n := &s.plain[i]
		if !r.Resources.FitsIn(n.free) {
			continue
		}
		meets := true
		for _, c := range r.Preferences.Required {
			meets = meets && n.spec.Meets(c)
		}
		if !meets {
			continue
		}
		score := int64(0)
		total := &n.spec.Capacity
		for d, amount := range []int64{total.CPU, total.Memory, total.Disk} {
			score -= placement.FreeShare([]int64{n.free.CPU, n.free.Memory, n.free.Disk}[d], amount)
		}
		if best < 0 || score > bestScore {
			best, bestScore = i, score
		}
	}
	return Row(best), best >= 0
}

func (s *stand) run(b *testing.B, rules, engine string) {
	b.Helper()
	s.x.cfg.Engine = Auto
	if engine == "columns" {
		s.x.cfg.Engine = Columns
	}
	refused := 0
	samples := make([]int64, 0, 4096)
	before := s.x.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r := s.request(rules)
		start := time.Now()
		if !s.place(&r, engine) {
			refused++
		}
		if s.next < len(s.running) {
			s.releaseOldest()
		}
		if i%16 == 0 && len(samples) < cap(samples) {
			samples = append(samples, int64(time.Since(start)))
		}
	}
	b.StopTimer()
	after := s.x.Stats()
	slices.Sort(samples)
	b.ReportMetric(float64(samples[len(samples)*99/100]), "p99-ns")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
	b.ReportMetric(float64(after.Scans-before.Scans)/float64(b.N), "scans/op")
	if refused > 0 {
		b.ReportMetric(float64(refused)/float64(b.N), "refused/op")
	}
}
