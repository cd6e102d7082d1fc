package transport_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/rads-project/constellation/transport/transporttest"
	"github.com/stretchr/testify/require"
)

// plain hides that a transport keeps flows apart.
type plain struct{ transport.Transport }

func TestMuxConforms(t *testing.T) {
	tests := []struct {
		name   string
		faults transport.Faults
		hide   func(transport.Transport) transport.Transport
	}{
		{"perfect network", transport.Faults{}, func(t transport.Transport) transport.Transport { return t }},
		{
			"bad network",
			transport.Faults{LatencyMax: 2 * ms, Loss: 200, Duplication: 100, Reordering: 100},
			func(t transport.Transport) transport.Transport { return t },
		},
		{"transport without flows", transport.Faults{}, func(t transport.Transport) transport.Transport { return plain{t} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Config{
				MaxFrame: transport.DefaultMaxFrame - 2 - len("group"),
				Network: func(tb testing.TB, names []string) func(string) transport.Transport {
					tb.Helper()
					m, err := transport.NewMemory(transport.MemoryConfig{Seed: 1, Faults: tt.faults})
					require.NoError(tb, err)
					muxes := map[string]*transport.Mux{}
					for _, name := range names {
						e, err := m.Join(name)
						require.NoError(tb, err)
						muxes[name], _ = startMux(tb, tt.hide(e))
					}
					return func(name string) transport.Transport { return joinGroup(tb, muxes[name], "group") }
				},
			})
		})
	}
}

// startMux serves a Mux over tr until stop is called or the test ends.
func startMux(tb testing.TB, tr transport.Transport) (m *transport.Mux, stop func()) {
	tb.Helper()
	m, err := transport.NewMux(transport.MuxConfig{Transport: tr})
	require.NoError(tb, err)
	return m, serveMux(tb, m)
}

// serveMux serves m until stop is called or the test ends.
func serveMux(tb testing.TB, m *transport.Mux) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- m.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(tb, <-served)
	})
	tb.Cleanup(stop)
	return stop
}

func joinGroup(tb testing.TB, m *transport.Mux, name string) *transport.Group {
	tb.Helper()
	g, err := m.Join(name)
	require.NoError(tb, err)
	return g
}

// muxPair returns the Muxes of the members a and b, which serve.
func muxPair(t *testing.T) (a, b *transport.Mux) {
	t.Helper()
	network := newMemory(t, transport.MemoryConfig{})
	a, _ = startMux(t, join(t, network, "a"))
	b, _ = startMux(t, join(t, network, "b"))
	return a, b
}

// groupStats returns the counters of the group name.
func groupStats(t *testing.T, m *transport.Mux, name string) transport.GroupStats {
	t.Helper()
	for _, g := range m.Stats().Groups {
		if g.Group == name {
			return g
		}
	}
	require.Fail(t, "no such group", name)
	return transport.GroupStats{}
}

func TestFramesReachTheirGroupOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := muxPair(t)
		names := []string{"y", "x", "xx", strings.Repeat("long", 63), "a", "b", "c", "d", "e"}
		var got []*recorder
		for _, name := range names {
			r, _ := record(t, joinGroup(t, b, name))
			got = append(got, r)
		}
		for _, name := range names {
			require.NoError(t, joinGroup(t, a, name).Send("b", []byte(name)))
		}
		synctest.Wait()
		for i, name := range names {
			require.Equal(t, []arrival{{0, "a", name}}, got[i].all())
			require.Equal(t, transport.GroupStats{Group: name, Sent: 1}, groupStats(t, a, name))
			require.Equal(t, transport.GroupStats{Group: name, Received: 1}, groupStats(t, b, name))
		}
		require.Zero(t, b.Stats().Refused)
		require.True(t, slices.IsSortedFunc(b.Stats().Groups, func(x, y transport.GroupStats) int {
			return strings.Compare(x.Group, y.Group)
		}))
	})
}

