package debugpage

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/scheduler"
)

// maxRows is how many rows of a list a page has.
const maxRows = 500

// shown is what the templates show.
type shown struct {
	Prefix    string
	Seen      string // what a stream goes on from
	Summary   Summary
	AsOf      time.Time
	Lag       uint64 // entries that are not durable
	Election  *raft.Status
	Reign     string // for how long the leader has been seen to lead
	Answering string
	Members   []memberRow
	Refused   []waiting
	Later     int // refused later than those
	Causes    []cause
	Trend     map[placement.ResourceName]string
	Axis      window

	// Of a whole page alone.
	Filter string
	Lists  map[string]shownList
	Asked  asked
}

// shownList are the rows of a list that a page shows, and how many match beside them.
type shownList struct {
	Rows []template.HTML
	More int
}

// parts are the templates that are shown anew as a whole where they have changed, by the
// ID of the element that they fill.
func parts() []string {
	return []string{"title", "verdict", "refused", "capacity", "axis", "members"}
}

// listed are the parts that are lists.
func listed() []string { return []string{"nodes", "quotas", "reservations", "events"} }

// serveHTML shows everything. The query has "filter", a part of the names, labels and
// kinds to show, and "request", what to explain.
func (p *Page) serveHTML(w http.ResponseWriter, r *http.Request) {
	a := asked{Request: strings.TrimSpace(r.URL.Query().Get("request"))}
	if a.Request != "" {
		p.explain(r.Context(), &a)
	}
	p.showPage(w, r, a)
}

// showPage shows everything, with the answer to what was asked.
func (p *Page) showPage(w http.ResponseWriter, r *http.Request, a asked) {
	l := p.look(r.Context())
	f := p.frame(r.Context(), l)
	s := f.shown
	s.Seen, s.Filter, s.Asked = p.eventID(l.stamp), filterOf(r), a
	s.Lists = make(map[string]shownList)
	for _, part := range listed() {
		rows, more := l.rows[part].chosen(s.Filter, rowText)
		list := shownList{More: more}
		for _, row := range rows {
			list.Rows = append(list.Rows, p.show(l.rows[part].template, row))
		}
		s.Lists[part] = list
	}
	var whole bytes.Buffer
	if err := p.page.Execute(&whole, s); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(whole.Bytes()) // or the viewer has gone
}

func filterOf(r *http.Request) string { return strings.TrimSpace(r.URL.Query().Get("filter")) }

// matches reports whether any of the texts has the filter in it.
func matches(filter string, texts ...string) bool {
	return filter == "" || slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, filter) })
}

// rowText is what a filter finds a row by.
func rowText(value any) []string {
	switch of := value.(type) {
	case scheduler.NodeInfo:
		return nodeText(of)
	case branch:
		return []string{of.Namespace, of.Parent}
	case *booking:
		return append(of.Instances(), of.Spec.ID, of.Spec.Namespace, string(of.State()))
	case line:
		return []string{of.Kind(), changeText(of.Event)}
	}
	return nil
}

func nodeText(n scheduler.NodeInfo) []string {
	texts := append(labelTexts(n.Labels), n.ID, n.Name, string(n.State))
	for _, taint := range n.Taints {
		texts = append(texts, taint.String())
	}
	return texts
}

// changeText is a change as JSON.
func changeText(e scheduler.Event) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // the template does
	if err := encoder.Encode(e.Change); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(text.String())
}

// labelTexts are labels as key=value, sorted.
func labelTexts(labels map[string]string) []string {
	all := make([]string, 0, len(labels))
	for key, value := range labels {
		all = append(all, key+"="+value)
	}
	slices.Sort(all)
	return all
}
