package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
)

// amend gives an instance a request that differs in what change does.
func amend(t testHelper, s *Scheduler, id string, change func(*placement.Request)) (Amendment, error) {
	t.Helper()
	a, err := s.Allocation(t.Context(), id)
	require.NoError(t, err)
	change(&a.Request)
	return s.Amend(t.Context(), id, a.Request)
}

func amended(t testHelper, s *Scheduler, id string, change func(*placement.Request)) Amendment {
	t.Helper()
	done, err := amend(t, s, id, change)
	require.NoError(t, err)
	return done
}

// TestWhoeverCountsSeesAnAmendmentAtOnce: selectors, groups, and whoever looks for
// victims.
func TestWhoeverCountsSeesAnAmendmentAtOnce(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	allocate(t, s, "n1", labelled("a", nil))
	beside := labelled("beside", nil)
	beside.Preferences = placement.Use(placement.BinPack).Near(placement.Attract(placement.Equal("role", "leader")))
	_, err := s.Place(t.Context(), beside)
	require.ErrorIs(t, err, ErrUnschedulable)

	done := amended(t, s, "a", func(req *placement.Request) { req.Labels = map[string]string{"role": "leader"} })
	require.Equal(t, "n1", done.Decision.NodeID)
	require.Empty(t, done.Broken)
	require.Equal(t, "n1", place(t, s, beside).NodeID)

	apart := labelled("apart", nil)
	apart.Group = "db"
	apart.Preferences = placement.Use(placement.BinPack).Across(placement.AtMostPer("", 1))
	amended(t, s, "a", func(req *placement.Request) { req.Group = "db" })
	require.Equal(t, "n2", place(t, s, apart).NodeID)

	amended(t, s, "a", func(req *placement.Request) { req.Priority = 5 })
	urgent := testRequest("urgent", 3)
	urgent.Priority = 3
	urgent.Preferences = urgent.Preferences.Require(placement.Equal("zone", "x"))
	require.NoError(t, s.SetLabel(t.Context(), "n1", "zone", "x"))
	e, err := s.Explain(t.Context(), urgent)
	require.NoError(t, err)
	require.Equal(t, []string{"beside"}, e.Help.Victims, "a has become more important")
}

// TestAnAmendmentMovesTheEviction: it is put off, comes earlier, or is due at once. What
// leaves goes on leaving, until it is told to stay.
func TestAnAmendmentMovesTheEviction(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	place(t, s, testRequest("a", 1))
	tolerating := func(seconds int64) func(*placement.Request) {
		return func(req *placement.Request) {
			req.Preferences = placement.Use(placement.BinPack).Tolerate(placement.TolerateExists("bad").OnlyFor(placement.NoExecute).AtMost(seconds))
		}
	}
	at := func() time.Duration {
		a, err := s.Allocation(t.Context(), "a")
		require.NoError(t, err)
		return a.EvictionAt.Sub(a.Placed)
	}
	amended(t, s, "a", tolerating(30))
	require.NoError(t, s.AddTaint(t.Context(), "n1", noExecute("bad")))
	require.Equal(t, 30*time.Second, at())
	amended(t, s, "a", tolerating(300))
	require.Equal(t, 300*time.Second, at())
	c.advance(60 * time.Second)
	require.Empty(t, due(t, s))
	amended(t, s, "a", tolerating(90))
	require.Equal(t, Running, instanceState(t, s, "a"))
	amended(t, s, "a", tolerating(10))
	require.Equal(t, Leaving, instanceState(t, s, "a"), "it should have left by now")

	amended(t, s, "a", func(req *placement.Request) {
		req.Preferences = placement.Use(placement.BinPack).TolerateExists("bad")
	})
	require.Equal(t, Leaving, instanceState(t, s, "a"))
	require.NoError(t, s.Stay(t.Context(), "a"))
	require.Equal(t, Running, instanceState(t, s, "a"))
	c.advance(time.Hour)
	require.Empty(t, due(t, s))
}

