package scheduler

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestCaptureIsOfOneInstant changes everything while a snapshot is being
// taken: it holds the state as it was when it began.
func TestCaptureIsOfOneInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		actions := []func(*rapid.T){
			m.addNode, m.addNode, m.markNode, m.place, m.place, m.release, m.resize, m.reserve, m.claim, m.unclaim,
			m.changeReservation, func(*rapid.T) { m.clock.advance(20e9) },
		}
		step := func() { rapid.SampledFrom(actions).Draw(t, "action")(t) }
		for range rapid.IntRange(0, 25).Draw(t, "before") {
			step()
		}
		st := m.s.state
		want, err := json.Marshal(st.snapshot())
		require.NoError(t, err)
		m.quiet = true // no other snapshots meanwhile
		c := st.capture()
		for {
			for range rapid.IntRange(0, 3).Draw(t, "during") {
				step()
			}
			if !st.captureSome(c, 1) {
				break
			}
		}
		got, err := json.Marshal(c.finish())
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}
