package scheduler

import (
	"fmt"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
)

// String reads like "0 of 12 nodes fit: 7 lack cpu (nearest n3 lacks 500m), 3
// have taint dedicated=gpu:NoSchedule, 2 are not in region us-east-1|us-east-2 (n7
// has eu-west-1); nearest miss n3: lacks cpu (short of 500m); would help: waiting
// on n3 for cpu 500m, tolerating dedicated=gpu:NoSchedule of n9", or names the best
// nodes. What most nodes fail first stands first, at equal counts in filter order.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d nodes fit", e.Fit, e.Total)
	var reasons, best, exceeded []string
	for _, r := range commonFirst(e.First) {
		reasons = append(reasons, r.phrase(e.remark(r.Reason)))
	}
	for _, v := range e.Candidates {
		best = append(best, fmt.Sprintf("%s with %d of 1000", v.NodeID, v.Score))
	}
	for _, v := range e.Exceeded {
		exceeded = append(exceeded, v.String())
	}
	section(&b, ": ", reasons)
	section(&b, "; best ", best)
	if e.NearestMiss != nil && (len(e.NearestMiss.Failures) > 1 || len(e.Help.phrases()) == 0) {
		section(&b, "; nearest miss ", e.NearestMiss.phrases())
	}
	section(&b, "; would help: ", e.Help.phrases())
	section(&b, "; against quota: ", exceeded)
	return b.String()
}

// section writes a list behind its beginning, and nothing if it is empty.
func section(b *strings.Builder, beginning string, list []string) {
	if len(list) > 0 {
		b.WriteString(beginning + strings.Join(list, ", "))
	}
}

// String reads like "lacks cpu (short of 500m)".
func (f Failure) String() string {
	text := predicate(f.Reason, false)
	if f.Shortfall > 0 {
		text += " (short of " + placement.FormatQuantity(f.Reason.Name, f.Shortfall) + ")"
	}
	return text
}

// phrases says what the nearest node fails.
func (v *NodeVerdict) phrases() []string {
	var failures []string
	for _, f := range v.Failures {
		failures = append(failures, f.String())
	}
	if len(failures) > 0 {
		failures[0] = v.NodeID + ": " + failures[0]
	}
	return failures
}

// remark says what stands behind a reason: where more is known than the node with
// the smallest shortfall, that.
func (e Explanation) remark(reason placement.Reason) string {
	nearest := e.nearest(reason)
	for i := range e.Causes {
		if e.Causes[i].Reason == reason {
			return e.Causes[i].remark(nearest)
		}
	}
	return nearest
}

func (e Explanation) nearest(reason placement.Reason) string {
	for _, m := range e.Nearest {
		if m.Reason == reason {
			text := fmt.Sprintf("nearest %s lacks %s", m.NodeID, placement.FormatQuantity(reason.Name, m.Shortfall))
			return text + broken(m.Broken)
		}
	}
	return ""
}

func broken(devices []int) string {
	if len(devices) == 0 {
		return ""
	}
	return fmt.Sprintf(", its devices %v are broken", devices)
}

// remark writes a cause in brackets; nearest is what is known without it.
func (c *Cause) remark(nearest string) string {
	switch c.Reason.Kind {
	case placement.ReasonConstraint:
		return c.label()
	case placement.ReasonInstances:
		return fmt.Sprintf("%s has %d of %d", c.NodeID, c.Count, c.Limit)
	case placement.ReasonPort:
		if c.Instance == "" {
			return nearest
		}
		return c.who()
	case placement.ReasonResource:
		return c.amount(nearest)
	case placement.ReasonHold:
		return nearest + c.held()
	case placement.ReasonAffinity:
		switch {
		case c.Other != "":
			return fmt.Sprintf("nothing is %s, but %s in namespace %s is", c.whom(), c.Instance, c.Other)
		case c.Instance == "":
			return "nothing is " + c.whom()
		}
		return fmt.Sprintf("%s is %s", c.who(), c.whom())
	case placement.ReasonAntiAffinity:
		return c.apart()
	case placement.ReasonSpread:
		return c.counts()
	default:
		return nearest
	}
}

func (c *Cause) label() string {
	switch {
	case c.Reason.Value != "": // which the reason tells
		return c.NodeID
	case c.Nowhere:
		return "no node has that label"
	case c.Absent:
		return c.NodeID + " has no such label"
	case c.Value != "":
		return fmt.Sprintf("%s has %.64s", c.NodeID, c.Value)
	default:
		return ""
	}
}

