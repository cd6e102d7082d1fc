package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// BenchmarkPlaceAll places so many instances of a new service, all alike: each by
// itself, each of a prepared request, all by one call, and all of a prepared request by
// one call. The four take turns, so that a busy machine is the same for all; what is
// reported is the least cost of an instance. Releasing them is not timed.
func BenchmarkPlaceAll(b *testing.B) {
	for _, durable := range []bool{false, true} {
		for _, rules := range []string{"none", "label", "spread", "anti"} {
			b.Run(fmt.Sprintf("journal=%v/rules=%s/alike=50", durable, rules), func(b *testing.B) {
				s := newTestScheduler(b, Config{})
				if durable {
					s = open(b, Config{Journal: new(MemoryJournal)})
				}
				fillBenchmark(b, s, 1000)
				benchmarkPlaceAll(b, s, rules)
			})
		}
	}
}

func benchmarkPlaceAll(b *testing.B, s *Scheduler, rules string) {
	b.Helper()
	const alike = 50
	ways := alikeWays(b, s)
	took := make([]time.Duration, len(ways))
	service := 0
	for b.Loop() {
		for i, way := range ways {
			service++
			req := benchmarkRequest([]string{""}, service, "distinct", rules)
			req.Group = fmt.Sprint("service-", service%8)
			req.Resources.CPU = 100
			ids := make([]string, alike)
			for k := range ids {
				ids[k] = fmt.Sprint(req.Group, "-", k)
			}
			start := time.Now()
			way.place(req, ids)
			if each := time.Since(start) / alike; took[i] == 0 || each < took[i] {
				took[i] = each
			}
			for _, id := range ids {
				require.NoError(b, s.Release(b.Context(), id))
			}
		}
	}
	for i, way := range ways {
		b.ReportMetric(float64(took[i]), way.name+"-ns")
	}
	b.ReportMetric(float64(took[0])/float64(slices.Min(took[2:])), "ratio")
}

type alikeWay struct {
	name  string
	place func(req placement.Request, ids []string)
}

func alikeWays(b *testing.B, s *Scheduler) []alikeWay {
	b.Helper()
	ctx := b.Context()
	prepared := func(req placement.Request) *Prepared {
		p, err := s.Prepare(req)
		require.NoError(b, err)
		return p
	}
	must := func(err error) { // which is timed, and require.NoError takes a fifth of a placement
		if err != nil {
			b.Fatal(err)
		}
	}
	placed := func(results []PlaceResult, err error) {
		must(err)
		for i := range results {
			must(results[i].Err)
		}
	}
	return []alikeWay{
		{"single", func(req placement.Request, ids []string) {
			for _, req.ID = range ids {
				_, err := s.Place(ctx, req)
				must(err)
			}
		}},
		{"prepared", func(req placement.Request, ids []string) {
			p := prepared(req)
			for _, id := range ids {
				_, err := p.Place(ctx, id)
				must(err)
			}
		}},
		{"all", func(req placement.Request, ids []string) {
			reqs := make([]placement.Request, len(ids))
			for i := range reqs {
				reqs[i] = req
				reqs[i].ID = ids[i]
			}
			placed(s.PlaceAll(ctx, reqs...))
		}},
		{"prepared-all", func(req placement.Request, ids []string) { placed(prepared(req).PlaceAll(ctx, ids...)) }},
	}
}
