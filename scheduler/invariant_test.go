package scheduler

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
)

// TestBrokenInvariantClosesTheScheduler: books that no longer say what runs
// are neither written nor shown, and the journal goes on from before.
func TestBrokenInvariantClosesTheScheduler(t *testing.T) {
	for _, durable := range []bool{false, true} {
		journal, cfg := new(MemoryJournal), Config{}
		s := newTestScheduler(t, cfg)
		if durable {
			cfg.Journal = journal
			s = open(t, cfg)
		}
		addNodes(t, s, testNode("n1", 8))
		place(t, s, testRequest("a", 2))
		before := len(records(t, journal))
		require.NoError(t, s.state.quota.Remove("ns", placement.OneInstance(testRequest("a", 2).Resources)))

		err := s.Release(t.Context(), "a")
		var broken *InvariantError
		require.ErrorAs(t, err, &broken)
		require.ErrorIs(t, err, ErrInvariant)
		require.Equal(t, uint64(3), broken.Seq)
		_, err = s.Place(t.Context(), testRequest("b", 2))
		require.ErrorIs(t, err, ErrInvariant)
		require.ErrorIs(t, s.WriteSnapshot(t.Context(), io.Discard), ErrInvariant)
		require.ErrorIs(t, s.Stats().Closed, ErrInvariant)
		require.NoError(t, s.Close())
		require.Len(t, records(t, journal), before)
		if durable {
			require.NoError(t, open(t, cfg).Release(t.Context(), "a"))
		}
	}
}

// TestHostileJournalThatBreaksAnInvariantIsRefused: with a FormatError, as all
// that cannot be followed.
func TestHostileJournalThatBreaksAnInvariantIsRefused(t *testing.T) {
	s := newTestScheduler(t, Config{})
	addNodes(t, s, testNode("n1", 8))
	place(t, s, testRequest("a", 2))
	require.NoError(t, s.state.quota.Remove("ns", placement.OneInstance(testRequest("a", 2).Resources)))
	e := &entry{seq: 3, time: s.state.now, changes: []decided{&Released{ID: "a", Generation: 1}}}
	p := replayer{st: s.state}
	require.ErrorIs(t, p.replay(recordOf(e)), ErrFormat)
}
