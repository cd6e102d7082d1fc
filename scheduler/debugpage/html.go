package debugpage

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// maxRows is how many rows of a list a page has.
const maxRows = 500

// shown is what the template shows.
type shown struct {
	Prefix  string
	Summary Summary
	// Fixed says that the page is not to follow the state: something was asked.
	Fixed bool

	Filter    string // of nodes and events
	Nodes     []scheduler.NodeInfo
	Events    []scheduler.Event
	MoreNodes int // that match the filter and are not shown

	Quotas       []scheduler.QuotaInfo
	Reservations []reservation.Reservation
	Election     *raft.Status
	Asked        asked
}

// asked is a request to be explained, and the answer.
type asked struct {
	Request string // as it was typed
	Node    string
	Answer  string
	Verdict *scheduler.NodeVerdict // on Node
	Error   string
}

// serveHTML shows everything. The query has "filter", a part of the IDs, labels and
// kinds to show, and "request" with "node", what to explain.
func (p *Page) serveHTML(w http.ResponseWriter, r *http.Request) {
	l := p.look(r.Context())
	query := r.URL.Query()
	s := shown{
		Prefix: p.cfg.Prefix, Summary: p.summary(l), Filter: strings.TrimSpace(query.Get("filter")),
		Quotas: l.quotas[:min(len(l.quotas), maxRows)], Reservations: l.reservations[:min(len(l.reservations), maxRows)],
		Election: p.election(), Asked: asked{Request: query.Get("request"), Node: query.Get("node")},
	}
	if s.Fixed = s.Asked.Request != ""; s.Fixed {
		p.explain(r, l.of, &s.Asked)
	}
	for _, n := range l.nodes {
		switch {
		case !matches(s.Filter, nodeText(n)...):
		case len(s.Nodes) < maxRows:
			s.Nodes = append(s.Nodes, n)
		default:
			s.MoreNodes++
		}
	}
	for _, e := range l.events {
		if len(s.Events) < maxRows && matches(s.Filter, e.Kind(), changeText(e)) {
			s.Events = append(s.Events, e)
		}
	}
	var whole bytes.Buffer
	if err := p.page.Execute(&whole, s); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(whole.Bytes()) // or the viewer has gone
}

// explain says where a request could go, and why not elsewhere.
func (p *Page) explain(r *http.Request, of State, a *asked) {
	var req placement.Request
	if err := json.Unmarshal([]byte(a.Request), &req); err != nil {
		a.Error = err.Error()
		return
	}
	if of == nil {
		a.Error = errUnread.Error()
		return
	}
	e, err := of.Explain(r.Context(), req)
	if err == nil && a.Node != "" {
		var v scheduler.NodeVerdict
		v, err = of.ExplainNode(r.Context(), req, a.Node)
		a.Verdict = &v
	}
	if err != nil {
		a.Error, a.Verdict = err.Error(), nil
		return
	}
	a.Answer = e.String()
}

// matches reports whether any of the texts has the filter in it.
func matches(filter string, texts ...string) bool {
	return filter == "" || slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, filter) })
}

func nodeText(n scheduler.NodeInfo) []string {
	texts := []string{n.ID, n.Name, string(n.State)}
	for key, value := range n.Labels {
		texts = append(texts, key+"="+value)
	}
	for _, taint := range n.Taints {
		texts = append(texts, taint.String())
	}
	return texts
}

// changeText is a change as JSON.
func changeText(e scheduler.Event) string {
	data, err := json.Marshal(e.Change)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// bar is a dimension of a node, in hundredths of what it gives.
type bar struct {
	Name       placement.ResourceName
	Used, Held int
	Text       string
}

// bars are the dimensions that a node gives.
func bars(n scheduler.NodeInfo) []bar {
	var all []bar
	for name, total := range n.Total.All() {
		if total == 0 {
			continue
		}
		used, held := n.Allocated.Amount(name), n.Held.Amount(name)
		share := func(amount int64) int { return int(min(100, 100*float64(amount)/float64(total))) } // for people
		all = append(all, bar{name, share(used), min(share(held), 100-share(used)), fmt.Sprintf("%s used, %s held, of %s",
			placement.FormatQuantity(name, used), placement.FormatQuantity(name, held), placement.FormatQuantity(name, total))})
	}
	return all
}

func functions() template.FuncMap {
	return template.FuncMap{
		"amount": placement.FormatQuantity,
		"bars":   bars,
		"change": changeText,
		"labels": func(labels map[string]string) string {
			var all []string
			for key, value := range labels {
				all = append(all, key+"="+value)
			}
			slices.SortFunc(all, cmp.Compare)
			return strings.Join(all, " ")
		},
		"when": func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.UTC().Format(time.RFC3339)
		},
	}
}
