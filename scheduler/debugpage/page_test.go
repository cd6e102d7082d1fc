package debugpage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/raft"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
)

// cluster is a scheduler with a bit of everything.
func cluster(t *testing.T) *scheduler.Scheduler {
	t.Helper()
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	ctx := t.Context()
	s.Watch(ctx, 0) // somebody has looked before
	for i := range 3 {
		require.NoError(t, s.AddNode(ctx, placement.Node{
			ID: fmt.Sprint("n", i), Labels: map[string]string{"zone": fmt.Sprint("z", i%2)},
			Capacity: placement.Resources{CPU: 8 * placement.Core, Memory: 16 * placement.GiB},
			Taints:   []placement.Taint{{Key: "batch", Effect: placement.PreferNoSchedule}},
		}))
	}
	_, err = s.CreateQuota(ctx, quota.Spec{Namespace: "team", Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {Soft: 4 * placement.Core}}})
	require.NoError(t, err)
	_, err = s.Place(ctx, placement.Request{ID: "web-1", Namespace: "team", Resources: placement.Resources{CPU: placement.Core}})
	require.NoError(t, err)
	_, err = s.Reserve(ctx, reservation.Spec{
		ID: "training", Namespace: "ml", Shape: placement.Resources{CPU: 2 * placement.Core}, Count: 1, Duration: time.Hour,
	})
	require.NoError(t, err)
	return s
}

func newPage(t *testing.T, cfg debugpage.Config) *debugpage.Page {
	t.Helper()
	p, err := debugpage.New(cfg)
	require.NoError(t, err)
	return p
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, debugpage.DefaultPrefix+path, nil))
	return w
}

func decode(w *httptest.ResponseRecorder, into any) error {
	return json.Unmarshal(w.Body.Bytes(), into)
}

// html returns the page, which must be there.
func html(t *testing.T, h http.Handler, query url.Values) string {
	t.Helper()
	w := get(t, h, "?"+query.Encode())
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String()
}

// section is what stands between the start and the end of a part of the page.
func section(t *testing.T, page, id string) string {
	t.Helper()
	_, after, found := strings.Cut(page, `<section id="`+id+`"`)
	require.True(t, found, id)
	part, _, _ := strings.Cut(after, "</section>")
	return part
}

func TestEachPartShowsItsContent(t *testing.T) {
	s := cluster(t)
	members, err := raft.NewConfiguration(raft.Member{ID: "a", Voter: true, Data: "10.0.0.1"}, raft.Member{ID: "b", Voter: true})
	require.NoError(t, err)
	page := html(t, newPage(t, debugpage.Config{State: s, Election: func() raft.Status {
		return raft.Status{ID: "a", Leader: "b", Term: 7, Configuration: members}
	}}), nil)
	for id, want := range map[string][]string{
		"verdict":      {"<dt>Leader</dt><dd>b</dd>", "<dt>Term</dt><dd>7</dd>", "<dt>Nodes ready</dt><dd>3</dd>", "Nothing is known to be wrong."},
		"nodes":        {`<th scope="row">n0</th>`, "zone=z0", "batch", "cpu: 1 used, ", " held, of 8", "ready"},
		"capacity":     {`<th scope="row">cpu</th><td>24</td><td>1</td><td>2</td><td>21</td><td>8</td><td>0</td>`, `<td>48GiB</td><td>16GiB</td><td>6GiB</td>`},
		"quotas":       {`data-key="team"`, "cpu: 1 used of 4"},
		"reservations": {`<th scope="row">training</th>`, "<td>ml</td>", "active", "1 × cpu=2", "<rect"},
		"members":      {"This is a, follower", `<th scope="row">b</th><td>leader</td>`, "10.0.0.1"},
		"events":       {"node-added", "placed", "web-1", `id="event-4"`},
	} {
		for _, text := range want {
			require.Contains(t, section(t, page, id), text, id)
		}
	}
}