// A group whose handler does not return, flooded, keeps nothing from another,
// neither where frames leave nor where they arrive.
func TestFloodInOneGroupStarvesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory(t, transport.MemoryConfig{})
		endpointB := join(t, network, "b")
		a, _ := startMux(t, join(t, network, "a"))
		loud, quiet := joinGroup(t, a, "loud"), joinGroup(t, a, "quiet")
		flood := func() {
			for range 10 * transport.QueueFrames {
				require.NoError(t, loud.Send("b", []byte("loud")))
			}
		}
		require.NoError(t, quiet.Send("b", []byte("before b serves")))
		flood()

		b, err := transport.NewMux(transport.MuxConfig{Transport: endpointB})
		require.NoError(t, err)
		stuck, entered := make(chan struct{}), make(chan struct{}, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		// Both before b serves: what comes for an unknown group is refused.
		loudB, quietB := joinGroup(t, b, "loud"), joinGroup(t, b, "quiet")
		serveMux(t, b)
		wg.Go(func() {
			_ = loudB.Serve(ctx, func(string, []byte) {
				entered <- struct{}{}
				<-stuck
			})
		})
		got, _ := record(t, quietB)
		<-entered
		for i := range 10 {
			flood()
			require.NoError(t, quiet.Send("b", strconv.AppendInt(nil, int64(i), 10)))
			flood()
			synctest.Wait()
		}
		require.Equal(t, []string{"before b serves", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, got.texts())
		loudStats := groupStats(t, b, "loud")
		require.Equal(t, transport.QueueFrames, loudStats.Queued, "what waits is bounded")
		require.Positive(t, loudStats.Dropped.Full)
		require.Zero(t, groupStats(t, b, "quiet").Dropped)

		cancel()
		close(stuck)
		wg.Wait()
		require.Equal(t, uint64(transport.QueueFrames), loudB.Stats().Dropped.Lost, "what waits at the end is lost")
	})
}

// Within a group, one sender pushes out no frame of another, and senders take
// turns.
func TestFloodOfOneSenderStarvesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory(t, transport.MemoryConfig{})
		a, _ := startMux(t, join(t, network, "a"))
		b, _ := startMux(t, join(t, network, "b"))
		c, _ := startMux(t, join(t, network, "c"))
		groupB := joinGroup(t, b, "g")
		fromA, fromC := joinGroup(t, a, "g"), joinGroup(t, c, "g")
		require.NoError(t, fromC.Send("b", []byte("c's first")))
		for i := range 10 * transport.QueueFrames {
			require.NoError(t, fromA.Send("b", strconv.AppendInt(nil, int64(i), 10)))
			synctest.Wait()
		}
		require.NoError(t, fromC.Send("b", []byte("c's second")))
		synctest.Wait()
		got, _ := record(t, groupB)
		synctest.Wait()
		require.Equal(t, []string{"c's first", "576", "c's second", "577"}, got.texts()[:4])
		require.Equal(t, uint64(9*transport.QueueFrames), groupB.Stats().Dropped.Full)
	})
}

// A frame that has waited for the handler for too long is dropped.
func TestGroupDropsStaleFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := muxPair(t)
		from, to := joinGroup(t, a, "g"), joinGroup(t, b, "g")
		require.NoError(t, from.Send("b", []byte("old")))
		time.Sleep(ms)
		require.NoError(t, from.Send("b", []byte("young")))
		time.Sleep(transport.QueueAge)
		require.Equal(t, 1, to.Stats().Queued)
		got, _ := record(t, to)
		synctest.Wait()
		require.Equal(t, []string{"young"}, got.texts())
		require.Equal(t, transport.Dropped{Stale: 1}, to.Stats().Dropped)
	})
}

// A group ends and begins again while another goes on. Frames for a group that
// does not run are dropped and counted.
func TestGroupsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := muxPair(t)
		from, other := joinGroup(t, a, "g"), joinGroup(t, a, "other")
		gotOther, _ := record(t, joinGroup(t, b, "other"))
		for life := range 3 {
			text := strconv.Itoa(life)
			require.NoError(t, from.Send("b", []byte("to nobody")))
			synctest.Wait()
			require.Equal(t, transport.MuxRefused{Group: uint64(life + 1)}, b.Stats().Refused)

			g := joinGroup(t, b, "g")
			_, err := b.Join("g")
			require.ErrorIs(t, err, transport.ErrNameTaken)
			require.NoError(t, from.Send("b", []byte("before Serve "+text)))
			synctest.Wait()
			got, stop := record(t, g)
			require.NoError(t, from.Send("b", []byte("during Serve "+text)))
			require.NoError(t, other.Send("b", []byte(text)))
			synctest.Wait()
			stop()
			require.Equal(t, []string{"before Serve " + text, "during Serve " + text}, got.texts())
			require.ErrorIs(t, g.Send("a", nil), transport.ErrClosed)
			require.ErrorIs(t, g.Serve(t.Context(), nil), transport.ErrClosed)
			require.Len(t, b.Stats().Groups, 1)
		}
		require.Equal(t, []string{"0", "1", "2"}, gotOther.texts())

		left := joinGroup(t, b, "g")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, left.Serve(ctx, nil), "who need not serve leaves so")
		joinGroup(t, b, "g")
	})
}

func TestMuxRefusesWhatIsNoFrameOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory(t, transport.MemoryConfig{})
		stranger := join(t, network, "stranger")
		b, _ := startMux(t, join(t, network, "b"))
		got, _ := record(t, joinGroup(t, b, "g"))
		for _, frame := range []string{"", "\x01", "\x01\x00", "\x01\x02g", "\x02\x01g", "\x00", "\x01\x01h", "\x01\x01g"} {
			require.NoError(t, stranger.Send("b", []byte(frame)))
		}
		synctest.Wait()
		require.Equal(t, transport.MuxRefused{Frame: 4, Version: 2, Group: 1}, b.Stats().Refused)
		require.Equal(t, []string{""}, got.texts())
	})
}

func TestMuxErrors(t *testing.T) {
	_, err := transport.NewMux(transport.MuxConfig{})
	require.ErrorContains(t, err, "needs a Transport")

	synctest.Test(t, func(t *testing.T) {
		network := newMemory(t, transport.MemoryConfig{MaxFrame: 10})
		join(t, network, "b")
		m, stop := startMux(t, join(t, network, "a"))
		for _, name := range []string{"", strings.Repeat("x", transport.GroupNameLimit+1)} {
			_, err = m.Join(name)
			require.ErrorContains(t, err, "1 to 255 bytes")
		}
		joinGroup(t, m, strings.Repeat("x", transport.GroupNameLimit))
		g, unserved := joinGroup(t, m, "four"), joinGroup(t, m, "unserved")
		require.Equal(t, "four", g.Name())

		require.NoError(t, g.Send("b", make([]byte, 4)))
		var tooLarge *transport.TooLargeError
		require.ErrorAs(t, g.Send("b", make([]byte, 5)), &tooLarge)
		require.Equal(t, transport.TooLargeError{Size: 5, Limit: 4}, *tooLarge, "as the group's user counts")
		require.ErrorAs(t, joinGroup(t, m, "a name that fills the frame").Send("b", nil), &tooLarge)
		require.Equal(t, transport.TooLargeError{Size: 0, Limit: 0}, *tooLarge)
		var unknown *transport.UnknownPeerError
		require.ErrorAs(t, g.Send("c", nil), &unknown)
		require.Equal(t, "c", unknown.Peer)

		synctest.Wait()
		require.ErrorIs(t, m.Serve(t.Context()), transport.ErrClosed, "Serve is called once")
		served := make(chan error, 1)
		go func() { served <- g.Serve(t.Context(), func(string, []byte) {}) }()
		synctest.Wait()
		stop()
		require.ErrorIs(t, <-served, transport.ErrClosed, "the Mux is what failed")
		require.ErrorIs(t, g.Send("b", nil), transport.ErrClosed)
		require.ErrorIs(t, unserved.Send("b", nil), transport.ErrClosed)
		require.ErrorIs(t, unserved.Serve(t.Context(), nil), transport.ErrClosed)
		_, err = m.Join("new")
		require.ErrorIs(t, err, transport.ErrClosed)
		require.ErrorIs(t, m.Serve(t.Context()), transport.ErrClosed)
	})
}

// Once a link is in use, a frame of a group costs no allocation, however many
// groups there are.
func TestMuxDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := muxPair(t)
		for i := range 1000 {
			joinGroup(t, a, strconv.Itoa(i))
			joinGroup(t, b, strconv.Itoa(i))
		}
		from, to := joinGroup(t, a, "g"), joinGroup(t, b, "g")
		arrived := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = to.Serve(ctx, func(string, []byte) { arrived <- struct{}{} }) })
		frame := make([]byte, 200)
		allocs := testing.AllocsPerRun(1000, func() {
			_ = from.Send("b", frame)
			<-arrived
		})
		cancel()
		wg.Wait()
		require.Zero(t, allocs)
	})
}
