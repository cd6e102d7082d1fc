package debugpage_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
	"github.com/rads-project/constellation/scheduler/debugpage"
)

// post posts a form to the page, with a header.
func post(t *testing.T, h http.Handler, path string, form url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, debugpage.DefaultPrefix+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

func TestWhatIfIsTriedOnACopy(t *testing.T) {
	s := cluster(t)
	p := newPage(t, debugpage.Config{State: s})
	version := s.Version()
	const request = `{"id":"x","resources":{"cpu":"8"}}`
	tests := []struct {
		form url.Values
		want []string
	}{
		{url.Values{"request": {request}, "count": {"5"}, "add": {"2"}, "like": {"n1"}}, []string{
			"<li>now 2 of 5 fit</li>", "<li>2 nodes like n1 are added</li>", "<li>then 4 of 5 fit</li>", `<th scope="row">what-if-2</th>`,
		}},
		{url.Values{"request": {request}, "cordon": {"n1"}}, []string{"<li>n1 is cordoned</li>", "is cordoned</div>"}},
		{url.Values{"lose": {"zone = z0"}}, []string{"2 nodes with zone = z0 are lost; of the 1 instances there 1 find room elsewhere"}},
		{url.Values{"request": {`{"id":"x","namespace":"team","resources":{"cpu":"5"}}`}, "namespace": {"team"}, "limit": {"cpu=10"}}, []string{
			"<li>now 0 of 1 fit</li>", "the quota of team becomes cpu=10", "<li>then 1 of 1 fit</li>",
		}},
		{url.Values{"namespace": {"new"}, "limit": {"cpu=1"}}, []string{"the quota of new becomes cpu=1"}},
		{url.Values{"add": {"1"}, "like": {"n9"}}, []string{`<p class="problems">`, "not found"}},
		{url.Values{"add": {"1001"}, "like": {"n1"}}, []string{"want at most 1000 nodes"}},
		{url.Values{"request": {request}, "count": {"0"}}, []string{"want 1 to 10000"}},
		{url.Values{"request": {"{"}}, []string{"unexpected end of JSON input"}},
		{url.Values{"namespace": {"team"}, "limit": {"cpu=many"}}, []string{`<p class="problems">`}},
	}
	for _, test := range tests {
		w := post(t, p, "whatif", test.form)
		require.Equal(t, http.StatusOK, w.Code)
		answer := section(t, w.Body.String(), "why")
		for _, want := range test.want {
			require.Contains(t, answer, want)
		}
	}
	require.Equal(t, version, s.Version())
}

func TestAFollowerTriesNothing(t *testing.T) {
	s := cluster(t)
	p := newPage(t, debugpage.Config{State: struct{ debugpage.Source }{s}})
	require.Contains(t, post(t, p, "whatif", url.Values{"cordon": {"n1"}}).Body.String(), "ask the leader&#39;s page")
}

func TestChangesAreForWhoMay(t *testing.T) {
	s := cluster(t)
	may := func(r *http.Request) bool { return r.Header.Get("Operator") != "" }
	p := newPage(t, debugpage.Config{State: s, Authorize: may, Changes: true})
	state := func() scheduler.NodeState {
		n, err := s.Node(t.Context(), "n1")
		require.NoError(t, err)
		return n.State
	}
	form := url.Values{"node": {"n1"}}
	require.Equal(t, http.StatusForbidden, post(t, p, "cordon", form).Code)
	require.Equal(t, http.StatusForbidden, post(t, p, "cordon", form, "Operator", "1", "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, http.StatusForbidden, post(t, p, "cordon", form, "Operator", "1", "Origin", "https://elsewhere.example").Code)
	require.Equal(t, scheduler.NodeReady, state())
	require.Equal(t, http.StatusSeeOther, post(t, p, "cordon", form, "Operator", "1", "Sec-Fetch-Site", "same-origin").Code)
	require.Equal(t, scheduler.NodeCordoned, state())
	require.Equal(t, http.StatusSeeOther, post(t, p, "uncordon", form, "Operator", "1").Code)
	require.Equal(t, scheduler.NodeReady, state())
	require.Equal(t, http.StatusNotFound, post(t, p, "cordon", url.Values{"node": {"n9"}}, "Operator", "1").Code)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, debugpage.DefaultPrefix+"cordon?node=n1", nil)
	r.Header.Set("Operator", "1")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, scheduler.NodeReady, state())

	readOnly := newPage(t, debugpage.Config{State: s, Authorize: may})
	require.Equal(t, http.StatusNotFound, post(t, readOnly, "cordon", form, "Operator", "1").Code)
	_, err := debugpage.New(debugpage.Config{State: s, Changes: true})
	require.ErrorIs(t, err, placement.ErrInvalid)
}

func TestWhatWasRefusedIsShownWithWhatWouldHelp(t *testing.T) {
	s := cluster(t)
	for _, id := range []string{"big", "bigger"} {
		_, err := s.Place(t.Context(), placement.Request{ID: id, Resources: placement.Resources{CPU: 100 * placement.Core}})
		require.ErrorIs(t, err, scheduler.ErrUnschedulable)
	}
	p := newPage(t, debugpage.Config{State: s})
	refused := section(t, html(t, p, nil), "refused")
	require.Contains(t, refused, "<strong>2</strong> nodes lack cpu")
	require.Contains(t, refused, "0 of 3 nodes fit big: 3 lack cpu")
	require.Contains(t, refused, "would help: a node like n0 with cpu=100")
	require.Contains(t, refused, "?request=%7b%22id%22%3a%22big%22", "one click to why")
	require.Less(t, strings.Index(refused, ">big<"), strings.Index(refused, ">bigger<"), "oldest first")
	var listed []scheduler.Refusal
	require.NoError(t, decode(get(t, p, "refused.json"), &listed))
	require.Len(t, listed, 2)
}
