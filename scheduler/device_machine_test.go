package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// deviceMachine drives GPUs through everything that can happen to them.
type deviceMachine struct {
	*machine
	devices map[string][]int // by ID and generation, since placed or resized
	marred  map[string]bool  // nodes where holds were overrun by reports
}

func newDeviceMachine(t *rapid.T) *deviceMachine {
	m := &deviceMachine{newMachine(t), make(map[string][]int), make(map[string]bool)}
	for i := range 3 {
		n := drawDeviceNode(t)
		n.ID = fmt.Sprint("n", i+1)
		addNodes(t, m.s, n)
	}
	for _, spec := range []quota.Spec{
		{Namespace: "org", Limits: map[placement.ResourceName]quota.Limit{placement.NameGPU: {Soft: 3500}}},
		{Namespace: "team", Parent: "org", Limits: map[placement.ResourceName]quota.Limit{
			placement.NameGPU: {Soft: 2500, BurstPercent: 150, BurstFor: 30 * time.Second}, "fpga": {Soft: 2},
		}},
	} {
		_, err := m.s.CreateQuota(t.Context(), spec)
		require.NoError(t, err)
	}
	return m
}

func drawDeviceNode(t *rapid.T) placement.Node {
	n := placement.Node{ID: drawNode(t), Capacity: placement.Resources{CPU: 64 * placement.Core}}
	n.Devices.Count = rapid.SampledFrom([]int{4, 3, 2, 2, 1, 0}).Draw(t, "devices")
	if n.Devices.Count > 0 {
		n.Devices.Model = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "model")
		n.Devices.Broken = drawBroken(t, n.Devices.Count)
	}
	if fpga := rapid.Int64Range(0, 2).Draw(t, "fpga"); fpga > 0 {
		n.Capacity.Custom = map[string]int64{"fpga": fpga}
	}
	return n
}

// drawBroken draws a few devices, mostly none.
func drawBroken(t *rapid.T, count int) []int {
	var broken []int
	for i := range count {
		if rapid.IntRange(0, 5).Draw(t, "breaks") == 0 {
			broken = append(broken, i)
		}
	}
	return broken
}

func drawDeviceResources(t *rapid.T) placement.Resources {
	r := placement.Resources{GPU: rapid.SampledFrom([]int64{0, 250, 500, 500, 700, 1000, 1000, 2000}).Draw(t, "gpu")}
	if rapid.IntRange(0, 4).Draw(t, "custom") == 0 {
		r.Custom = map[string]int64{"fpga": 1}
	}
	return r
}

func drawDeviceRequest(t *rapid.T) (req placement.Request, model string) {
	req = placement.Request{
		ID:        rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "id"),
		Namespace: drawNamespace(t), Resources: drawDeviceResources(t),
		Duration: rapid.SampledFrom([]time.Duration{0, 0, 30 * time.Second, time.Minute}).Draw(t, "duration"),
		Yield:    rapid.IntRange(0, 5).Draw(t, "yield") == 0,
		Preferences: placement.Use(rapid.SampledFrom([]placement.Strategy{
			placement.BinPack, placement.Spread, placement.Random, placement.Affinity, placement.LeastFragmentation,
		}).Draw(t, "strategy")),
	}
	if model = rapid.SampledFrom([]string{"", "", "", "", "a"}).Draw(t, "wants"); model != "" {
		req.Preferences = req.Preferences.Require(placement.Equal(placement.LabelGPUModel, model))
	}
	return req, model
}

func (m *deviceMachine) node(t *rapid.T) {
	n := drawDeviceNode(t)
	m.attempt(t, func() error {
		if rapid.Bool().Draw(t, "update") {
			_, err := m.s.UpdateNode(t.Context(), n)
			return err
		}
		return m.s.AddNode(t.Context(), n)
	})
}

func (m *deviceMachine) mark(t *rapid.T) {
	id, ctx := drawNode(t), t.Context()
	m.attempt(t, func() (err error) {
		switch rapid.IntRange(0, 9).Draw(t, "mark") {
		case 0:
			_, err = m.s.RemoveNode(ctx, id)
			return err
		case 1:
			return m.s.Cordon(ctx, id)
		case 2, 3, 4:
			return m.s.Uncordon(ctx, id)
		case 5, 6:
			return m.s.MarkLost(ctx, id)
		default:
			return m.s.MarkReady(ctx, id)
		}
	})
}

