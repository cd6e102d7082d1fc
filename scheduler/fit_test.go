package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestPortsAreExclusive(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	nodes := make(map[string]bool)
	for _, id := range []string{"a", "b"} {
		req := testRequest(id, 1)
		req.Ports = tcp(80, 443)
		nodes[place(t, s, req).NodeID] = true
	}
	require.Equal(t, []string{"n1", "n2"}, slices.Sorted(maps.Keys(nodes)))
	req := testRequest("c", 1)
	req.Ports = tcp(443)
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"2 have port 443 taken"}, refusals(t, err))
	require.NoError(t, s.MarkLost(t.Context(), "n2"))
	_, err = s.Place(t.Context(), req)
	require.Equal(t, []string{"1 is lost", "1 has port 443 taken"}, refusals(t, err))
}

// TestProtocolsDoNotConflict: DNS asks for both, and one of each shares a node.
func TestProtocolsDoNotConflict(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	for _, ports := range [][]placement.Port{tcp(53), udp(53), append(tcp(80), udp(80)...)} {
		req := testRequest(fmt.Sprint(ports), 1)
		req.Ports = ports
		require.Equal(t, ports, place(t, s, req).Ports)
	}
	req := testRequest("again", 1)
	req.Ports = append(udp(53), tcp(54)...)
	_, err := s.Place(t.Context(), req)
	require.Equal(t, []string{"1 has port 53/udp taken"}, refusals(t, err))
}

// TestReservedPortsAreNeverGiven, of their protocol; who has one already keeps it.
func TestReservedPortsAreNeverGiven(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.ReservedPorts = tcp(22)
	addNodes(t, s, n)
	ssh, other := testRequest("ssh", 1), testRequest("other", 1)
	ssh.Ports, other.Ports = tcp(22), udp(22)
	place(t, s, other)
	_, err := s.Place(t.Context(), ssh)
	require.Equal(t, []string{"1 reserves port 22"}, refusals(t, err))
	e, err := s.Explain(t.Context(), ssh)
	require.NoError(t, err)
	require.Equal(t, Help{}, e.Help, "neither waiting nor another such node helps")

	n.ReservedPorts = nil
	updateNode(t, s, n)
	place(t, s, ssh)
	n.ReservedPorts = append(tcp(22), udp(22)...)
	updateNode(t, s, n)
	require.Equal(t, tcp(22), place(t, s, ssh).Ports, "the existing decision")
}

// TestDynamicPortsAreTheLowestFree of the node's range, in the decision, the
// allocation and after a replay.
func TestDynamicPortsAreTheLowestFree(t *testing.T) {
	cfg := Config{Journal: new(MemoryJournal)}
	s := open(t, cfg)
	n := testNode("n1", 32)
	n.DynamicPorts, n.ReservedPorts = placement.PortRange{First: 20000, Last: 20006}, udp(20001)
	addNodes(t, s, testNode("no range", 32), n)
	dynamic := func(id string, count int, fixed ...placement.Port) placement.Request {
		req := testRequest(id, 1)
		req.Ports, req.DynamicPorts = fixed, count
		return req
	}
	require.Equal(t, []uint16{20002, 20003}, place(t, s, dynamic("a", 2, tcp(20000)...)).DynamicPorts, "beside those that it names")
	require.Equal(t, []uint16{20004}, place(t, s, dynamic("b", 1)).DynamicPorts)
	_, err := s.Place(t.Context(), dynamic("c", 3))
	require.Equal(t, []string{"2 lack dynamic ports"}, refusals(t, err))
	v, err := s.ExplainNode(t.Context(), dynamic("c", 3), "n1")
	require.NoError(t, err)
	require.Equal(t, "lacks dynamic ports (short of 1)", v.Failures[0].String())
	for _, port := range append(tcp(20002), udp(20002)...) {
		_, err = s.Place(t.Context(), dynamic("d", 0, port))
		require.NoError(t, err, "on the node without a range")
		require.NoError(t, s.Release(t.Context(), "d"))
		_, err = s.Allocate(t.Context(), "n1", dynamic("d", 0, port))
		require.Equal(t, []string{"1 has port " + port.String() + " taken"}, refusals(t, err))
	}
	require.NoError(t, s.Release(t.Context(), "a"))
	_, err = s.Resize(t.Context(), "b", placement.Resources{CPU: 2 * placement.Core})
	require.NoError(t, err)

	again := open(t, Config{Journal: cfg.Journal, Token: 9})
	require.Equal(t, snapshot(t, s), snapshot(t, again))
	for _, s := range []*Scheduler{s, again} {
		a, err := s.Allocation(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, []uint16{20004}, a.DynamicPorts)
		planned, err := s.Schedule(t.Context(), dynamic("c", 3))
		require.NoError(t, err)
		require.Equal(t, []uint16{20000, 20002, 20003}, planned.DynamicPorts)
	}
}

