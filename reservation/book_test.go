package reservation_test

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestAClaimMayTakeTheWholeSlot(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 4))
	require.NoError(t, d.claim("r", "i", 4))
	c, err := d.Reservation("r")
	require.NoError(t, err)
	require.Equal(t, []string{"i"}, c.Instances())
	require.Equal(t, cores(4), c.Slots[0].Claims[0].Held.Resources)
}

func TestNoClaimBeforeTheStart(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("r", 4, 60, 120))
	d.at(59.999)
	d.unchanged(reservation.ErrState, func() error { return d.claim("r", "i", 4) })
	d.at(60)
	require.NoError(t, d.claim("r", "i", 4))
}

func TestWindowsAreClosedOpen(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("a", 8, 0, 60))
	d.reserve(d.during("b", 8, 60, 120))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(d.during("c", 1, 59.999, 60))
		return err
	})
}

func TestAClaimOneNanosecondBeforeTheEnd(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	d.clock = d.second(60).Add(-time.Nanosecond)
	require.NoError(t, d.claim("r", "i", 1))
	d.at(60)
	err := d.claim("r", "j", 1)
	var state *reservation.StateError
	require.ErrorAs(t, err, &state)
	require.Equal(t, reservation.Ended, state.State)
}

func TestWhatHasEndedIsFreeWithoutASweep(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("a", 8))
	d.at(60)
	d.reserve(spec("b", 8))
}

func TestImpossibleDurationsAreRefused(t *testing.T) {
	d := newDesk(t)
	seconds := []int64{0, -1, 9_223_372_037, math.MaxInt64}
	for _, s := range seconds {
		d.unchanged(reservation.ErrInvalid, func() error {
			bad := spec("r", 1)
			bad.Duration = time.Duration(s) * time.Second // overflows as a caller's would
			_, err := d.Reserve(bad)
			return err
		})
	}
	for _, duration := range []time.Duration{math.MaxInt64, math.MinInt64} {
		d.unchanged(reservation.ErrInvalid, func() error {
			bad := spec("r", 1)
			bad.Duration = duration
			_, err := d.Reserve(bad)
			return err
		})
	}
}

func TestOneOfManyConcurrentReservationsWins(t *testing.T) {
	d := newDesk(t)
	var (
		wg   sync.WaitGroup
		wins atomic.Int32
	)
	for i := range 64 {
		wg.Go(func() {
			if _, err := d.Reserve(spec("r"+strconv.Itoa(i), 8)); err == nil {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int32(1), wins.Load())
}

func TestOnceLetsEachSlotBeClaimedOnce(t *testing.T) {
	d := newDesk(t)
	once := spec("r", 4)
	once.Once = true
	d.reserve(once)
	require.NoError(t, d.claim("r", "i", 2))
	d.unchanged(reservation.ErrRefused, func() error { return d.claim("r", "j", 2) })
	require.NoError(t, d.Unclaim("i"))
	d.unchanged(reservation.ErrRefused, func() error { return d.claim("r", "i", 2) })
	require.Equal(t, int64(8), d.freeNow("n1"), "nothing is held for nobody")
	r := d.lookup("r")
	require.True(t, r.Owes().IsZero())
	require.Equal(t, reservation.Active, r.State())
	_, err := d.Resize("r", placement.Resources{}, 2)
	require.NoError(t, err)
	require.NoError(t, d.claim("r", "i", 4), "a slot that is new")
	require.NoError(t, d.RemoveNode("n1"))
	require.Equal(t, reservation.Active, d.state("r"), "what was claimed is not owed")
	require.NoError(t, d.SetNode(node("n1", 8)))
	require.Equal(t, int64(4), d.freeNow("n1"), "the instance, and no slot")
}

func TestASlotIsClaimedInParts(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 6))
	require.NoError(t, d.claim("r", "i", 4))
	var short *reservation.ShortError
	require.ErrorAs(t, d.claim("r", "j", 4), &short)
	require.Equal(t, cores(2), short.Left)
	require.NoError(t, d.claim("r", "j", 2))
}

func TestAClaimTakesOtherDimensionsFromTheNode(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 4))
	req := request("i", 2)
	req.Resources.Memory = 4 * placement.GiB
	_, c, err := d.Claim("r", req)
	require.NoError(t, err)
	require.Equal(t, cores(2), c.Held.Resources)
	require.Equal(t, placement.Resources{Memory: 4 * placement.GiB}, c.Excess.Resources)

	req.ID, req.Resources.Memory = "j", 29*placement.GiB
	d.unchanged(reservation.ErrRefused, func() error {
		_, _, err := d.Claim("r", req)
		var short *reservation.ShortError
		require.ErrorAs(t, err, &short)
		require.Equal(t, 1, short.Excess)
		return err
	})
}

