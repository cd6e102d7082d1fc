package pagetest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
)

// visit is a page that is open in a browser.
type visit struct {
	t      *testing.T
	ctx    context.Context
	url    string
	state  *scheduler.Scheduler
	browse *watched
}

// evaluate returns what a script on the page comes to.
func evaluate[T any](v visit, script string) T {
	v.t.Helper()
	got, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](script))
	require.NoError(v.t, err, script)
	return got
}

// until waits until a script on the page comes to true.
func (v visit) until(script string) {
	v.t.Helper()
	require.Eventually(v.t, func() bool { return evaluate[bool](v, script) }, 20*time.Second, 50*time.Millisecond, script)
}

// text is what stands in a part of the page.
func (v visit) text(part string) string {
	v.t.Helper()
	return evaluate[string](v, fmt.Sprintf("document.getElementById(%q).innerText", part))
}

func (v visit) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	require.NoError(v.t, chromedp.Do(v.ctx, steps...))
}

// shows expects texts in a part of the page.
func (v visit) shows(part string, texts ...string) {
	v.t.Helper()
	got := v.text(part)
	for _, text := range texts {
		require.Contains(v.t, got, text, part)
	}
}

// open shows the page.
func (v visit) open(query string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.url+query), chromedp.WaitReady(chromedp.CSS("#events")))
}