func (c *Cause) amount(nearest string) string {
	switch {
	case c.Reason.Detail == placement.Overused:
		return strings.Replace(nearest, " lacks ", " is over by ", 1)
	case c.Nowhere:
		return "no node has any"
	case c.Largest > 0:
		text := fmt.Sprintf("never fits: the largest, %s, gives %s", c.LargestOn, placement.FormatQuantity(c.Reason.Name, c.Largest))
		return text + broken(c.Broken)
	case c.Absent:
		return c.NodeID + " has none"
	default:
		return nearest
	}
}

func (c *Cause) held() string {
	switch {
	case c.Reservation == "":
		return ""
	case c.Until.IsZero():
		return ", held by " + c.Reservation
	default:
		return fmt.Sprintf(", held by %s until %s", c.Reservation, c.Until.UTC().Format(time.RFC3339))
	}
}

// whom says which instances an affinity or anti-affinity is about.
func (c *Cause) whom() string {
	whom := c.Selector
	if whom == "" {
		whom = "any instance"
	}
	switch namespaces := strings.Join(c.Namespaces, ", "); namespaces {
	case "":
		return whom
	case placement.AllNamespaces:
		return whom + " in any namespace"
	default:
		return whom + " in namespace " + namespaces
	}
}

// who names the instance.
func (c *Cause) who() string {
	if c.Leaving {
		return c.Instance + " (leaving) on " + c.At
	}
	return c.Instance + " on " + c.At
}

func (c *Cause) apart() string {
	switch {
	case c.Instance == "":
		return ""
	case c.Reason.Index < 0:
		return fmt.Sprintf("%s keeps away from %s", c.who(), c.whom())
	default:
		return fmt.Sprintf("%s is %s", c.who(), c.whom())
	}
}

// counts says what a spread rule compares.
func (c *Cause) counts() string {
	domain := c.Domain
	if domain == "" {
		domain = c.NodeID
	}
	switch {
	case c.Nowhere:
		return "no node has that label"
	case c.Absent:
		return c.NodeID + " has no such label"
	case c.MinDomains > 0:
		return fmt.Sprintf("%d of %d domains exist, and %s has %d", c.Domains, c.MinDomains, domain, c.Count)
	case c.Domains > 0:
		return fmt.Sprintf("%s has %d, the least is %d, at most %d apart", domain, c.Count, c.Least, c.Limit)
	default:
		return fmt.Sprintf("%s has %d of at most %d", domain, c.Count, c.Limit)
	}
}

// phrases says what would help, the least trouble first.
func (h *Help) phrases() []string {
	var remedies []string
	if h.Uncordon != "" {
		remedies = append(remedies, "uncordoning "+h.Uncordon)
	}
	if h.Tolerate != "" {
		var taints []string
		for _, t := range h.Taints {
			taints = append(taints, t.String())
		}
		remedies = append(remedies, "tolerating "+strings.Join(taints, " and ")+" of "+h.Tolerate)
	}
	if h.Waiting != "" {
		remedies = append(remedies, "waiting on "+h.Waiting+h.frees())
	}
	if h.Preemption != "" {
		victims := h.Victims[0]
		if more := len(h.Victims) - 1; more > 0 {
			victims += fmt.Sprintf(" and %d more", more)
		}
		remedies = append(remedies, "preempting "+victims+" on "+h.Preemption)
	}
	if h.MoreNodes != "" {
		remedies = append(remedies, "another node like "+h.MoreNodes)
	}
	if h.Larger != "" {
		remedies = append(remedies, "a node like "+h.Larger+" with "+h.Shape.String())
	}
	return remedies
}

func (h *Help) frees() string {
	var amounts []string
	for _, f := range h.Frees {
		name := string(f.Reason.Name)
		switch f.Reason.Kind {
		case placement.ReasonInstances:
			name = "instances"
		case placement.ReasonPort:
			name = "dynamic ports"
		default:
		}
		amounts = append(amounts, name+" "+placement.FormatQuantity(f.Reason.Name, f.Shortfall))
	}
	if len(amounts) == 0 {
		return ""
	}
	return " for " + strings.Join(amounts, ", ")
}
