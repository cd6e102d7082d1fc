package scheduler

import (
	"fmt"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// String reads like "0 of 12 nodes fit: 7 lack cpu (nearest n3 lacks 500m), 3
// have taint dedicated=gpu:NoSchedule, 2 are not in region
// us-east-1|us-east-2; would help: waiting on n3", or names the best nodes.
// What most nodes fail first stands first, at equal counts in filter order.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d nodes fit", e.Fit, e.Total)
	for i, r := range commonFirst(e.First) {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		b.WriteString(separator + r.phrase(e.nearest(r.Reason)))
	}
	for i, v := range e.Candidates {
		separator := ", "
		if i == 0 {
			separator = "; best "
		}
		fmt.Fprintf(&b, "%s%s with %d of 1000", separator, v.NodeID, v.Score)
	}
	b.WriteString(e.Help.phrase())
	for i, v := range e.Exceeded {
		separator := ", "
		if i == 0 {
			separator = "; against quota: "
		}
		b.WriteString(separator + v.String())
	}
	return b.String()
}

// String reads like "lacks cpu (short of 500m)".
func (f Failure) String() string {
	text := predicate(f.Reason, false)
	if f.Shortfall > 0 {
		text += " (short of " + placement.FormatQuantity(f.Reason.Name, f.Shortfall) + ")"
	}
	return text
}

func (e Explanation) nearest(reason placement.Reason) string {
	for _, m := range e.Nearest {
		if m.Reason == reason {
			text := fmt.Sprintf("nearest %s lacks %s", m.NodeID, placement.FormatQuantity(reason.Name, m.Shortfall))
			if len(m.Broken) > 0 {
				text += fmt.Sprintf(", its devices %v are broken", m.Broken)
			}
			return text
		}
	}
	return ""
}

func (h Help) phrase() string {
	var remedies []string
	if h.Waiting != "" {
		remedies = append(remedies, "waiting on "+h.Waiting)
	}
	if h.Preemption != "" {
		remedies = append(remedies, "preempting on "+h.Preemption)
	}
	if h.MoreNodes != "" {
		remedies = append(remedies, "another node like "+h.MoreNodes)
	}
	if len(remedies) == 0 {
		return ""
	}
	return "; would help: " + strings.Join(remedies, ", ")
}
