package reservation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// TestAttachedLikeAClaim: an instance beside all reservations has a slot from then on,
// leaves what it took before to others, and ends as a claim does.
func TestAttachedLikeAClaim(t *testing.T) {
	d := newDesk(t)
	req := request("x", 3)
	req.Duration = 30 * time.Second
	_, err := d.Place(req)
	require.NoError(t, err)
	d.reserve(spec("r", 5))
	require.Equal(t, int64(0), d.freeNow("n1"))
	node, claim, err := d.Attach("r", "x")
	require.NoError(t, err)
	require.Equal(t, "n1", node)
	require.Equal(t, cores(3), claim.Held.Resources)
	require.Equal(t, d.second(30), claim.Until)
	require.Equal(t, int64(3), d.freeNow("n1"))
	again, same, err := d.Attach("r", "x")
	require.NoError(t, err)
	require.Equal(t, []any{node, claim}, []any{again, same})
	d.unchanged(placement.ErrNotFound, func() error { _, _, err := d.Attach("r", "nobody"); return err })
	d.unchanged(placement.ErrNotFound, func() error { _, _, err := d.Attach("q", "x"); return err })
	d.at(30)
	require.Equal(t, []reservation.EventKind{reservation.Started, reservation.Overstayed}, d.kinds())
	require.NoError(t, d.Unclaim("x"))
	require.NoError(t, d.claim("r", "y", 5))
}

// TestAttachingTakesNothingFromLaterHolds: what an instance may stand on because it
// leaves, or yields, is not counted for longer where others hold it.
func TestAttachingTakesNothingFromLaterHolds(t *testing.T) {
	withMemory := func(gib int64) placement.Resources {
		return placement.Resources{CPU: placement.Core, Memory: gib * placement.GiB}
	}
	for _, test := range []struct {
		name string
		bend func(*placement.Request)
		want error
	}{
		{"leaves before the reservation ends", func(r *placement.Request) { r.Duration = 10 * time.Second }, reservation.ErrRefused},
		{"yields", func(r *placement.Request) { r.Yield = true }, reservation.ErrRefused},
		{"yields, for longer than the reservation", func(r *placement.Request) {
			r.Yield, r.Duration, r.Resources = true, 3*time.Minute, placement.Resources{CPU: placement.Core}
		}, reservation.ErrRefused},
		{"takes nothing that is held", func(r *placement.Request) {
			r.Duration, r.Resources = 10*time.Second, withMemory(0)
		}, nil},
		{"takes what is not held", func(r *placement.Request) {
			r.Duration, r.Resources = 10*time.Second, withMemory(2)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.reserve(spec("r", 1))
			later := d.during("memory", 0, 30, 50)
			later.Shape = placement.Resources{Memory: 30 * placement.GiB}
			d.reserve(later)
			d.reserve(d.during("all", 8, 120, 240))
			req := placement.Request{ID: "x", Namespace: "team", Resources: withMemory(3)}
			test.bend(&req)
			_, err := d.Place(req)
			require.NoError(t, err)
			attach := func() error { _, _, err := d.Attach("r", "x"); return err }
			if test.want != nil {
				d.unchanged(test.want, attach)
				return
			}
			require.NoError(t, attach())
		})
	}
}

// TestAttachedBesideWhatYields: as for a claim, who is in the way of the rest of a slot
// that was lent is asked to leave.
func TestAttachedBesideWhatYields(t *testing.T) {
	d := newDesk(t)
	_, err := d.Place(placement.Request{ID: "x", Namespace: "team", Resources: cores(2), Duration: time.Hour})
	require.NoError(t, err)
	lends := spec("r", 6)
	lends.Lend, lends.Notice = true, time.Second
	d.reserve(lends)
	_, err = d.Place(placement.Request{ID: "guest", Namespace: "team", Resources: cores(6), Yield: true})
	require.NoError(t, err)
	d.Sweep()
	_, _, err = d.Attach("r", "x")
	require.NoError(t, err)
	require.Equal(t, []reservation.EventKind{reservation.YieldDue}, d.kinds())
}
