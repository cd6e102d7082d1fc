package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
)

// ReasonCount is how many nodes a rule refused.
type ReasonCount struct {
	// Reason is the rule.
	Reason placement.Reason `json:"reason"`
	// Nodes that it refused, at least 1.
	Nodes int `json:"nodes"`
}

// String reads like "7 lack cpu".
func (r ReasonCount) String() string { return r.phrase("") }

// UnschedulableError says why no node fits. It unwraps to ErrUnschedulable.
type UnschedulableError struct {
	// ID of the request.
	ID string `json:"id"`
	// Version of the state that was looked at; Scheduler.Wait takes it.
	Version uint64 `json:"version"`
	// Total is the number of nodes looked at.
	Total int `json:"total"`
	// Reasons, in filter order, with the number of nodes that failed each
	// first; they add up to Total.
	Reasons []ReasonCount `json:"reasons"`
}

// Unwrap returns ErrUnschedulable.
func (e *UnschedulableError) Unwrap() error { return ErrUnschedulable }

// Foremost returns what refused the most nodes, of several the first in filter order,
// which Error names first. It reports false where there is no node. It takes time in
// proportion to Reasons.
func (e *UnschedulableError) Foremost() (most ReasonCount, found bool) {
	for _, r := range e.Reasons {
		if r.Nodes > most.Nodes {
			most, found = r, true
		}
	}
	return most, found
}

// Error reads like "scheduler: 0 of 12 nodes fit web-1: 7 lack cpu, 3 have
// taint dedicated=gpu:NoSchedule, 2 fail region = us-east-1": what most nodes
// failed first stands first, at equal counts in filter order.
func (e *UnschedulableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scheduler: 0 of %d nodes fit %s", e.Total, e.ID)
	for i, r := range commonFirst(e.Reasons) {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// commonFirst returns the reasons as text lists them: by nodes, the most first.
func commonFirst(reasons []ReasonCount) []ReasonCount {
	return slices.SortedStableFunc(slices.Values(reasons), func(a, b ReasonCount) int {
		return cmp.Compare(b.Nodes, a.Nodes)
	})
}

// phrase writes the count with the reason as a predicate of nodes, and a
// remark in brackets after it.
func (r ReasonCount) phrase(remark string) string {
	text := strconv.Itoa(r.Nodes) + " " + predicate(r.Reason, r.Nodes != 1)
	if remark != "" {
		text += " (" + remark + ")"
	}
	return text
}

// predicate says what a node of the reason does, as "lacks cpu", or what
// several do, as "lack cpu".
func predicate(r placement.Reason, plural bool) string {
	verb := func(one, many string) string {
		if plural {
			return many
		}
		return one
	}
	switch r.Kind {
	case placement.ReasonState:
		return verb("is ", "are ") + r.Detail
	case placement.ReasonTaint:
		return verb("has taint ", "have taint ") + r.Detail
	case placement.ReasonConstraint:
		if r.Value != "" {
			return verb("fails ", "fail ") + r.Detail + fmt.Sprintf(" (cannot read %.64q)", r.Value)
		}
		if rest, ok := strings.CutSuffix(r.Detail, ")"); ok {
			if key, values, ok := strings.Cut(rest, " in ("); ok && !strings.ContainsAny(key+values, `"()`) {
				return verb("is not in ", "are not in ") + key + " " + strings.ReplaceAll(values, ", ", "|")
			}
		}
		return verb("fails ", "fail ") + r.Detail
	case placement.ReasonInstances:
		return verb("is", "are") + " full of instances"
	case placement.ReasonPort:
		switch {
		case r.Detail == "dynamic":
			return verb("lacks", "lack") + " dynamic ports"
		case r.Index < 0:
			return verb("reserves", "reserve") + " port " + r.Detail
		}
		return verb("has", "have") + " port " + r.Detail + " taken"
	case placement.ReasonResource:
		if r.Detail != "" { // more is used than there is, whatever the request asks
			return verb("is over in ", "are over in ") + string(r.Name)
		}
		return verb("lacks ", "lack ") + string(r.Name)
	case placement.ReasonAffinity:
		return verb("has", "have") + " no match for affinity" + over(r.Detail)
	case placement.ReasonAntiAffinity:
		if r.Index < 0 {
			return verb("is", "are") + " kept free by anti-affinity of others" + over(r.Detail)
		}
		return verb("breaks", "break") + " anti-affinity" + over(r.Detail)
	case placement.ReasonSpread:
		return verb("breaks", "break") + " spread" + over(r.Detail)
	case placement.ReasonHold:
		return verb("has ", "have ") + string(r.Name) + " held by reservations"
	default:
		return verb("fails ", "fail ") + r.Detail
	}
}