func TestAClaimTakesNoMoreThanTheSlotHas(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 4))
	d.unchanged(reservation.ErrRefused, func() error { return d.claim("r", "i", 5) })
}

func TestOnlyOwnersClaim(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 6))
	stranger := request("i", 1)
	stranger.Namespace = "stranger"
	d.unchanged(reservation.ErrNotOwner, func() error {
		_, _, err := d.Claim("r", stranger)
		return err
	})
	require.Equal(t, int64(2), d.freeNow("n1"))
	require.NoError(t, d.claim("r", "j", 4)) // 4 used + 2 held
	require.Equal(t, int64(2), d.freeNow("n1"))

	shared := spec("s", 1)
	shared.Owners = []string{"stranger"}
	d.reserve(shared)
	require.ErrorIs(t, d.claim("s", "k", 1), reservation.ErrNotOwner)
	_, _, err := d.Claim("s", stranger)
	require.NoError(t, err)
}

func TestUnclaimGivesBackToTheSlotThenToTheNode(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 8))
	require.NoError(t, d.Unclaim("i"))
	require.Zero(t, d.freeNow("n1"), "back to the reservation")
	require.NoError(t, d.claim("r", "i", 8))
	d.at(60)
	require.Zero(t, d.freeNow("n1"), "still there")
	require.Equal(t, reservation.Ended, d.state("r"))
	require.NoError(t, d.Unclaim("i"))
	require.Equal(t, int64(8), d.freeNow("n1"), "back to the node")
	require.ErrorIs(t, d.Unclaim("i"), reservation.ErrNotFound)
}

func TestReleaseFreesOnce(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("other", 2))
	d.reserve(spec("r", 4))
	d.at(60)
	d.reserve(spec("still here", 2))
	d.reserve(spec("late", 4))
	var (
		wg    sync.WaitGroup
		freed atomic.Int32
	)
	for range 8 {
		wg.Go(func() {
			if d.Release("late", false) == nil {
				freed.Add(1)
			}
		})
		wg.Go(func() { d.Sweep() })
	}
	wg.Wait()
	require.Equal(t, int32(1), freed.Load())
	require.Equal(t, int64(6), d.freeNow("n1"))
	require.ErrorIs(t, d.Release("late", false), reservation.ErrState)
	require.ErrorIs(t, d.Release("never", false), reservation.ErrNotFound)
}

func TestEvictReportsAfterTheGrace(t *testing.T) {
	d := newDesk(t)
	evict := spec("r", 8)
	evict.AtEnd, evict.Grace = reservation.Evict, 30*time.Second
	d.reserve(evict)
	require.NoError(t, d.claim("r", "i", 8))
	d.Sweep()
	d.at(60)
	require.Equal(t, reservation.Expiring, d.state("r"))
	require.Equal(t, []reservation.EventKind{reservation.Expired}, d.kinds())
	require.Zero(t, d.freeNow("n1"))
	d.at(90)
	require.Equal(t, []reservation.EventKind{reservation.EvictionDue, reservation.Over}, d.kinds())
	require.Empty(t, d.kinds())
	require.Zero(t, d.freeNow("n1"))
	require.NoError(t, d.Remove("i"))
	require.Equal(t, int64(8), d.freeNow("n1"))
}

func TestExtendUnlessAnotherHoldsTheNode(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	r, err := d.Extend("r", d.second(90))
	require.NoError(t, err)
	require.Equal(t, d.second(90), r.Params.End)
	d.reserve(d.during("next", 8, 90, 100))
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Extend("r", d.second(91))
		var refused *reservation.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Holders, 1)
		require.Equal(t, "next", refused.Holders[0].ID)
		return err
	})
}

