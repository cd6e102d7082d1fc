package index

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkSmall decides, books and frees on small clusters, in turns by the grid, by
// the columns and by a scan over node structs that keeps no books but the amounts that
// are free. It reports the tenth percentile of short runs, which a busy machine does
// not disturb.
func BenchmarkSmall(b *testing.B) {
	for _, rules := range []string{"none", "spreading", "label", "prefer"} {
		for _, nodes := range []int{10, 30, 100, 300, 1000} {
			b.Run(fmt.Sprintf("rules=%s/nodes=%d", rules, nodes), func(b *testing.B) {
				const turn = 16
				engines := []string{"grid", "columns", "index", "plain"}
				var stands [4]*stand
				var took [4][]time.Duration
				for i, engine := range engines {
					stands[i] = newStand(nodes, rules)
					switch engine {
					case "grid":
						stands[i].x.thresholds.gridNodes = 0
					case "columns":
						stands[i].x.cfg.Engine = Columns
					}
				}
				for b.Loop() {
					for i, engine := range engines {
						start := time.Now()
						for range turn {
							r := stands[i].request(rules)
							stands[i].place(&r, engine)
							stands[i].releaseOldest()
						}
						took[i] = append(took[i], time.Since(start)/turn)
					}
				}
				for i, engine := range engines {
					slices.Sort(took[i])
					b.ReportMetric(float64(took[i][len(took[i])/10]), engine+"-ns")
				}
			})
		}
	}
}
