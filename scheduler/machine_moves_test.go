package scheduler

import (
	"maps"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// More moves of the machine: those that bring in nodes with what runs there,
// and those of quotas and reservations.

func (m *machine) adoptNode(t *rapid.T) {
	n := describeNode(t)
	var reports []Report
	for _, req := range rapid.SliceOfNDistinct(rapid.Custom(drawRequest), 0, 3, func(r placement.Request) string {
		return r.ID
	}).Draw(t, "reported") {
		r := Report{Request: req, Generation: rapid.Uint64Range(0, 2).Draw(t, "generation")}
		for i := range int((req.Resources.GPU + placement.Device - 1) / placement.Device) {
			r.Devices = append(r.Devices, i)
		}
		for i := range req.DynamicPorts {
			r.DynamicPorts = append(r.DynamicPorts, uint16(82+i))
		}
		r.Reservation = rapid.SampledFrom([]string{"", "", "r1", "r2", "r3"}).Draw(t, "reservation")
		reports = append(reports, r)
	}
	var adoption Adoption
	if !m.attempt(t, func() (err error) {
		adoption, err = m.s.AdoptNode(t.Context(), n, reports)
		return err
	}) {
		return
	}
	m.setLost(n.ID, false)
	m.shrunk[n.ID] = true // what was reported may be more than fits
	for _, r := range reports {
		if slices.Contains(adoption.Adopted, r.Request.ID) {
			m.model[r.Request.ID] = modelInstance{node: n.ID, cpu: r.Request.Resources.CPU}
		}
	}
	change, again, err := m.s.state.adopt(n, reports)
	require.NoError(t, err)
	require.Nil(t, change, "the same report again changes nothing")
	require.Empty(t, again.Adopted)
	m.checkAttached(t, reports, &adoption)
}

// checkAttached asserts that what reports name a reservation for stands there, or could
// not be attached.
func (m *machine) checkAttached(t *rapid.T, reports []Report, adoption *Adoption) {
	st := m.s.state
	for _, r := range reports {
		id := r.Request.ID
		if r.Reservation == "" || !slices.Contains(adoption.Adopted, id) && !slices.Contains(adoption.Known, id) {
			require.NotContains(t, adoption.Attached, id)
			continue
		}
		require.Equal(t, st.standsIn(id, r.Reservation), slices.Contains(adoption.Attached, id))
		change, err := st.canAttach(m.s.now, st.allocations.At(id), r.Reservation)
		require.Nil(t, change, "there is a slot for %s", id)
		at := slices.IndexFunc(adoption.Unattached, func(u Unattached) bool { return u.ID == id })
		require.Equal(t, err != nil, at >= 0)
		if err != nil {
			require.EqualError(t, err, adoption.Unattached[at].Err.Error())
		}
	}
}

// attach makes an instance stand in a reservation that it does not stand in. It stays
// as it is otherwise, and its namespace pays no more than before.
func (m *machine) attach(t *rapid.T) {
	id, in := drawID(t), rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	if _, existed := m.model[id]; !existed {
		return
	}
	a := m.s.state.allocations.At(id)
	req, was, stood := a.request(), a.info(m.s.state.on(a).ID), m.s.state.standsIn(id, in)
	var charged quota.Timed
	var d Decision
	if !m.attempt(t, func() (err error) {
		charged = m.s.state.allocations.At(id).charge()
		d, err = m.s.PlaceFromReservation(t.Context(), in, req)
		return err
	}) {
		return
	}
	require.True(t, m.s.state.standsIn(id, in))
	if was.State == Lost {
		m.model[id] = modelInstance{node: d.NodeID, cpu: req.Resources.CPU}
		return
	}
	is := m.s.state.allocations.At(id)
	if !stood {
		was.Version, was.Reservation = is.version, is.covered().reservation
	}
	require.Equal(t, was, is.info(d.NodeID))
	require.True(t, charged.Amounts.Resources.CPU >= is.charge().Amounts.Resources.CPU)
}

func (m *machine) setMix(t *rapid.T) {
	mix := []WorkloadClass{{
		Resources: placement.Resources{GPU: rapid.SampledFrom([]int64{500, 1000, 2000}).Draw(t, "gpu")},
		Count:     rapid.Int64Range(0, 2).Draw(t, "count"),
	}}
	m.attempt(t, func() error { return m.s.SetWorkload(t.Context(), mix) })
}

// releaseStale says of the oldest stale generation of the first ID that it is
// gone.
func (m *machine) releaseStale(t *rapid.T) {
	for _, id := range slices.Sorted(maps.Keys(m.s.state.stale)) {
		generation := m.s.state.stale[id][0].generation
		require.True(t, m.attempt(t, func() error { return m.s.ReleaseGeneration(t.Context(), id, generation) }))
		return
	}
}

func (m *machine) setQuota(t *rapid.T) {
	limit := func(name string) quota.Limit {
		return quota.Limit{
			Soft:         rapid.Int64Range(0, 8).Draw(t, name) * 500,
			BurstPercent: rapid.SampledFrom([]int{100, 150}).Draw(t, "burst"),
			BurstFor:     rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "burst for"),
		}
	}
	spec := quota.Spec{
		Namespace: rapid.SampledFrom([]string{"ns", "team", "org"}).Draw(t, "namespace"),
		Limits:    map[placement.ResourceName]quota.Limit{placement.NameCPU: limit("cpu"), placement.NameGPU: limit("gpu")},
		Default:   rapid.Bool().Draw(t, "default"),
	}
	spec.Parent = rapid.SampledFrom([]string{"", "", "org", "ns"}).Draw(t, "parent")
	call := rapid.IntRange(0, 2).Draw(t, "call")
	m.attempt(t, func() (err error) {
		switch call {
		case 0:
			_, err = m.s.CreateQuota(t.Context(), spec)
		case 1:
			_, err = m.s.UpdateQuota(t.Context(), spec)
		default:
			// A refusal takes a list of who uses the quota.
			if err = m.s.state.quota.CheckDelete(spec.Namespace); err == nil || !m.quiet {
				err = m.s.DeleteQuota(t.Context(), spec.Namespace)
			}
		}
		return err
	})
}