// TestAnAmendmentMovesTheEnd of an instance with a Duration, which counts from its
// placement, and what its namespace is charged until then.
func TestAnAmendmentMovesTheEnd(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	lasting := func(d time.Duration) func(*placement.Request) {
		return func(req *placement.Request) { req.Duration = d }
	}
	overstays := func() bool {
		a, err := s.Allocation(t.Context(), "a")
		require.NoError(t, err)
		return a.Overstayed
	}
	later := func(d time.Duration) int64 {
		usage, err := s.QuotaUsageOver(t.Context(), "ns", c.Now().Add(d), c.Now().Add(d+1))
		require.NoError(t, err)
		require.NoError(t, s.VerifyQuota(t.Context()))
		for _, u := range usage {
			if u.Resource == placement.NameCPU {
				return u.Used
			}
		}
		return 0
	}
	a := testRequest("a", 1)
	a.Duration = time.Minute
	place(t, s, a)
	require.Zero(t, later(90*time.Second))
	amended(t, s, "a", lasting(2*time.Minute))
	require.EqualValues(t, placement.Core, later(90*time.Second))
	require.Zero(t, later(2*time.Minute))
	c.advance(90 * time.Second)
	require.False(t, overstays())
	c.advance(30 * time.Second)
	require.True(t, overstays())
	require.EqualValues(t, placement.Core, later(time.Hour), "until it is released")
	amended(t, s, "a", func(req *placement.Request) { req.Priority = 1 })
	require.True(t, overstays(), "which nothing else changes")
	amended(t, s, "a", lasting(3*time.Minute))
	require.False(t, overstays())
	require.Zero(t, later(time.Minute))
	c.advance(time.Minute)
	require.True(t, overstays())
	amended(t, s, "a", lasting(0))
	require.False(t, overstays())
	c.advance(time.Hour)
	require.False(t, overstays())
	amended(t, s, "a", lasting(time.Minute))
	require.True(t, overstays(), "it should have left long ago")
}

// TestWhatStaysForLongerNeedsRoomBesideWhatIsHeld: for all of the time that it adds.
func TestWhatStaysForLongerNeedsRoomBesideWhatIsHeld(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	launch := holding("launch", 3, 1)
	launch.Start = c.Now().Add(time.Hour)
	reserve(t, s, launch)
	short := onlyCPU("short", 2)
	short.Duration = 10 * time.Minute
	place(t, s, short)
	place(t, s, onlyCPU("long", 1))
	before := snapshot(t, s)
	for _, change := range []func(*placement.Request){
		func(req *placement.Request) { req.Duration = 0 },
		func(req *placement.Request) { req.Duration = time.Hour + 1 },
	} {
		_, err := amend(t, s, "short", change)
		require.Equal(t, []string{"1 has cpu held by reservations"}, refusals(t, err))
		require.Equal(t, before, snapshot(t, s))
	}
	amended(t, s, "short", func(req *placement.Request) { req.Duration = time.Hour })
	amended(t, s, "short", func(req *placement.Request) { req.Duration, req.Yield = 0, true })
	_, err := amend(t, s, "short", func(req *placement.Request) { req.Yield = false })
	require.Equal(t, []string{"1 has cpu held by reservations"}, refusals(t, err))
	amended(t, s, "short", func(req *placement.Request) { req.Duration, req.Yield = 30*time.Minute, false })
	amended(t, s, "long", func(req *placement.Request) { req.Duration = 5 * time.Hour })
	require.NoError(t, s.ReleaseReservation(t.Context(), "launch", false))
	amended(t, s, "short", func(req *placement.Request) { req.Duration = 0 })
}

// TestWhatStaysForLongerNeedsQuota: of what others are charged for by then.
func TestWhatStaysForLongerNeedsQuota(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	createQuota(t, s, cpuQuota("ns", 3))
	launch := holding("launch", 3, 1)
	launch.Start = c.Now().Add(time.Hour)
	reserve(t, s, launch)
	a := onlyCPU("a", 1)
	a.Duration = time.Minute
	place(t, s, a)
	_, err := amend(t, s, "a", func(req *placement.Request) { req.Duration = 2 * time.Hour })
	require.ErrorIs(t, err, quota.ErrExceeded)
	amended(t, s, "a", func(req *placement.Request) { req.Duration = time.Hour })
}

