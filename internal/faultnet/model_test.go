package faultnet_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/rads-project/constellation/internal/faultnet"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func newModel(t *testing.T, seed uint64, f faultnet.Faults) *faultnet.Model {
	t.Helper()
	m, err := faultnet.New(seed, f)
	require.NoError(t, err)
	return m
}

func TestZeroFaultsDeliverAtOnce(t *testing.T) {
	m := newModel(t, 1, faultnet.Faults{})
	for i := range 100 {
		now := time.Duration(i) * ms
		require.Equal(t, []time.Duration{now}, m.Send(nil, now, "a", "b", 10))
	}
}

func TestFaultsOfOneMessage(t *testing.T) {
	tests := []struct {
		name   string
		faults faultnet.Faults
		want   func(*rapid.T, []time.Duration)
	}{
		{"always lost", faultnet.Faults{Loss: faultnet.Always}, func(t *rapid.T, at []time.Duration) {
			require.Empty(t, at)
		}},
		{"always twice", faultnet.Faults{Duplication: faultnet.Always}, func(t *rapid.T, at []time.Duration) {
			require.Equal(t, []time.Duration{5 * ms, 5 * ms}, at)
		}},
		{"fixed latency", faultnet.Faults{LatencyMin: 3 * ms, LatencyMax: 3 * ms}, func(t *rapid.T, at []time.Duration) {
			require.Equal(t, []time.Duration{8 * ms}, at)
		}},
		{"range of latency", faultnet.Faults{LatencyMin: ms, LatencyMax: 3 * ms}, func(t *rapid.T, at []time.Duration) {
			require.Len(t, at, 1)
			require.GreaterOrEqual(t, at[0], 6*ms)
			require.LessOrEqual(t, at[0], 8*ms)
		}},
		{"held back", faultnet.Faults{Reordering: faultnet.Always}, func(t *rapid.T, at []time.Duration) {
			require.Len(t, at, 1)
			require.LessOrEqual(t, at[0], 6*ms)
		}},
		{"bandwidth", faultnet.Faults{BytesPerSecond: 10_000}, func(t *rapid.T, at []time.Duration) {
			require.Equal(t, []time.Duration{15 * ms}, at)
		}},
		{"hardly any bandwidth", faultnet.Faults{BytesPerSecond: 1}, func(t *rapid.T, at []time.Duration) {
			require.Equal(t, []time.Duration{100*time.Second + 5*ms}, at)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m, err := faultnet.New(rapid.Uint64().Draw(t, "seed"), tt.faults)
				require.NoError(t, err)
				tt.want(t, m.Send(nil, 5*ms, "a", "b", 100))
			})
		})
	}
}

func TestInvalidFaults(t *testing.T) {
	tests := []struct {
		name   string
		faults faultnet.Faults
		want   []string
	}{
		{"negative latency", faultnet.Faults{LatencyMin: -1}, []string{"latency"}},
		{"empty range", faultnet.Faults{LatencyMin: 2, LatencyMax: 1}, []string{"latency"}},
		{"a latency beyond the limit", faultnet.Faults{LatencyMax: faultnet.LatencyLimit + 1}, []string{"latency"}},
		{
			"everything at once",
			faultnet.Faults{Loss: -1, Duplication: 1001, Reordering: 1001, BytesPerSecond: -1},
			[]string{"loss -1", "duplication 1001", "reordering 1001", "bandwidth -1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := faultnet.New(1, tt.faults)
			m := newModel(t, 1, faultnet.Faults{})
			for _, err := range []error{err, m.SetFaults(tt.faults), m.SetLink("a", "b", tt.faults)} {
				for _, part := range tt.want {
					require.ErrorContains(t, err, part)
				}
			}
			require.Equal(t, []time.Duration{ms}, m.Send(nil, ms, "a", "b", 1), "a refused change must change nothing")
		})
	}
}

// A link without reordering keeps its order whatever the latencies drawn.
func TestOrderOfALink(t *testing.T) {
	m := newModel(t, 3, faultnet.Faults{LatencyMax: 50 * ms, Loss: 100})
	var last time.Duration
	for i := range 1000 {
		for _, at := range m.Send(nil, time.Duration(i)*ms, "a", "b", 1) {
			require.GreaterOrEqual(t, at, last)
			last = at
		}
	}
}

