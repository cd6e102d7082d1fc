package scheduler

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
)

// reportsIn are reports of instances that stand in a reservation.
func reportsIn(id string, requests ...placement.Request) []Report {
	list := reports(requests...)
	for i := range list {
		list[i].Reservation = id
	}
	return list
}

func adoptNode(t testHelper, s *Scheduler, n placement.Node, running []Report) Adoption {
	t.Helper()
	adoption, err := s.AdoptNode(t.Context(), n, running)
	require.NoError(t, err)
	return adoption
}

func inReservation(t testHelper, s *Scheduler, id string) string {
	t.Helper()
	a, err := s.Allocation(t.Context(), id)
	require.NoError(t, err)
	return a.Reservation
}

// attach places a request that runs already from a reservation.
func attach(t testHelper, s *Scheduler, id string, req placement.Request) {
	t.Helper()
	before, err := s.Allocation(t.Context(), req.ID)
	require.NoError(t, err)
	d, err := s.PlaceFromReservation(t.Context(), id, req)
	require.NoError(t, err)
	require.Equal(t, []any{before.NodeID, before.Generation, s.Version()}, []any{d.NodeID, d.Generation, d.Version})
	require.Equal(t, id, inReservation(t, s, req.ID))
}

// slotNodes returns the nodes of the slots of a reservation, and the instances there.
func slotNodes(t testHelper, s *Scheduler, id string) []string {
	t.Helper()
	r, err := s.Reservation(t.Context(), id)
	require.NoError(t, err)
	var slots []string
	for _, slot := range r.Slots {
		text := slot.Node
		for _, c := range slot.Claims {
			text += " " + c.ID
		}
		slots = append(slots, text)
	}
	return slots
}

// TestAHostWithoutJournalHasItsReservationsAgain: with the same instances in them, the
// same room beside them and the same bills, though slots were made on other nodes.
func TestAHostWithoutJournalHasItsReservationsAgain(t *testing.T) {
	books := func(s *Scheduler) []any {
		var all []any
		for _, id := range []string{"n1", "n2", "n3"} {
			all = append(all, availableCores(t, s, id))
		}
		return append(all, usedCores(t, s, "ns"), usedCores(t, s, "user"))
	}
	start := func() *Scheduler {
		s := newTestScheduler(t, Config{})
		createQuota(t, s, cpuQuota("ns", 20))
		createQuota(t, s, cpuQuota("user", 20))
		addNodes(t, s, testNode("n1", 8), testNode("n2", 8), testNode("n3", 8))
		return s
	}
	spec := holding("r", 6, 2)
	spec.Owners = []string{"user", "ns"}
	of := onlyCPU("x", 2)
	of.Namespace = "user"

	s := start()
	require.NoError(t, s.Cordon(t.Context(), "n1"))
	reserve(t, s, spec)
	require.NoError(t, claimCores(t, s, "y", 3))
	require.NoError(t, s.Uncordon(t.Context(), "n1"))
	_, err := s.PlaceFromReservation(t.Context(), "r", of)
	require.NoError(t, err)
	require.Equal(t, []string{"n2 y x", "n3"}, slotNodes(t, s, "r"))
	before := books(s)

	s = start()
	reserve(t, s, spec)
	require.Equal(t, []string{"n1", "n2"}, slotNodes(t, s, "r"))
	kinds := collect(s, func() {
		adoption := adoptNode(t, s, testNode("n2", 8), reportsIn("r", of, onlyCPU("y", 3)))
		require.Equal(t, Adoption{Adopted: []string{"x", "y"}, Attached: []string{"x", "y"}}, adoption)
	})
	require.Equal(t, []string{"node-adopted", "attached", "attached"}, kinds, "no slot has to move")
	require.Equal(t, []string{"n1", "n2 x y"}, slotNodes(t, s, "r"))
	require.NoError(t, s.VerifyQuota(t.Context()))

	s = start()
	require.NoError(t, s.Cordon(t.Context(), "n2"))
	reserve(t, s, spec)
	require.NoError(t, s.Uncordon(t.Context(), "n2"))
	require.Equal(t, []string{"n1", "n3"}, slotNodes(t, s, "r"))
	adoptNode(t, s, testNode("n2", 8), reportsIn("r", of, onlyCPU("y", 3)))
	require.Equal(t, []string{"n2 y x", "n3"}, slotNodes(t, s, "r"), "a slot comes to where they run")
	require.Equal(t, before, books(s))
	require.NoError(t, s.VerifyQuota(t.Context()))
}

