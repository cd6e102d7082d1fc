package reservation_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

var update = flag.Bool("update", false, "write testdata anew")

// carry applies a decision.
func (h *host) carry(changes []reservation.PlanChange, err error) []reservation.Event {
	if err != nil {
		panic(err)
	}
	return h.plan.Apply(changes...)
}

func (h *host) second(s int) time.Time {
	return time.Date(2030, 1, 1, 0, 0, s, 0, time.UTC)
}

// TestTranscript shows what a journal of a plan holds. The form of these lines
// is kept: a journal of an earlier version must replay.
func TestTranscript(t *testing.T) {
	h := newHost(t, node("n1", 8), gpuNode("n2", 2))
	replica := reservation.NewPlan()
	var out strings.Builder
	write := func(mark string, value any) {
		line, err := json.Marshal(value)
		require.NoError(t, err)
		out.WriteString(mark + " " + string(line) + "\n")
	}
	tell := func(events []reservation.Event) {
		for _, e := range events {
			write("  <", e)
		}
	}
	step := func(what string, changes []reservation.PlanChange, err error) {
		out.WriteString(what + "\n")
		require.NoError(t, err)
		for _, c := range changes {
			write("  >", c)
		}
		tell(h.plan.Apply(changes...))
		replica.Apply(changes...)
	}
	at := func(s int) {
		out.WriteString("advance to " + h.second(s).Format(time.TimeOnly) + "\n")
		tell(h.plan.Advance(h.second(s)))
		replica.Advance(h.second(s))
		if h.plan.Unsettled() {
			step("settle", h.plan.ResolveConflicts(h), nil)
		}
	}
	at(0)
	s := spec("r", 4)
	s.Count, s.Priority, s.Start, s.Notice = 2, 1, h.second(10), 5*time.Second
	s.Owners = []string{"team", "other"}
	changes, err := h.plan.Reserve(h, s)
	step("reserve r", changes, err)
	changes, err = h.plan.Admit(h, yielding("y", 8))
	step("admit y", changes, err)
	at(5)
	at(10)
	changes, err = h.plan.Claim(h, "r", placement.Request{
		ID: "i", Namespace: "team", Resources: placement.Resources{CPU: 2000, Memory: placement.GiB, GPU: 500},
	}, nil)
	step("claim i", changes, err)
	changes, err = h.plan.Update(h, "r", 0, reservation.Params{End: h.second(60)})
	step("extend r", changes, err)
	high := spec("high", 4)
	high.Priority, high.Duration, high.Node = 2, time.Second, "n2"
	changes, err = h.plan.Remove("y")
	step("remove y", changes, err)
	changes, err = h.plan.Reserve(h, high)
	step("reserve high", changes, err)
	delete(h.room, "n2")
	step("lose n2", h.plan.NodeChanged(h, "n2"), nil)
	at(100)
	changes, err = h.plan.Remove("i")
	step("remove i", changes, err)

	golden := filepath.Join("testdata", "transcript.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
	require.Equal(t, h.plan.Snapshot(), replica.Snapshot())
}

func TestTouchedNamesWhatAnIndexHasToUpdate(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	s := spec("r", 8)
	s.Count = 2
	h.carry(h.plan.Reserve(h, s))
	require.Equal(t, []string{"n1", "n2"}, h.plan.Touched())
	require.Empty(t, h.plan.Touched())
	_, err := h.plan.Reserve(h, spec("no room", 1))
	require.ErrorIs(t, err, reservation.ErrRefused)
	require.Empty(t, h.plan.Touched(), "deciding touches nothing")
	h.carry(h.plan.Claim(h, "r", request("i", 1), nil))
	require.Equal(t, []string{"n1"}, h.plan.Touched())
	h.plan.Advance(h.second(60))
	require.Equal(t, []string{"n1", "n2"}, h.plan.Touched())
	h.carry(h.plan.Remove("i"))
	require.Equal(t, []string{"n1"}, h.plan.Touched())
	s = spec("later", 4)
	s.Start = h.second(90)
	h.carry(h.plan.Reserve(h, s))
	h.plan.Touched()
	h.plan.Advance(h.second(90))
	require.Equal(t, []string{"n1"}, h.plan.Touched(), "what yields there counts beside it from now on")
}

func TestLookups(t *testing.T) {
	h := newHost(t, gpuNode("n1", 2))
	s := gpuSpec("r", 2*placement.Device)
	h.carry(h.plan.Reserve(h, s))
	h.carry(h.plan.Claim(h, "r", placement.Request{ID: "i", Namespace: "team", Resources: gpus(placement.Device)}, nil))
	h.carry(h.plan.Admit(h, lasting("s", 3, 5)))

	claim, id, ok := h.plan.ClaimOf("i")
	require.True(t, ok)
	require.Equal(t, "r", id)
	require.Equal(t, []int{0}, claim.Devices)
	_, _, ok = h.plan.ClaimOf("s")
	require.False(t, ok)
	stay, ok := h.plan.Stay("s")
	require.True(t, ok)
	require.Equal(t, h.second(5), stay.Window.End)
	_, ok = h.plan.Stay("i")
	require.False(t, ok)
	require.True(t, h.plan.Counts("i"))
	require.True(t, h.plan.Counts("s"))
	require.False(t, h.plan.Counts("r"))

	peak, devices := h.plan.Peak("n1", reservation.Window{Start: h.second(0)})
	require.Equal(t, []int64{1000, 1000}, devices)
	require.Equal(t, placement.Amounts{Resources: placement.Resources{CPU: 3000, GPU: 2000}, Instances: 2}, peak)
	peak, _ = h.plan.Peak("n1", reservation.Window{Start: h.second(5), End: h.second(6)})
	require.Equal(t, int64(1), peak.Instances)
	peak, devices = h.plan.Peak("n9", reservation.Window{})
	require.True(t, peak.IsZero())
	require.Empty(t, devices)

	require.Empty(t, h.plan.Holders("n1", reservation.Window{Start: h.second(60)}))
	require.Empty(t, h.plan.Holders("n9", reservation.Window{Start: h.second(60)}))
}

func TestRepairIsADecisionOfItsOwn(t *testing.T) {
	h := newHost(t, node("n1", 8), node("n2", 8))
	important, other := spec("important", 4), spec("other", 4)
	important.Count, other.Count = 2, 1
	important.Priority = 1
	h.carry(h.plan.Reserve(h, important))
	other.Node = "n2"
	h.carry(h.plan.Reserve(h, other))
	lost := h.room["n1"]
	delete(h.room, "n1")
	h.plan.Apply(h.plan.NodeChanged(h, "n1")...)
	require.Equal(t, []string{"important"}, h.plan.Owed())
	changes, err := h.plan.Repair(h, "important")
	require.NoError(t, err)
	require.Empty(t, changes)
	h.room["n1"] = lost
	require.Equal(t, cores(4), h.plan.Owes("important").Resources, "not before somebody decides to pay")
	events := h.carry(h.plan.Repair(h, "important"))
	require.Equal(t, []reservation.EventKind{reservation.SlotRegained}, kindsOf(events))
	require.Equal(t, cores(8), h.plan.Owes("important").Resources)
	_, err = h.plan.Repair(h, "nothing")
	require.ErrorIs(t, err, reservation.ErrNotFound)
	h.carry(h.plan.Release("important", false))
	_, err = h.plan.Repair(h, "important")
	require.ErrorIs(t, err, reservation.ErrState)
}

func TestTheMostImportantIsRepairedFirst(t *testing.T) {
	h := newHost(t, node("n1", 8))
	for i, id := range []string{"low", "high", "newer"} {
		s := spec(id, 2)
		s.Priority = int32(i % 2)
		h.plan.Apply(reservation.PlanChange{Kind: reservation.Put, Reservation: &reservation.Reservation{
			Spec: s, Seq: uint64(i + 1), Phase: reservation.Active,
			Params: reservation.Params{End: h.second(60), Shape: cores(2), Count: 2},
			Slots:  []reservation.Slot{{Node: "n1"}, {}},
		}})
	}
	require.Equal(t, []string{"high", "low", "newer"}, h.plan.Owed())
}

func TestGeneratedIDs(t *testing.T) {
	d := newDesk(t)
	anonymous := spec("", 1)
	require.Equal(t, "reservation-1", d.reserve(anonymous).Spec.ID)
	d.reserve(spec("reservation-3", 1))
	require.Equal(t, "reservation-4", d.reserve(anonymous).Spec.ID)
}

func TestCustomDimensions(t *testing.T) {
	licensed := node("n2", 8)
	licensed.Capacity.Custom = map[string]int64{"licence": 3}
	d := newDesk(t, licensed)
	s := spec("r", 1)
	s.Shape.Custom = map[string]int64{"licence": 2}
	require.Equal(t, "n2", d.reserve(s).Slots[0].Node)
	s.ID = "more"
	d.unchanged(reservation.ErrRefused, func() error {
		_, err := d.Reserve(s)
		return err
	})
	d.at(60)
	d.reserve(s)
}