func TestReorderedMessagesAreOvertaken(t *testing.T) {
	m := newModel(t, 3, faultnet.Faults{LatencyMax: 5 * ms, Reordering: 100})
	overtaken, last := 0, time.Duration(0)
	for i := range 1000 {
		at := m.Send(nil, time.Duration(i)*ms, "a", "b", 1)[0]
		if at < last {
			overtaken++
		}
		last = max(last, at)
	}
	require.Positive(t, overtaken)
	require.Less(t, overtaken, 500, "most messages keep their order")
}

func TestChancesAreMet(t *testing.T) {
	const n = 20_000
	m := newModel(t, 7, faultnet.Faults{Loss: 250, Duplication: 100})
	lost, twice := 0, 0
	for range n {
		switch len(m.Send(nil, 0, "a", "b", 1)) {
		case 0:
			lost++
		case 2:
			twice++
		}
	}
	require.InDelta(t, n*250/1000, lost, n/100)
	require.InDelta(t, n*750/1000*100/1000, twice, n/100)
}

func TestBandwidthQueues(t *testing.T) {
	m := newModel(t, 1, faultnet.Faults{BytesPerSecond: 1000, LatencyMin: 2 * ms, LatencyMax: 2 * ms})
	require.Equal(t, []time.Duration{12 * ms}, m.Send(nil, 0, "a", "b", 10))
	require.Equal(t, []time.Duration{22 * ms}, m.Send(nil, 0, "a", "b", 10))
	require.Equal(t, []time.Duration{12 * ms}, m.Send(nil, 0, "b", "a", 10), "each direction has its own capacity")
	require.Equal(t, []time.Duration{112 * ms}, m.Send(nil, 100*ms, "a", "b", 10))
}

// A link without any capacity to speak of must not overflow its clock.
func TestTimesSaturate(t *testing.T) {
	m := newModel(t, 1, faultnet.Faults{BytesPerSecond: 1, LatencyMax: faultnet.LatencyLimit})
	last := time.Duration(0)
	for range 100 {
		at := m.Send(nil, 0, "a", "b", math.MaxInt)[0]
		require.GreaterOrEqual(t, at, last)
		last = at
	}
}

func TestCutsAndPartitions(t *testing.T) {
	tests := []struct {
		name      string
		do        func(*faultnet.Model)
		connected []string
	}{
		{"nothing", func(*faultnet.Model) {}, []string{"ab", "ac", "ba", "bc", "ca", "cb"}},
		{"one way", func(m *faultnet.Model) { m.Cut("a", "b") }, []string{"ac", "ba", "bc", "ca", "cb"}},
		{"mended", func(m *faultnet.Model) {
			m.Cut("a", "b")
			m.Cut("a", "c")
			m.Mend("a", "b")
		}, []string{"ab", "ba", "bc", "ca", "cb"}},
		{"partition", func(m *faultnet.Model) { m.Partition([]string{"a"}, []string{"b", "c"}) }, []string{"bc", "cb"}},
		{"rest is a group", func(m *faultnet.Model) { m.Partition([]string{"b"}) }, []string{"ac", "ca"}},
		{
			"bridge", func(m *faultnet.Model) { m.Partition([]string{"a", "b"}, []string{"b", "c"}) },
			[]string{"ab", "ba", "bc", "cb"},
		},
		{"last partition holds", func(m *faultnet.Model) {
			m.Partition([]string{"a"})
			m.Partition([]string{"c"})
		}, []string{"ab", "ba"}},
		{"cut within a partition", func(m *faultnet.Model) {
			m.Cut("a", "b")
			m.Partition([]string{"c"})
		}, []string{"ba"}},
		{"healed", func(m *faultnet.Model) {
			m.Cut("a", "b")
			m.Partition([]string{"c"})
			m.Heal()
		}, []string{"ab", "ac", "ba", "bc", "ca", "cb"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel(t, 1, faultnet.Faults{})
			tt.do(m)
			var connected, delivered []string
			for _, l := range []string{"ab", "ac", "ba", "bc", "ca", "cb"} {
				if m.Connected(l[:1], l[1:]) {
					connected = append(connected, l)
				}
				if len(m.Send(nil, 0, l[:1], l[1:], 1)) > 0 {
					delivered = append(delivered, l)
				}
			}
			require.Equal(t, tt.connected, connected)
			require.Equal(t, tt.connected, delivered)
		})
	}
}

func TestGroupsAreCopied(t *testing.T) {
	m := newModel(t, 1, faultnet.Faults{})
	group := []string{"a"}
	m.Partition(group)
	group[0] = "b"
	require.False(t, m.Connected("a", "b"))
	require.True(t, m.Connected("b", "c"))
}

