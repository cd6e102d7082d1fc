package debugpage

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// waiting is a request that was refused, as the page shows it.
type waiting struct {
	ID, Request string
	First, Last time.Time
	Times       int
	Text        string
	Now         string // what would be answered now, with the nearest miss and what would help
}

// cause is a reason for which requests wait.
type cause struct {
	Count int
	Text  string
}

// refused are the requests that wait, oldest first.
func (p *Page) refused(ctx context.Context, of Source) ([]scheduler.Refusal, error) {
	if of == nil {
		return nil, errUnread
	}
	return of.Refused(ctx)
}

// maxWaiting is how many of them the page shows.
const maxWaiting = 20

// explained is what would be answered to a request that waits, and as of when.
type explained struct {
	text string
	at   time.Time
}

// Explanations of what waits are as old as this at most, but for those to which it has
// not come: one frame takes explainFor at most to bring them up to date.
const (
	explainAge = 5 * time.Second
	explainFor = maxAge / workShare
)

// waiting are the requests as the page shows them. The lock of what viewers share is held.
func (p *Page) waiting(ctx context.Context, of Source, refused []scheduler.Refusal) []waiting {
	start, now := time.Now(), p.cfg.Now()
	known := make(map[string]explained)
	var all []waiting
	for _, r := range refused[:min(len(refused), maxWaiting)] {
		request, err := json.Marshal(r.Request)
		if err != nil {
			continue
		}
		e, found := p.shared.explained[r.Request.ID]
		if old := !found || now.Sub(e.at) >= explainAge; old && time.Since(start) < explainFor {
			if e.at = now; of != nil {
				e.text = explanation(ctx, of, r.Request)
			}
			found = true
		}
		if found {
			known[r.Request.ID] = e
		}
		all = append(all, waiting{ID: r.Request.ID, Request: string(request), First: r.First, Last: r.Last, Times: r.Times, Text: r.String(), Now: e.text})
	}
	p.shared.explained = known
	return all
}

func explanation(ctx context.Context, of Source, req placement.Request) string {
	e, err := of.Explain(ctx, req)
	if err != nil {
		return err.Error()
	}
	return e.String()
}

// causesOf counts requests by what refused most nodes, and by their quota, the most
// frequent first.
func causesOf(refused []scheduler.Refusal) []cause {
	counts := make(map[string]int)
	for _, r := range refused {
		if r.Exceeded != nil {
			counts["over the quota of "+r.Exceeded.Namespace]++
		}
		if r.Unschedulable == nil {
			continue
		}
		most, found := r.Unschedulable.Foremost()
		if !found {
			counts["no nodes"]++
			continue
		}
		most.Nodes = 2 // nodes fail it, however many
		_, text, _ := strings.Cut(most.String(), " ")
		counts["nodes "+text]++
	}
	var all []cause
	for text, count := range counts {
		all = append(all, cause{count, text})
	}
	slices.SortFunc(all, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return all
}