// TestAReportOfAnUnknownReservationWaitsForIt: the instance is an ordinary one until
// the reservation is there and the next report comes.
func TestAReportOfAnUnknownReservationWaitsForIt(t *testing.T) {
	s := newTestScheduler(t, Config{})
	createQuota(t, s, cpuQuota("ns", 20))
	running := reportsIn("r", onlyCPU("x", 2))
	adoption := adoptNode(t, s, testNode("n1", 8), running)
	require.Equal(t, []string{"x"}, adoption.Adopted)
	require.Empty(t, adoption.Attached)
	require.Len(t, adoption.Unattached, 1)
	require.ErrorIs(t, adoption.Unattached[0].Err, ErrNotFound)
	require.Equal(t, int64(2), usedCores(t, s, "ns"))
	data, err := json.Marshal(adoption)
	require.NoError(t, err)
	require.Contains(t, string(data), `"unattached":[{"id":"x","reservation":"r","error":{"code":"not-found"`)
	var read Adoption
	require.NoError(t, json.Unmarshal(data, &read))
	require.ErrorIs(t, read.Unattached[0].Err, ErrNotFound)

	version := s.Version()
	require.Equal(t, adoptNode(t, s, testNode("n1", 8), running).Unattached, adoption.Unattached)
	require.Equal(t, version, s.Version(), "the same report again is no entry")

	reserve(t, s, holding("r", 6, 1))
	require.Equal(t, int64(8), usedCores(t, s, "ns"))
	adoption = adoptNode(t, s, testNode("n1", 8), running)
	require.Equal(t, Adoption{Known: []string{"x"}, Attached: []string{"x"}}, adoption)
	require.Equal(t, int64(6), usedCores(t, s, "ns"), "the slot pays for it")
	require.Equal(t, int64(2), availableCores(t, s, "n1"))
	require.Equal(t, version+2, s.Version())
	require.Equal(t, []string{"x"}, adoptNode(t, s, testNode("n1", 8), reports(onlyCPU("x", 2))).Known)
	require.Equal(t, "r", inReservation(t, s, "x"), "whoever says nothing of it leaves it there")
	require.Equal(t, version+2, s.Version())
}

// TestASlotComesToWhereItsInstanceRuns, if there is room for the rest of it.
func TestASlotComesToWhereItsInstanceRuns(t *testing.T) {
	gpu := holding("r", 0, 1)
	gpu.Shape = placement.Resources{GPU: placement.Device}
	tests := []struct {
		name   string
		begin  func(*Scheduler, *clock) // with node n1 of 8 cores and 2 GPUs
		before []string                 // slots of r
		told   []reservation.EventKind
	}{
		{"held on another node", func(s *Scheduler, _ *clock) {
			place(t, s, onlyCPU("x", 2))
			place(t, s, onlyCPU("y", 2))
			addNodes(t, s, testNode("n2", 8))
			reserve(t, s, holding("r", 6, 1))
		}, []string{"n2"}, []reservation.EventKind{reservation.SlotMoved}},
		{"lost with its node", func(s *Scheduler, _ *clock) {
			place(t, s, onlyCPU("x", 2))
			place(t, s, onlyCPU("y", 2))
			addNodes(t, s, testNode("n2", 8))
			reserve(t, s, holding("r", 6, 1))
			require.NoError(t, s.MarkLost(t.Context(), "n2"))
		}, []string{""}, []reservation.EventKind{reservation.SlotRegained}},
		{"on another GPU", func(s *Scheduler, _ *clock) {
			adoptNode(t, s, gpuSized("n1", 8), []Report{{Request: gpuRequest("x", placement.Device), Devices: []int{1}}})
			reserve(t, s, gpu)
		}, []string{"n1"}, []reservation.EventKind{reservation.SlotMoved}},
		{"on a GPU of which the instance has a part", func(s *Scheduler, _ *clock) {
			adoptNode(t, s, gpuSized("n1", 8), []Report{{Request: gpuRequest("x", 300), Devices: []int{1}}})
			reserve(t, s, gpu)
		}, []string{"n1"}, []reservation.EventKind{reservation.SlotMoved}},
		{"waiting for it to leave", func(s *Scheduler, c *clock) {
			req := onlyCPU("x", 6)
			req.Yield = true
			place(t, s, req)
			later := holding("r", 6, 1)
			later.Start = c.Now().Add(time.Minute)
			reserve(t, s, later)
			c.advance(time.Minute)
		}, []string{"n1"}, []reservation.EventKind{reservation.SlotRegained}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			cfg := Config{Now: c.Now, Journal: new(MemoryJournal)}
			s := open(t, cfg)
			addNodes(t, s, gpuSized("n1", 8))
			createQuota(t, s, cpuQuota("ns", 12))
			test.begin(s, c)
			a, err := s.Allocation(t.Context(), "x")
			require.NoError(t, err)
			require.Equal(t, test.before, slotNodes(t, s, "r"))
			require.Equal(t, test.told, toldOf(s, func() { attach(t, s, "r", a.Request) }))
			require.Equal(t, []string{"n1 x"}, slotNodes(t, s, "r"))
			require.NoError(t, s.VerifyQuota(t.Context()))
			require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))
		})
	}
}

