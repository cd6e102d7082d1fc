package debugpage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A stream looks every beat, and says that it lives if it has said nothing for longer.
// It sends bytesASecond at most, and waits for a viewer for so long as viewerPatience.
const (
	beat           = 500 * time.Millisecond
	silence        = 15 * time.Second
	bytesASecond   = 200_000
	viewerPatience = 30 * time.Second
)

// viewer is who reads a stream.
type viewer struct {
	page    *Page
	control *http.ResponseController
	w       http.ResponseWriter

	shows  bool                       // the page, and not only the summary
	filter string                     // of its lists
	seen   uint64                     // the stamp of the lists that it has; 0 has none
	parts  map[string]string          // that it has
	keys   map[string]map[string]bool // of the rows that it has, by the list, once it was told of their order
	told   told
	spoken time.Time // when it was told anything
}

// serveStream tells a viewer of every change, and how things stand as it begins. The
// data of an event is the summary. With "page" in the query it is what has changed on
// the page, from what Last-Event-ID, or "seen" in the query, says has been seen. A
// viewer that reads slowly gets what has changed since at once.
func (p *Page) serveStream(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	v := viewer{
		page: p, w: w, control: http.NewResponseController(w),
		shows: query.Has("page"), filter: filterOf(r), parts: make(map[string]string), keys: make(map[string]map[string]bool),
	}
	v.seen = p.stampOf(query.Get("seen"))
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		v.seen = p.stampOf(last)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies
	for first := true; ; first = false {
		sent, err := v.tell(r.Context(), time.Now(), first)
		if err != nil || !p.pause(r.Context(), max(beat, time.Duration(sent)*time.Second/bytesASecond)) {
			return
		}
	}
}

// eventID is what a viewer says that it has seen up to. It begins with the version of
// the state.
func (p *Page) eventID(stamp uint64) string { return fmt.Sprintf("%d-%x", stamp, p.origin) }

// stampOf is what a viewer has seen up to, or 0 if that was on another page.
func (p *Page) stampOf(eventID string) uint64 {
	text, origin, _ := strings.Cut(eventID, "-")
	stamp, err := strconv.ParseUint(text, 10, 64)
	if err != nil || origin != strconv.FormatInt(p.origin, 16) {
		return 0
	}
	return stamp
}

// tell sends what is new to the viewer, and returns how many bytes that was.
func (v *viewer) tell(ctx context.Context, now time.Time, first bool) (int, error) {
	l := v.page.look(ctx)
	start := time.Now()
	f := v.page.frame(ctx, l)
	var event []byte
	var err error
	switch {
	case v.shows:
		event, err = v.changes(l, f)
	case first || !f.told.equal(v.told):
		event, err = summaryEvent(f)
	}
	v.told = f.told
	if l.cost != nil {
		l.cost.Add(int64(time.Since(start)))
	}
	if len(event) == 0 && now.Sub(v.spoken) >= silence {
		event = []byte(": nothing new\n\n")
	}
	if err != nil || len(event) == 0 {
		return 0, err
	}
	v.spoken = now
	// A stream outlives the WriteTimeout of its server, but not a viewer who is gone.
	if err := v.control.SetWriteDeadline(time.Now().Add(viewerPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	if _, err := v.w.Write(event); err != nil {
		return 0, err
	}
	return len(event), v.control.Flush()
}

func summaryEvent(f *frame) ([]byte, error) {
	data, err := json.Marshal(f.shown.Summary)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "id: %d\ndata: %s\n\n", f.told.version, data), nil
}

// update is what has changed on a page.
type update struct {
	Parts map[string]string     `json:"parts,omitempty"`
	Lists map[string]listUpdate `json:"lists,omitempty"`
}

// listUpdate has the rows of a list that have changed, as HTML by their keys, and the
// keys of all in their order if that has.
type listUpdate struct {
	Rows  map[string]string `json:"rows,omitempty"`
	Order []string          `json:"order,omitempty"`
	More  *int              `json:"more,omitempty"`
}

// changes returns an event with what the viewer does not have, or nothing.
func (v *viewer) changes(l *lists, f *frame) ([]byte, error) {
	u := update{Parts: make(map[string]string), Lists: make(map[string]listUpdate)}
	for part, html := range f.parts {
		if v.parts[part] != html {
			v.parts[part], u.Parts[part] = html, html
		}
	}
	fresh := l.err == nil && l.stamp != v.seen
	if fresh {
		for _, part := range listed() {
			if changed, found := v.listChanges(part, l.rows[part]); found {
				u.Lists[part] = changed
			}
		}
	}
	if len(u.Parts) == 0 && !fresh {
		return nil, nil
	}
	var event bytes.Buffer
	if fresh { // before what says that all has been seen
		cells, err := v.page.cellsEvent(l, v.seen)
		if err != nil {
			return nil, err
		}
		event.Write(cells)
		v.seen = l.stamp
	}
	fmt.Fprintf(&event, "id: %s\nevent: page\ndata: ", v.page.eventID(v.seen))
	encoder := json.NewEncoder(&event)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(u); err != nil {
		return nil, err
	}
	event.WriteByte('\n')
	return event.Bytes(), nil
}

// listChanges are the rows of a list that the viewer does not have.
func (v *viewer) listChanges(part string, of list) (u listUpdate, found bool) {
	rows, more := of.chosen(v.filter, rowText)
	u.Rows = make(map[string]string)
	has := v.keys[part]
	for _, r := range rows {
		if r.stamp > v.seen || has != nil && !has[r.key] {
			u.Rows[r.key] = string(v.page.show(of.template, r))
		}
	}
	// With a filter a row may come or go whenever one has changed.
	if of.order > v.seen || v.filter != "" {
		u.Order, u.More = make([]string, len(rows)), &more
		v.keys[part] = make(map[string]bool, len(rows))
		for i, r := range rows {
			u.Order[i], v.keys[part][r.key] = r.key, true
		}
	}
	return u, u.Order != nil || len(u.Rows) > 0
}

// pause waits, and reports whether the stream goes on.
func (p *Page) pause(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closed:
		return false
	case <-ctx.Done():
		return false
	}
}
