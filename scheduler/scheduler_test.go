package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

func TestPlaceTakesTheFullestThatFits(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 16), testNode("n2", 8), testNode("n3", 4))
	require.Equal(t, "n1", place(t, s, testRequest("a", 4)).NodeID, "of equals the one that joined first")
	allocate(t, s, "n2", testRequest("there", 5))
	require.Equal(t, "n2", place(t, s, testRequest("b", 2)).NodeID)
	require.Equal(t, "n1", place(t, s, testRequest("c", 4)).NodeID, "n2 lacks cpu, n3 is empty")
	require.Equal(t, "n2", place(t, s, testRequest("d", 1)).NodeID)
	_, err := s.Place(t.Context(), testRequest("e", 13))
	require.Equal(t, []string{"3 lack cpu"}, refusals(t, err))
}

// TestTiesGoToWhoJoinedFirst: an update keeps a node's place, a node that was removed
// comes last, and a restart changes nothing, with a snapshot or without.
func TestTiesGoToWhoJoinedFirst(t *testing.T) {
	ctx := t.Context()
	j := new(MemoryJournal)
	s := open(t, Config{Journal: j})
	first := func(want string) {
		t.Helper()
		for _, snapshots := range []bool{false, true} {
			for _, strategy := range []placement.Strategy{placement.BinPack, placement.Spread, placement.Affinity, placement.LeastFragmentation} {
				req := testRequest("a", 1)
				req.Preferences = placement.Use(strategy).Prefer(placement.Exists("nothing"), 1)
				d, err := s.Schedule(ctx, req)
				require.NoError(t, err)
				require.Equal(t, want, d.NodeID, "%s", strategy)
			}
			if snapshots {
				require.NoError(t, s.Checkpoint(ctx))
			}
			s = open(t, Config{Journal: j})
		}
	}
	addNodes(t, s, testNode("n2", 4), testNode("n1", 4), testNode("n3", 4))
	first("n2")
	updated := testNode("n2", 4)
	updated.Labels = map[string]string{"zone": "a"}
	_, err := s.UpdateNode(ctx, updated)
	require.NoError(t, err)
	first("n2")
	_, err = s.RemoveNode(ctx, "n2")
	require.NoError(t, err)
	first("n1")
	addNodes(t, s, testNode("n2", 4))
	first("n1")
	_, err = s.RemoveNode(ctx, "n1")
	require.NoError(t, err)
	first("n3")
}

func TestScheduleChangesNothing(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	before := snapshot(t, s)
	d, err := s.Schedule(t.Context(), testRequest("a", 4))
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
	require.Equal(t, before, snapshot(t, s))
	placed := place(t, s, testRequest("a", 4))
	require.Equal(t, d.Score, placed.Score)
}

func TestSameIDAgain(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	first := place(t, s, testRequest("a", 2))
	before := snapshot(t, s)

	again, err := s.Place(t.Context(), testRequest("a", 2))
	require.NoError(t, err)
	require.Equal(t, first, again)
	scheduled, err := s.Schedule(t.Context(), testRequest("a", 2))
	require.NoError(t, err)
	require.Equal(t, first, scheduled)
	onSame, err := s.Allocate(t.Context(), first.NodeID, testRequest("a", 2))
	require.NoError(t, err)
	require.Equal(t, first, onSame)

	_, err = s.Allocate(t.Context(), "n2", testRequest("a", 2))
	require.ErrorIs(t, err, ErrConflict)
	_, err = s.Place(t.Context(), testRequest("a", 3))
	require.ErrorIs(t, err, ErrConflict)
	other := testRequest("a", 2)
	other.Preferences = placement.Use(placement.BinPack).TolerateExists("x")
	_, err = s.Place(t.Context(), other)
	var conflict *placement.IDError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, "a", conflict.ID)
	require.Equal(t, before, snapshot(t, s))
}

func TestReleaseTwice(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 4))
	require.NoError(t, s.Release(t.Context(), "a"))
	require.ErrorIs(t, s.Release(t.Context(), "a"), ErrNotFound)
	require.Equal(t, "n1", place(t, s, testRequest("b", 4)).NodeID)
}