func (m *machine) reserve(t *rapid.T) {
	spec := reservation.Spec{
		ID:        rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation"),
		Namespace: drawNamespace(t),
		Owners:    rapid.SampledFrom([][]string{nil, {"ns"}, {"ns", "team"}}).Draw(t, "owners"),
		Node:      rapid.SampledFrom([]string{"", "", "n1"}).Draw(t, "node"),
		Notice:    rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(t, "notice"),
		Shape: placement.Resources{
			CPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 500,
			GPU: rapid.SampledFrom([]int64{0, 0, 500, 1000}).Draw(t, "gpu"),
		},
		Count:    rapid.IntRange(1, 3).Draw(t, "count"),
		Start:    m.clock.Now().Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "start")) * 20 * time.Second),
		Duration: time.Duration(rapid.IntRange(1, 4).Draw(t, "duration")) * 20 * time.Second,
		Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
		AtEnd:    rapid.SampledFrom([]reservation.AtEnd{reservation.Drain, reservation.Evict, reservation.Keep}).Draw(t, "atEnd"),
		Once:     rapid.Bool().Draw(t, "once"),
		Lend:     rapid.Bool().Draw(t, "lend"),
	}
	if spec.AtEnd == reservation.Evict {
		spec.Grace = 20 * time.Second
	}
	if spec.AtEnd != reservation.Keep && rapid.IntRange(0, 4).Draw(t, "repeats") == 0 {
		spec.Repeat = reservation.Repeat{Every: reservation.Daily, Until: m.clock.Now().Add(48 * time.Hour)}
	}
	switch rapid.IntRange(0, 6).Draw(t, "rule") {
	case 0:
		spec.Preferences = placement.Use(placement.Spread)
	case 1:
		spec.Preferences = spec.Preferences.Across(placement.AtMostPer("", 1))
	case 2:
		spec.Preferences = spec.Preferences.Across(placement.EvenlyOver("zone", 1))
	case 3:
		spec.Preferences = spec.Preferences.Near(placement.Repel(placement.Equal("app", "x")).Within("zone"))
	case 4:
		spec.Preferences = spec.Preferences.Tolerate(placement.TolerateExists("t"))
	}
	if rapid.IntRange(0, 7).Draw(t, "maintenance") == 0 {
		spec = reservation.Spec{
			ID: spec.ID, Namespace: spec.Namespace, Node: "n1", Maintenance: true,
			Start: spec.Start, Duration: spec.Duration, Notice: spec.Notice, Repeat: spec.Repeat,
		}
	}
	m.attempt(t, func() error { _, err := m.s.Reserve(t.Context(), spec); return err })
}

func (m *machine) changeReservation(t *rapid.T) {
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	call, count := rapid.IntRange(0, 2).Draw(t, "call"), rapid.IntRange(0, 3).Draw(t, "count")
	end := m.clock.Now().Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "end")) * 20 * time.Second)
	shape := placement.Resources{CPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 500}
	force := rapid.Bool().Draw(t, "force")
	m.attempt(t, func() (err error) {
		switch call {
		case 0:
			_, err = m.s.Extend(t.Context(), id, end)
		case 1:
			_, err = m.s.ResizeReservation(t.Context(), id, shape, count)
		default:
			err = m.s.ReleaseReservation(t.Context(), id, force)
		}
		return err
	})
}

func (m *machine) claim(t *rapid.T) {
	req := drawRequest(t)
	if rapid.Bool().Draw(t, "without rules") {
		req.Preferences = placement.Preferences{}
	}
	id := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, "reservation")
	old, existed := m.model[req.ID]
	var d Decision
	ok := m.attempt(t, func() (err error) {
		d, err = m.s.PlaceFromReservation(t.Context(), id, req)
		return err
	})
	if ok && (!existed || old.lost) {
		m.model[req.ID] = modelInstance{node: d.NodeID, cpu: req.Resources.CPU}
		m.requireNotOver(t, d.NodeID)
	}
}

func (m *machine) unclaim(t *rapid.T) {
	id := drawID(t)
	if m.attempt(t, func() error { return m.s.Unclaim(t.Context(), id) }) {
		delete(m.model, id)
	}
}