// TestAmendedPortsMustBeFree: those that are new, and nobody else's.
func TestAmendedPortsMustBeFree(t *testing.T) {
	s := newTestScheduler(t, Config{})
	n := testNode("n1", 8)
	n.ReservedPorts, n.DynamicPorts = tcp(22), placement.PortRange{First: 100, Last: 104}
	addNodes(t, s, n)
	web := testRequest("web", 1)
	web.Ports, web.DynamicPorts = tcp(80), 2
	require.Equal(t, []uint16{100, 101}, place(t, s, web).DynamicPorts)
	other := testRequest("other", 1)
	other.Ports = tcp(81, 102)
	place(t, s, other)

	ask := func(dynamic int, ports ...placement.Port) ([]uint16, error) {
		done, err := amend(t, s, "web", func(req *placement.Request) { req.Ports, req.DynamicPorts = ports, dynamic })
		return done.Decision.DynamicPorts, err
	}
	for reason, ports := range map[string][]placement.Port{
		"has port 81 taken": tcp(80, 81), "reserves port 22": tcp(22), "has port 102 taken": tcp(102),
	} {
		_, err := ask(2, ports...)
		require.Equal(t, []string{"1 " + reason}, refusals(t, err))
	}
	_, err := ask(5)
	require.Equal(t, []string{"1 lacks dynamic ports"}, refusals(t, err), "102 is taken")
	got, err := ask(2, udp(81)...)
	require.NoError(t, err)
	require.Equal(t, []uint16{100, 101}, got)
	got, err = ask(2, tcp(101)...)
	require.NoError(t, err)
	require.Equal(t, []uint16{100, 103}, got, "what was given is asked for now")
	got, err = ask(3, tcp(80)...)
	require.NoError(t, err)
	require.Equal(t, []uint16{100, 103, 104}, got)
	got, err = ask(1)
	require.NoError(t, err)
	require.Equal(t, []uint16{100}, got)
	third := testRequest("third", 1)
	third.Ports, third.DynamicPorts = tcp(80), 3
	require.Equal(t, []uint16{101, 103, 104}, place(t, s, third).DynamicPorts, "which it has given back")
}

// TestWhatIsLostIsPlacedAgainAsAmended: with ports that the node on which it will run
// has free.
func TestWhatIsLostIsPlacedAgainAsAmended(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 4), testNode("n2", 4))
	a := testRequest("a", 1)
	a.Ports = tcp(80)
	allocate(t, s, "n1", a)
	b := testRequest("b", 1)
	b.Ports = tcp(80)
	allocate(t, s, "n2", b)
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	_, err := s.Place(t.Context(), a)
	require.ErrorIs(t, err, ErrUnschedulable)
	a.Ports, a.Labels = tcp(81), map[string]string{"moved": "yes"}
	_, err = s.Place(t.Context(), a)
	require.ErrorIs(t, err, ErrConflict)
	done, err := s.Amend(t.Context(), "a", a)
	require.NoError(t, err)
	require.Empty(t, done.Broken)
	require.Equal(t, Lost, instanceState(t, s, "a"))
	d := place(t, s, a)
	require.Equal(t, "n2", d.NodeID)
	require.EqualValues(t, 2, d.Generation)
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestWhatCannotBeAmended: and that nothing changes then.
func TestWhatCannotBeAmended(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 1))
	reserve(t, s, holding("r", 1, 1))
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("claimed", 1))
	require.NoError(t, err)
	before := snapshot(t, s)
	tests := []struct {
		name, id string
		change   func(*placement.Request)
		is       error
	}{
		{"other resources", "a", func(req *placement.Request) { req.Resources.CPU++ }, ErrConflict},
		{"another namespace", "a", func(req *placement.Request) { req.Namespace = "other" }, ErrConflict},
		{"another instance", "a", func(req *placement.Request) { req.ID = "b" }, ErrInvalid},
		{"an invalid request", "a", func(req *placement.Request) { req.DynamicPorts = -1 }, ErrInvalid},
		{"the Duration in a reservation", "claimed", func(req *placement.Request) { req.Duration = time.Minute }, ErrConflict},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := amend(t, s, test.id, test.change)
			require.ErrorIs(t, err, test.is)
			require.Equal(t, before, snapshot(t, s))
		})
	}
	_, err = s.Amend(t.Context(), "nobody", testRequest("nobody", 1))
	require.ErrorIs(t, err, ErrNotFound)

	c.advance(250 * 365 * 24 * time.Hour) // beyond what reservations count
	place(t, s, testRequest("late", 1))
	_, err = amend(t, s, "late", func(req *placement.Request) { req.Duration = time.Minute })
	require.ErrorIs(t, err, ErrInvalid)
}