func TestRememberReleased(t *testing.T) {
	s := newTestScheduler(t, Config{RememberReleased: 2})
	addNodes(t, s, testNode("n1", 16))
	for _, id := range []string{"a", "b", "c"} {
		place(t, s, testRequest(id, 1))
		require.NoError(t, s.Release(t.Context(), id))
	}
	for _, id := range []string{"b", "c"} {
		_, err := s.Place(t.Context(), testRequest(id, 1))
		require.ErrorIs(t, err, ErrReleased)
	}
	place(t, s, testRequest("a", 1))
}

func TestAllocateChecksLikeSchedule(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 4)
	n.Labels = map[string]string{"disk": "hdd"}
	n.Taints = []placement.Taint{{Key: "dedicated", Value: "gpu", Effect: placement.NoSchedule}}
	addNodes(t, s, n, testNode("n2", 64))

	req := testRequest("a", 8)
	req.Preferences = req.Preferences.Require(placement.Equal("disk", "ssd"))
	_, err := s.Allocate(t.Context(), "n1", req)
	require.Equal(t, []string{"1 has taint dedicated=gpu:NoSchedule"}, refusals(t, err))
	req.Preferences = req.Preferences.TolerateExists("dedicated")
	_, err = s.Allocate(t.Context(), "n1", req)
	require.Equal(t, []string{"1 fails disk = ssd"}, refusals(t, err))
	_, err = s.Allocate(t.Context(), "nowhere", req)
	require.ErrorIs(t, err, ErrNotFound)
	d, err := s.Allocate(t.Context(), "n2", testRequest("b", 8))
	require.NoError(t, err)
	require.Equal(t, "n2", d.NodeID)
}

func TestBadInputChangesNothing(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	before := snapshot(t, s)
	negative := testRequest("a", 1)
	negative.Resources.CPU = -1
	negative.Ports = tcp(0)
	_, err := s.Place(t.Context(), negative)
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ErrorContains(t, err, "resources.cpu")
	require.ErrorContains(t, err, "ports[0]")
	_, err = s.Place(t.Context(), placement.Request{})
	require.ErrorIs(t, err, placement.ErrInvalid)
	unknown := testRequest("a", 1)
	unknown.Preferences.Strategy = 99
	_, err = s.Place(t.Context(), unknown)
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.ErrorIs(t, s.AddNode(t.Context(), placement.Node{}), placement.ErrInvalid)
	require.ErrorIs(t, s.AddNode(t.Context(), testNode("n1", 8)), ErrConflict)
	require.ErrorIs(t, s.Cordon(t.Context(), "n9"), ErrNotFound)
	_, err = s.RemoveNode(t.Context(), "n9")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.UpdateNode(t.Context(), testNode("n9", 1))
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.RemoveLabel(t.Context(), "n1", "none"), ErrNotFound)
	require.ErrorIs(t, s.SetLabel(t.Context(), "n1", "", "x"), placement.ErrInvalid)
	require.ErrorIs(t, s.RemoveTaint(t.Context(), "n1", "none", placement.NoSchedule), ErrNotFound)
	_, err = s.Resize(t.Context(), "nobody", placement.Resources{})
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, before, snapshot(t, s))
}

func TestConfigMistakesAreReportedAtOnce(t *testing.T) {
	_, err := New(Config{
		Weights:          map[placement.ResourceName]int64{"cpu": 0, "gpu": 65, "": 1, "instances": 2},
		RememberReleased: -1,
		Journal:          new(MemoryJournal),
	})
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.EqualError(t, err, strings.Join([]string{
		`placement: invalid weights.custom: want a name of 1 to 63 characters`,
		`placement: invalid weights.cpu "0": want 1 to 64`,
		`placement: invalid weights.gpu "65": want 1 to 64`,
		`placement: invalid weights.custom "instances": the name is reserved`,
		`placement: invalid rememberReleased "-1": negative`,
		`placement: invalid journal "*scheduler.MemoryJournal": a scheduler with one comes from Open`,
	}, "\n"))
	_, err = Open(t.Context(), Config{RememberReleased: -1})
	require.ErrorIs(t, err, placement.ErrInvalid)
	require.EqualError(t, err, strings.Join([]string{
		`placement: invalid rememberReleased "-1": negative`,
		`placement: invalid journal: missing: Open needs one`,
	}, "\n"))
}

