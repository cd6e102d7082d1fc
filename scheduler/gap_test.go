package scheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/reservation"
)

// TestGapInSeqIsWhatWasMissed: whoever misses nothing sees none, also where
// time changes something that hurts nobody: a notice at which nobody has to
// leave, the end of a reservation that had lost all. Random histories show the
// same.
func TestGapInSeqIsWhatWasMissed(t *testing.T) {
	c := newClock()
	var seqs []uint64
	var kinds []reservation.EventKind
	s := newTestScheduler(t, Config{Now: c.Now, Hooks: Hooks{
		Event: func(e Event) {
			seqs = append(seqs, e.Seq)
			if c, ok := e.Change.(*ReservationEvent); ok {
				kinds = append(kinds, c.Kind)
			}
		},
	}})
	addNodes(t, s, testNode("n1", 8))
	spec := holding("r", 1, 1)
	spec.Start, spec.Notice = c.Now().Add(time.Hour), time.Minute
	reserve(t, s, spec)
	c.advance(59*time.Minute + time.Second)
	require.NoError(t, swept(t, s))
	_, err := s.RemoveNode(t.Context(), "n1")
	require.NoError(t, err)
	c.advance(2 * time.Hour)
	_, err = s.Reservation(t.Context(), "r")
	require.ErrorIs(t, err, ErrNotFound)
	addNodes(t, s, testNode("n2", 8))
	require.Equal(t, []reservation.EventKind{
		reservation.Noticed, reservation.SlotLost, reservation.AllLost, reservation.Started, reservation.Over,
	}, kinds, "it is told that it is gone")
	for i := range seqs[1:] {
		require.LessOrEqual(t, seqs[i+1], seqs[i]+1)
	}
	require.Equal(t, s.Version(), seqs[len(seqs)-1])
}