// TestHelpKnowsPorts: waiting helps where others have the ports, another node where
// it would offer enough.
func TestHelpKnowsPorts(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.DynamicPorts = placement.PortRange{First: 20000, Last: 20003}
	addNodes(t, s, n)
	holder := testRequest("holder", 1)
	holder.Ports, holder.DynamicPorts = tcp(20001), 1
	place(t, s, holder)
	for dynamic, want := range map[int]Help{
		2: {}, // it fits
		4: {Waiting: "n1", Preemption: "n1", MoreNodes: "n1"},
		5: {},
	} {
		req := testRequest("new", 1)
		req.DynamicPorts, req.Priority = dynamic, 1
		e, err := s.Explain(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, want, named(e.Help), "%d ports", dynamic)
		require.Equal(t, dynamic == 2, e.Fit == 1)
	}
}

// TestPortsOfLostInstancesStayTaken on their node, until the generation is gone.
func TestPortsOfLostInstancesStayTaken(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for _, id := range []string{"n1", "n2"} {
		n := testNode(id, 8)
		n.DynamicPorts = placement.PortRange{First: 20000, Last: 20001}
		addNodes(t, s, n)
	}
	req := testRequest("a", 1)
	req.DynamicPorts = 1
	require.Equal(t, "n1", place(t, s, req).NodeID)
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	again := place(t, s, req)
	require.Equal(t, []string{"n2", "[20000]"}, []string{again.NodeID, fmt.Sprint(again.DynamicPorts)})
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	req.ID = "b"
	d, err := s.Allocate(t.Context(), "n1", req)
	require.NoError(t, err)
	require.Equal(t, []uint16{20001}, d.DynamicPorts)
	require.NoError(t, s.ReleaseGeneration(t.Context(), "a", 1))
	req.ID = "c"
	d, err = s.Allocate(t.Context(), "n1", req)
	require.NoError(t, err)
	require.Equal(t, []uint16{20000}, d.DynamicPorts)
}

// TestReportsNameTheirDynamicPorts, which need not be in the range any more.
func TestReportsNameTheirDynamicPorts(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.DynamicPorts = placement.PortRange{First: 20000, Last: 20003}
	report := Report{Request: testRequest("a", 1), DynamicPorts: []uint16{19999, 20000}}
	report.Request.Ports, report.Request.DynamicPorts = tcp(80), 2
	for _, wrong := range [][]uint16{nil, {20000}, {20001, 20000}, {20000, 20000}, {0, 20000}, {80, 20000}} {
		bad := report
		bad.DynamicPorts = wrong
		_, err := s.AdoptNode(t.Context(), n, []Report{bad})
		require.ErrorIs(t, err, placement.ErrInvalid, "%v", wrong)
	}
	_, err := s.AdoptNode(t.Context(), n, []Report{report})
	require.NoError(t, err)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, report.DynamicPorts, a.DynamicPorts)
	req := testRequest("b", 1)
	req.DynamicPorts = 1
	require.Equal(t, []uint16{20001}, place(t, s, req).DynamicPorts)
}

// TestClaimsGetPorts of the node of their slot, whose slots have none.
func TestClaimsGetPorts(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.DynamicPorts = placement.PortRange{First: 20000, Last: 20001}
	addNodes(t, s, n)
	reserve(t, s, holding("r", 4, 2))
	claim := func(id string) (Decision, error) {
		req := onlyCPU(id, 1)
		req.DynamicPorts, req.Ports = 1, tcp(80)
		return s.PlaceFromReservation(t.Context(), "r", req)
	}
	d, err := claim("a")
	require.NoError(t, err)
	require.Equal(t, []uint16{20000}, d.DynamicPorts)
	require.Equal(t, tcp(80), d.Ports)
	_, err = claim("b")
	require.ErrorIs(t, err, reservation.ErrRefused, "port 80 is taken")
	require.NoError(t, s.Release(t.Context(), "a"))
	d, err = claim("b")
	require.NoError(t, err)
	require.Equal(t, []uint16{20000}, d.DynamicPorts)
}

func TestMaxInstancesAndOvercommit(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 4)
	n.MaxInstances = 5
	n.Reserved = placement.Resources{CPU: placement.Core}
	n.Overcommit = map[placement.ResourceName]placement.Ratio{placement.NameCPU: {Numerator: 3, Denominator: 2}}
	addNodes(t, s, n)
	for i := range 4 {
		place(t, s, testRequest(fmt.Sprint(i), 1))
	}
	_, err := s.Place(t.Context(), testRequest("4", 1))
	require.Equal(t, []string{"1 lacks cpu"}, refusals(t, err), "(4 - 1) × 3/2 = 4.5 cores")
	small := testRequest("4", 0)
	small.Resources.CPU = 500
	place(t, s, small)
	_, err = s.Place(t.Context(), testRequest("5", 0))
	require.Equal(t, []string{"1 is full of instances"}, refusals(t, err))
}