func TestExtendAfterTheEndIsRefused(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	d.at(60)
	require.Empty(t, slices.Collect(d.Reservations()))
	_, err := d.Extend("r", d.second(90))
	require.ErrorIs(t, err, reservation.ErrState)
}

func TestResizeBelowUseIsRefused(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 4))
	d.unchanged(reservation.ErrInUse, func() error {
		_, err := d.Resize("r", cores(3), 0)
		return err
	})
	_, err := d.Resize("r", cores(4), 0)
	require.NoError(t, err)
	require.Equal(t, int64(4), d.freeNow("n1"))
}

func TestAnEndInThePastEndsNow(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 4))
	d.at(30)
	d.Sweep()
	r, err := d.Extend("r", d.second(10))
	require.NoError(t, err)
	require.Equal(t, reservation.Ended, r.State())
	require.Equal(t, d.second(30), r.Params.End)
	require.Equal(t, []reservation.EventKind{reservation.Over, reservation.Overstayed}, d.kinds())
	require.Equal(t, int64(4), d.freeNow("n1"))
}

func TestStartChangesOnlyBeforeItHasCome(t *testing.T) {
	d := newDesk(t)
	d.reserve(d.during("r", 8, 10, 60))
	r, err := d.Update("r", 0, reservation.Params{Start: d.second(20)})
	require.NoError(t, err)
	require.Equal(t, d.second(20), r.Params.Start)
	d.reserve(d.during("first", 8, 0, 20))
	d.at(20)
	d.unchanged(reservation.ErrState, func() error {
		_, err := d.Update("r", 0, reservation.Params{Start: d.second(30)})
		return err
	})
}

func TestSlotsBoundToALostNodeAreLost(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	bound := spec("r", 4)
	bound.Node, bound.Count = "n1", 2
	d.reserve(bound)
	require.NoError(t, d.claim("r", "i", 4))
	d.Sweep()
	require.NoError(t, d.RemoveNode("n1"))
	events := d.Sweep()
	require.Equal(t, reservation.SlotLost, events[0].Kind)
	require.Equal(t, []string{"i"}, slices.Concat(events[0].Instances, events[1].Instances), "claims are listed")
	require.Equal(t, reservation.AllLost, events[2].Kind)
	require.Equal(t, reservation.Displaced, d.state("r"))
	r := d.lookup("r")
	require.True(t, r.Owes().IsZero(), "nothing is owed any more")
	d.at(60)
	require.Empty(t, slices.Collect(d.Reservations()))
	require.ErrorIs(t, d.RemoveNode("n1"), reservation.ErrNotFound)
}

func TestSlotsOfALostNodeMoveOrAreOwed(t *testing.T) {
	d := newDesk(t, node("n2", 4))
	several := spec("r", 4)
	several.Count = 2
	d.reserve(several)
	d.Sweep()
	require.NoError(t, d.RemoveNode("n1"))
	r := d.lookup("r")
	require.Equal(t, reservation.Degraded, r.State())
	require.Equal(t, 1, r.Missing())
	require.Equal(t, "n2", r.Slots[1].Node)
	require.Equal(t, cores(4), r.Owes().Resources, "the lost part is not owed")
	require.Equal(t, []reservation.EventKind{reservation.SlotMoved, reservation.SlotLost}, sorted(d.kinds()))

	require.NoError(t, d.SetNode(node("n3", 4)))
	require.Equal(t, reservation.Active, d.state("r"))
	require.Equal(t, []reservation.EventKind{reservation.SlotRegained}, d.kinds())
}

func TestHigherPriorityDisplacesUnclaimedSlots(t *testing.T) {
	d := newDesk(t)
	low := spec("low", 4)
	low.Priority = 1
	d.reserve(low)
	claimed := low
	claimed.ID = "claimed"
	d.reserve(claimed)
	require.NoError(t, d.claim("claimed", "i", 1))
	d.Sweep()

	equal := spec("equal", 4)
	equal.Priority = 1
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(equal)
		return err
	})
	high := spec("high", 4)
	high.Priority = 10
	d.reserve(high)
	require.Equal(t, reservation.Displaced, d.state("low"))
	require.Equal(t, []reservation.EventKind{reservation.SlotLost, reservation.AllLost, reservation.Started}, d.kinds())
	high.ID = "higher"
	high.Priority = 11
	high.Shape = cores(5)
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(high)
		return err
	})
	require.Equal(t, reservation.Active, d.state("claimed"))
}

