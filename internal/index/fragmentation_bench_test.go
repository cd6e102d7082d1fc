package index

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// fragmented is a cluster of nodes with 2 to 8 GPUs of three models that is filled to
// two thirds, and keeps as full while it places.
type fragmented struct {
	x      *Index
	random *rand.Rand
	placed []running
	made   int
}

func newFragmented(nodes int) *fragmented {
	f := &fragmented{x: New(Config{}), random: rand.New(rand.NewPCG(1, uint64(nodes)))}
	for i := range nodes {
		n := placement.Node{
			ID: "n" + strconv.Itoa(i), Capacity: placement.Resources{CPU: 96 * placement.Core, Memory: 512 * placement.GiB},
			Devices: placement.Devices{Count: pickOf(f.random, 2, 4, 8), Model: pickOf(f.random, "A", "B", "C")},
		}.Canonical()
		f.x.Add(&n, uint64(i))
	}
	var mix []WorkloadClass
	for kind := range 12 {
		r := f.shape("repeated", kind)
		r.Memory = 0
		mix = append(mix, WorkloadClass{Resources: r, Count: int64(1 + kind%4)})
	}
	f.x.SetWorkload(mix)
	for f.busy()*3 < 2*f.all() {
		for range 1 + nodes/50 { // since to look how full it is takes a walk
			f.place("repeated")
		}
	}
	return f
}

func (f *fragmented) all() int64 {
	sum := int64(0)
	for row := range f.x.nodes {
		sum += f.x.nodes[row].spec.Capacity.GPU
	}
	return sum
}

func (f *fragmented) busy() int64 {
	free := int64(0)
	for row := range f.x.nodes {
		free += f.x.free[f.x.named[gpuName]][row]
	}
	return f.all() - free
}

// shape makes the amounts of a request: of one of twelve kinds, or the same with a
// memory of its own, or with all amounts of its own, or of 1,200 kinds in rotation.
func (f *fragmented) shape(shapes string, kind int) placement.Resources {
	gpus := [...]int64{0, 250, 500, 500, 750, 1000, 1000, 2000, 4000, 300, 0, 1000}
	r := placement.Resources{CPU: int64(1+kind%5*3) * placement.Core, Memory: 8 * placement.GiB, GPU: gpus[kind%12]}
	switch shapes {
	case "memory":
		r.Memory += int64(f.made)
	case "distinct":
		r.CPU += f.random.Int64N(4000)
		if r.GPU > 0 && r.GPU < placement.Device {
			r.GPU = 1 + f.random.Int64N(999)
		}
		r.Memory += int64(f.made)
	case "rotation":
		r.CPU += int64(kind / 12 * 37)
	}
	return r
}

func (f *fragmented) place(shapes string) bool {
	f.made++
	kind := f.random.IntN(12)
	if shapes == "rotation" {
		kind = f.made % 1200
	}
	r := placement.Request{ID: "r", Resources: f.shape(shapes, kind), Preferences: placement.Use(placement.LeastFragmentation)}
	c := f.x.Class(&r)
	q := Query{Class: c, Resources: &r.Resources}
	choice, ok := f.x.Best(&q)
	if !ok {
		return false
	}
	taken := Taken{Devices: f.x.Devices(&q, choice.Row, nil)}
	f.x.Occupy(choice.Row, c, &r.Resources, taken)
	f.placed = append(f.placed, running{choice.Row, c, r.Resources, taken})
	return true
}

func (f *fragmented) release() {
	i := f.random.IntN(len(f.placed))
	old := f.placed[i]
	f.placed[i] = f.placed[len(f.placed)-1]
	f.placed = f.placed[:len(f.placed)-1]
	f.x.Vacate(old.row, old.class, &old.amounts, old.taken)
}

// BenchmarkFragmentation places one instance with strategy LeastFragmentation and
// releases another, by kinds of work that recur, that are new in memory alone, new in
// all, or 1,200 in rotation.
func BenchmarkFragmentation(b *testing.B) {
	for _, nodes := range []int{1_000, 10_000, 100_000} {
		var f *fragmented
		for _, shapes := range []string{"repeated", "memory", "distinct", "rotation"} {
			b.Run(fmt.Sprintf("nodes=%d/shapes=%s", nodes, shapes), func(b *testing.B) {
				if f == nil {
					f = newFragmented(nodes)
				}
				before := f.x.Stats()
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if f.place(shapes) {
						f.release()
					}
				}
				b.StopTimer()
				after := f.x.Stats()
				b.ReportMetric(float64(after.Measured-before.Measured)/float64(b.N), "classes/op")
				b.ReportMetric(float64(after.Scans-before.Scans)/float64(b.N), "scans/op")
			})
		}
	}
}

// TestFragmentationLooksAtFewClasses: what a decision looks at does not grow with the
// nodes, for shapes that were never seen before.
func TestFragmentationLooksAtFewClasses(t *testing.T) {
	const decisions = 300
	looked := func(nodes int) (classes, visits int) {
		f := newFragmented(nodes)
		before := f.x.Stats()
		for range decisions {
			require.True(t, f.place("distinct"))
			visits += f.x.search.budget() - f.x.search.visits
			f.release()
		}
		after := f.x.Stats()
		require.Zero(t, after.Scans-before.Scans)
		return int(after.Measured-before.Measured) / decisions, visits / decisions
	}
	classes, visits := looked(1000)
	moreClasses, moreVisits := looked(8000)
	t.Logf("%d classes, %d visits on 1,000 nodes, %d and %d on 8,000", classes, visits, moreClasses, moreVisits)
	require.Less(t, moreClasses, 2*classes)
	require.Less(t, moreVisits, 2*visits)
}