func TestProblemsAreTold(t *testing.T) {
	s := cluster(t)
	require.NoError(t, s.MarkLost(t.Context(), "n0"))
	p := newPage(t, debugpage.Config{State: s, Election: func() raft.Status { return raft.Status{} }})
	verdict := section(t, html(t, p, nil), "verdict")
	require.Contains(t, verdict, "<li>No leader is known: nothing can be decided.</li>")
	require.Contains(t, verdict, "<li>Lost nodes: 1 of 3.</li>")
	require.NotContains(t, verdict, "Nothing is known to be wrong")
	require.NoError(t, s.Close())
	require.Contains(t, section(t, html(t, p, nil), "verdict"), "<li>The scheduler has ended: scheduler: closed.</li>")
	require.Equal(t, http.StatusServiceUnavailable, get(t, p, "nodes.json").Code, "no list that looks empty")
}

func TestExplainsWhyNot(t *testing.T) {
	p := newPage(t, debugpage.Config{State: cluster(t)})
	ask := func(request string) string {
		return section(t, html(t, p, url.Values{"request": {request}}), "why")
	}
	large := ask(`{"id":"big","resources":{"cpu":"100"}}`)
	require.Contains(t, large, "0 of 3 nodes fit")
	require.Contains(t, large, `<th scope="row">n1</th><td><span class="bad">no</span></td>`)
	require.Contains(t, large, "lacks cpu (short of 92)")
	small := ask(`{"id":"small","resources":{"cpu":"1"}}`)
	require.Contains(t, small, `<th scope="row">n1</th><td>fits</td>`)
	require.Contains(t, small, "strategy ")
	require.Contains(t, ask(`{"id":`), "unexpected end of JSON input")
	answered := httptest.NewRecorder()
	p.ServeHTTP(answered, httptest.NewRequestWithContext(t.Context(), http.MethodPost, debugpage.DefaultPrefix+"explain.json",
		strings.NewReader(`{"id":"big","resources":{"cpu":"100"}}`)))
	var e scheduler.Explanation
	require.NoError(t, json.Unmarshal(answered.Body.Bytes(), &e))
	require.Equal(t, 3, e.Total)
	require.Zero(t, e.Fit)
}

func TestTheFilterChoosesRows(t *testing.T) {
	page := html(t, newPage(t, debugpage.Config{State: cluster(t)}), url.Values{"filter": {"zone=z1"}})
	nodes := section(t, page, "nodes")
	require.Contains(t, nodes, ">n1<")
	require.NotContains(t, nodes, ">n0<")
	require.Contains(t, nodes, `value="zone=z1"`)
}

func TestALongListIsCutAndSaysSo(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	for i := range 600 {
		require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: fmt.Sprintf("n%03d", i)}))
	}
	nodes := section(t, html(t, newPage(t, debugpage.Config{State: s}), nil), "nodes")
	require.Equal(t, 500, strings.Count(nodes, `<th scope="row">`))
	require.Contains(t, nodes, "And 100 more: filter.")
}

func TestJSONReadsBack(t *testing.T) {
	s := cluster(t)
	p := newPage(t, debugpage.Config{State: s})
	into := func(path string, into any) {
		w := get(t, p, path)
		require.Equal(t, http.StatusOK, w.Code)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), into), path)
	}
	var (
		nodes        []scheduler.NodeInfo
		quotas       []scheduler.QuotaInfo
		reservations []reservation.Reservation
		events       []scheduler.Event
		summary      debugpage.Summary
	)
	into("nodes.json", &nodes)
	into("quotas.json", &quotas)
	into("reservations.json", &reservations)
	into("events.json", &events)
	into("summary.json", &summary)
	want, err := s.Nodes(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, nodes)
	require.Len(t, quotas, 1)
	require.Len(t, reservations, 1)
	require.Equal(t, s.Version(), events[0].Seq, "the last comes first")
	require.Equal(t, s.Stats(), summary.Stats)
}