func TestResizeNeedsRoomOnlyForWhatGrows(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 2))
	place(t, s, testRequest("b", 2))
	_, err := s.Resize(t.Context(), "a", placement.Resources{CPU: 2001, Memory: placement.GiB})
	require.Equal(t, []string{"1 lacks cpu"}, refusals(t, err))
	d, err := s.Resize(t.Context(), "a", placement.Resources{CPU: placement.Core, Memory: 10 * placement.GiB})
	require.NoError(t, err)
	require.Equal(t, "n1", d.NodeID)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(placement.Core), a.Request.Resources.CPU)

	// A retry of the original placement, and of the resized one, is the same.
	_, err = s.Place(t.Context(), testRequest("a", 2))
	require.NoError(t, err)
	resized := testRequest("a", 2)
	resized.Resources = a.Request.Resources
	_, err = s.Place(t.Context(), resized)
	require.NoError(t, err)

	// On a node that is over its capacity shrinking still works.
	over, err := s.UpdateNode(t.Context(), testNode("n1", 1))
	require.NoError(t, err)
	require.Equal(t, []placement.ResourceName{"cpu", "memory"}, over)
	_, err = s.Resize(t.Context(), "b", placement.Resources{CPU: placement.Core, Memory: 2 * placement.GiB})
	require.NoError(t, err)
	_, err = s.Place(t.Context(), testRequest("c", 1))
	require.Equal(t, []string{"1 lacks cpu"}, refusals(t, err))

	// Nothing more lands there, not even what asks for nothing that is short.
	_, err = s.Place(t.Context(), testRequest("d", 0))
	require.Equal(t, []string{"1 is over in cpu"}, refusals(t, err))
	e, err := s.Explain(t.Context(), testRequest("d", 0))
	require.NoError(t, err)
	require.Equal(t, "cpu", string(e.Failed[0].Reason.Name))
	require.NoError(t, s.Release(t.Context(), "a"))
	place(t, s, testRequest("d", 0))
}

func TestGPUsAreTakenByDevice(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 64)
	n.Devices = placement.Devices{Count: 4, Model: "A100"}
	addNodes(t, s, n, testNode("n2", 64))
	gpu := func(id string, milli int64) placement.Request {
		return placement.Request{ID: id, Resources: placement.Resources{CPU: 1, GPU: milli}}
	}
	tests := []struct {
		id    string
		milli int64
		want  []int
	}{
		{"whole", 1000, []int{0}},
		{"small", 300, []int{1}},
		{"same device, least left", 500, []int{1}},
		{"next untouched", 400, []int{2}},
		{"back to the fullest", 200, []int{1}},
		{"last untouched", 1000, []int{3}},
	}
	for _, test := range tests {
		d := place(t, s, gpu(test.id, test.milli))
		require.Equal(t, "n1", d.NodeID)
		require.Equal(t, test.want, d.Devices, test.id)
	}
	_, err := s.Place(t.Context(), gpu("no device is untouched", 1000))
	require.Equal(t, []string{"2 lack gpu"}, refusals(t, err))
	_, err = s.Place(t.Context(), gpu("no device has so much left", 700))
	require.Equal(t, []string{"2 lack gpu"}, refusals(t, err))
	_, err = s.Place(t.Context(), gpu("one and a half", 1500))
	require.ErrorIs(t, err, placement.ErrInvalid)

	d, err := s.Resize(t.Context(), "next untouched", placement.Resources{CPU: 1, GPU: 900})
	require.NoError(t, err)
	require.Equal(t, []int{2}, d.Devices)
	_, err = s.Resize(t.Context(), "next untouched", placement.Resources{CPU: 1, GPU: 1000})
	require.ErrorIs(t, err, ErrConflict)
	require.NoError(t, s.Release(t.Context(), "last untouched"))
	d, err = s.Resize(t.Context(), "whole", placement.Resources{CPU: 1, GPU: 2000})
	require.NoError(t, err)
	require.Equal(t, []int{0, 3}, d.Devices)

	_, err = s.UpdateNode(t.Context(), testNode("n1", 64))
	require.ErrorIs(t, err, ErrConflict)
	info, err := s.Node(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, []int64{0, 0, 100, 0}, info.DeviceFree)
}