func TestNoClaimOnADisplacedReservation(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("low", 8))
	high := spec("high", 8)
	high.Priority = 1
	d.reserve(high)
	err := d.claim("low", "i", 1)
	var state *reservation.StateError
	require.ErrorAs(t, err, &state)
	require.Equal(t, reservation.Displaced, state.State)
}

// ledger charges like a quota: by ID, for the whole amount at a time.
type ledger struct {
	limit   int64
	charges map[string]int64
}

var errQuota = errors.New("quota exceeded")

func (l *ledger) used() (sum int64) {
	for _, amount := range l.charges {
		sum += amount
	}
	return sum
}

// set charges an ID with what a reservation owes now.
func (l *ledger) set(id string, owed placement.Amounts) error {
	amount := owed.Resources.CPU / placement.Core
	if amount == 0 {
		delete(l.charges, id)
		return nil
	}
	if grows := amount - l.charges[id]; grows > 0 && l.used()+grows > l.limit {
		return errQuota
	}
	l.charges[id] = amount
	return nil
}

func TestAClaimChangesNothingThatIsOwed(t *testing.T) {
	host := newHost(t, node("n1", 16))
	quota := &ledger{limit: 8, charges: map[string]int64{}}
	reserve := func(s reservation.Spec) error {
		changes, err := host.plan.Reserve(host, s)
		require.NoError(t, err)
		owed := changes[0].Reservation.Owes()
		if err := quota.set(s.ID, owed); err != nil {
			return err // decided, not applied: nothing has happened
		}
		host.plan.Apply(changes...)
		return nil
	}
	settle := func(changes []reservation.PlanChange, err error) int64 {
		require.NoError(t, err)
		host.plan.Apply(changes...)
		require.NoError(t, quota.set("r", host.plan.Owes("r")))
		return quota.used()
	}
	require.NoError(t, reserve(spec("r", 8)))
	require.Equal(t, int64(8), quota.used())
	require.ErrorIs(t, reserve(spec("more", 1)), errQuota)
	require.Equal(t, int64(8), settle(host.plan.Claim(host, "r", request("i", 8), nil)))
	require.Equal(t, int64(8), settle(host.plan.Unclaim("i")))
	require.Equal(t, int64(0), settle(host.plan.Release("r", false)))
}

func TestAnUnclaimedSlotCanBeClaimedAgain(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 8))
	require.NoError(t, d.Unclaim("i"))
	require.NoError(t, d.claim("r", "again", 8))
}

func TestTheSameClaimAgainIsTheSameClaim(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	n1, first, err := d.Claim("r", request("i", 3))
	require.NoError(t, err)
	n2, second, err := d.Claim("r", request("i", 3))
	require.NoError(t, err)
	require.Equal(t, n1, n2)
	require.Equal(t, first, second)
	require.Equal(t, []string{"i"}, func() []string { r := d.lookup("r"); return r.Instances() }())
	d.unchanged(reservation.ErrConflict, func() error { return d.claim("r", "i", 4) })

	d.at(60) // the end: a late retry of the claim that was made is still that claim
	n3, third, err := d.Claim("r", request("i", 3))
	require.NoError(t, err)
	require.Equal(t, n1, n3)
	require.True(t, third.Overstayed)
	require.ErrorIs(t, d.claim("r", "i", 4), reservation.ErrState)
	require.ErrorIs(t, d.claim("r", "j", 3), reservation.ErrState)
}

// TestAClaimOfAnotherNamespaceIsAnotherClaim, although the ID and the amounts are
// the same and both may claim.
func TestAClaimOfAnotherNamespaceIsAnotherClaim(t *testing.T) {
	d := newDesk(t)
	s := spec("r", 8)
	s.Owners = []string{"team", "friend"}
	d.reserve(s)
	require.NoError(t, d.claim("r", "i", 3))
	other := request("i", 3)
	other.Namespace = "friend"
	d.unchanged(reservation.ErrConflict, func() error { _, _, err := d.Claim("r", other); return err })
}