// FuzzNamesAreText gives everything that has a name one with markup in it.
func FuzzNamesAreText(f *testing.F) {
	f.Add("<script>alert(1)</script>")
	f.Add(`"><img src=x onerror=alert(1)>`)
	f.Add("</textarea><b>")
	f.Fuzz(func(t *testing.T, name string) {
		s, err := scheduler.New(scheduler.Config{})
		require.NoError(t, err)
		s.Watch(t.Context(), 0)
		err = s.AddNode(t.Context(), placement.Node{ID: name, Labels: map[string]string{"k": name}, Capacity: placement.Resources{CPU: placement.Core}})
		if err != nil {
			require.ErrorIs(t, err, placement.ErrInvalid)
			return
		}
		_, _ = s.Place(t.Context(), placement.Request{ID: name, Namespace: name})
		_, _ = s.CreateQuota(t.Context(), quota.Spec{Namespace: name, Limits: map[placement.ResourceName]quota.Limit{placement.NameCPU: {}}})
		_, _ = s.Reserve(t.Context(), reservation.Spec{ID: name, Namespace: name, Shape: placement.Resources{CPU: 1}, Count: 1, Duration: time.Hour})
		p, err := debugpage.New(debugpage.Config{State: s})
		require.NoError(t, err)
		_, err = s.Place(t.Context(), placement.Request{ID: name, Namespace: name + "2", Resources: placement.Resources{CPU: 2 * placement.Core}})
		require.Error(t, err)
		page := html(t, p, url.Values{"filter": {name}, "request": {name}})
		require.Equal(t, 1, strings.Count(page, "<script"), "its own")
		require.NotContains(t, page, "<img")
		require.NotContains(t, page, "<b>")
		require.Equal(t, 1, strings.Count(page, "</textarea>"))
	})
}

func TestNothingComesFromElsewhereOrRunsInline(t *testing.T) {
	p := newPage(t, debugpage.Config{State: cluster(t)})
	w := get(t, p, "")
	policy := w.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'")
	require.NotContains(t, policy, "unsafe")
	for _, text := range []string{"http://", "https://", "//cdn", " style=", " onclick=", "<style"} {
		require.NotContains(t, w.Body.String(), text)
	}
	for _, asset := range []string{"page.css", "page.js"} {
		require.Contains(t, w.Body.String(), debugpage.DefaultPrefix+asset)
		got := get(t, p, asset)
		require.Equal(t, http.StatusOK, got.Code)
		require.NotContains(t, got.Body.String(), "http")
	}
	require.Equal(t, http.StatusNotFound, get(t, p, "page.html").Code)
}

func TestOnlyWhoMaySeesAnything(t *testing.T) {
	p := newPage(t, debugpage.Config{State: cluster(t), Authorize: func(r *http.Request) bool { return r.Header.Get("Operator") != "" }})
	for _, path := range []string{"", "nodes.json", "stream", "page.js", "explain.json"} {
		require.Equal(t, http.StatusForbidden, get(t, p, path).Code, path)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, debugpage.DefaultPrefix, nil)
	req.Header.Set("Operator", "1")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, req)
	require.Equal(t, http.StatusOK, w.Code)
}

// flusher is a response that can be read while it is written.
type flusher struct {
	*io.PipeWriter
	header http.Header
}

func (f flusher) Header() http.Header { return f.header }
func (flusher) WriteHeader(int)       {}
func (flusher) Flush()                {}

// stream opens the stream, and returns its lines and a channel that is closed at its
// end.
func stream(ctx context.Context, p *debugpage.Page) (*bufio.Scanner, <-chan struct{}) {
	from, to := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer to.Close() //nolint:errcheck // it returns nil
		p.ServeHTTP(flusher{to, make(http.Header)}, httptest.NewRequestWithContext(ctx, http.MethodGet, debugpage.DefaultPrefix+"stream", nil))
	}()
	return bufio.NewScanner(from), done
}

// line returns the next line that is not empty.
func line(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if lines.Text() != "" {
			return lines.Text()
		}
	}
	require.Fail(t, "the stream has ended")
	return ""
}

func TestAStreamTellsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cluster(t)
		p := newPage(t, debugpage.Config{State: s})
		ctx, end := context.WithCancel(t.Context())
		lines, done := stream(ctx, p)
		require.Equal(t, fmt.Sprint("id: ", s.Version()), line(t, lines))
		var sum debugpage.Summary
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line(t, lines), "data: ")), &sum))
		require.Equal(t, 3, sum.Nodes[scheduler.NodeReady])
		start := time.Now()
		for range 100 { // become one
			require.NoError(t, s.Cordon(t.Context(), "n0"))
			require.NoError(t, s.Uncordon(t.Context(), "n0"))
		}
		require.NoError(t, s.MarkLost(t.Context(), "n0"))
		require.Equal(t, fmt.Sprint("id: ", s.Version()), line(t, lines))
		require.LessOrEqual(t, time.Since(start), time.Second)
		require.Contains(t, line(t, lines), "Lost nodes: 1 of 3.")
		start = time.Now()
		require.Equal(t, ": nothing new", line(t, lines))
		require.InDelta(t, 15, time.Since(start).Seconds(), 1)
		require.Equal(t, ": nothing new", line(t, lines))
		require.InDelta(t, 30, time.Since(start).Seconds(), 2)
		end()
		<-done
	})
}

func TestAStreamEndsAsTheServerShutsDown(t *testing.T) {
	p := newPage(t, debugpage.Config{State: cluster(t)})
	server := httptest.NewUnstartedServer(p)
	server.Config.WriteTimeout = time.Millisecond // which a stream outlives
	server.Config.RegisterOnShutdown(p.Close)
	server.Start()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+debugpage.DefaultPrefix+"stream", nil)
	require.NoError(t, err)
	response, err := server.Client().Do(req)
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // it was read
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.NoError(t, server.Config.Shutdown(t.Context()))
	all, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(all), "data: ")
	server.Close()
}

// A state that changes all the time is listed twice a second, however many look.
func TestListsAreReadForAllViewersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counted{Scheduler: cluster(t)}
		p := newPage(t, debugpage.Config{State: s})
		for range 50 {
			get(t, p, "nodes.json")
			html(t, p, nil)
			require.NoError(t, s.Cordon(t.Context(), "n0"))
			require.NoError(t, s.Uncordon(t.Context(), "n0"))
		}
		require.Equal(t, 1, s.listed)
		time.Sleep(time.Second)
		get(t, p, "nodes.json")
		time.Sleep(time.Hour)
		get(t, p, "nodes.json")
		require.Equal(t, 2, s.listed, "nothing has changed since")
	})
}

type counted struct {
	*scheduler.Scheduler
	listed int
}

func (c *counted) Nodes(ctx context.Context) ([]scheduler.NodeInfo, error) {
	c.listed++
	return c.Scheduler.Nodes(ctx)
}

func TestMistakesInTheConfiguration(t *testing.T) {
	for _, cfg := range []debugpage.Config{{}, {State: cluster(t), Prefix: "debug/"}, {State: cluster(t), Prefix: "/debug"}, {State: cluster(t), Prefix: "/{x}/"}} {
		_, err := debugpage.New(cfg)
		require.ErrorIs(t, err, placement.ErrInvalid)
	}
	p := newPage(t, debugpage.Config{State: cluster(t), Prefix: "/ops/"})
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ops/", nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.True(t, bytes.Contains(w.Body.Bytes(), []byte(`href="/ops/page.css"`)))
}

// TestMetricsStandBesideThePage: what may not see the page may not see them.
func TestMetricsStandBesideThePage(t *testing.T) {
	s, err := scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	allowed := true
	page, err := debugpage.New(debugpage.Config{State: s, Authorize: func(*http.Request) bool { return allowed }})
	require.NoError(t, err)
	scrape := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, debugpage.DefaultPrefix+"metrics", nil))
		return w
	}
	require.Contains(t, scrape().Body.String(), "\nconstellation_scheduler_up 1\n")
	require.NotContains(t, scrape().Body.String(), "constellation_raft")
	allowed = false
	require.Equal(t, http.StatusForbidden, scrape().Code)
}
