package debugpage_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
)

// pageEvent is what a stream tells a page.
type pageEvent struct {
	ID    string
	Parts map[string]string
	Lists map[string]struct {
		Rows  map[string]string
		Order []string
	}
	Cells []struct{ ID, State string }
	Gone  []string
	All   bool
}

// reader reads a stream for a page.
type reader struct {
	t     *testing.T
	lines *bufio.Scanner
	end   func()
}

// read opens a stream for a page that has seen something.
func read(t *testing.T, p *debugpage.Page, seen, last string) reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	from, to := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer to.Close() //nolint:errcheck // it returns nil
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, debugpage.DefaultPrefix+"stream?page&seen="+seen, nil)
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		p.ServeHTTP(flusher{to, make(http.Header)}, r)
	}()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<22)
	return reader{t, lines, func() {
		cancel()
		_ = from.Close()
		<-done
	}}
}

// next returns the next event, and what has changed on the map before it.
func (r reader) next() (e pageEvent) {
	r.t.Helper()
	id := line(r.t, r.lines)
	if id == "event: cells" {
		require.NoError(r.t, json.Unmarshal([]byte(strings.TrimPrefix(line(r.t, r.lines), "data: ")), &e))
		id = line(r.t, r.lines)
	}
	require.Equal(r.t, "event: page", line(r.t, r.lines))
	require.NoError(r.t, json.Unmarshal([]byte(strings.TrimPrefix(line(r.t, r.lines), "data: ")), &e))
	e.ID = strings.TrimPrefix(id, "id: ")
	return e
}

// seen is what a page that is loaded now has seen.
func seen(t *testing.T, p *debugpage.Page) string {
	t.Helper()
	found := regexp.MustCompile(`data-seen="([^"]+)"`).FindStringSubmatch(html(t, p, nil))
	require.Len(t, found, 2)
	return found[1]
}

func TestAStreamBringsThePageWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cluster(t)
		p := newPage(t, debugpage.Config{State: s})
		r := read(t, p, seen(t, p), "")
		defer r.end()
		first := r.next()
		require.Contains(t, first.Parts["verdict"], "Nothing is known to be wrong")
		require.Empty(t, first.Lists, "it has those")
		require.Empty(t, first.Cells)
		require.False(t, first.All)

		require.NoError(t, s.MarkLost(t.Context(), "n1"))
		second := r.next()
		require.True(t, strings.HasPrefix(second.ID, fmt.Sprint(s.Version(), "-")), "the Seq of the last event")
		require.Contains(t, second.Parts["verdict"], "Lost nodes: 1 of 3.")
		require.NotContains(t, second.Parts, "axis", "it is the same")
		require.Len(t, second.Lists["nodes"].Rows, 1)
		require.Contains(t, second.Lists["nodes"].Rows["n1"], "state-lost")
		require.Empty(t, second.Lists["nodes"].Order)
		require.NotContains(t, second.Lists, "quotas")
		require.Equal(t, fmt.Sprint(s.Version()), second.Lists["events"].Order[0])
		require.Len(t, second.Lists["events"].Rows, 1)
		require.Len(t, second.Cells, 1)

		_, err := s.RemoveNode(t.Context(), "n1")
		require.NoError(t, err)
		require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: "n0a"}))
		third := r.next()
		require.Equal(t, []string{"n0", "n0a", "n2"}, third.Lists["nodes"].Order)
		require.Len(t, third.Lists["nodes"].Rows, 1)
		require.Equal(t, []string{"n1"}, third.Gone)
		start := time.Now()
		require.Equal(t, ": nothing new", line(t, r.lines))
		require.InDelta(t, 15, time.Since(start).Seconds(), 1)
	})
}

func TestAStreamGoesOnWhereItWasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cluster(t)
		p := newPage(t, debugpage.Config{State: s})
		r := read(t, p, "", "")
		whole := r.next()
		r.end()
		require.Len(t, whole.Lists["nodes"].Rows, 3)
		require.Len(t, whole.Lists["nodes"].Order, 3)
		require.True(t, whole.All)

		time.Sleep(time.Minute)
		require.NoError(t, s.Cordon(t.Context(), "n2"))
		r = read(t, p, "", whole.ID)
		rest := r.next()
		r.end()
		require.Len(t, rest.Lists["nodes"].Rows, 1)
		require.Contains(t, rest.Lists["nodes"].Rows, "n2")
		require.Len(t, rest.Lists["events"].Rows, 1)
		require.False(t, rest.All)

		again := newPage(t, debugpage.Config{State: s}) // as after a restart
		r = read(t, again, "", whole.ID)
		require.Len(t, r.next().Lists["nodes"].Rows, 3, "another page's word is not taken")
		r.end()
	})
}

// A viewer that reads nothing for a while gets all that has happened as one event.
func TestASlowViewerGetsManyChangesAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cluster(t)
		p := newPage(t, debugpage.Config{State: s})
		r := read(t, p, seen(t, p), "")
		defer r.end()
		r.next()
		for range 20 {
			require.NoError(t, s.Cordon(t.Context(), "n0"))
			require.NoError(t, s.Uncordon(t.Context(), "n0"))
			time.Sleep(time.Second)
		}
		require.NoError(t, s.MarkLost(t.Context(), "n0"))
		events := 0
		for lost := false; !lost; events++ {
			lost = strings.Contains(r.next().Lists["nodes"].Rows["n0"], "state-lost")
		}
		require.LessOrEqual(t, events, 2, "the one that it was late for, and one for all since")
	})
}

// The larger an event, the longer until the next one.
func TestAViewerGetsSoManyBytesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := scheduler.New(scheduler.Config{})
		require.NoError(t, err)
		labels := make(map[string]string)
		for i := range 4 {
			labels[fmt.Sprint("k", i)] = strings.Repeat("v", 200)
		}
		const nodes = 150
		for i := range nodes {
			require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: fmt.Sprintf("n%04d", i), Labels: labels}))
		}
		p := newPage(t, debugpage.Config{State: s})
		r := read(t, p, seen(t, p), "")
		defer r.end()
		r.next()
		start, bytes := time.Time{}, 0
		for range 3 {
			for i := range nodes {
				require.NoError(t, s.SetLabel(t.Context(), fmt.Sprintf("n%04d", i), "now", fmt.Sprint(time.Now().UnixNano())))
			}
			for text := ""; text != "event: page"; {
				text = line(t, r.lines)
				bytes += len(text)
			}
			bytes += len(line(t, r.lines))
			if start.IsZero() { // the first may come at once
				start, bytes = time.Now(), 0
			}
		}
		require.Greater(t, bytes, 300_000)
		require.LessOrEqual(t, float64(bytes)/time.Since(start).Seconds(), 201_000.0)
	})
}
