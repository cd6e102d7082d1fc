package debugpage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A stream looks every beat, and says that it lives if it has said nothing for longer.
const (
	beat    = 500 * time.Millisecond
	silence = 15 * time.Second
)

// told is what a viewer has been told: if any of it is another, it is told again.
type told struct {
	version  uint64
	term     uint64
	leader   string
	role     string
	problems []string
}

func (t told) equal(other told) bool {
	return t.version == other.version && t.term == other.term && t.leader == other.leader && t.role == other.role &&
		slices.Equal(t.problems, other.problems)
}

// serveStream sends the summary whenever it has changed. The ID of an event is the
// version of the state. A viewer that reads slowly gets the latest summary, and none of
// those between.
func (p *Page) serveStream(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// A stream outlives the WriteTimeout of its server.
	if err := control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies
	var (
		last  told
		since time.Time
	)
	for first := true; ; first = false {
		sum, now := p.summary(p.look(r.Context())), time.Now()
		next := told{sum.Stats.Version, sum.Term, sum.Leader, sum.Role, sum.Problems}
		var err error
		switch {
		case first || !next.equal(last):
			err = send(w, sum)
			last, since = next, now
		case now.Sub(since) >= silence:
			_, err = fmt.Fprint(w, ": nothing new\n\n")
			since = now
		}
		if err != nil || control.Flush() != nil || !p.pause(r.Context()) {
			return
		}
	}
}

func send(w http.ResponseWriter, sum Summary) error {
	data, err := json.Marshal(sum)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", sum.Stats.Version, data)
	return err
}

// pause waits for a beat, and reports whether the stream goes on.
func (p *Page) pause(ctx context.Context) bool {
	select {
	case <-time.After(beat):
		return true
	case <-p.closed:
		return false
	case <-ctx.Done():
		return false
	}
}
