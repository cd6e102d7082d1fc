package debugpage

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// A trend has a sample for each of so many steps, and forgets older ones.
const (
	trendStep  = time.Minute
	trendSteps = 60
)

// trend is how capacity was used in the last hour, as far as somebody has looked.
type trend struct {
	mu      sync.Mutex
	samples []sample // in the order of time, a step apart
}

type sample struct {
	at       time.Time
	supplies []scheduler.Supply
}

// add notes how things stand, in place of what was noted in the same step.
func (t *trend) add(now time.Time, supplies []scheduler.Supply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := len(t.samples) - 1
	if last >= 0 && !t.samples[last].at.Truncate(trendStep).Before(now.Truncate(trendStep)) {
		t.samples[last].supplies = supplies
		return
	}
	t.samples = append(t.samples, sample{now, supplies})
	t.samples = slices.DeleteFunc(t.samples, func(s sample) bool { return now.Sub(s.at) > trendSteps*trendStep })
}

// points are the corners of a line, in a picture that is trendSteps wide and 100 high:
// which share of a dimension was allocated or held.
func (t *trend) points(now time.Time, name placement.ResourceName) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var corners []string
	for _, s := range t.samples {
		i := slices.IndexFunc(s.supplies, func(of scheduler.Supply) bool { return of.Resource == name })
		if i < 0 {
			continue
		}
		x := trendSteps - int64(now.Sub(s.at)/trendStep)
		corners = append(corners, fmt.Sprintf("%d,%d", max(0, x), 100-min(100, percent(s.supplies[i].Used, s.supplies[i].Capacity)+percent(s.supplies[i].Held, s.supplies[i].Capacity))))
	}
	if len(corners) == 1 { // a line needs two
		_, height, _ := strings.Cut(corners[0], ",")
		corners = append(corners, fmt.Sprintf("%d,%s", trendSteps-1, height))
	}
	return strings.Join(corners, " ")
}

// percent is a share in hundredths, 0 to 100, for people.
func percent(amount, of int64) int64 {
	if of <= 0 {
		return 0
	}
	return max(0, min(100, int64(100*float64(amount)/float64(of))))
}