func (m *deviceMachine) place(t *rapid.T) {
	req, model := drawDeviceRequest(t)
	if a, err := m.s.Allocation(t.Context(), req.ID); err == nil && a.State == Running {
		return
	}
	_, err := m.s.Sweep(t.Context())
	require.NoError(t, err)
	fits := make(map[string][]int)
	for _, n := range deviceNodes(t, m.s, m.clock.Now()) {
		if devices, ok := n.answers(req, model); ok {
			fits[n.ID] = devices
		}
		v, err := m.s.ExplainNode(t.Context(), req, n.ID)
		require.NoError(t, err)
		_, ok := fits[n.ID]
		require.Equal(t, ok, v.Fits, "%s: %v", n.ID, v.Failures)
		require.Equal(t, !ok, len(v.Failures) > 0)
	}
	verdict, err := m.s.CheckQuota(t.Context(), req.Namespace, req.Resources)
	require.NoError(t, err)
	var d Decision
	placed := m.attempt(t, func() (err error) {
		d, err = m.s.Place(t.Context(), req)
		return err
	})
	if _, err := m.s.Allocation(t.Context(), req.ID); err != nil && !placed {
		require.True(t, len(fits) == 0 || !verdict.Allowed() || m.s.state.released.known.At(req.ID))
	}
	if placed {
		want, ok := fits[d.NodeID]
		require.True(t, ok, "%v has no room", d)
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(d.Devices), "%v", d)
	}
}

func (m *deviceMachine) resizeDevices(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "id")
	to := drawDeviceResources(t)
	before, _ := m.s.Allocation(t.Context(), id)
	var d Decision
	if !m.attempt(t, func() (err error) { d, err = m.s.Resize(t.Context(), id, to); return err }) {
		return
	}
	less, more := before.Devices, d.Devices
	if len(less) > len(more) {
		less, more = more, less
	}
	for _, device := range less {
		require.Contains(t, more, device, "devices are kept")
	}
}

func (m *deviceMachine) hold(t *rapid.T) {
	step := 20 * time.Second
	spec := reservation.Spec{
		ID:        rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation"),
		Namespace: drawNamespace(t), Owners: []string{"ns", "team"},
		Shape: drawDeviceResources(t), Count: rapid.IntRange(1, 2).Draw(t, "count"),
		Start:    m.clock.Now().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "start")) * step),
		Duration: time.Duration(rapid.IntRange(1, 4).Draw(t, "for")) * step,
		Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
		AtEnd:    rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep}).Draw(t, "atEnd"),
		Notice:   rapid.SampledFrom([]time.Duration{0, step}).Draw(t, "notice"),
	}
	if spec.AtEnd == reservation.Evict {
		spec.Grace = step
	}
	if spec.Shape.IsZero() {
		return
	}
	_, err := m.s.Sweep(t.Context())
	require.NoError(t, err)
	_, existing := m.s.Reservation(t.Context(), spec.ID)
	room := false
	to := spec.Start.Add(spec.Duration + spec.Grace)
	if spec.AtEnd == reservation.Keep {
		to = time.Time{}
	}
	for _, n := range deviceNodes(t, m.s, m.clock.Now()) {
		_, ok := n.takes(spec.Shape, placement.BinPack, spec.Start, to)
		room = room || ok && n.ready("")
	}
	verdict, err := m.s.CheckQuota(t.Context(), spec.Namespace, spec.Shape)
	require.NoError(t, err)
	var refused error
	held := m.attempt(t, func() (err error) { _, err = m.s.Reserve(t.Context(), spec); refused = err; return err })
	if !held && existing != nil && spec.Count == 1 && spec.Namespace == "ns" && verdict.Allowed() {
		require.False(t, room, "refused where there is room: %v", refused)
	}
}

func (m *deviceMachine) alter(t *rapid.T) {
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	m.attempt(t, func() (err error) {
		switch rapid.IntRange(0, 2).Draw(t, "call") {
		case 0:
			_, err = m.s.Extend(t.Context(), id, m.clock.Now().Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "end"))*20*time.Second))
		case 1:
			_, err = m.s.ResizeReservation(t.Context(), id, drawDeviceResources(t), rapid.IntRange(0, 3).Draw(t, "count"))
		default:
			err = m.s.ReleaseReservation(t.Context(), id, rapid.Bool().Draw(t, "force"))
		}
		return err
	})
}

func (m *deviceMachine) claimDevices(t *rapid.T) {
	req, _ := drawDeviceRequest(t)
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	if r, err := m.s.Reservation(t.Context(), id); err == nil && rapid.Bool().Draw(t, "whole slot") {
		req.Resources = r.Params.Shape
	}
	m.attempt(t, func() error { _, err := m.s.PlaceFromReservation(t.Context(), id, req); return err })
}

func (m *deviceMachine) leave(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "id")
	m.attempt(t, func() error {
		if rapid.Bool().Draw(t, "unclaim") {
			return m.s.Unclaim(t.Context(), id)
		}
		return m.s.Release(t.Context(), id)
	})
}

// report adopts a node as it is, with one more instance on devices of its own
// choice.
func (m *deviceMachine) report(t *rapid.T) {
	n := drawDeviceNode(t)
	if known, err := m.s.Node(t.Context(), n.ID); err == nil {
		n = known.Node
	}
	req, _ := drawDeviceRequest(t)
	var running []Report
	if count := int((req.Resources.GPU + placement.Device - 1) / placement.Device); count <= n.Devices.Count {
		first := rapid.IntRange(0, n.Devices.Count-count).Draw(t, "first")
		r := Report{Request: req}
		for i := range count {
			r.Devices = append(r.Devices, first+i)
		}
		running = append(running, r)
	}
	if m.attempt(t, func() error { _, err := m.s.AdoptNode(t.Context(), n, running); return err }) {
		m.marred[n.ID] = true
	}
}