// toldOf returns what a call tells of reservations.
func toldOf(s *Scheduler, call func()) (kinds []reservation.EventKind) {
	_ = s.Watch(context.Background(), 0) // from now on events are kept
	w := newWatcher(s.Version())
	call()
	events, _ := s.history.take(w, unended)
	for _, e := range events {
		if r, ok := e.Change.(*ReservationEvent); ok {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}

func gpuSized(id string, cores int64) placement.Node {
	n := testNode(id, cores)
	n.Devices.Count = 2
	return n
}

// TestWhatKeepsAnInstanceFromItsSlot: the error says it, and nothing changes.
func TestWhatKeepsAnInstanceFromItsSlot(t *testing.T) {
	placed := func(s *Scheduler) { place(t, s, onlyCPU("x", 2)) }
	tests := []struct {
		name  string
		begin func(*Scheduler, *clock) // with node n1 of 8 cores and 2 GPUs
		want  error
		text  string
	}{
		{"unknown", func(s *Scheduler, _ *clock) { placed(s) }, ErrNotFound, ""},
		{"not begun", func(s *Scheduler, c *clock) {
			placed(s)
			later := holding("r", 6, 1)
			later.Start = c.Now().Add(time.Minute)
			reserve(t, s, later)
		}, reservation.ErrState, "pending"},
		{"over", func(s *Scheduler, c *clock) {
			placed(s)
			reserve(t, s, holding("r", 6, 1))
			c.advance(time.Hour)
		}, reservation.ErrState, "ended"},
		{"of others", func(s *Scheduler, _ *clock) {
			placed(s)
			theirs := holding("r", 6, 1)
			theirs.Owners = []string{"them"}
			reserve(t, s, theirs)
		}, reservation.ErrNotOwner, ""},
		{"standing in another", func(s *Scheduler, _ *clock) {
			reserve(t, s, holding("q", 2, 1))
			_, err := s.PlaceFromReservation(t.Context(), "q", onlyCPU("x", 2))
			require.NoError(t, err)
			reserve(t, s, holding("r", 6, 1))
		}, ErrConflict, "stands in another reservation"},
		{"too large for the slot", func(s *Scheduler, _ *clock) {
			placed(s)
			reserve(t, s, holding("r", 1, 1))
		}, reservation.ErrRefused, "short of cpu"},
		{"too large for what is left of it", func(s *Scheduler, _ *clock) {
			placed(s)
			reserve(t, s, holding("r", 2, 1))
			require.NoError(t, claimCores(t, s, "y", 1))
		}, reservation.ErrRefused, "short of cpu"},
		{"held elsewhere, without room where it runs", func(s *Scheduler, _ *clock) {
			placed(s)
			place(t, s, onlyCPU("y", 3))
			addNodes(t, s, testNode("n2", 8))
			reserve(t, s, holding("r", 6, 1))
		}, reservation.ErrRefused, "1 elsewhere than it runs"},
		{"held elsewhere, on a node that is closed to it", func(s *Scheduler, _ *clock) {
			placed(s)
			require.NoError(t, s.Cordon(t.Context(), "n1"))
			addNodes(t, s, testNode("n2", 8))
			reserve(t, s, holding("r", 6, 1))
		}, reservation.ErrRefused, "1 elsewhere than it runs"},
		{"bound to another node", func(s *Scheduler, _ *clock) {
			placed(s)
			addNodes(t, s, testNode("n2", 8))
			bound := holding("r", 6, 1)
			bound.Node = "n2"
			reserve(t, s, bound)
		}, reservation.ErrRefused, "1 elsewhere than it runs"},
		{"with instances, on other GPUs", func(s *Scheduler, _ *clock) {
			adoptNode(t, s, gpuSized("n1", 8), []Report{{Request: gpuRequest("x", 300), Devices: []int{1}}})
			spec := holding("r", 0, 1)
			spec.Shape = placement.Resources{GPU: placement.Device}
			reserve(t, s, spec)
			_, err := s.PlaceFromReservation(t.Context(), "r", gpuRequest("y", 500))
			require.NoError(t, err)
		}, reservation.ErrRefused, "1 elsewhere than it runs"},
		{"overstayed", func(s *Scheduler, c *clock) {
			brief := onlyCPU("x", 2)
			brief.Duration = time.Minute
			place(t, s, brief)
			reserve(t, s, holding("r", 6, 1))
			c.advance(time.Minute)
		}, ErrConflict, "should have gone"},
		{"kept for a claim that waits for it", func(s *Scheduler, _ *clock) {
			lends := holding("r", 6, 1)
			lends.Lend, lends.Notice = true, time.Minute
			reserve(t, s, lends)
			guest := onlyCPU("x", 6)
			guest.Yield = true
			place(t, s, guest)
			require.ErrorIs(t, claimCores(t, s, "owner", 6), reservation.ErrWaiting)
		}, reservation.ErrRefused, "1 kept for other claims"},
		{"waiting for another as well", func(s *Scheduler, c *clock) {
			for _, id := range []string{"x", "z"} {
				guest := onlyCPU(id, 4)
				guest.Yield = true
				place(t, s, guest)
			}
			later := holding("r", 8, 1)
			later.Start = c.Now().Add(time.Minute)
			reserve(t, s, later)
			c.advance(time.Minute)
		}, reservation.ErrRefused, "1 elsewhere than it runs"},
		{"spent", func(s *Scheduler, _ *clock) {
			placed(s)
			once := holding("r", 6, 1)
			once.Once = true
			reserve(t, s, once)
			require.NoError(t, claimCores(t, s, "y", 1))
		}, reservation.ErrRefused, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			s := newTestScheduler(t, Config{Now: c.Now})
			addNodes(t, s, gpuSized("n1", 8))
			test.begin(s, c)
			_, err := s.Sweep(t.Context())
			require.NoError(t, err)
			a, err := s.Allocation(t.Context(), "x")
			require.NoError(t, err)
			before, stats := snapshot(t, s), s.Stats().Decisions
			_, err = s.PlaceFromReservation(t.Context(), "r", a.Request)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
			require.NotErrorIs(t, err, reservation.ErrWaiting, "nothing is kept for it")
			require.Equal(t, before, snapshot(t, s))
			require.Empty(t, listed(t, s.Refused), "it waits for nothing")
			require.Equal(t, stats.Placed, s.Stats().Decisions.Placed)

			report := Report{Request: a.Request, Devices: a.Devices, Reservation: "r"}
			adoption := adoptNode(t, s, gpuSized("n1", 8), []Report{report})
			require.Equal(t, before, snapshot(t, s))
			require.EqualError(t, adoption.Unattached[0].Err, err.Error())
		})
	}
}

// TestWhoPaysForWhatIsAttached: the reservation for what its slot covers, in place of the
// instance, which goes on paying for the rest; and its quota is asked for what it owes
// besides.
func TestWhoPaysForWhatIsAttached(t *testing.T) {
	start := func(t *testing.T, limit int64) *Scheduler {
		t.Helper()
		s := newTestScheduler(t, Config{Now: newClock().Now})
		addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
		createQuota(t, s, cpuQuota("ns", limit))
		createQuota(t, s, cpuQuota("user", 20))
		return s
	}
	spec, req := holding("r", 6, 1), testRequest("x", 2)
	spec.Owners, req.Namespace = []string{"user"}, "user"
	used := func(t *testing.T, s *Scheduler) []int64 {
		t.Helper()
		n, err := s.QuotaUsage(t.Context(), "user")
		require.NoError(t, err)
		var all []int64
		for _, u := range n {
			all = append(all, u.Used)
		}
		require.NoError(t, s.VerifyQuota(t.Context()))
		return append(all, usedCores(t, s, "ns"))
	}
	t.Run("the reservation", func(t *testing.T) {
		s := start(t, 6)
		place(t, s, req)
		reserve(t, s, spec)
		before := used(t, s)
		attach(t, s, "r", req)
		require.NotEqual(t, before, used(t, s))
		require.Zero(t, usedCores(t, s, "user"))
		require.Equal(t, int64(6), usedCores(t, s, "ns"))
		require.NoError(t, s.Release(t.Context(), "x"))
		require.Equal(t, int64(6), usedCores(t, s, "ns"))
	})
	t.Run("of an instance that stays for longer", func(t *testing.T) {
		for limit, want := range map[int64]error{7: nil, 6: quota.ErrExceeded} {
			s := start(t, 6)
			req := onlyCPU("x", 2)
			req.Namespace, req.Duration = "user", 2*time.Hour
			place(t, s, req)
			reserve(t, s, spec)
			next := holding("next", 5, 1)
			next.Start = s.now.Add(time.Hour)
			next.Node = "n2"
			_, err := s.UpdateQuota(t.Context(), cpuQuota("ns", limit))
			require.NoError(t, err)
			reserve(t, s, next)
			before := snapshot(t, s)
			_, err = s.PlaceFromReservation(t.Context(), "r", req)
			if want == nil {
				require.NoError(t, err)
				used(t, s)
				continue
			}
			require.ErrorIs(t, err, want)
			require.Equal(t, before, snapshot(t, s))
		}
	})
	t.Run("a slot that was lost", func(t *testing.T) {
		for limit, want := range map[int64]error{6: nil, 5: quota.ErrExceeded} {
			s := start(t, 6)
			allocate(t, s, "n1", req)
			allocate(t, s, "n1", onlyCPU("y", 2))
			_, err := s.UpdateQuota(t.Context(), cpuQuota("ns", 8))
			require.NoError(t, err)
			reserve(t, s, spec)
			require.NoError(t, s.MarkLost(t.Context(), "n2"))
			require.Equal(t, []string{""}, slotNodes(t, s, "r"))
			_, err = s.UpdateQuota(t.Context(), cpuQuota("ns", 2+limit))
			require.NoError(t, err)
			_, err = s.PlaceFromReservation(t.Context(), "r", req)
			require.ErrorIs(t, err, want)
			require.Equal(t, 2+(limit-5)*6, usedCores(t, s, "ns"))
			used(t, s)
		}
	})
	t.Run("of slots that could come one that is held before one that was lost", func(t *testing.T) {
		s := start(t, 20)
		own := onlyCPU("x", 2)
		allocate(t, s, "n1", own)
		allocate(t, s, "n1", onlyCPU("y", 2))
		addNodes(t, s, testNode("n3", 8))
		reserve(t, s, holding("r", 6, 2))
		require.NoError(t, s.MarkLost(t.Context(), "n2"))
		require.Equal(t, []string{"", "n3"}, slotNodes(t, s, "r"))
		_, err := s.UpdateQuota(t.Context(), cpuQuota("ns", 10))
		require.NoError(t, err)
		attach(t, s, "r", own)
		require.Equal(t, []string{"", "n1 x"}, slotNodes(t, s, "r"))
		_, err = s.UpdateQuota(t.Context(), cpuQuota("ns", 14))
		require.NoError(t, err)
		require.Equal(t, []string{"n3", "n1 x"}, slotNodes(t, s, "r"), "which finds room where the other was")
	})
	t.Run("with what the instance pays no more", func(t *testing.T) {
		s := start(t, 8)
		own := onlyCPU("x", 2)
		allocate(t, s, "n1", own)
		allocate(t, s, "n1", onlyCPU("y", 2))
		_, err := s.UpdateQuota(t.Context(), cpuQuota("ns", 10))
		require.NoError(t, err)
		reserve(t, s, holding("r", 6, 1))
		require.NoError(t, s.MarkLost(t.Context(), "n2"))
		_, err = s.UpdateQuota(t.Context(), cpuQuota("ns", 8))
		require.NoError(t, err)
		attach(t, s, "r", own)
		require.Equal(t, int64(8), usedCores(t, s, "ns"))
	})
}

// TestWhatItsNodeTookAwayComesBack: an instance whose node was lost for a while has lost
// its slot, and gets it again.
func TestWhatItsNodeTookAwayComesBack(t *testing.T) {
	cfg := Config{Now: newClock().Now, Journal: new(MemoryJournal)}
	s := open(t, cfg)
	addNodes(t, s, testNode("n1", 8))
	reserve(t, s, holding("r", 6, 1))
	require.NoError(t, claimCores(t, s, "x", 2))
	require.NoError(t, s.MarkLost(t.Context(), "n1"))
	_, err := s.PlaceFromReservation(t.Context(), "r", onlyCPU("x", 2))
	require.Error(t, err, "nowhere to place it")
	require.NoError(t, s.MarkReady(t.Context(), "n1"))
	require.Equal(t, []string{"n1"}, slotNodes(t, s, "r"))
	require.Empty(t, inReservation(t, s, "x"))
	require.Zero(t, availableCores(t, s, "n1"))
	attach(t, s, "r", onlyCPU("x", 2))
	require.Equal(t, int64(2), availableCores(t, s, "n1"))
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))
}

