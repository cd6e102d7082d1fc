package scheduler

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// declaredKinds returns the change kinds that the sources declare, and the
// names of the types with a method apply that makes a Change a decided one.
func declaredKinds(t *testing.T) (kinds []changeKind, applied map[string]bool) {
	t.Helper()
	applied = make(map[string]bool)
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if of, ok := n.Type.(*ast.Ident); ok && of.Name == "changeKind" {
				kind, err := strconv.Atoi(n.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				kinds = append(kinds, changeKind(kind))
			}
		case *ast.FuncDecl:
			if n.Recv == nil || n.Name.Name != "apply" {
				break
			}
			if of, ok := n.Recv.List[0].Type.(*ast.StarExpr); ok && of.X.(*ast.Ident).Name != "state" {
				applied[of.X.(*ast.Ident).Name] = true
			}
		}
		return true
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, look)
	}
	return kinds, applied
}

// refusedChanges holds for each decided kind the JSON of a change that no
// empty state could follow.
func refusedChanges() map[changeKind]string {
	return map[changeKind]string{
		kindNodeAdded: `{}`, kindNodeUpdated: `{}`, kindNodeMarked: `{}`, kindNodeRemoved: `{}`, kindNodeAdopted: `{}`,
		kindPlaced: `{}`, kindReleased: `{}`, kindResized: `{}`,
		kindQuotaCreated: `{}`, kindQuotaUpdated: `{}`, kindQuotaDeleted: `{}`,
		kindPlanChanged: `{"changes":[{}]}`, kindWorkloadChanged: `{"mix":[{}]}`, kindLeavingChanged: `{}`, kindGenerationKept: `{}`, kindAmended: `{}`, kindAttached: `{}`,
	}
}

// TestEveryKindIsJournaledCheckedAppliedAndReplayed: a kind with check and
// apply can be decoded, is refused where the state could not follow it, and
// stands in the golden journal, where its replay changes the state.
func TestEveryKindIsJournaledCheckedAppliedAndReplayed(t *testing.T) {
	kinds, applied := declaredKinds(t)
	decodable := make(map[changeKind]bool)
	for _, kind := range kinds {
		c := newChange(kind)
		if c == nil {
			continue
		}
		decodable[kind] = true
		name := reflect.TypeOf(c).Elem().Name()
		require.Equal(t, kind, c.changeKind(), name)
		require.Contains(t, applied, name)
		delete(applied, name)
	}
	require.Empty(t, applied, "kinds that newChange does not know")

	for kind := range decodable {
		require.Contains(t, refusedChanges(), kind)
		c := newChange(kind)
		require.NoError(t, json.Unmarshal([]byte(refusedChanges()[kind]), c))
		require.Error(t, c.check(newState(Config{})), kind)
	}

	p := replayer{st: newState(Config{RememberReleased: 4})}
	for _, r := range goldenRecords(t, "v1") {
		e, err := decodeEntry(new(codec.Coder), r)
		require.NoError(t, err)
		before := shownAt(t, p.st)
		require.NoError(t, p.replay(r))
		for _, c := range e.changes {
			if len(e.changes) == 1 {
				require.False(t, before == shownAt(t, p.st), "%s changes nothing", c.changeKind())
			}
			delete(decodable, c.changeKind())
		}
	}
	require.Empty(t, decodable, "kinds that no golden entry holds")
}

// TestEveryKindIsAStepOfAPlan: Commit decides each kind of change anew.
func TestEveryKindIsAStepOfAPlan(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for kind, refused := range refusedChanges() {
		c := newChange(kind)
		require.NoError(t, json.Unmarshal([]byte(refused), c))
		if _, err := s.state.decideStep(&Step{Change: c}, &s.view); err != nil {
			require.NotContains(t, err.Error(), "is no step of a plan", kind)
		}
	}
}

// shownAt returns the state as text, without when it is.
func shownAt(t *testing.T, st *state) string {
	t.Helper()
	head := regexp.MustCompile(`"(time|token)":[^,}]*,`)
	shown := shownSnapshot(t, st.snapshot(t))
	first, rest, _ := strings.Cut(shown, "\n")
	return head.ReplaceAllString(first, "") + rest
}

func TestUnknownMarkInAJournalIsRefused(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	for _, mark := range []Mark{MarkCordoned, MarkUncordoned, MarkLost, MarkReady} {
		require.NoError(t, (&NodeMarked{NodeID: "n1", Mark: mark}).check(s.state), mark)
	}
	for _, mark := range []Mark{"", "melted"} {
		require.ErrorIs(t, (&NodeMarked{NodeID: "n1", Mark: mark}).check(s.state), ErrInvalid, mark)
	}
}

// TestEveryKindRestsOnWhatItReplaces: a step of a plan names the version of the node,
// instance or quota that it replaces or takes away, whatever its kind.
func TestEveryKindRestsOnWhatItReplaces(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, onlyCPU("a", 1))
	_, err := s.CreateQuota(t.Context(), quota.Spec{Namespace: "ns"})
	require.NoError(t, err)
	node, instance, namespace := s.state.named("n1").version, s.state.allocations.At("a").version, s.state.quotaVersions["ns"]
	require.Len(t, map[uint64]bool{0: true, node: true, instance: true, namespace: true}, 4)

	n, spec := placement.Node{ID: "n1"}, quota.Spec{Namespace: "ns"}
	tests := map[decided]uint64{
		&NodeAdded{Node: n}: 0, &NodeUpdated{Node: n}: node, &NodeMarked{NodeID: "n1"}: node,
		&NodeRemoved{NodeID: "n1"}: node, &NodeAdopted{Node: n}: node,
		&Placed{ID: "a"}: 0, &Placed{ID: "a", Move: true}: instance, &Released{ID: "a", Generation: 1}: instance,
		&Resized{ID: "a"}: instance, &LeavingChanged{ID: "a"}: instance, &GenerationKept{ID: "a", Generation: 1}: instance,
		&Amended{Request: placement.Request{ID: "a"}}: instance, &Attached{ID: "a", Generation: 1}: instance,
		&QuotaCreated{Spec: spec}: 0, &QuotaUpdated{Spec: spec}: namespace, &QuotaDeleted{Namespace: "ns"}: namespace,
		&PlanChanged{}: 0, &WorkloadChanged{}: 0,
	}
	known := make(map[changeKind]bool)
	for c, want := range tests {
		known[c.changeKind()] = true
		require.Equal(t, want, c.rests(s.state), c)
	}
	for kind := range refusedChanges() {
		require.Contains(t, known, kind)
	}
}
