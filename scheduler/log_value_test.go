package scheduler

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsLoggedReadsWell(t *testing.T) {
	event := Event{Seq: 7, Token: 2, Change: &NodeRemoved{NodeID: "n1"}}
	decision := Decision{ID: "web-1", NodeID: "n1", Generation: 1, Token: 2, Score: 500}
	allocation := Allocation{Request: testRequest("web-1", 1), NodeID: "n1", State: Lost, Generation: 3}
	require.Equal(t, `7 node-removed {"nodeID":"n1"}`, fmt.Sprint(event))
	require.Equal(t, "8", fmt.Sprint(Event{Seq: 8}))
	require.Equal(t, "web-1 on n1", fmt.Sprint(decision))
	require.Equal(t, "web-1 on n1, lost", fmt.Sprint(allocation))
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("told", "event", event)
	log.Info("placed", "decision", decision)
	log.Info("seen", "allocation", allocation)
	require.Equal(t, `level=INFO msg=told event.seq=7 event.token=2 event.kind=node-removed event.change="{\"nodeID\":\"n1\"}"
level=INFO msg=placed decision.id=web-1 decision.node=n1 decision.generation=1 decision.token=2 decision.score=500
level=INFO msg=seen allocation.id=web-1 allocation.node=n1 allocation.state=lost allocation.generation=3 allocation.token=0
`, b.String())
}

func TestNodesReadInWords(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 2))
	n, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, "n1, ready, instances: 1", n.String())
	values := make(map[string]string)
	for _, attr := range n.LogValue().Group() {
		values[attr.Key] = attr.Value.String()
	}
	require.Equal(t, []string{"n1", "ready", "1", "cpu=2 memory=2GiB"}, []string{values["node"], values["state"], values["instances"], values["allocated"]})
}