func TestResizeFromAndToNoGPU(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.Devices = placement.Devices{Count: 3}
	addNodes(t, s, n, testNode("n2", 1))
	for id, gpu := range map[string]int64{"a": 300, "b": 0} {
		_, err := s.Allocate(t.Context(), "n1", placement.Request{ID: id, Resources: placement.Resources{GPU: gpu}})
		require.NoError(t, err)
	}
	steps := []struct {
		id   string
		gpu  int64
		want []int // nil: no device, or none that has room
		err  error
	}{
		{"b", 800, []int{1}, nil}, // device 0 has 700 left
		{"b", 2000, nil, ErrConflict},
		{"b", 0, nil, nil},
		{"b", 500, []int{0}, nil}, // the tightest
		{"b", 900, nil, ErrUnschedulable},
		{"b", 700, []int{0}, nil},
		{"b", 0, nil, nil},
		{"b", 3000, nil, ErrUnschedulable},
		{"b", 2000, []int{1, 2}, nil},
		{"b", 500, nil, ErrConflict},
		{"a", 0, nil, nil},
		{"b", 3000, []int{0, 1, 2}, nil},
		{"a", 100, nil, ErrUnschedulable},
	}
	for _, step := range steps {
		d, err := s.Resize(t.Context(), step.id, placement.Resources{GPU: step.gpu})
		require.ErrorIs(t, err, step.err, "%s to %d", step.id, step.gpu)
		require.Equal(t, step.want, d.Devices, "%s to %d", step.id, step.gpu)
	}
}

func TestNodesAndAllocationsAreListedByID(t *testing.T) {
	s := newTestScheduler(t, Config{})
	for _, id := range []string{"n3", "n1", "n2"} {
		addNodes(t, s, testNode(id, 4))
	}
	for i := range 5 {
		place(t, s, testRequest(fmt.Sprintf("a%d", 4-i), 1))
	}
	var nodes, allocations []string
	for _, n := range listed(t, s.Nodes) {
		nodes = append(nodes, n.ID)
	}
	for _, a := range listed(t, s.Allocations) {
		allocations = append(allocations, a.Request.ID)
	}
	require.Equal(t, []string{"n1", "n2", "n3"}, nodes)
	require.True(t, slices.IsSorted(allocations))
	require.Len(t, allocations, 5)
	require.Equal(t, 3, s.Stats().Nodes)
}

func TestClosedScheduler(t *testing.T) {
	s := newTestScheduler(t, Config{})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.AddNode(t.Context(), testNode("n1", 1)), ErrClosed)
	_, err := s.Node(t.Context(), "n1")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Wait(t.Context(), 0), ErrClosed)
}

func TestAllocateNamesItsNode(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4))
	_, err := s.Allocate(t.Context(), "", testRequest("a", 1))
	require.ErrorIs(t, err, ErrNotFound)
}

func TestUpdateReportsTooManyInstances(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 4)
	addNodes(t, s, n)
	place(t, s, testRequest("a", 1))
	place(t, s, testRequest("b", 1))
	n.MaxInstances = 1
	over, err := s.UpdateNode(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, []placement.ResourceName{placement.NameInstances}, over)
}

func TestTheSameNodeAgainIsNoChange(t *testing.T) {
	s := newTestScheduler(t, Config{})
	ctx := t.Context()
	n := testNode("n1", 4)
	n.Labels = map[string]string{"zone": "a"}
	n.Taints = []placement.Taint{noExecute("k")}
	addNodes(t, s, n)
	place(t, s, placement.Request{ID: "a", Preferences: placement.Use(placement.BinPack).TolerateExists("k")})
	version := s.Version()
	require.NoError(t, s.SetLabel(ctx, "n1", "zone", "a"))
	require.NoError(t, s.AddTaint(ctx, "n1", noExecute("k")))
	n.MaxInstances = 0
	over, err := s.UpdateNode(ctx, n)
	require.NoError(t, err)
	require.Empty(t, over)
	require.Equal(t, version, s.Version())
}
