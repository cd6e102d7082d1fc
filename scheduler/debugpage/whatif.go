package debugpage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/scheduler"
)

// errElsewhere is the error of what only the scheduler that decides can do.
var errElsewhere = errors.New("debugpage: this replica does not lead: ask the leader's page")

// decider is a scheduler that decides, as scheduler.Scheduler has it.
type decider interface {
	Fork(ctx context.Context) (*scheduler.Fork, error)
	Cordon(ctx context.Context, nodeID string) error
	Uncordon(ctx context.Context, nodeID string) error
}

// decider is the scheduler that decides, if it is here.
func (p *Page) decider() (decider, error) {
	if p.cfg.Replica != nil {
		if s, leads := p.cfg.Replica.Leader(); leads {
			return s, nil
		}
		return nil, errElsewhere
	}
	if s, is := p.cfg.State.(decider); is {
		return s, nil
	}
	return nil, errElsewhere
}

// serveWhatIf shows the page with what would become of a request, and of what runs, if
// something were done. It is tried on a copy of the state.
func (p *Page) serveWhatIf(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	a := asked{
		Request: field("request"), Add: field("add"), Like: field("like"), Cordon: field("cordon"), Lose: field("lose"),
		Namespace: field("namespace"), Limit: field("limit"), Count: field("count"),
	}
	s, err := p.decider()
	if err == nil {
		err = a.try(r.Context(), s)
	}
	if err != nil {
		a.Error = err.Error()
	}
	p.showPage(w, r, a)
}

// try does what was asked on a copy, and says what becomes of the request before and
// after.
func (a *asked) try(ctx context.Context, s decider) error {
	t := whatIf{asked: a, count: 1}
	if a.Count != "" {
		count, err := strconv.Atoi(a.Count)
		if err != nil || count < 1 || count > maxCount {
			return &placement.InvalidError{Field: "count", Value: a.Count, Reason: fmt.Sprintf("want 1 to %d", maxCount)}
		}
		t.count = count
	}
	var err error
	if a.Request != "" {
		if t.request, err = a.request(); err != nil {
			return err
		}
	}
	if t.fork, err = s.Fork(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{t.fits("now"), t.add, t.cordon, t.lose, t.limit, t.fits("then"), t.explain} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// maxCount is of how many requests is asked whether they fit, and maxAdded how many nodes
// are added.
const (
	maxCount = 10_000
	maxAdded = 1_000
)

// whatIf is something that is tried on a copy.
type whatIf struct {
	*asked
	fork    *scheduler.Fork
	request placement.Request
	count   int
}

func (t *whatIf) say(format string, args ...any) {
	t.Outcome = append(t.Outcome, fmt.Sprintf(format, args...))
}

// fits says how many of the request there is room for.
func (t *whatIf) fits(when string) func(context.Context) error {
	return func(ctx context.Context) error {
		if t.Request == "" {
			return nil
		}
		fit, err := t.fork.Fits(ctx, t.request, t.count)
		if err == nil {
			t.say("%s %d of %d fit", when, fit, t.count)
		}
		return err
	}
}

// add adds nodes like one that there is.
func (t *whatIf) add(ctx context.Context) error {
	if t.Add == "" || t.Add == "0" {
		return nil
	}
	count, err := strconv.Atoi(t.Add)
	if err != nil || count < 1 || count > maxAdded {
		return &placement.InvalidError{Field: "add", Value: t.Add, Reason: fmt.Sprintf("want at most %d nodes", maxAdded)}
	}
	like, err := t.fork.Node(ctx, t.Like)
	if err != nil {
		return err
	}
	for i := range count {
		n := like.Canonical()
		n.ID, n.Devices.Broken = fmt.Sprint("what-if-", i+1), nil
		if err := t.fork.AddNode(ctx, n); err != nil {
			return err
		}
	}
	t.say("%d nodes like %s are added", count, t.Like)
	return nil
}

func (t *whatIf) cordon(ctx context.Context) error {
	if t.Cordon == "" {
		return nil
	}
	if err := t.fork.Cordon(ctx, t.Cordon); err != nil {
		return err
	}
	t.say("%s is cordoned", t.Cordon)
	return nil
}

// lose loses all nodes with a label, and places what was there elsewhere.
func (t *whatIf) lose(ctx context.Context) error {
	if t.Lose == "" {
		return nil
	}
	key, value, _ := strings.Cut(t.Lose, "=")
	nodes, err := t.fork.Nodes(ctx)
	if err != nil {
		return err
	}
	var homeless []placement.Request
	lost := 0
	for i := range nodes {
		if has, found := nodes[i].Label(strings.TrimSpace(key)); !found || has != strings.TrimSpace(value) || nodes[i].State == scheduler.NodeLost {
			continue
		}
		on, err := t.fork.AllocationsOn(ctx, nodes[i].ID)
		if err != nil {
			return err
		}
		for _, a := range on {
			if a.State == scheduler.Running && a.Reservation == "" {
				homeless = append(homeless, a.Request)
			}
		}
		if err := t.fork.MarkLost(ctx, nodes[i].ID); err != nil {
			return err
		}
		lost++
	}
	results, err := t.fork.PlaceAll(ctx, homeless...)
	if err != nil {
		return err
	}
	again := 0
	for _, r := range results {
		if r.Err == nil {
			again++
		}
	}
	t.say("%d nodes with %s are lost; of the %d instances there %d find room elsewhere", lost, t.Lose, len(homeless), again)
	return nil
}

// limit gives a namespace other limits in the dimensions that are named.
func (t *whatIf) limit(ctx context.Context) error {
	if t.Namespace == "" && t.Limit == "" {
		return nil
	}
	amounts, err := placement.ParseResources(t.Limit)
	if err != nil {
		return err
	}
	spec := quota.Spec{Namespace: t.Namespace}
	info, err := t.fork.Quota(ctx, t.Namespace)
	switch {
	case err == nil:
		spec = info.Clone()
	case !errors.Is(err, placement.ErrNotFound):
		return err
	}
	if spec.Limits = maps.Clone(spec.Limits); spec.Limits == nil {
		spec.Limits = make(map[placement.ResourceName]quota.Limit)
	}
	for name, amount := range amounts.All() {
		if amount > 0 {
			l := spec.Limits[name]
			l.Soft = amount
			spec.Limits[name] = l
		}
	}
	if err == nil {
		_, err = t.fork.UpdateQuota(ctx, spec)
	} else {
		_, err = t.fork.CreateQuota(ctx, spec)
	}
	if err == nil {
		t.say("the quota of %s becomes %s", t.Namespace, amounts)
	}
	return err
}

// explain says where the request would go then, node by node.
func (t *whatIf) explain(ctx context.Context) error {
	if t.Request == "" {
		return nil
	}
	return t.asked.explain(ctx, t.fork, t.request)
}

// serveChange carries out a change of the node that is named in the form.
func (p *Page) serveChange(change func(s decider, ctx context.Context, nodeID string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		s, err := p.decider()
		if err == nil {
			err = change(s, r.Context(), r.PostFormValue("node"))
		}
		switch _, status := scheduler.Code(err); {
		case errors.Is(err, errElsewhere):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), status)
		default:
			http.Redirect(w, r, p.cfg.Prefix+"#nodes", http.StatusSeeOther)
		}
	}
}