// TestAmendingAgainChangesNothing, and whatever was resized keeps both its sizes.
func TestAmendingAgainChangesNothing(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	a := testRequest("a", 1)
	place(t, s, a)
	_, err := s.Resize(t.Context(), "a", placement.Resources{CPU: 2 * placement.Core})
	require.NoError(t, err)
	a.Priority, a.ID = 3, ""
	first, err := s.Amend(t.Context(), "a", a)
	require.NoError(t, err)
	version := s.Version()
	again, err := s.Amend(t.Context(), "a", a)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, version, s.Version())
	a.ID = "a"
	require.Equal(t, first.Decision, place(t, s, a), "as it was asked for")
	got, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, placement.Resources{CPU: 2 * placement.Core}, got.Request.Resources)
	require.Equal(t, first.Decision, place(t, s, got.Request), "as it is")
}

// TestAnAmendedClaimKeepsItsSlot: and its reservation goes on to pay for it.
func TestAnAmendedClaimKeepsItsSlot(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 8))
	reserve(t, s, holding("r", 2, 1))
	req := onlyCPU("a", 1)
	_, err := s.PlaceFromReservation(t.Context(), "r", req)
	require.NoError(t, err)
	usage, err := s.QuotaUsage(t.Context(), "ns")
	require.NoError(t, err)
	done := amended(t, s, "a", func(req *placement.Request) {
		req.Labels, req.Yield = map[string]string{"role": "leader"}, true
		req.Preferences = req.Preferences.Require(placement.Equal("zone", "a"))
	})
	require.Equal(t, "fails zone = a", done.Broken[0].String())
	after, err := s.QuotaUsage(t.Context(), "ns")
	require.NoError(t, err)
	require.Equal(t, usage, after)
	a, err := s.Allocation(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "r", a.Reservation)
	require.NoError(t, s.Unclaim(t.Context(), "a"))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestWhatYieldsNoMoreIsNotLeaving: though it was asked to before, by a reservation that
// is gone.
func TestWhatYieldsNoMoreIsNotLeaving(t *testing.T) {
	c := newClock()
	s := newTestScheduler(t, Config{Now: c.Now})
	addNodes(t, s, testNode("n1", 4))
	guest := onlyCPU("guest", 2)
	guest.Yield = true
	place(t, s, guest)
	launch := holding("launch", 3, 1)
	launch.Start, launch.Notice = c.Now().Add(time.Hour), 10*time.Minute
	reserve(t, s, launch)
	c.advance(55 * time.Minute)
	require.NoError(t, swept(t, s))
	told := func() bool {
		stay, ok := s.state.plan.Stay("guest")
		require.True(t, ok)
		return stay.Told
	}
	require.True(t, told())
	require.NoError(t, s.ReleaseReservation(t.Context(), "launch", false))
	amended(t, s, "guest", func(req *placement.Request) { req.Priority = 1 })
	require.True(t, told(), "it yields as before")
	amended(t, s, "guest", func(req *placement.Request) { req.Duration, req.Yield = 5*time.Hour, false })
	require.False(t, told())
}

// TestAnAmendmentMakesRoomForSlots: of a reservation that keeps away from what the
// instance was until now.
func TestAnAmendmentMakesRoomForSlots(t *testing.T) {
	ctx := t.Context()
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 4))
	spec := holding("r", 1, 1)
	spec.Preferences = placement.Use(placement.BinPack).Near(placement.Repel(placement.Equal("app", "x")))
	reserve(t, s, spec)
	require.NoError(t, s.MarkLost(ctx, "n1"))
	_, err := s.AdoptNode(ctx, testNode("n1", 4), []Report{{Request: labelled("x", map[string]string{"app": "x"})}})
	require.NoError(t, err)
	on := func() string {
		r, err := s.Reservation(ctx, "r")
		require.NoError(t, err)
		return r.Slots[0].Node
	}
	require.Empty(t, on(), "x is there")
	amended(t, s, "x", func(req *placement.Request) { req.Labels = nil })
	require.Equal(t, "n1", on())
}
