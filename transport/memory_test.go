package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rads-project/constellation/transport"
	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

func newMemory(t *testing.T, cfg transport.MemoryConfig) *transport.Memory {
	t.Helper()
	m, err := transport.NewMemory(cfg)
	require.NoError(t, err)
	return m
}

func join(t *testing.T, m *transport.Memory, name string) *transport.Endpoint {
	t.Helper()
	e, err := m.Join(name)
	require.NoError(t, err)
	return e
}

// An arrival is a frame that a handler was given.
type arrival struct {
	at   time.Duration
	from string
	text string
}

// A recorder serves a transport and notes what arrives.
type recorder struct {
	mu       sync.Mutex
	arrivals []arrival
}

// record serves e until the test ends or stop is called.
func record(t *testing.T, e transport.Transport) (r *recorder, stop func()) {
	t.Helper()
	r = &recorder{}
	start := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = e.Serve(ctx, func(from string, frame []byte) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.arrivals = append(r.arrivals, arrival{time.Since(start), from, string(frame)})
		})
	})
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return r, stop
}

func (r *recorder) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrivals
}

func (r *recorder) texts() []string {
	var texts []string
	for _, a := range r.all() {
		texts = append(texts, a.text)
	}
	return texts
}

func TestMemoryDeliversWithLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{Faults: transport.Faults{LatencyMin: 5 * ms, LatencyMax: 5 * ms}})
		a, b := join(t, m, "a"), join(t, m, "b")
		got, _ := record(t, b)
		require.NoError(t, a.Send("b", []byte("one")))
		time.Sleep(3 * ms)
		require.NoError(t, a.Send("b", []byte("two")))
		time.Sleep(time.Second)
		require.Equal(t, []arrival{{5 * ms, "a", "one"}, {8 * ms, "a", "two"}}, got.all())
	})
}

func TestMemoryErrors(t *testing.T) {
	_, err := transport.NewMemory(transport.MemoryConfig{MaxFrame: -1, Faults: transport.Faults{Loss: 1001}})
	require.ErrorContains(t, err, "MaxFrame -1")
	require.ErrorContains(t, err, "loss 1001")

	m := newMemory(t, transport.MemoryConfig{MaxFrame: 3})
	_, err = m.Join("")
	require.Error(t, err)
	a := join(t, m, "a")
	join(t, m, "b")
	_, err = m.Join("a")
	require.ErrorIs(t, err, transport.ErrNameTaken)

	var unknown *transport.UnknownPeerError
	require.ErrorAs(t, a.Send("c", nil), &unknown)
	require.Equal(t, "c", unknown.Peer)
	require.ErrorIs(t, a.Send("a", nil), transport.ErrUnknownPeer, "a member is no peer of itself")

	var tooLarge *transport.TooLargeError
	require.ErrorAs(t, a.Send("b", make([]byte, 4)), &tooLarge)
	require.Equal(t, transport.TooLargeError{Size: 4, Limit: 3}, *tooLarge)
	require.NoError(t, a.Send("b", make([]byte, 3)))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, a.Serve(ctx, func(string, []byte) {}))
	require.ErrorIs(t, a.Serve(ctx, func(string, []byte) {}), transport.ErrClosed)
	require.ErrorIs(t, a.Send("b", nil), transport.ErrClosed)
}

func TestMemoryErrorsAreTyped(t *testing.T) {
	for _, err := range []error{&transport.UnknownPeerError{Peer: "x"}, &transport.TooLargeError{Size: 2, Limit: 1}} {
		require.ErrorContains(t, err, errors.Unwrap(err).Error()+": ")
	}
}

func TestMemoryDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b, c := join(t, m, "a"), join(t, m, "b"), join(t, m, "c")
		require.NoError(t, c.Send("b", []byte("c's frame")))
		for i := range transport.QueueFrames + 10 {
			require.NoError(t, a.Send("b", strconv.AppendInt(nil, int64(i), 10)))
		}
		stats := a.Stats().Peers[0]
		require.Equal(t, transport.QueueFrames, stats.Queued)
		require.Equal(t, transport.Dropped{Full: 10}, stats.Dropped)

		got, _ := record(t, b)
		synctest.Wait()
		want := []string{"c's frame"}
		for i := range transport.QueueFrames {
			want = append(want, strconv.Itoa(i+10))
		}
		require.Equal(t, want, got.texts())
	})
}

// A flood in one flow pushes out no frame of another.
func TestMemoryKeepsFlowsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b := join(t, m, "a"), join(t, m, "b")
		require.NoError(t, a.SendFlow("quiet", "b", []byte("quiet")))
		for range 10 * transport.QueueFrames {
			require.NoError(t, a.SendFlow("loud", "b", []byte("loud")))
		}
		require.Equal(t, transport.Dropped{Full: 9 * transport.QueueFrames}, a.Stats().Peers[0].Dropped)
		got, _ := record(t, b)
		synctest.Wait()
		require.Equal(t, "quiet", got.texts()[0])
		require.Len(t, got.texts(), 1+transport.QueueFrames)
	})
}

func TestMemoryDropsStaleFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b := join(t, m, "a"), join(t, m, "b")
		require.NoError(t, a.Send("b", []byte("old")))
		time.Sleep(ms)
		require.NoError(t, a.Send("b", []byte("young")))
		time.Sleep(transport.QueueAge)
		got, _ := record(t, b)
		synctest.Wait()
		require.Equal(t, []string{"young"}, got.texts())
		require.Equal(t, transport.PeerStats{Peer: "b", Sent: 1, Dropped: transport.Dropped{Stale: 1}}, a.Stats().Peers[0])
	})
}

func TestMemoryCutSwallowsFramesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{Faults: transport.Faults{LatencyMin: 10 * ms, LatencyMax: 10 * ms}})
		a, b := join(t, m, "a"), join(t, m, "b")
		got, _ := record(t, b)
		require.NoError(t, a.Send("b", []byte("under way")))
		time.Sleep(5 * ms)
		m.Cut("a", "b")
		time.Sleep(10 * ms)
		require.NoError(t, a.Send("b", []byte("into the cut")))
		m.Mend("a", "b")
		require.NoError(t, a.Send("b", []byte("mended")))
		time.Sleep(time.Second)
		require.Equal(t, []string{"mended"}, got.texts())
		require.Equal(t, uint64(2), a.Stats().Peers[0].Dropped.Lost)
	})
}

func TestMemoryPartitionAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b, c := join(t, m, "a"), join(t, m, "b"), join(t, m, "c")
		got, _ := record(t, c)
		m.Partition([]string{"a"}, []string{"b", "c"})
		require.NoError(t, a.Send("c", []byte("from a")))
		require.NoError(t, b.Send("c", []byte("from b")))
		synctest.Wait()
		m.Heal()
		require.NoError(t, a.Send("c", []byte("healed")))
		synctest.Wait()
		require.Equal(t, []string{"from b", "healed"}, got.texts())
	})
}

func TestMemoryFaultsChangeAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b := join(t, m, "a"), join(t, m, "b")
		gotA, _ := record(t, a)
		gotB, _ := record(t, b)
		require.NoError(t, m.SetLink("a", "b", transport.Faults{Loss: 1000}))
		require.NoError(t, a.Send("b", []byte("lost")))
		require.NoError(t, b.Send("a", []byte("arrives")))
		synctest.Wait()
		require.NoError(t, m.SetFaults(transport.Faults{Duplication: 1000}))
		require.NoError(t, a.Send("b", []byte("twice")))
		synctest.Wait()
		require.Equal(t, []string{"arrives"}, gotA.texts())
		require.Equal(t, []string{"twice", "twice"}, gotB.texts())
		require.Equal(t,
			transport.PeerStats{Peer: "b", Sent: 1, Received: 1, Dropped: transport.Dropped{Lost: 1}},
			a.Stats().Peers[0], "a duplicate is one frame sent")
		require.Error(t, m.SetFaults(transport.Faults{Loss: -1}))
		require.Error(t, m.SetLink("a", "b", transport.Faults{Loss: -1}))
		require.NoError(t, a.Send("b", []byte("unchanged")))
		synctest.Wait()
		require.Equal(t, []string{"twice", "twice", "unchanged", "unchanged"}, gotB.texts(), "a refused change is none")
	})
}

// transcript lets four members exchange frames over a rough network and
// returns all that arrived, in order.
func transcript(t *testing.T, seed uint64) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{Seed: seed, Faults: transport.Faults{
			LatencyMin: ms, LatencyMax: 30 * ms, Loss: 200, Duplication: 100, Reordering: 100,
		}})
		names := []string{"a", "b", "c", "d"}
		var ends []*transport.Endpoint
		var got []*recorder
		for _, name := range names {
			e := join(t, m, name)
			r, _ := record(t, e)
			ends, got = append(ends, e), append(got, r)
		}
		for i := range 50 {
			from := ends[i%len(ends)]
			for _, to := range names {
				if to != from.Name() {
					require.NoError(t, from.Send(to, strconv.AppendInt(nil, int64(i), 10)))
				}
			}
			time.Sleep(ms)
		}
		time.Sleep(time.Second)
		for i, r := range got {
			fmt.Fprintln(&out, names[i], r.all())
		}
	})
	return out.String()
}

func TestMemoryIsDeterministic(t *testing.T) {
	first := transcript(t, 1)
	require.Equal(t, first, transcript(t, 1))
	require.NotEqual(t, first, transcript(t, 2))
}

func TestMemoryMemberRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{Faults: transport.Faults{LatencyMin: ms, LatencyMax: ms}})
		a, b := join(t, m, "a"), join(t, m, "b")
		_, stop := record(t, b)
		synctest.Wait()
		require.NoError(t, a.Send("b", []byte("under way at the end")))
		stop()
		require.NoError(t, a.Send("b", []byte("nobody there")))
		require.Equal(t, transport.Dropped{Lost: 2}, a.Stats().Peers[0].Dropped)
		got, _ := record(t, join(t, m, "b"))
		require.NoError(t, a.Send("b", []byte("new life")))
		time.Sleep(time.Second)
		require.Equal(t, []string{"new life"}, got.texts())
	})
}

func TestMemoryRoundTripEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{Faults: transport.Faults{LatencyMin: 5 * ms, LatencyMax: 5 * ms}})
		a, b := join(t, m, "a"), join(t, m, "b")
		require.NoError(t, m.SetLink("b", "a", transport.Faults{LatencyMin: 2 * ms, LatencyMax: 2 * ms}))
		record(t, a)
		record(t, b)
		require.NoError(t, a.Send("b", nil))
		time.Sleep(time.Second)
		require.Zero(t, a.Stats().Peers[0].RoundTrip)
		require.NoError(t, b.Send("a", nil))
		time.Sleep(time.Second)
		require.Equal(t, 7*ms, a.Stats().Peers[0].RoundTrip)
		require.Equal(t, 7*ms, b.Stats().Peers[0].RoundTrip)
	})
}

func TestMemoryDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, transport.MemoryConfig{})
		a, b := join(t, m, "a"), join(t, m, "b")
		arrived := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Serve(ctx, func(string, []byte) { arrived <- struct{}{} }) })
		frame := make([]byte, 200)
		allocs := testing.AllocsPerRun(1000, func() {
			_ = a.Send("b", frame)
			<-arrived
		})
		cancel()
		wg.Wait()
		require.Zero(t, allocs)
	})
}