func TestSetLinkIsOneWayAndSetFaultsReplacesIt(t *testing.T) {
	m := newModel(t, 1, faultnet.Faults{})
	require.NoError(t, m.SetLink("a", "b", faultnet.Faults{LatencyMin: ms, LatencyMax: ms}))
	require.Equal(t, []time.Duration{ms}, m.Send(nil, 0, "a", "b", 1))
	require.Equal(t, []time.Duration{0}, m.Send(nil, 0, "b", "a", 1))
	require.NoError(t, m.SetFaults(faultnet.Faults{LatencyMin: 2 * ms, LatencyMax: 2 * ms}))
	require.Equal(t, []time.Duration{2 * ms}, m.Send(nil, 0, "a", "b", 1))
}

// fates sends n messages over a to b and returns when each arrives. Other
// links are used in between as chatter says.
func fates(m *faultnet.Model, n int, chatter func(i int)) [][]time.Duration {
	var all [][]time.Duration
	for i := range n {
		chatter(i)
		all = append(all, m.Send(nil, time.Duration(i)*ms, "a", "b", 1))
	}
	return all
}

func rough() faultnet.Faults {
	return faultnet.Faults{LatencyMin: ms, LatencyMax: 20 * ms, Loss: 100, Duplication: 50, Reordering: 50}
}

func TestFateDependsOnItsOwnLinkOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		quiet, err := faultnet.New(seed, rough())
		require.NoError(t, err)
		busy, err := faultnet.New(seed, rough())
		require.NoError(t, err)
		others := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "c", "bb"}), 50, 50).Draw(t, "others")
		require.Equal(t,
			fates(quiet, 50, func(int) {}),
			fates(busy, 50, func(i int) { busy.Send(nil, 0, "b", others[i], 1) }))
	})
}

func TestLossOnlyRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		f := faultnet.Faults{LatencyMax: 20 * ms, Reordering: faultnet.Always}
		clean, err := faultnet.New(seed, f)
		require.NoError(t, err)
		f.Loss = rapid.IntRange(0, faultnet.Always).Draw(t, "loss")
		lossy, err := faultnet.New(seed, f)
		require.NoError(t, err)
		want := fates(clean, 50, func(int) {})
		for i, at := range fates(lossy, 50, func(int) {}) {
			if len(at) > 0 {
				require.Equal(t, want[i], at)
			}
		}
	})
}

// A healed link goes on with the draws it would have had without the cut.
func TestCutConsumesDraws(t *testing.T) {
	f := faultnet.Faults{LatencyMax: 20 * ms, Reordering: faultnet.Always}
	whole, cut := newModel(t, 9, f), newModel(t, 9, f)
	want := fates(whole, 20, func(int) {})
	got := fates(cut, 20, func(i int) {
		if i == 5 {
			cut.Cut("a", "b")
		}
		if i == 10 {
			cut.Heal()
		}
	})
	require.Equal(t, want[:5], got[:5])
	require.Equal(t, make([][]time.Duration, 5), got[5:10])
	require.Equal(t, want[10:], got[10:])
}

func TestSeedsAndLinksDiffer(t *testing.T) {
	a, b := newModel(t, 1, rough()), newModel(t, 2, rough())
	first := fates(a, 50, func(int) {})
	require.NotEqual(t, first, fates(b, 50, func(int) {}))
	var back [][]time.Duration
	for i := range 50 {
		back = append(back, a.Send(nil, time.Duration(i)*ms, "b", "a", 1))
	}
	require.False(t, slices.EqualFunc(first, back, slices.Equal))
}

func TestSendDoesNotAllocate(t *testing.T) {
	m := newModel(t, 1, rough())
	buf := make([]time.Duration, 0, 2)
	require.Zero(t, testing.AllocsPerRun(1000, func() { buf = m.Send(buf[:0], 0, "a", "b", 1) }))
}

func Example() {
	m, err := faultnet.New(1, faultnet.Faults{LatencyMin: 2 * time.Millisecond, LatencyMax: 2 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Send(nil, 0, "a", "b", 100))
	m.Cut("a", "b")
	fmt.Println(m.Send(nil, 0, "a", "b", 100), m.Send(nil, 0, "b", "a", 100))
	// Output:
	// [2ms]
	// [] [2ms]
}

func BenchmarkSend(b *testing.B) {
	m, err := faultnet.New(1, rough())
	require.NoError(b, err)
	buf := make([]time.Duration, 0, 2)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Send(buf[:0], 0, "a", "b", 64)
	}
}