// TestAttachingIsTriedOnAForkAndCommitted: as a step of its own, and where the claim was
// planned of an instance that somebody has placed since.
func TestAttachingIsTriedOnAForkAndCommitted(t *testing.T) {
	cfg := Config{Now: newClock().Now, Journal: new(MemoryJournal)}
	s := open(t, cfg)
	addNodes(t, s, testNode("n1", 8))
	place(t, s, onlyCPU("x", 2))
	reserve(t, s, holding("r", 6, 1))
	before := snapshot(t, s)

	f, err := s.Fork(t.Context())
	require.NoError(t, err)
	mark := f.Mark()
	attachOn := func() {
		_, err = f.PlaceFromReservation(t.Context(), "r", onlyCPU("x", 2))
		require.NoError(t, err)
		_, err = f.PlaceFromReservation(t.Context(), "r", onlyCPU("y", 0))
		require.NoError(t, err)
	}
	attachOn()
	require.NoError(t, f.Rollback(mark))
	require.Equal(t, before, snapshot(t, f))
	attachOn()
	require.Equal(t, before, snapshot(t, s))

	allocate(t, s, "n1", onlyCPU("y", 0))
	data, err := json.Marshal(f.Plan())
	require.NoError(t, err)
	var plan Plan
	require.NoError(t, json.Unmarshal(data, &plan))
	done, err := s.Commit(t.Context(), plan)
	require.NoError(t, err)
	require.Len(t, done.Decisions, 1)
	require.Equal(t, done.Version, done.Decisions[0].Version)
	require.Equal(t, []string{"n1 x y"}, slotNodes(t, s, "r"))
	require.NoError(t, s.Release(t.Context(), "x"))
	_, err = s.Commit(t.Context(), plan)
	require.ErrorIs(t, err, ErrConflict, "what the plan rests on is gone")
	plan.Steps[0].Rests = 0
	_, err = s.Commit(t.Context(), plan)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, snapshot(t, s), snapshot(t, open(t, cfg)))
}