func (m *deviceMachine) mix(t *rapid.T) {
	var mix []WorkloadClass
	for range rapid.IntRange(0, 3).Draw(t, "kinds") {
		kind := WorkloadClass{Resources: drawDeviceResources(t), Count: rapid.Int64Range(1, 5).Draw(t, "count")}
		if model := rapid.SampledFrom([]string{"", "a", "nowhere"}).Draw(t, "model"); model != "" {
			kind.Models = []string{model}
		}
		if rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
			kind.Resources.Custom = map[string]int64{"nobody-has": 1}
		}
		mix = append(mix, kind)
	}
	require.True(t, m.attempt(t, func() error { return m.s.SetWorkload(t.Context(), mix) }))
}

// check holds the books to what the clerk has on paper.
func (m *deviceMachine) check(t *rapid.T) {
	_, err := m.s.Sweep(t.Context())
	require.NoError(t, err)
	now := m.clock.Now()
	used, before := make(map[string][]int64), m.devices
	m.devices = make(map[string][]int)
	for _, n := range listed(t, m.s.Nodes) {
		used[n.ID] = make([]int64, n.Devices.Count)
	}
	for _, a := range listed(t, m.s.Allocations) {
		require.True(t, slices.IsSorted(a.Devices))
		require.Len(t, a.Devices, int((a.Request.Resources.GPU+placement.Device-1)/placement.Device))
		for _, device := range a.Devices {
			used[a.NodeID][device] += share(a.Request.Resources.GPU)
		}
		key := fmt.Sprint(a.Request.ID, a.Generation)
		if known, ok := before[key]; ok && len(known) == len(a.Devices) {
			require.Equal(t, known, a.Devices, "devices never change by themselves")
		}
		m.devices[key] = a.Devices
	}
	for _, n := range deviceNodes(t, m.s, now) {
		left, fpga := n.left(now, time.Time{})
		sum := int64(0)
		for i, free := range n.DeviceFree {
			want := placement.Device - used[n.ID][i]
			if slices.Contains(n.Devices.Broken, i) {
				want = min(want, 0)
			}
			require.Equal(t, want, free, n.ID)
			if !m.marred[n.ID] {
				require.GreaterOrEqual(t, free, int64(0), "GPU %d of %s is oversold", i, n.ID)
			}
			if !m.marred[n.ID] && !n.broken {
				require.GreaterOrEqual(t, left[i], int64(0), "GPU %d of %s is promised twice", i, n.ID)
			}
			sum += max(0, left[i])
		}
		if !m.marred[n.ID] && !n.broken {
			require.Equal(t, sum, n.Available.GPU, n.ID)
			require.Equal(t, max(0, fpga), n.Available.Custom["fpga"], n.ID)
		}
	}
	require.NoError(t, m.s.VerifyQuota(t.Context()))
	m.follower.check(t, m.s)
}

// clear takes everything back and asserts that nothing is left of it.
func (m *deviceMachine) clear(t *rapid.T) {
	for _, r := range listed(t, m.s.Reservations) {
		_ = m.s.ReleaseReservation(t.Context(), r.Spec.ID, true)
	}
	for _, a := range listed(t, m.s.Allocations) {
		if a.State == Stale {
			require.NoError(t, m.s.ReleaseGeneration(t.Context(), a.Request.ID, a.Generation))
		} else {
			require.NoError(t, m.s.Release(t.Context(), a.Request.ID))
		}
	}
	clear(m.marred)
	for _, namespace := range []string{"org", "team"} {
		info, err := m.s.Quota(t.Context(), namespace)
		require.NoError(t, err)
		for _, u := range info.Usage {
			require.Zero(t, u.Used, "%s %s", namespace, u.Resource)
		}
	}
	for _, n := range listed(t, m.s.Nodes) {
		require.True(t, n.Allocated.IsZero() && n.Held.IsZero(), "%+v", n)
	}
}

func deviceHistories(t *rapid.T) {
	m := newDeviceMachine(t)
	t.Repeat(m.actions())
	m.clear(t)
}

func (m *deviceMachine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":         m.check,
		"node":     m.node,
		"mark":     m.mark,
		"place":    m.place,
		"place2":   m.place,
		"place3":   m.place,
		"resize":   m.resizeDevices,
		"resize2":  m.resizeDevices,
		"reserve":  m.hold,
		"reserve2": m.hold,
		"terms":    m.alter,
		"claim":    m.claimDevices,
		"claim2":   m.claimDevices,
		"claim3":   m.claimDevices,
		"leave":    m.leave,
		"report":   m.report,
		"mix":      m.mix,
		"stale":    m.releaseStale,
		"time":     func(*rapid.T) { m.clock.advance(10 * time.Second) },
		"reopen":   m.reopen,
	}
}

func TestDeviceHistories(t *testing.T) { rapid.Check(t, deviceHistories) }

func FuzzDeviceHistories(f *testing.F) { f.Fuzz(rapid.MakeFuzz(deviceHistories)) }
