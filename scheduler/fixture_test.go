package scheduler

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testHelper is what *testing.T and *rapid.T have in common here.
type testHelper interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// listed returns what one of the lists of a scheduler has, such as s.Nodes.
func listed[T any](t testHelper, list func(context.Context) ([]T, error)) []T {
	t.Helper()
	all, err := list(t.Context())
	require.NoError(t, err)
	return all
}

func newTestScheduler(t testHelper, cfg Config) *Scheduler {
	t.Helper()
	s, err := New(cfg)
	require.NoError(t, err)
	return s
}

func testNode(id string, cores int64) placement.Node {
	return placement.Node{
		ID:       id,
		Capacity: placement.Resources{CPU: cores * placement.Core, Memory: cores * 4 * placement.GiB},
	}
}

func zoned(id, zone string) placement.Node {
	n := testNode(id, 64)
	n.Labels = map[string]string{"zone": zone, "host": id}
	return n
}

func testRequest(id string, cores int64) placement.Request {
	return placement.Request{
		ID: id, Namespace: "ns", Group: "g",
		Resources: placement.Resources{CPU: cores * placement.Core, Memory: cores * placement.GiB},
	}
}

// tcp returns ports of TCP, and udp of UDP.
func tcp(numbers ...uint16) []placement.Port { return portsOf(placement.TCP, numbers) }
func udp(numbers ...uint16) []placement.Port { return portsOf(placement.UDP, numbers) }

func portsOf(protocol placement.Protocol, numbers []uint16) []placement.Port {
	var ports []placement.Port
	for _, number := range numbers {
		ports = append(ports, placement.Port{Number: number, Protocol: protocol})
	}
	return ports
}

func labelled(id string, labels map[string]string) placement.Request {
	req := testRequest(id, 1)
	req.Group, req.Labels = "", labels
	return req
}

func addNodes(t testHelper, s *Scheduler, nodes ...placement.Node) {
	t.Helper()
	for _, n := range nodes {
		require.NoError(t, s.AddNode(t.Context(), n))
	}
}

func place(t testHelper, s *Scheduler, req placement.Request) Decision {
	t.Helper()
	d, err := s.Place(t.Context(), req)
	require.NoError(t, err)
	return d
}

func allocate(t testHelper, s *Scheduler, nodeID string, req placement.Request) {
	t.Helper()
	_, err := s.Allocate(t.Context(), nodeID, req)
	require.NoError(t, err)
}

// snapshots is a scheduler or a follower.
type snapshots interface {
	WriteSnapshot(ctx context.Context, w io.Writer) error
}

func snapshot(t testHelper, s snapshots) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, s.WriteSnapshot(context.Background(), &b))
	return b.String()
}

// shownSnapshot returns a snapshot as JSON, without the Seq and the token of the
// entry that it follows.
func shownSnapshot(t testHelper, books string) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, WriteJSON(&b, ReadSnapshot(strings.NewReader(books))))
	return regexp.MustCompile(`"(snapshot|seq)":\d+,`).ReplaceAllString(b.String(), "")
}

// refusals returns the reasons of an UnschedulableError as text.
func refusals(t testHelper, err error) []string {
	t.Helper()
	var refused *UnschedulableError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, ErrUnschedulable)
	var texts []string
	total := 0
	for _, r := range refused.Reasons {
		texts = append(texts, r.String())
		total += r.Nodes
	}
	require.Equal(t, refused.Total, total, "every node counts once")
	return texts
}

// fits returns the nodes on which a request fits.
func fits(t testHelper, s *Scheduler, req placement.Request) []string {
	t.Helper()
	var nodes []string
	for _, n := range listed(t, s.Nodes) {
		v, err := s.ExplainNode(context.Background(), req, n.ID)
		require.NoError(t, err)
		if v.Fits {
			nodes = append(nodes, n.ID)
		}
	}
	d, err := s.Schedule(context.Background(), req)
	if len(nodes) == 0 {
		require.ErrorIs(t, err, ErrUnschedulable)
		return nil
	}
	require.NoError(t, err)
	require.Contains(t, nodes, d.NodeID)
	return nodes
}

// hookOn returns hooks that call fn for each event of one kind of change.
func hookOn[C Change](fn func(Event, C)) Hooks {
	return Hooks{Event: func(e Event) {
		if c, ok := e.Change.(C); ok {
			fn(e, c)
		}
	}}
}