// keep writes a picture of the page into the folder for them, if there is one.
func (v visit) keep(name string) {
	v.t.Helper()
	dir := os.Getenv("CONSTELLATION_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	require.NoError(v.t, err)
	require.NoError(v.t, os.MkdirAll(dir, 0o750))
	require.NoError(v.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}

func TestPage(t *testing.T) {
	v := visit{t: t, ctx: browser(t)}
	v.browse = watch(v.ctx, t)
	var err error
	v.state, err = scheduler.New(scheduler.Config{})
	require.NoError(t, err)
	fill(t, v.state)
	page, err := debugpage.New(debugpage.Config{State: v.state, Election: election(t)})
	require.NoError(t, err)
	server := httptest.NewServer(page)
	defer server.Close()
	defer page.Close()
	v.url = server.URL + debugpage.DefaultPrefix
	v.do(chromedp.EmulateViewport(1280, 900))
	v.open("")
	for _, part := range []struct {
		name string
		test func(visit)
	}{
		{"each part has its content", eachPart},
		{"a change is seen at once", changes},
		{"the map follows keys and groups", mapOfNodes},
		{"why not", why},
		{"what if", whatIf},
		{"names are text", namesAreText},
		{"every width and both schemes", pictures},
		{"one stream and no complaints", noComplaints},
		{"without JavaScript", withoutScript},
	} {
		t.Run(part.name, func(t *testing.T) {
			v := v
			v.t = t
			part.test(v)
		})
	}
}

func eachPart(v visit) {
	for part, texts := range map[string][]string{
		"verdict":      {"Leader\na", "Term\n7", "Lease left", "Nodes lost\n1", "Lost nodes: 1 of 49.", "Reservation pinned is displaced: 2 of 2 slots are missing."},
		"refused":      {"huge", "0 of 49 nodes fit huge", "nodes lack gpu", "would help", "1"},
		"why":          {"Request as JSON", "What if, tried on a copy"},
		"nodes":        {"node-00", "cpu 16/32", "kind=gpu", "✕ broken", "cordoned", "lost", "gpu:NoSchedule"},
		"capacity":     {"cpu", "1537", "memory", "Largest single fit"},
		"quotas":       {"org", "vision", "pays research too", "cpu 555/400", "bursts until"},
		"reservations": {"launch", "displaced, 2 missing", "maintenance of node-20", "launch-1", "pending"},
		"members":      {"leader, this one", "witness", "http://10.0.0.2:8001"},
		"events":       {"node-marked", "quota-created", "placed"},
	} {
		v.shows(part, texts...)
	}
	require.Equal(v.t, 3, evaluate[int](v, `document.querySelectorAll("#capacity polyline[points]").length`), "the last hour of each dimension")
	require.Equal(v.t, 4, evaluate[int](v, `document.querySelectorAll("#reservations td rect").length`), "on the time axis")
}

// changes are made through the API, and seen without a reload.
func changes(v visit) {
	evaluate[bool](v, `window.stayed = true`)
	ctx := v.t.Context()
	require.NoError(v.t, v.state.AddNode(ctx, placement.Node{ID: "node-00b", Capacity: placement.Resources{CPU: placement.Core}}))
	require.NoError(v.t, v.state.Cordon(ctx, "node-02"))
	v.until(`document.querySelector('#nodes-rows tr[data-key="node-00"]').nextElementSibling.dataset.key === "node-00b"`)
	v.until(`document.querySelector('#nodes-rows tr[data-key="node-02"]').innerText.includes("cordoned")`)
	v.until(`document.getElementById("verdict").innerText.includes("Nodes cordoned\n2")`)
	v.until(`document.querySelector("#events-rows tr").innerText.includes('"node-02"')`)
	_, err := v.state.RemoveNode(ctx, "node-00b")
	require.NoError(v.t, err)
	v.until(`!document.querySelector('#nodes-rows tr[data-key="node-00b"]')`)
	_, err = v.state.Place(ctx, placement.Request{ID: "huge", Resources: placement.Resources{CPU: placement.Core}})
	require.NoError(v.t, err)
	v.until(`!document.getElementById("refused").innerText.includes("huge")`)
	require.True(v.t, evaluate[bool](v, `window.stayed`), "the page was not loaded again")
	require.NoError(v.t, v.state.Uncordon(ctx, "node-02"))
}

func mapOfNodes(v visit) {
	v.until(`!document.getElementById("map").hidden && document.getElementById("map-canvas").height > 0`)
	before := evaluate[int](v, `document.getElementById("map-canvas").height`)
	v.do(chromedp.Focus(chromedp.CSS("#map-canvas")), chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowRight))
	v.shows("map-text", "node-00: ready", "gpu 100 % used", "zone=a")
	evaluate[bool](v, `(() => { const s = document.getElementById("map-group"); s.value = "zone"; return s.dispatchEvent(new Event("change")); })()`)
	require.Greater(v.t, evaluate[int](v, `document.getElementById("map-canvas").height`), before, "groups have titles")
	require.Equal(v.t, "kind,rack,zone", evaluate[string](v, `Array.from(document.getElementById("map-group").options).map((o) => o.value).filter(Boolean).join()`))
	require.Greater(v.t, evaluate[int](v, `new Set(document.getElementById("map-canvas").getContext("2d").getImageData(0, 0, 600, 100).data).size`), 5, "it is painted")
}

func why(v visit) {
	v.do(chromedp.SetValue(chromedp.CSS("#why textarea"), `{"id":"probe","resources":{"cpu":"30"}}`), chromedp.Click(chromedp.CSS("#why form > button")))
	v.until(`document.querySelectorAll("#answer tbody tr").length >= 48`)
	v.shows("answer", "nodes fit", "fits", "strategy", "lacks cpu", "has taint gpu:NoSchedule")
	v.do(chromedp.SetValue(chromedp.CSS("#why textarea"), `{"id":`), chromedp.Click(chromedp.CSS("#why form > button")))
	v.until(`document.getElementById("answer").innerText.includes("unexpected end of JSON input")`)
}

// whatIf tries everything at once, and changes nothing.
func whatIf(v visit) {
	version := v.state.Version()
	fields := map[string]string{
		"request": `{"id":"probe","namespace":"vision","resources":{"cpu":"30"}}`, "count": "20", "add": "12", "like": "node-02",
		"cordon": "node-03", "lose": "zone=b", "namespace": "vision", "limit": "cpu=600",
	}
	for name, value := range fields {
		v.do(chromedp.SetValue(chromedp.CSS(fmt.Sprintf("#why [name=%s]", name)), value))
	}
	v.do(chromedp.Click(chromedp.CSS("#why fieldset button")))
	v.until(`document.getElementById("answer").innerText.includes("then ")`)
	v.shows("answer", "now 1 of 20 fit", "12 nodes like node-02 are added", "node-03 is cordoned", "nodes with zone=b are lost",
		"find room elsewhere", "the quota of vision becomes cpu=600", "then ", "what-if-1")
	require.Equal(v.t, version, v.state.Version())
}

func namesAreText(v visit) {
	v.shows("nodes", markup, "zone="+markup)
	v.shows("quotas", markup)
	v.shows("refused", markup)
	v.shows("events", "<script>document.title")
	require.Zero(v.t, evaluate[int](v, `document.querySelectorAll("img, main script").length`))
	require.NotEqual(v.t, "run", evaluate[string](v, `document.title`))
}

// pictures are looked at by people; that nothing is wider than the screen is tested.
func pictures(v visit) {
	for _, scheme := range []string{"light", "dark"} {
		_, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		require.NoError(v.t, err)
		for _, width := range []int64{360, 1280, 1920} {
			v.do(chromedp.EmulateViewport(width, 900))
			v.until(fmt.Sprintf(`innerWidth === %d`, width))
			require.LessOrEqual(v.t, evaluate[int64](v, `document.documentElement.scrollWidth`), width, "nothing is cut off")
			v.keep(fmt.Sprintf("%s-%d", scheme, width))
		}
	}
	v.do(chromedp.EmulateViewport(1280, 900))
}

func noComplaints(v visit) {
	v.browse.mu.Lock()
	defer v.browse.mu.Unlock()
	require.Empty(v.t, v.browse.console)
	streams := 0
	for _, url := range v.browse.requests {
		require.True(v.t, strings.HasPrefix(url, v.url), url)
		if strings.Contains(url, "/stream?") {
			streams++
		}
	}
	require.Equal(v.t, 1, streams)
}

func withoutScript(v visit) {
	_, err := chromedp.Call(v.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(v.t, err)
	v.open("?filter=node-0")
	body, err := chromedp.Run(v.ctx, chromedp.Text(chromedp.CSS("body")))
	require.NoError(v.t, err)
	for _, text := range []string{"Lost nodes: 1 of 49.", "0 of 49 nodes fit gpus", "node-05", "cpu 16/32", "leader, this one", "node-marked"} {
		require.Contains(v.t, body, text)
	}
	require.NotContains(v.t, body, "cpu 32/32\nnode-1", "the filter works")
}
