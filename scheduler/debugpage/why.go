package debugpage

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// asked is a request to be explained, or something to be tried, and the answer.
type asked struct {
	Request                                          string // as it was typed, as all that follow
	Add, Like, Cordon, Lose, Namespace, Limit, Count string
	Answer                                           string
	Outcome                                          []string // of what was tried
	Verdicts                                         []scheduler.NodeVerdict
	More                                             int // nodes without a verdict here
	Error                                            string
}

// request reads what was typed.
func (a *asked) request() (req placement.Request, err error) {
	return req, placement.DecodeJSON([]byte(a.Request), &req)
}

// explain says where a request could go, and why not elsewhere, node by node.
func (p *Page) explain(ctx context.Context, a *asked) {
	req, err := a.request()
	of := p.state()
	if err == nil && of == nil {
		err = errUnread
	}
	if err == nil {
		err = a.explain(ctx, of, req)
	}
	if err != nil {
		a.Error = err.Error()
	}
}

func (a *asked) explain(ctx context.Context, of Source, req placement.Request) error {
	e, err := of.Explain(ctx, req)
	if err != nil {
		return err
	}
	a.Answer = e.String()
	nodes, err := of.Nodes(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithTimeout(ctx, patience)
	defer end()
	for i := range nodes {
		v, err := of.ExplainNode(ctx, req, nodes[i].ID)
		if ctx.Err() != nil {
			break // those that it has not come to are more
		}
		if err != nil {
			continue // it has gone meanwhile
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	slices.SortFunc(a.Verdicts, compareVerdicts)
	a.Verdicts = a.Verdicts[:min(len(a.Verdicts), maxRows)]
	a.More = len(nodes) - len(a.Verdicts)
	return nil
}

// compareVerdicts orders nodes by how well a request fits: by score, then by how many
// rules they fail.
func compareVerdicts(a, b scheduler.NodeVerdict) int {
	return cmp.Or(cmp.Compare(len(a.Failures), len(b.Failures)), cmp.Compare(b.Score, a.Score), cmp.Compare(a.NodeID, b.NodeID))
}

// maxBody is the longest request that is explained.
const maxBody = 1 << 17

func (p *Page) serveExplanation(w http.ResponseWriter, r *http.Request) {
	var req placement.Request
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, nil, &placement.InvalidError{Field: "body", Reason: err.Error()})
		return
	}
	if err := placement.DecodeJSON(body, &req); err != nil {
		answer(w, nil, err)
		return
	}
	of := p.state()
	if of == nil {
		answer(w, nil, errUnread)
		return
	}
	e, err := of.Explain(r.Context(), req)
	answer(w, e, err)
}