// TestAClaimThatWasLeftBehindIsAConflict: its slot is on another node now.
func TestAClaimThatWasLeftBehindIsAConflict(t *testing.T) {
	d := newDesk(t, node("n2", 8))
	d.reserve(spec("r", 8))
	require.NoError(t, d.claim("r", "i", 8))
	require.NoError(t, d.RemoveNode("n1"))
	d.unchanged(reservation.ErrConflict, func() error { return d.claim("r", "i", 8) })
	require.NoError(t, d.claim("r", "j", 8))
}

// TestNothingIsFreeOnAFullNode: nothing is left for an instance where the cap is
// reached, and of a GPU that is used in part.
func TestNothingIsFreeOnAFullNode(t *testing.T) {
	d := newDesk(t)
	full := node("n1", 8)
	full.MaxInstances, full.Devices.Count = 2, 2
	require.NoError(t, d.SetNode(full))
	fraction := request("i", 1)
	fraction.Resources.GPU = placement.Device / 2
	d.place(fraction)
	free, err := d.Free("n1", reservation.Window{Start: d.clock})
	require.NoError(t, err)
	require.Equal(t, cores(7).CPU, free.CPU)
	require.Equal(t, int64(placement.Device), free.GPU)
	d.place(request("j", 1))
	require.Zero(t, d.freeNow("n1"))
}

func TestCyclesLeaveNothingBehind(t *testing.T) {
	cycles := 100_000
	if testing.Short() {
		cycles = 1000
	}
	d := newDesk(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	cycle := func() {
		d.reserve(reservation.Spec{Shape: cores(8), Count: 1, Duration: time.Second})
		d.clock = d.clock.Add(time.Second)
	}
	for range 3000 { // fills what is remembered
		cycle()
	}
	before := heap()
	for range cycles {
		cycle()
	}
	after := heap()
	require.Less(t, after, before+1<<20)
	s := d.Snapshot()
	require.Empty(t, s.Reservations)
	require.Empty(t, s.Stays)
	_, pending := d.NextDeadline()
	require.False(t, pending)
}

func TestNextDeadlineIsWhenSomethingChanges(t *testing.T) {
	d := newDesk(t)
	next := func() float64 {
		at, ok := d.NextDeadline()
		if !ok {
			return -1
		}
		return at.Sub(d.zero).Seconds()
	}
	require.Equal(t, -1.0, next())
	changed := d.DeadlineChanged()
	r := d.during("r", 1, 10, 60)
	r.AtEnd, r.Grace = reservation.Evict, 5*time.Second
	d.reserve(r)
	<-changed
	require.Equal(t, 10.0, next())
	d.at(10)
	require.NoError(t, d.claim("r", "i", 1))
	require.Equal(t, 60.0, next())
	_, err := d.Extend("r", d.second(80))
	require.NoError(t, err)
	require.Equal(t, 80.0, next())
	d.at(80)
	d.Sweep()
	require.Equal(t, 85.0, next())
	require.NoError(t, d.Remove("i"))
	require.Equal(t, -1.0, next())
	changed = d.DeadlineChanged()
	d.reserve(spec("s", 1))
	require.Equal(t, 140.0, next())
	require.NoError(t, d.Release("s", false))
	require.Equal(t, -1.0, next())
	<-changed
}

func TestAnUpdateForAnOldVersionIsRefused(t *testing.T) {
	d := newDesk(t)
	r := d.reserve(spec("r", 4))
	_, err := d.Update("r", r.Version, reservation.Params{Count: 2})
	require.NoError(t, err)
	d.unchanged(reservation.ErrVersion, func() error {
		_, err := d.Update("r", r.Version, reservation.Params{Count: 1})
		return err
	})
}

func TestTheSameSpecAgainIsTheSameReservation(t *testing.T) {
	d := newDesk(t)
	first := d.reserve(spec("r", 4))
	d.at(5)
	require.Equal(t, first, d.reserve(spec("r", 4)))
	d.unchanged(reservation.ErrConflict, func() error {
		_, err := d.Reserve(spec("r", 5))
		return err
	})
}
