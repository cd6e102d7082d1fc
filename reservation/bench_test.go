package reservation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// heldBook is a book of 1,000 nodes of 100 cores with ten holds each, one
// after another and two at a time: 70 cores are held at any time in the next
// hundred minutes. roomy nodes from the last on have nothing on them.
func heldBook(b *testing.B, roomy int) (*reservation.Book, time.Time) {
	b.Helper()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	book, err := reservation.New(reservation.Config{Now: func() time.Time { return start }})
	require.NoError(b, err)
	for i := range 1000 {
		id := fmt.Sprintf("node-%04d", i)
		require.NoError(b, book.SetNode(node(id, 100)))
		if i >= 1000-roomy {
			continue
		}
		for j := range 10 {
			_, err := book.Reserve(reservation.Spec{
				Shape: placement.Resources{CPU: 35 * placement.Core, Memory: placement.GiB}, Count: 1, Node: id,
				Start:    start.Add(time.Duration(j/2) * 20 * time.Minute),
				Duration: 20 * time.Minute,
			})
			require.NoError(b, err)
		}
	}
	return book, start
}

// BenchmarkAdmission reserves one more slot and releases it again. The metric
// p50-ns is the median of the reserving alone.
func BenchmarkAdmission(b *testing.B) {
	slot := func(cores int64) reservation.Spec {
		return reservation.Spec{
			ID: "one more", Shape: placement.Resources{CPU: cores * placement.Core, Memory: placement.GiB}, Count: 1,
			Duration: 30 * time.Minute,
		}
	}
	run := func(name string, roomy int, spec reservation.Spec) {
		b.Run(name, func(b *testing.B) {
			book, start := heldBook(b, roomy)
			spec.Start = start.Add(10 * time.Minute)
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				begun := time.Now()
				if _, err := book.Reserve(spec); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
				if err := book.Release(spec.ID, false); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
		})
	}
	given := slot(30)
	given.Node = "node-0500"
	run("node=given", 0, given)
	run("node=any/first-fits", 0, slot(30))
	run("node=any/last-fits", 1, slot(31))
}

// BenchmarkRefusal is a reservation that fits nowhere now: it says who is in
// the way and when it would fit.
func BenchmarkRefusal(b *testing.B) {
	book, start := heldBook(b, 0)
	spec := reservation.Spec{
		ID: "one more", Shape: placement.Resources{CPU: 31 * placement.Core}, Count: 1, Start: start, Duration: time.Minute,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := book.Reserve(spec); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkPeak asks for the peak over a window among so many holds of one
// node, and for comparison scans a list of them.
func BenchmarkPeak(b *testing.B) {
	type span struct{ from, to, amount int64 }
	for _, holds := range []int{10, 100, 1000, 10_000, 100_000} {
		start := time.Unix(0, 0).UTC()
		plan := reservation.NewPlan()
		plan.Advance(start)
		spans := make([]span, holds)
		for i := range holds {
			w := reservation.Window{
				Start: start.Add(time.Duration(i) * time.Second), End: start.Add(time.Duration(i+5) * time.Second),
			}
			plan.Apply(reservation.PlanChange{Kind: reservation.Arrive, Stay: &reservation.Stay{
				ID: fmt.Sprint("i", i), Node: "n", Load: placement.Amounts{Resources: cores(1)}, Window: w,
			}})
			spans[i] = span{w.Start.UnixNano(), w.End.UnixNano(), placement.Core}
		}
		w := reservation.Window{
			Start: start.Add(time.Duration(holds/4) * time.Second), End: start.Add(time.Duration(holds/2) * time.Second),
		}
		b.Run(fmt.Sprintf("skyline/holds=%d", holds), func(b *testing.B) {
			for b.Loop() {
				plan.Peak("n", w)
			}
		})
		b.Run(fmt.Sprintf("scan/holds=%d", holds), func(b *testing.B) {
			from, to := w.Start.UnixNano(), w.End.UnixNano()
			for b.Loop() {
				var sum int64 // less than the peak needs: what overlaps in all
				for _, s := range spans {
					if s.from < to && from < s.to {
						sum += s.amount
					}
				}
				if sum == 0 {
					b.Fatal("nothing")
				}
			}
		})
	}
}

// BenchmarkClaim claims a part of a slot and gives it back.
func BenchmarkClaim(b *testing.B) {
	book, _ := heldBook(b, 1)
	_, err := book.Reserve(reservation.Spec{
		ID: "r", Namespace: "team", Shape: cores(10), Count: 10, Duration: time.Hour, Node: "node-0999",
	})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := book.Claim("r", request("i", 4)); err != nil {
			b.Fatal(err)
		}
		if err := book.Unclaim("i"); err != nil {
			b.Fatal(err)
		}
	}
}