// TestAnEntryThatCannotHaveAttachedIsRefused: nothing of a record is taken on trust.
func TestAnEntryThatCannotHaveAttachedIsRefused(t *testing.T) {
	s := newTestScheduler(t, Config{Now: newClock().Now})
	addNodes(t, s, testNode("n1", 8), testNode("n2", 8))
	req := onlyCPU("x", 2)
	req.Duration = time.Minute
	place(t, s, req)
	allocate(t, s, "n1", onlyCPU("z", 1))
	allocate(t, s, "n1", onlyCPU("y", 1))
	reserve(t, s, holding("r", 4, 2))
	good := func(id string) *Attached {
		c, err := s.state.canAttach(s.now, s.state.allocations.At(id), "r")
		require.NoError(t, err)
		return c.(*Attached)
	}
	last := func(c *Attached) *reservation.PlanChange { return &c.Changes[len(c.Changes)-1] }
	tests := []struct {
		name string
		of   string
		bend func(*Attached)
		ok   bool
	}{
		{"as decided", "x", func(*Attached) {}, true},
		{"as decided, without an end", "z", func(*Attached) {}, true},
		{"unknown instance", "x", func(c *Attached) { c.ID = "nobody" }, false},
		{"another generation", "x", func(c *Attached) { c.Generation = 2 }, false},
		{"nothing", "x", func(c *Attached) { c.Changes = nil }, false},
		{"nothing but that it leaves", "x", func(c *Attached) { c.Changes = c.Changes[:1] }, false},
		{"counted twice", "x", func(c *Attached) { c.Changes = c.Changes[1:] }, false},
		{"another leaves", "x", func(c *Attached) { c.Changes[0].Instance = "y" }, false},
		{"leaves without being there", "z", func(c *Attached) {
			c.Changes = append([]reservation.PlanChange{{Kind: reservation.Depart, Instance: "z"}}, c.Changes...)
		}, false},
		{"more than two changes", "z", func(c *Attached) { c.Changes = append(c.Changes, c.Changes[0], c.Changes[0]) }, false},
		{"unknown reservation", "x", func(c *Attached) { last(c).ID = "q" }, false},
		{"no such slot", "x", func(c *Attached) { last(c).Slot = 7 }, false},
		{"a slot below the first", "x", func(c *Attached) { last(c).Slot = -1 }, false},
		{"a slot on another node", "x", func(c *Attached) { last(c).Slot = 1 }, false},
		{"no claim", "x", func(c *Attached) { last(c).Claim = nil }, false},
		{"the claim of another", "x", func(c *Attached) { last(c).Claim.ID = "y" }, false},
		{"the claim of another namespace", "x", func(c *Attached) { last(c).Claim.Namespace = "them" }, false},
		{"other amounts", "x", func(c *Attached) { last(c).Claim.Held.Resources.CPU++ }, false},
		{"other GPUs", "x", func(c *Attached) { last(c).Claim.Devices = []int{0} }, false},
		{"no fill", "x", func(c *Attached) { last(c).Kind = reservation.Recall }, false},
		{"a slot that comes", "z", func(c *Attached) {
			move := reservation.PlanChange{Kind: reservation.Move, ID: "r", Slot: 1, Node: "n1"}
			last(c).Slot = 1
			c.Changes = append([]reservation.PlanChange{move}, c.Changes...)
		}, true},
		{"another slot that comes", "z", func(c *Attached) {
			move := reservation.PlanChange{Kind: reservation.Move, ID: "r", Slot: 1, Node: "n1"}
			c.Changes = append([]reservation.PlanChange{move}, c.Changes...)
		}, false},
		{"a slot that goes", "z", func(c *Attached) {
			c.Changes = append([]reservation.PlanChange{{Kind: reservation.Move, ID: "r", Node: "n2"}}, c.Changes...)
		}, false},
		{"a slot that waits", "z", func(c *Attached) {
			wait := reservation.PlanChange{Kind: reservation.Wait, ID: "r", Because: []string{"y"}}
			c.Changes = append([]reservation.PlanChange{wait}, c.Changes...)
		}, false},
		{"another change", "z", func(c *Attached) {
			c.Changes = append([]reservation.PlanChange{{Kind: reservation.Withdraw, ID: "r"}}, c.Changes...)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := good(test.of)
			test.bend(c)
			require.Equal(t, test.ok, c.check(s.state) == nil)
		})
	}
	attach(t, s, "r", onlyCPU("z", 1))
	attached := good("y")
	attach(t, s, "r", onlyCPU("y", 1))
	require.Error(t, attached.check(s.state), "it stands there")
}
